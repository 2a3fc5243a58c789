# kdpc_add_machine(sim) builds libkdpc-sim.so: the kernel and everything above it, compiled against one machine.
#
# The machine is chosen by include path only: src/machine/<m> is where "this_machine.h" is found. Seen from outside the library is kdpc::<m>;
# code of this tree that looks inside (tests, tools) links kdpc_internals_<m> as well.

# The sources of one layer, whatever files it has today. Folders with a CMakeLists.txt build themselves.
function(kdpc_layer_sources result layer)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${layer}/*.cc)
  set(${result} ${sources} PARENT_SCOPE)
endfunction()

function(kdpc_add_machine machine)
  if(NOT EXISTS ${PROJECT_SOURCE_DIR}/src/machine/${machine}/this_machine.h)
    message(STATUS "kdpc: no machine ${machine} in this tree")
    return()
  endif()
  set(library kdpc-${machine})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/machine/*.cc)
  foreach(layer base kernel machine/${machine} wdk io kmdf check trace view lab)
    kdpc_layer_sources(of_layer ${layer})
    list(APPEND sources ${of_layer})
  endforeach()

  set_source_files_properties(${PROJECT_SOURCE_DIR}/src/lab/explored_text.cc PROPERTIES COMPILE_DEFINITIONS KDPC_VERSION="${PROJECT_VERSION}")
  add_library(${library} SHARED ${sources})
  add_library(kdpc::${machine} ALIAS ${library})
  target_include_directories(${library}
    PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include/wdk>
           $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/wdk>
    PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/src/machine/${machine})
  target_compile_features(${library} PUBLIC cxx_std_20)
  target_link_libraries(${library} PRIVATE $<BUILD_INTERFACE:kdpc_options> $<BUILD_INTERFACE:kdpc_dependencies>)
  if(TARGET kdpc_devices)
    target_link_libraries(${library} PRIVATE $<BUILD_INTERFACE:$<LINK_LIBRARY:WHOLE_ARCHIVE,kdpc_devices>>)
  endif()
  target_link_options(${library} PRIVATE -Wl,--as-needed -Wl,-Bsymbolic-functions -Wl,-z,now  # nothing is bound at an interrupt
     $<$<NOT:$<OR:$<BOOL:${KDPC_SANITIZE}>,$<BOOL:${KDPC_SANITIZE_THREADS}>>>:-Wl,--no-undefined>)
  set_target_properties(${library} PROPERTIES EXPORT_NAME ${machine} VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})

  # gdb looks beside the library, by the file's real name, for what it is to learn about it.
  set(for_gdb $<TARGET_FILE_NAME:${library}>-gdb.py)
  add_custom_command(TARGET ${library} POST_BUILD VERBATIM
    COMMAND ${CMAKE_COMMAND} -E create_symlink ${PROJECT_SOURCE_DIR}/tools/gdb/kdpc-gdb.py $<TARGET_FILE_DIR:${library}>/${for_gdb})
  install(FILES ${PROJECT_SOURCE_DIR}/tools/gdb/kdpc-gdb.py DESTINATION ${CMAKE_INSTALL_LIBDIR} RENAME ${for_gdb})

  add_library(kdpc_internals_${machine} INTERFACE)
  target_include_directories(kdpc_internals_${machine} INTERFACE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/src/machine/${machine})
  target_link_libraries(kdpc_internals_${machine} INTERFACE kdpc::${machine} kdpc_options kdpc_dependencies)

  set_property(GLOBAL APPEND PROPERTY KDPC_MACHINES ${machine})
endfunction()

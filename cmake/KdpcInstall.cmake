# What others get: headers, one library per machine, the command, and find_package(kdpc) with kdpc::sim, kdpc::live, kdpc_add_driver, kdpc_add_test.
include(CMakePackageConfigHelpers)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/kdpc)

install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# What the README speaks of can be followed from an installation: share/kdpc looks like this tree, and has the examples' drivers built.
set(shared ${CMAKE_INSTALL_DATADIR}/kdpc)
install(FILES README.md LICENSE DESTINATION ${shared})
install(DIRECTORY docs DESTINATION ${shared})
get_property(example_drivers GLOBAL PROPERTY KDPC_EXAMPLE_DRIVERS)
if(example_drivers)
  install(DIRECTORY examples DESTINATION ${shared})
  foreach(driver IN LISTS example_drivers)
    get_target_property(file ${driver} KDPC_DRIVER_FILE)
    install(FILES ${file} DESTINATION ${shared}/drivers)
    get_target_property(file ${driver} KDPC_DRIVER_CHECK_FILE)
    if(file)
      install(FILES ${file} DESTINATION ${shared}/drivers/check)
    endif()
  endforeach()
endif()

get_property(machines GLOBAL PROPERTY KDPC_MACHINES)
if(machines)
  list(TRANSFORM machines PREPEND kdpc- OUTPUT_VARIABLE libraries)
  install(TARGETS ${libraries} EXPORT kdpc LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT kdpc NAMESPACE kdpc:: FILE kdpcTargets.cmake DESTINATION ${package})
  configure_package_config_file(cmake/kdpcConfig.cmake.in ${PROJECT_BINARY_DIR}/kdpcConfig.cmake INSTALL_DESTINATION ${package}
    PATH_VARS CMAKE_INSTALL_INCLUDEDIR)
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/kdpcConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/kdpcConfig.cmake ${PROJECT_BINARY_DIR}/kdpcConfigVersion.cmake
                cmake/KdpcDriver.cmake cmake/KdpcTest.cmake cmake/message_compiler.py cmake/CompileDriver.cmake
                src/drvcrt/drvcrt.c src/drvcrt/drvcrt_check.c src/drvcrt/refused_words.h src/drvcrt/pageable.ld
                DESTINATION ${package})
endif()

# How every source of ours is compiled: link with kdpc_options. Where binaries go: the build folder has the shape of an installation.
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)

set(CMAKE_POSITION_INDEPENDENT_CODE ON)  # executables too: the address of a function must be the same seen from both sides of a library
include(CheckPIESupported)
check_pie_supported(LANGUAGES C CXX)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

add_library(kdpc_options INTERFACE)
target_compile_features(kdpc_options INTERFACE cxx_std_20)
target_compile_options(kdpc_options INTERFACE
  -Wall -Wextra -Wshadow
  -Wno-unknown-attributes
  -Wno-missing-field-initializers  # `{.processors = 2}` is how machines are asked for
  $<$<BOOL:${KDPC_WERROR}>:-Werror>
  $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wthread-safety>
  -fno-omit-frame-pointer
  -fno-strict-aliasing        # a driver's KDPC *is* the kernel's Dpc: two types, one object
  -fcf-protection=none        # fibers leave functions in ways a shadow stack forbids
  -fno-semantic-interposition # calls inside a library are direct calls
)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(kdpc_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fno-gnu-unique>)  # or two libraries would share inline variables, even under RTLD_LOCAL
endif()

if(KDPC_SANITIZE)
  # `function` compares C++ types across a call: a routine a driver declares with PKDPC is called by a kernel that says Dpc*, which is the point.
  # The others fire on what a driver has handed in, which must become NT's bug check, or a status, as it does without them: null, wild and misaligned
  # pointers by the fault they cause, numbers that are no member of their enumeration, or neither true nor false, by being looked at.
  target_compile_options(kdpc_options INTERFACE -fsanitize=address,undefined -fno-sanitize=function,null,nonnull-attribute,alignment,pointer-overflow,enum,bool
                                                -fno-sanitize-recover=undefined)
  target_link_options(kdpc_options INTERFACE -fsanitize=address,undefined)
endif()

if(KDPC_SANITIZE_THREADS)
  # What is volatile in the kernel is read and written as a whole: src/machine/live/volatiles.cc says so to the sanitizer.
  target_compile_options(kdpc_options INTERFACE -fsanitize=thread -mllvm -tsan-distinguish-volatile)
  target_compile_definitions(kdpc_options INTERFACE KDPC_SANITIZE_THREADS KDPC_POLLED_DELIVERY)
  target_link_options(kdpc_options INTERFACE -fsanitize=thread)
endif()

# add_subdirectory for folders a source package may leave out.
function(kdpc_subdirectory_if_present folder)
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/CMakeLists.txt)
    add_subdirectory(${folder})
  endif()
endfunction()

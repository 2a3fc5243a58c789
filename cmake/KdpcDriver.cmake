# kdpc_add_driver(name SOURCES a.c b.c [log.mc] [INCLUDES dir …] [DEFINES NAME=1 …] [OPTIONS -flag …] [NO_CHECK_VARIANT])
#
# Compiles a WDK driver's source, unchanged, to <build>/drivers/<name>.drv: an ELF image with the Windows data model (32-bit long, 16-bit WCHAR,
# Microsoft bit-fields, Win64 calls). The target's property KDPC_DRIVER_FILE is the path. Works in this tree and after find_package(kdpc).
#
# Beside it comes its check variant, <build>/drivers/check/<name>.drv (KDPC_DRIVER_CHECK_FILE): the same, but with every access to memory told to the
# simulated machine, and nothing optimised away. What looks for races loads that one; NO_CHECK_VARIANT leaves it out.
#
#   --target=x86_64-w64-windows-gnu-elf   that data model in ELF objects
#   -fdwarf-exceptions, -f…-unwind-tables unwind tables; without them a backtrace ends at the first driver frame
#   -fsanitize-coverage=trace-pc          driver code takes time and can be interrupted at every edge (drvcrt.c has the hook)
#   -ffreestanding -nostdlibinc           include/wdk and the compiler's own headers are all a driver sees
#   -include refused_words.h              this target accepts structured exception handling and drops the handler silently, so it is refused
#   -Bsymbolic, the version script        a driver's names are its own: only DriverEntry is seen; all stay in the symbol table for debuggers
#   -z now, -z norelro                    nothing is bound at an interrupt; all of its data stays writable, as restoring a checkpoint needs
#   -Ttext-segment                        a base of its own, from its name, so that addresses are equal on every run
#   -ffunction-sections, pageable.ld      code in sections PAGE… (#pragma alloc_text, #pragma code_seg, __declspec(code_seg)) has pages of its own
#   -fms-compatibility                    includes written with backslashes, enumerations declared in advance, C's inline functions as MSVC has them
#   -ivfsoverlay                          include names are found whatever their case: <Ntddk.h>, "Precomp.h", "..\\Inc\\Public.h"
#
# and a check variant in addition:
#
#   -O0                                   the accesses that the source has: Microsoft's compiler leaves others out than clang
#   -fsanitize=thread                     a call before each of them (drvcrt_check.c); by -Xclang, as there is no runtime for this target to be linked
#   -tsan-…                               volatile accesses told apart, reads told even if a write follows, and functions not told at all
#
# What Windows' build generates is made here, too: a trace header x.tmh for each source x.c (traces are compiled out, the macros that WPP's
# configuration comments declare do nothing), and a header for each message file x.mc. Sources are known by their endings whatever their case; what is
# listed among them and is no source (.rc, .def, .inf, headers) is passed over.
include_guard(GLOBAL)

find_program(KDPC_DRIVER_CLANG NAMES clang clang-14 clang-15 clang-16 DOC "The compiler for drivers")
find_program(KDPC_DRIVER_LD NAMES ld.bfd ld DOC "GNU ld, for drivers")
find_program(KDPC_DRIVER_OBJCOPY NAMES objcopy DOC "GNU objcopy, for drivers")

if(EXISTS ${CMAKE_CURRENT_LIST_DIR}/drvcrt.c)  # installed
  set(drvcrt ${CMAKE_CURRENT_LIST_DIR})
  set(KDPC_WDK_INCLUDES ${KDPC_INSTALLED_INCLUDES}/wdk CACHE INTERNAL "")
else()
  cmake_path(GET CMAKE_CURRENT_LIST_DIR PARENT_PATH root)
  set(drvcrt ${root}/src/drvcrt)
  set(KDPC_WDK_INCLUDES ${root}/include/wdk CACHE INTERNAL "")
endif()
set(KDPC_DRVCRT_SOURCE ${drvcrt}/drvcrt.c CACHE INTERNAL "")
set(KDPC_DRVCRT_CHECK_SOURCE ${drvcrt}/drvcrt_check.c CACHE INTERNAL "")
set(KDPC_DRIVER_REFUSED_WORDS ${drvcrt}/refused_words.h CACHE INTERNAL "")
set(KDPC_DRIVER_PAGEABLE_SCRIPT ${drvcrt}/pageable.ld CACHE INTERNAL "")
set(KDPC_DRIVER_COMPILE ${CMAKE_CURRENT_LIST_DIR}/CompileDriver.cmake CACHE INTERNAL "")

set(KDPC_MESSAGE_COMPILER ${CMAKE_CURRENT_LIST_DIR}/message_compiler.py CACHE INTERNAL "")

set(KDPC_DRIVER_TARGET_OPTIONS
  --target=x86_64-w64-windows-gnu-elf -fms-extensions -ffreestanding -fno-builtin -nostdlibinc -fdwarf-exceptions -fasynchronous-unwind-tables
  -g -gdwarf-4 -O1 -fno-omit-frame-pointer -Wno-microsoft -Wno-multichar -Wno-ignored-pragmas
  -Wno-unknown-pragmas -Wno-nonportable-include-path -Wno-invalid-token-paste CACHE INTERNAL "")
set(KDPC_DRIVER_CHECK_OPTIONS
  -O0 -Xclang -fsanitize=thread -mllvm -tsan-distinguish-volatile=1 -mllvm -tsan-instrument-read-before-write=1
  -mllvm -tsan-instrument-func-entry-exit=0 CACHE INTERNAL "")

# One of 2^20 slots of 16 MiB from 0x410000000000 up: above the World, below where Linux puts executables.
function(_kdpc_driver_base result name)
  string(SHA1 hash ${name})
  if(KDPC_SANITIZE_THREADS)  # there is less room: src/base/fixed_places.h
    string(SUBSTRING ${hash} 0 4 slot)
    math(EXPR base "0x551000000000 + 0x${slot} * 0x400000" OUTPUT_FORMAT HEXADECIMAL)
  else()
    string(SUBSTRING ${hash} 0 5 slot)
    math(EXPR base "0x410000000000 + 0x${slot} * 0x1000000" OUTPUT_FORMAT HEXADECIMAL)
  endif()
  set(${result} ${base} PARENT_SCOPE)
endfunction()

# The folder that `path` means below `folder`, whatever its case; empty: there is none.
function(_kdpc_find_folder result folder path)
  string(REPLACE "/" ";" parts "${path}")
  foreach(part IN LISTS parts)
    if(NOT part STREQUAL "" AND NOT IS_DIRECTORY ${folder}/${part})
      file(GLOB entries LIST_DIRECTORIES true RELATIVE ${folder} ${folder}/*)
      string(TOLOWER "${part}" wanted)
      foreach(entry IN LISTS entries)
        string(TOLOWER "${entry}" lower)
        if(lower STREQUAL wanted)
          set(part ${entry})
        endif()
      endforeach()
    endif()
    cmake_path(APPEND folder ${part})
  endforeach()
  cmake_path(NORMAL_PATH folder)
  string(REGEX REPLACE "(.)/$" "\\1" folder "${folder}")
  if(NOT IS_DIRECTORY ${folder})
    set(folder "")
  endif()
  set(${result} "${folder}" PARENT_SCOPE)
endfunction()

# The folders in which these sources, and the headers beside them, look: those given, and what includes with a path lead to.
function(_kdpc_include_folders result sources)
  set(folders ${ARGN})
  list(REMOVE_DUPLICATES folders)
  set(done "")
  set(todo ${folders})
  set(files ${sources})
  while(todo)
    list(POP_FRONT todo searched)
    list(APPEND done ${searched})
    file(GLOB headers CONFIGURE_DEPENDS ${searched}/*.[hH])
    foreach(file IN LISTS headers files)
      file(STRINGS ${file} lines REGEX "^[ \t]*#[ \t]*include[ \t]*[\"<][^\">]*[/\\\\]")
      foreach(line IN LISTS lines)
        string(REGEX MATCH "[\"<]([^\">]*)[/\\\\][^/\\\\]*[\">]" matched "${line}")
        string(REPLACE "\\" "/" path "${CMAKE_MATCH_1}")
        cmake_path(GET file PARENT_PATH beside)
        foreach(base IN LISTS beside folders)
          _kdpc_find_folder(found ${base} "${path}")
          if(found AND NOT found IN_LIST done AND NOT found IN_LIST todo)
            list(APPEND todo ${found})
          endif()
        endforeach()
      endforeach()
    endforeach()
    set(files "")
  endwhile()
  set(${result} ${done} PARENT_SCOPE)
endfunction()

# A file for -ivfsoverlay: the headers of these folders, found without regard to case. `generated` are headers that will be there.
function(_kdpc_ignore_case file generated)
  set(roots "")
  list(REMOVE_DUPLICATES ARGN)
  foreach(folder IN LISTS ARGN)
    file(GLOB headers CONFIGURE_DEPENDS ${folder}/*.[hH] ${folder}/*.inc ${folder}/*.INC ${folder}/*.tmh)
    foreach(header IN LISTS generated)
      cmake_path(GET header PARENT_PATH parent)
      if(parent STREQUAL folder)
        list(APPEND headers ${header})
      endif()
    endforeach()
    list(REMOVE_DUPLICATES headers)
    set(entries "")
    foreach(header IN LISTS headers)
      cmake_path(GET header FILENAME name)
      list(APPEND entries "{\"type\":\"file\",\"name\":\"${name}\",\"external-contents\":\"${header}\"}")
    endforeach()
    if(entries)
      list(JOIN entries ",\n    " entries)
      list(APPEND roots "{\"type\":\"directory\",\"name\":\"${folder}\",\"contents\":[\n    ${entries}]}")
    endif()
  endforeach()
  list(JOIN roots ",\n  " roots)
  file(CONFIGURE OUTPUT ${file} CONTENT "{\"version\":0,\"case-sensitive\":\"false\",\"roots\":[\n  ${roots}]}\n" @ONLY)
endfunction()

# x.tmh for each source x.c, in a folder of their own. WPP's configuration stands in comments: every `FUNC Name(…)` there is a macro.
function(_kdpc_trace_headers folder sources folders)
  set(macros "")
  set(files ${sources})
  list(REMOVE_DUPLICATES folders)
  foreach(searched IN LISTS folders)
    file(GLOB headers CONFIGURE_DEPENDS ${searched}/*.[hH])
    list(APPEND files ${headers})
  endforeach()
  foreach(file IN LISTS files)
    file(STRINGS ${file} lines REGEX "^[ \t/*]*FUNC[ \t]+[A-Za-z_][A-Za-z_0-9]*[ \t]*[({]")
    foreach(line IN LISTS lines)
      string(REGEX MATCH "FUNC[ \t]+([A-Za-z_][A-Za-z_0-9]*)" matched "${line}")
      string(APPEND macros "#undef ${CMAKE_MATCH_1}\n#define ${CMAKE_MATCH_1}(...) ((void)0)\n")
    endforeach()
  endforeach()
  foreach(source IN LISTS sources)
    cmake_path(GET source STEM stem)
    file(CONFIGURE OUTPUT ${folder}/${stem}.tmh CONTENT "#include <wpp_stub.h>\n${macros}" @ONLY)
  endforeach()
endfunction()

# The names compilers and C programmers take for granted, and the hooks of check variants, once per build.
function(_kdpc_driver_runtimes runtime check_runtime)
  set(folder ${CMAKE_BINARY_DIR}/drivers)
  set(${runtime} ${folder}/drvcrt.o PARENT_SCOPE)
  set(${check_runtime} ${folder}/drvcrt_check.o PARENT_SCOPE)
  if(TARGET kdpc_drvcrt)
    return()
  endif()
  file(MAKE_DIRECTORY ${folder}/check)
  file(WRITE ${folder}/driver.version "{ global: DriverEntry; local: *; };\n")
  set(defines "")
  if(KDPC_SANITIZE_THREADS)
    set(defines -DKDPC_WORLD_BASE="0x550000000000")
  endif()
  add_custom_command(OUTPUT ${folder}/drvcrt.o
    COMMAND ${KDPC_DRIVER_CLANG} ${KDPC_DRIVER_TARGET_OPTIONS} ${defines} -Wall -Wextra -c ${KDPC_DRVCRT_SOURCE} -o ${folder}/drvcrt.o
    DEPENDS ${KDPC_DRVCRT_SOURCE} COMMENT "Compiling the drivers' runtime" VERBATIM)
  add_custom_command(OUTPUT ${folder}/drvcrt_check.o
    COMMAND ${KDPC_DRIVER_CLANG} ${KDPC_DRIVER_TARGET_OPTIONS} ${defines} -O2 -momit-leaf-frame-pointer -Wall -Wextra -c ${KDPC_DRVCRT_CHECK_SOURCE}
            -o ${folder}/drvcrt_check.o
    DEPENDS ${KDPC_DRVCRT_CHECK_SOURCE} COMMENT "Compiling the hooks of drivers' check variants" VERBATIM)
  add_custom_target(kdpc_drvcrt DEPENDS ${folder}/drvcrt.o ${folder}/drvcrt_check.o)
endfunction()

# One image, from the variables of kdpc_add_driver below: `compiled` with `options` and ARGN, objects in `folder`, linked with `runtimes`.
function(_kdpc_driver_image image folder runtimes what)
  file(MAKE_DIRECTORY ${folder})
  set(objects "")
  foreach(path IN LISTS compiled)
    cmake_path(GET path FILENAME file)
    set(object ${folder}/${file}.o)
    set(language -x c)  # also MAIN.C, which clang would take for C++
    string(TOLOWER "${file}" lower)
    if(NOT lower MATCHES "\\.c$")
      set(language -x c++ -fno-exceptions -fno-rtti -fno-threadsafe-statics)
    endif()
    add_custom_command(OUTPUT ${object}
      COMMAND ${CMAKE_COMMAND} -DSOURCE=${path} -DOBJECT=${object} -DOBJCOPY=${KDPC_DRIVER_OBJCOPY} -P ${KDPC_DRIVER_COMPILE}
              -- ${KDPC_DRIVER_CLANG} ${options} ${ARGN} ${language}
      DEPENDS ${path} ${generated} ${KDPC_DRIVER_COMPILE} DEPFILE ${object}.d COMMENT "Compiling ${what}: ${file}" VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  add_custom_command(OUTPUT ${image}
    COMMAND ${KDPC_DRIVER_LD} -shared -Bsymbolic --build-id --eh-frame-hdr -z now -z norelro -z noexecstack -soname ${name}.drv -Ttext-segment=${base}
            --version-script=${CMAKE_BINARY_DIR}/drivers/driver.version -T ${KDPC_DRIVER_PAGEABLE_SCRIPT} -o ${image} ${objects} ${runtimes}
    DEPENDS ${KDPC_DRIVER_PAGEABLE_SCRIPT} ${objects} ${runtimes} kdpc_drvcrt COMMENT "Linking ${what}" VERBATIM)
endfunction()

function(kdpc_add_driver name)
  cmake_parse_arguments(PARSE_ARGV 1 driver "NO_CHECK_VARIANT" "" "SOURCES;INCLUDES;DEFINES;OPTIONS")
  if(NOT driver_SOURCES OR driver_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "kdpc_add_driver(${name}): SOURCES are needed; not understood: ${driver_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT KDPC_DRIVER_CLANG OR NOT KDPC_DRIVER_LD OR NOT KDPC_DRIVER_OBJCOPY)
    message(FATAL_ERROR "kdpc_add_driver(${name}): drivers are compiled by clang and linked by GNU ld and objcopy (Debian packages clang and binutils)")
  endif()
  _kdpc_driver_runtimes(runtime check_runtime)
  _kdpc_driver_base(base ${name})

  set(made ${CMAKE_BINARY_DIR}/drivers/${name}.dir)
  set(folders "")
  set(compiled "")
  set(generated "")
  foreach(source IN LISTS driver_SOURCES)
    cmake_path(ABSOLUTE_PATH source NORMALIZE)
    cmake_path(GET source PARENT_PATH folder)
    list(APPEND folders ${folder})
    string(TOLOWER "${source}" lower)
    if(lower MATCHES "\\.(rc|def|inf|inx|mof|h|hpp)$")
      continue()
    elseif(lower MATCHES "\\.mc$")
      find_package(Python3 REQUIRED COMPONENTS Interpreter)
      cmake_path(GET source STEM stem)
      add_custom_command(OUTPUT ${made}/made/${stem}.h COMMAND Python3::Interpreter ${KDPC_MESSAGE_COMPILER} ${source} ${made}/made/${stem}.h
        DEPENDS ${source} ${KDPC_MESSAGE_COMPILER} COMMENT "Compiling messages of driver ${name}: ${stem}.mc" VERBATIM)
      list(APPEND generated ${made}/made/${stem}.h)
    else()
      list(APPEND compiled ${source})
    endif()
  endforeach()
  foreach(folder IN LISTS driver_INCLUDES)
    cmake_path(ABSOLUTE_PATH folder NORMALIZE)
    list(APPEND folders ${folder})
  endforeach()
  file(MAKE_DIRECTORY ${made}/made)
  _kdpc_include_folders(searched "${compiled}" ${folders})
  _kdpc_trace_headers(${made}/made "${compiled}" "${searched}")
  _kdpc_ignore_case(${made}/case.yaml "${generated}" ${searched} ${made}/made ${KDPC_WDK_INCLUDES} ${KDPC_WDK_INCLUDES}/crt)

  set(options ${KDPC_DRIVER_TARGET_OPTIONS} -fms-compatibility -ivfsoverlay ${made}/case.yaml -fsanitize-coverage=trace-pc -DKDPC_DRIVER=1
    -include ${KDPC_DRIVER_REFUSED_WORDS})
  foreach(folder IN LISTS driver_INCLUDES)
    cmake_path(ABSOLUTE_PATH folder NORMALIZE)
    list(APPEND options -I${folder})
  endforeach()
  list(TRANSFORM driver_DEFINES PREPEND -D)
  # __FILE__ is the same wherever the tree lies, and so is every address behind it.
  list(APPEND options ${driver_DEFINES} -I${made}/made -isystem ${KDPC_WDK_INCLUDES} -isystem ${KDPC_WDK_INCLUDES}/crt -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/= ${driver_OPTIONS})

  set(image ${CMAKE_BINARY_DIR}/drivers/${name}.drv)
  _kdpc_driver_image(${image} ${made} ${runtime} "driver ${name}")
  set(images ${image})
  set(check_image "")
  if(NOT driver_NO_CHECK_VARIANT)
    set(check_image ${CMAKE_BINARY_DIR}/drivers/check/${name}.drv)
    _kdpc_driver_image(${check_image} ${made}/check "${runtime};${check_runtime}" "driver ${name} for checks" ${KDPC_DRIVER_CHECK_OPTIONS})
    list(APPEND images ${check_image})
  endif()
  add_custom_target(${name} ALL DEPENDS ${images})
  set_target_properties(${name} PROPERTIES KDPC_DRIVER_FILE ${image} KDPC_DRIVER_CHECK_FILE "${check_image}")
endfunction()

# Every driver below a folder: <folder>/<name>.c, or all sources in <folder>/<name>/. `result` gets their names. NO_CHECK_VARIANT may follow.
function(kdpc_add_drivers_in result folder)
  cmake_path(ABSOLUTE_PATH folder)
  set(names "")
  file(GLOB entries CONFIGURE_DEPENDS LIST_DIRECTORIES true ${folder}/*)
  foreach(entry IN LISTS entries)
    cmake_path(GET entry STEM name)
    set(sources "")
    set(includes "")
    if(IS_DIRECTORY ${entry})
      file(GLOB sources CONFIGURE_DEPENDS ${entry}/*.[cC] ${entry}/*.[cC][pP][pP] ${entry}/*.[mM][cC])
      set(includes ${entry})
    elseif(entry MATCHES "\\.([cC]|[cC][pP][pP])$")
      set(sources ${entry})
    endif()
    if(sources)
      kdpc_add_driver(${name} SOURCES ${sources} INCLUDES ${includes} ${ARGN})
      list(APPEND names ${name})
    endif()
  endforeach()
  set(${result} ${names} PARENT_SCOPE)
endfunction()

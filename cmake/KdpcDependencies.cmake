# Debian's packages, found by what they bring themselves. What is missing is said by name: see apt-packages.txt.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(Boost 1.74 REQUIRED COMPONENTS context)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(CLI11 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(elfutils REQUIRED IMPORTED_TARGET libdw libelf)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(edit REQUIRED IMPORTED_TARGET libedit)  # the command only: its prompt
pkg_check_modules(sndfile REQUIRED IMPORTED_TARGET sndfile)

# All of them at once: layers say in their includes what they use, and only one library is linked.
add_library(kdpc_dependencies INTERFACE)
target_link_libraries(kdpc_dependencies INTERFACE fmt::fmt Boost::context nlohmann_json::nlohmann_json tomlplusplus::tomlplusplus
  PkgConfig::elfutils PkgConfig::xxhash PkgConfig::sndfile Threads::Threads ${CMAKE_DL_LIBS})

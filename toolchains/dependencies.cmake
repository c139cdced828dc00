# Every library from outside, once. Debian names: scripts/setup.
find_package(Threads REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(Protobuf REQUIRED)          # module mode: Debian has no protobuf-config.cmake
find_package(gRPC CONFIG REQUIRED)
find_package(absl CONFIG REQUIRED)
find_package(PahoMqttCpp CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(TOMLPP REQUIRED IMPORTED_TARGET tomlplusplus)
# Prefix RE2LIB: a variable re2_FOUND would keep gRPC from looking for its own re2 target.
pkg_check_modules(RE2LIB REQUIRED IMPORTED_TARGET re2)

# SOCI ships no CMake package on Debian.
add_library(sluice_soci INTERFACE)
target_link_libraries(sluice_soci INTERFACE soci_core soci_sqlite3 SQLite::SQLite3)

# Standalone Asio is headers only.
add_library(sluice_asio INTERFACE)
target_compile_definitions(sluice_asio INTERFACE ASIO_STANDALONE ASIO_NO_DEPRECATED)
target_link_libraries(sluice_asio INTERFACE Threads::Threads)

if(SLUICE_BUILD_TESTS)
  find_package(GTest REQUIRED)
  find_package(benchmark REQUIRED)
  pkg_check_modules(MOSQUITTO REQUIRED IMPORTED_TARGET libmosquitto)
endif()

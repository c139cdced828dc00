# Compile options of the whole tree; every unusual one with its reason.
option(SLUICE_BUILD_TESTS "Build tests and test tools" ON)
option(SLUICE_WERROR "Warnings are errors" OFF)
option(SLUICE_FAIL_POINTS "Compile the fail points in (test builds only)" OFF)
option(SLUICE_FUZZ "Build the libFuzzer targets (clang)" OFF)
option(SLUICE_TIDY "Run clang-tidy on every file" OFF)
set(SLUICE_SANITIZE "" CACHE STRING "Value for -fsanitize=, for example address,undefined")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

# -g1 keeps function names and lines for back traces at a fraction of the link time of -g.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

# lld links a gRPC program about five times faster than bfd.
find_program(LLD ld.lld)
if(LLD)
  add_link_options(-fuse-ld=lld)
endif()

if(SLUICE_SANITIZE)
  add_compile_options(-fsanitize=${SLUICE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${SLUICE_SANITIZE})
endif()

if(SLUICE_FUZZ)
  # Coverage for the fuzzer in every object; main comes only with a target's own -fsanitize=fuzzer.
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_link_options(-fsanitize=fuzzer-no-link)
endif()

if(SLUICE_FAIL_POINTS)
  add_compile_definitions(SLUICE_FAIL_POINTS=1)
endif()

if(SLUICE_TIDY)
  find_program(CLANG_TIDY clang-tidy REQUIRED)
endif()

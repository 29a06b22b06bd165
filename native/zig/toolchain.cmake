# Zig's compiler for CMake. scripts/build_backend.py takes it where there is no other.
#     LENET_ZIG          the program zig: Clang in one file, with the libraries of every target
#     LENET_ZIG_TARGET   for what it compiles: x86_64-linux-gnu.2.28
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES LENET_ZIG LENET_ZIG_TARGET)
set(CMAKE_CXX_COMPILER "${LENET_ZIG}" c++ -target ${LENET_ZIG_TARGET})
if(LENET_ZIG_TARGET MATCHES "^x86_64")
  list(APPEND CMAKE_CXX_COMPILER -mcpu=x86_64) # else it compiles for this machine's processor alone
endif()

# CMake tries a compiler by linking programs. Before its first one Zig compiles a C++ library, which
# takes minutes: once is enough, for the module.
set(CMAKE_CXX_COMPILER_ID_FLAGS_ALWAYS -c)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)

# A bare machine has no programs for archives and resources. Zig has both.
set(CMAKE_USER_MAKE_RULES_OVERRIDE_CXX "${CMAKE_CURRENT_LIST_DIR}/archives.cmake")
set(CMAKE_RC_COMPILER "${LENET_ZIG}") # of Windows; asked for, but never run: there are no resources

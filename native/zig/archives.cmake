# How static libraries are made with Zig, which is one program: CMake's CMAKE_AR takes no words after.
set(CMAKE_CXX_ARCHIVE_CREATE "\"${LENET_ZIG}\" ar qc <TARGET> <LINK_FLAGS> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_APPEND "\"${LENET_ZIG}\" ar q <TARGET> <LINK_FLAGS> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_FINISH "\"${LENET_ZIG}\" ranlib <TARGET>")

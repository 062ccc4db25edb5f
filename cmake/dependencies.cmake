# Everything here is a Debian package; scripts/bootstrap installs them.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto>=3.0)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(SMARTCOLS REQUIRED IMPORTED_TARGET smartcols)

# Not every packaging of RocksDB brings a pkg-config file.
find_library(ROCKSDB_LIBRARY rocksdb REQUIRED)
find_path(ROCKSDB_INCLUDE_DIR rocksdb/c.h REQUIRED)
add_library(ratoon_rocksdb INTERFACE)
target_link_libraries(ratoon_rocksdb INTERFACE ${ROCKSDB_LIBRARY})
target_include_directories(ratoon_rocksdb SYSTEM INTERFACE ${ROCKSDB_INCLUDE_DIR})

find_path(FLATBUFFERS_INCLUDE_DIR flatbuffers/flatbuffers.h REQUIRED)
find_program(FLATC flatc REQUIRED)

find_program(SCDOC scdoc)

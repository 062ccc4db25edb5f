# Benchmarks: bench/*_bench.c, one program each. Their smoke run is a test. Stores they compare with
# are optional: a program built without one reports it as absent.

find_package(PkgConfig QUIET)
pkg_check_modules(BENCH_SQLITE QUIET IMPORTED_TARGET sqlite3)
pkg_check_modules(BENCH_POSTGRES QUIET IMPORTED_TARGET libpq)
find_library(BENCH_LMDB_LIBRARY lmdb)
find_path(BENCH_LMDB_INCLUDE_DIR lmdb.h)

file(GLOB bench_support CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bench/support/*.c)
add_library(ratoon_bench_support STATIC ${bench_support})
target_link_libraries(ratoon_bench_support
    PRIVATE ratoon_system_flags PUBLIC ratoon_static PkgConfig::JANSSON ${CMAKE_DL_LIBS})
if(BENCH_SQLITE_FOUND)
    target_compile_definitions(ratoon_bench_support PRIVATE BENCH_HAVE_SQLITE)
    target_link_libraries(ratoon_bench_support PRIVATE PkgConfig::BENCH_SQLITE)
endif()
if(BENCH_POSTGRES_FOUND)
    target_compile_definitions(ratoon_bench_support PRIVATE BENCH_HAVE_POSTGRES)
    target_link_libraries(ratoon_bench_support PRIVATE PkgConfig::BENCH_POSTGRES)
endif()
if(BENCH_LMDB_LIBRARY AND BENCH_LMDB_INCLUDE_DIR)
    target_compile_definitions(ratoon_bench_support PRIVATE BENCH_HAVE_LMDB)
    target_include_directories(ratoon_bench_support SYSTEM PRIVATE ${BENCH_LMDB_INCLUDE_DIR})
    target_link_libraries(ratoon_bench_support PRIVATE ${BENCH_LMDB_LIBRARY})
endif()

file(GLOB bench_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bench/*_bench.c)
foreach(source IN LISTS bench_sources)
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source})
    set_target_properties(${name} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench LINKER_LANGUAGE CXX)
    target_link_libraries(${name} PRIVATE
        ratoon_system_flags ratoon_bench_support ratoon_tools ratoon_uv ratoon_static)
    add_test(NAME bench/${name} COMMAND ${name} --smoke)
    ratoon_test_properties(bench/${name} bench)
    set_tests_properties(bench/${name} PROPERTIES RUN_SERIAL ON)
endforeach()

# Instructions counted against baselines that are checked in. Only the optimised build has any.
find_program(VALGRIND valgrind)
if(VALGRIND AND CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo" AND NOT RATOON_SANITIZE
   AND NOT RATOON_COVERAGE)
    add_test(NAME bench/gate COMMAND /usr/bin/python3 -B ${PROJECT_SOURCE_DIR}/bench/gate)
    ratoon_test_properties(bench/gate bench)
endif()

add_test(NAME bench/driver_test.py
    COMMAND /usr/bin/python3 -B ${PROJECT_SOURCE_DIR}/bench/driver_test.py)
ratoon_test_properties(bench/driver_test.py bench)

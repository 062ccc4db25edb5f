# Every test is found by its place and name:
#   tests/{unit,integration,sim,fault}/*_test.c   one program each, linked with Check
#   tests/command/*_test.{sh,py}                  scripts that run the command
#   tests/scenarios/*_test.py                     scripts that run the pipelines of examples/
#   tests/fuzz/*_fuzz.c                           libFuzzer targets; elsewhere their corpus is replayed
#   tests/arch/*_test.sh                          rules about the code itself
#   bench/*_bench.c                               benchmarks; a smoke run is a test
#   tests/*/harness.cmake                         programs of a harness that its script `run` drives
# A test's name is FOLDER/FILE, its label is the folder.

set(tests_dir ${PROJECT_SOURCE_DIR}/tests)
set(tests_tmp ${PROJECT_BINARY_DIR}/tmp)
file(MAKE_DIRECTORY ${tests_tmp})

set(test_environment
    "RATOON=${PROJECT_BINARY_DIR}/ratoon" "SRC=${PROJECT_SOURCE_DIR}" "TMPDIR=${tests_tmp}"
    "BUILD=${PROJECT_BINARY_DIR}" "CC=${CMAKE_C_COMPILER}" "CXX=${CMAKE_CXX_COMPILER}")
set(test_timeout_s 300)
if(RATOON_SANITIZE)
    # Check forks by default; sanitizers and background threads don't survive that.
    list(APPEND test_environment
        "CK_FORK=no"
        "ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1"
        "UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1"
        "TSAN_OPTIONS=ignore_noninstrumented_modules=1:halt_on_error=1:second_deadlock_stack=1")
    set(test_timeout_s 900)
endif()

function(ratoon_test_properties name label)
    set_tests_properties(${name} PROPERTIES
        LABELS ${label} ENVIRONMENT "${test_environment}" TIMEOUT ${test_timeout_s}
        WORKING_DIRECTORY ${tests_tmp})
endfunction()

# Fuzz targets. The corpus of tests/fuzz/NAME_fuzz.c is tests/fuzz/corpus/NAME/, words that help to
# find more stand in tests/fuzz/dict/NAME.dict.
file(GLOB fuzz_sources CONFIGURE_DEPENDS ${tests_dir}/fuzz/*_fuzz.c)
foreach(source IN LISTS fuzz_sources)
    get_filename_component(program ${source} NAME_WE)
    string(REGEX REPLACE "_fuzz$" "" name ${program})
    set(corpus ${tests_dir}/fuzz/corpus/${name})
    add_executable(${program} ${source})
    set_target_properties(${program} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/fuzz LINKER_LANGUAGE CXX)
    target_link_libraries(${program} PRIVATE ratoon_system_flags ratoon_static)
    if(RATOON_FUZZ)
        target_sources(${program} PRIVATE ${tests_dir}/support/lineage.c)
        target_link_libraries(${program} PRIVATE ratoon_tools)
        target_link_options(${program} PRIVATE -fsanitize=fuzzer)
        # New inputs go to the first folder, the checked-in corpus is only read.
        set(found ${PROJECT_BINARY_DIR}/corpus/${name})
        file(MAKE_DIRECTORY ${found})
        set(words)
        if(EXISTS ${tests_dir}/fuzz/dict/${name}.dict)
            set(words -dict=${tests_dir}/fuzz/dict/${name}.dict)
        endif()
        add_test(NAME fuzz/${name}
            COMMAND ${program} ${words} -seed=1 -max_total_time=5 -timeout=10 -rss_limit_mb=2048
                    -artifact_prefix=${PROJECT_BINARY_DIR}/corpus/${name}- ${found} ${corpus})
    else()
        target_sources(${program} PRIVATE
            ${tests_dir}/support/fuzz_replay_main.c)
        target_link_libraries(${program} PRIVATE ratoon_test_support ratoon_tools)
        add_test(NAME fuzz/${name} COMMAND ${program} ${corpus})
    endif()
    ratoon_test_properties(fuzz/${name} fuzz)
endforeach()

if(RATOON_FUZZ)
    return()
endif()

pkg_check_modules(CHECK REQUIRED IMPORTED_TARGET check)

# Helpers for test programs.
file(GLOB support_sources CONFIGURE_DEPENDS ${tests_dir}/support/*.c)
list(FILTER support_sources EXCLUDE REGEX "/fuzz_replay_main\\.c$")
add_library(ratoon_test_support STATIC ${support_sources})
target_link_libraries(ratoon_test_support
    PRIVATE ratoon_system_flags PUBLIC ratoon_static PkgConfig::CHECK ${CMAKE_DL_LIBS})

foreach(folder IN ITEMS unit integration sim fault)
    file(GLOB sources CONFIGURE_DEPENDS ${tests_dir}/${folder}/*_test.c)
    foreach(source IN LISTS sources)
        get_filename_component(name ${source} NAME_WE)
        set(target ${folder}_${name})
        add_executable(${target} ${source})
        set_target_properties(${target} PROPERTIES
            OUTPUT_NAME ${name} LINKER_LANGUAGE CXX
            RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/${folder})
        # Some tests look at internals of the adapter or the command.
        target_link_libraries(${target} PRIVATE
            ratoon_system_flags ratoon_test_support ratoon_tools ratoon_uv ratoon_static)
        add_test(NAME ${folder}/${name} COMMAND ${target})
        ratoon_test_properties(${folder}/${name} ${folder})
    endforeach()
endforeach()

# What a test of running out of memory has in its hands (tests/support/alloc_fault.c).
foreach(test IN ITEMS fault_alloc_test fault_two_threads_alloc_test)
    if(TARGET ${test})
        foreach(symbol IN ITEMS
                malloc calloc realloc reallocarray free strdup strndup realpath asprintf
                __asprintf_chk fopen opendir fdopendir _Znwm _Znam _ZnwmRKSt9nothrow_t _ZdlPv
                _ZdlPvm _ZdaPv)
            target_link_options(${test} PRIVATE -Wl,--wrap=${symbol})
        endforeach()
    endif()
endforeach()

# Threads that can't be started.
if(TARGET unit_verify_batches_test)
    target_link_options(unit_verify_batches_test PRIVATE -Wl,--wrap=pthread_create)
endif()

# Tests of the command.
file(GLOB command_tests CONFIGURE_DEPENDS
     ${tests_dir}/command/*_test.sh ${tests_dir}/command/*_test.py)
foreach(script IN LISTS command_tests)
    get_filename_component(name ${script} NAME)
    if(name MATCHES "\\.py$")
        # Debian's interpreter: the one that finds Debian's python3-flatbuffers.
        add_test(NAME command/${name} COMMAND /usr/bin/python3 -B ${script})
    else()
        add_test(NAME command/${name} COMMAND sh ${script})
    endif()
    ratoon_test_properties(command/${name} command)
endforeach()

# Scenarios: the pipelines of examples/, point by point.
file(GLOB scenario_tests CONFIGURE_DEPENDS ${tests_dir}/scenarios/*_test.py)
foreach(script IN LISTS scenario_tests)
    get_filename_component(name ${script} NAME)
    add_test(NAME scenarios/${name} COMMAND /usr/bin/python3 -B ${script})
    ratoon_test_properties(scenarios/${name} scenarios)
endforeach()

# Harnesses: long runs that try to break a store. Each brings its own programs.
file(GLOB harnesses CONFIGURE_DEPENDS ${tests_dir}/*/harness.cmake)
foreach(harness IN LISTS harnesses)
    include(${harness})
endforeach()

# Rules about the code itself.
file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/core-objects.txt
     CONTENT "$<JOIN:$<TARGET_OBJECTS:ratoon_core>,\n>\n")
file(GLOB arch_tests CONFIGURE_DEPENDS ${tests_dir}/arch/*_test.sh)
if(NOT RATOON_SHARED)
    list(FILTER arch_tests EXCLUDE REGEX "/(exports|install)_test\\.sh$")
endif()
foreach(script IN LISTS arch_tests)
    get_filename_component(name ${script} NAME_WE)
    add_test(NAME arch/${name} COMMAND sh ${script})
    ratoon_test_properties(arch/${name} arch)
endforeach()

include(cmake/bench.cmake)

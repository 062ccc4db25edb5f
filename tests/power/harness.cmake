# Power loss: a preloaded library records what a workload does to the disk, a program makes images
# of what the disk could hold after power was lost, and looks at each (docs/power-loss.md).
if(RATOON_SANITIZE OR RATOON_COVERAGE)
    return() # a preloaded library and a sanitizer's own want the same place
endif()
set(preload_dir ${tests_dir}/support/preload)
add_library(power_record MODULE ${preload_dir}/wrap.c ${preload_dir}/record.c)
target_link_libraries(power_record PRIVATE ratoon_system_flags ${CMAKE_DL_LIBS})
add_executable(power_workload ${tests_dir}/power/workload.c)
add_executable(power ${tests_dir}/power/power.c ${tests_dir}/power/disk.c
    ${tests_dir}/power/image.c ${tests_dir}/power/expect.c ${tests_dir}/power/oracle.c
    ${tests_dir}/power/loop.c ${tests_dir}/power/orphans.c)
target_compile_options(power_record PRIVATE -U_FORTIFY_SOURCE) # it defines what that wraps
set_target_properties(power_record PROPERTIES C_VISIBILITY_PRESET default)
foreach(program IN ITEMS power power_workload)
    set_target_properties(${program} PROPERTIES LINKER_LANGUAGE CXX)
    target_link_libraries(${program} PRIVATE
        ratoon_system_flags ratoon_test_support ratoon_static ${CMAKE_DL_LIBS})
endforeach()
set_target_properties(power power_workload power_record PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/power
    LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/power)

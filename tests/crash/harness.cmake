# The crash harness (tests/crash/run): processes that are killed, and the one that kills them.
set(crash_dir ${CMAKE_CURRENT_LIST_DIR})
file(GLOB crash_sources CONFIGURE_DEPENDS ${crash_dir}/*.c)
add_executable(store_crash ${crash_sources})
set_target_properties(store_crash PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/crash LINKER_LANGUAGE CXX)
target_link_libraries(store_crash PRIVATE
    ratoon_system_flags ratoon_test_support ratoon_static)

# The command, that can be told where to die.
add_executable(ratoon_crash ${crash_dir}/command/main.c ${crash_dir}/command/renamed.c)
set_target_properties(ratoon_crash PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/crash LINKER_LANGUAGE CXX)
target_link_libraries(ratoon_crash PRIVATE ratoon_system_flags ratoon_tools)

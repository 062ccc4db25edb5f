# The bit-rot harness (tests/rot/run): flips bits of stores and cuts their logs.
set(rot_dir ${CMAKE_CURRENT_LIST_DIR})
file(GLOB rot_sources CONFIGURE_DEPENDS ${rot_dir}/*.c)
add_executable(store_rot ${rot_sources})
set_target_properties(store_rot PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/rot LINKER_LANGUAGE CXX)
target_link_libraries(store_rot PRIVATE
    ratoon_system_flags ratoon_test_support ratoon_static)

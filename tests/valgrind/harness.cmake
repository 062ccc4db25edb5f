# Valgrind (tests/valgrind/run): a server that becomes the command, and what stands for the command.
set(warm_dir ${CMAKE_CURRENT_LIST_DIR}/warm)
set(renamed ${PROJECT_SOURCE_DIR}/tests/crash/command/renamed.c) # the command, as ratoon_main()
add_executable(valgrind_server ${warm_dir}/server.c ${renamed} ${warm_dir}/pipe.c)
set_target_properties(valgrind_server PROPERTIES LINKER_LANGUAGE CXX)
target_link_libraries(valgrind_server PRIVATE ratoon_system_flags ratoon_tools)
add_executable(valgrind_client ${warm_dir}/client.c ${warm_dir}/pipe.c)
target_link_libraries(valgrind_client PRIVATE ratoon_system_flags)
set_target_properties(valgrind_server valgrind_client PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/valgrind)

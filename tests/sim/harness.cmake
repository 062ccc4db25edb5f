# The simulation (tests/sim/main.c): real code, to which the linker gives simulated threads, clocks,
# randomness, event loop, processes and disk. Coroutines are nothing for the thread sanitizer.
if(NOT RATOON_SANITIZE MATCHES thread)
    set(sim_wrapped
        pthread_mutex_init pthread_mutex_destroy pthread_mutex_lock pthread_mutex_trylock
        pthread_mutex_unlock pthread_cond_init pthread_cond_destroy pthread_cond_wait
        pthread_cond_timedwait pthread_cond_clockwait pthread_cond_signal pthread_cond_broadcast
        pthread_create pthread_join ratoon__futex_wait ratoon__futex_wake clock_gettime nanosleep
        sched_yield getrandom
        open openat close read write pread fstat stat lstat fstatat access mkdir mkdirat rmdir
        unlink unlinkat remove nftw opendir fdopendir readdir closedir fopen flock mmap fsync
        realpath rename dirfd
        ratoon_run_apply ratoon_run_create ratoon_retry_create ratoon_run_start ratoon_run_cancel
        ratoon_run_get ratoon_feed_open ratoon_feed_next ratoon_feed_close ratoon_store_close
        runner__remove_tree)
    list(TRANSFORM sim_wrapped PREPEND "-Wl,--wrap=")
    set(sim_dir ${tests_dir}/sim)
    add_executable(sim
        ${sim_dir}/main.c ${sim_dir}/director.c ${sim_dir}/commands.c ${sim_dir}/answers.c
        ${sim_dir}/log.c ${sim_dir}/told.c ${sim_dir}/stage.c ${sim_dir}/disk.c ${sim_dir}/loop.c
        ${sim_dir}/threads.c ${sim_dir}/files.c ${sim_dir}/fiber.c)
    set_target_properties(sim PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/sim LINKER_LANGUAGE CXX)
    target_link_libraries(sim PRIVATE
        ratoon_system_flags ratoon_tools ratoon_uv ratoon_static ratoon_test_support)
    target_link_options(sim PRIVATE ${sim_wrapped})
    set(sim_seeds 1000)
    if(RATOON_SANITIZE OR RATOON_COVERAGE)
        set(sim_seeds 60)
    endif()
    add_test(NAME sim/worlds COMMAND sim --seeds ${sim_seeds})
    add_test(NAME sim/replay COMMAND sim --seeds 20 --seed 5000 --twice)
    ratoon_test_properties(sim/worlds sim)
    ratoon_test_properties(sim/replay sim)
    # Half a minute where nothing else runs.
    set_tests_properties(sim/worlds PROPERTIES TIMEOUT 1800 PROCESSORS 2)
endif()

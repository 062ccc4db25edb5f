# I/O errors and full disks: a preloaded library lets calls fail, a program goes through them.
if(RATOON_SANITIZE OR RATOON_COVERAGE)
    return() # a preloaded library and a sanitizer's own want the same place
endif()
set(preload_dir ${tests_dir}/support/preload)
add_library(iofault_inject MODULE ${preload_dir}/wrap.c ${preload_dir}/inject.c
    ${preload_dir}/slow.c)
target_link_libraries(iofault_inject PRIVATE ratoon_system_flags ${CMAKE_DL_LIBS})
target_compile_options(iofault_inject PRIVATE -U_FORTIFY_SOURCE) # it defines what that wraps
add_executable(iofault ${tests_dir}/iofault/iofault.c ${tests_dir}/iofault/operations.c
    ${tests_dir}/iofault/full.c ${tests_dir}/iofault/closing.c)
target_link_libraries(iofault PRIVATE
    ratoon_system_flags ratoon_test_support ratoon_static ${CMAKE_DL_LIBS})
set_target_properties(iofault_inject PROPERTIES C_VISIBILITY_PRESET default)
set_target_properties(iofault iofault_inject PROPERTIES
    LINKER_LANGUAGE CXX
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/iofault
    LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/iofault)

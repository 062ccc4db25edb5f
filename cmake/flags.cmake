# Languages, warnings and instrumentation of our own code.

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)

# The same objects go into the static and the shared library.
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

# No NDEBUG anywhere: a broken invariant aborts in release builds too.
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g")
set(CMAKE_C_FLAGS_RELEASE "-O2")
set(CMAKE_CXX_FLAGS_RELEASE "-O2")

add_link_options(-Wl,--as-needed)

# What every target of ours is compiled with.
add_library(ratoon_flags INTERFACE)
target_compile_options(ratoon_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes>
    # clang counts sign conversions of C++ into -Wconversion, gcc does not.
    $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wno-sign-conversion>
    -fstack-protector-strong)
target_include_directories(ratoon_flags INTERFACE
    ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR})

# POSIX and GNU interfaces, for everything but core/.
add_library(ratoon_system_flags INTERFACE)
target_compile_definitions(ratoon_system_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:_GNU_SOURCE>)
target_link_libraries(ratoon_system_flags INTERFACE ratoon_flags)

if(RATOON_SANITIZE)
    set(ratoon_sanitize_options -fsanitize=${RATOON_SANITIZE} -fno-sanitize-recover=all)
    add_compile_options(${ratoon_sanitize_options} -fno-omit-frame-pointer -O1)
    add_link_options(${ratoon_sanitize_options})
    if(RATOON_FUZZ)
        if(NOT CMAKE_C_COMPILER_ID MATCHES Clang)
            message(FATAL_ERROR "libFuzzer needs clang: cmake --preset fuzz")
        endif()
        add_compile_options(-fsanitize=fuzzer-no-link)
    endif()
elseif(CMAKE_BUILD_TYPE MATCHES "^Rel")
    target_compile_definitions(ratoon_flags INTERFACE _FORTIFY_SOURCE=2)
endif()

if(RATOON_COVERAGE)
    add_compile_options(--coverage -O0)
    add_link_options(--coverage)
endif()

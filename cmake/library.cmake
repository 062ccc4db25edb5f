# The library, one object library per room. Dependencies point one way: replay → log → core.

# Sources below the given folder that match the patterns; never empty, because an object library
# must have a source: a folder nobody has filled yet gives a placeholder.
function(ratoon_glob out folder)
    set(patterns ${ARGN})
    list(TRANSFORM patterns PREPEND "${PROJECT_SOURCE_DIR}/${folder}/")
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${patterns})
    if(NOT sources)
        string(REPLACE "/" "_" name ${folder})
        set(sources "${PROJECT_BINARY_DIR}/placeholder/${name}.c")
        if(NOT EXISTS ${sources})
            file(WRITE ${sources} "typedef int ratoon__placeholder_${name};\n")
        endif()
    endif()
    set(${out} ${sources} PARENT_SCOPE)
endfunction()

ratoon_glob(core_sources core *.c)
ratoon_glob(log_sources log *.c *.cc)
ratoon_glob(replay_sources replay *.c)

add_library(ratoon_core OBJECT ${core_sources})
target_link_libraries(ratoon_core PRIVATE ratoon_flags)

add_library(ratoon_log OBJECT ${log_sources})
target_link_libraries(ratoon_log PRIVATE
    ratoon_system_flags ratoon_rocksdb PkgConfig::CRYPTO PkgConfig::JANSSON PkgConfig::PCRE2
    PkgConfig::YAML
    Threads::Threads)

add_library(ratoon_replay OBJECT ${replay_sources})
target_link_libraries(ratoon_replay PRIVATE
    ratoon_system_flags PkgConfig::CRYPTO PkgConfig::JANSSON PkgConfig::PCRE2 PkgConfig::YAML
    Threads::Threads)

# The FlatBuffers schema becomes <binary dir>/gen/events_generated.h. Both it and the FlatBuffers
# headers are system headers to the compiler, so that our warnings stay ours.
set(generated_dir ${PROJECT_BINARY_DIR}/gen)
file(GLOB schemas CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/log/*.fbs)
set(generated_headers)
foreach(schema IN LISTS schemas)
    get_filename_component(name ${schema} NAME_WE)
    set(header ${generated_dir}/${name}_generated.h)
    add_custom_command(
        OUTPUT ${header}
        COMMAND ${FLATC} --cpp -o ${generated_dir} ${schema}
        DEPENDS ${schema}
        COMMENT "flatc ${name}.fbs"
        VERBATIM)
    list(APPEND generated_headers ${header})
endforeach()
if(generated_headers)
    target_sources(ratoon_log PRIVATE ${generated_headers})
endif()
target_include_directories(ratoon_log SYSTEM PRIVATE ${generated_dir} ${FLATBUFFERS_INCLUDE_DIR})

# A struct inside a FlatBuffers vector is aligned to its own size only relative to the buffer;
# UBSan reports that as misaligned access.
if(RATOON_SANITIZE MATCHES undefined)
    target_compile_options(ratoon_log PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize=alignment>)
endif()

set(library_objects
    $<TARGET_OBJECTS:ratoon_core> $<TARGET_OBJECTS:ratoon_log> $<TARGET_OBJECTS:ratoon_replay>)
set(library_dependencies
    ratoon_rocksdb PkgConfig::CRYPTO PkgConfig::JANSSON PkgConfig::PCRE2 PkgConfig::YAML
    Threads::Threads)

# libratoon.a. Hidden symbols are still visible to what is linked with it: tests use internals.
add_library(ratoon_static STATIC ${library_objects})
set_target_properties(ratoon_static PROPERTIES OUTPUT_NAME ratoon LINKER_LANGUAGE CXX)
target_link_libraries(ratoon_static PUBLIC ${library_dependencies})
target_include_directories(ratoon_static INTERFACE ${PROJECT_SOURCE_DIR}/include)

# libratoon.so. The version script keeps C++ template instances, which libstdc++ marks as visible,
# out of the interface.
if(RATOON_SHARED)
    add_library(ratoon_shared SHARED ${library_objects})
    set(version_script ${PROJECT_SOURCE_DIR}/cmake/libratoon.map)
    set_target_properties(ratoon_shared PROPERTIES
        OUTPUT_NAME ratoon
        LINKER_LANGUAGE CXX
        VERSION ${PROJECT_VERSION}
        SOVERSION ${RATOON_SOVERSION}
        LINK_DEPENDS ${version_script})
    target_link_libraries(ratoon_shared PRIVATE ${library_dependencies})
    target_link_options(ratoon_shared PRIVATE
        -Wl,--version-script=${version_script} -Wl,--no-undefined)
endif()

# The libuv adapter and the command.

ratoon_glob(uv_sources tools/uv *.c)
add_library(ratoon_uv STATIC ${uv_sources})
target_link_libraries(ratoon_uv PRIVATE ratoon_system_flags PUBLIC ratoon_static PkgConfig::UV)

# All of the command but its main() is a library, so that tests can link parts of it.
ratoon_glob(command_sources tools/ratoon *.c)
ratoon_glob(runner_sources tools/runner *.c)
set(main_source ${command_sources})
list(FILTER main_source INCLUDE REGEX "/tools/ratoon/main\\.c$")
list(FILTER command_sources EXCLUDE REGEX "/tools/ratoon/main\\.c$")

add_library(ratoon_tools STATIC ${command_sources} ${runner_sources})
target_link_libraries(ratoon_tools
    PRIVATE ratoon_system_flags
    PUBLIC ratoon_uv ratoon_static PkgConfig::UV PkgConfig::YAML PkgConfig::JANSSON
        PkgConfig::PCRE2 PkgConfig::SMARTCOLS Threads::Threads)

if(main_source AND NOT RATOON_FUZZ)
    add_executable(ratoon ${main_source})
    set_target_properties(ratoon PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR} LINKER_LANGUAGE CXX)
    target_link_libraries(ratoon PRIVATE ratoon_system_flags ratoon_tools)
endif()

# Manual pages: man/NAME.SECTION.scd → NAME.SECTION.
file(GLOB man_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/man/*.scd)
set(man_pages)
if(SCDOC)
    file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/man)
    foreach(source IN LISTS man_sources)
        get_filename_component(page ${source} NAME_WLE)
        set(output ${PROJECT_BINARY_DIR}/man/${page})
        add_custom_command(
            OUTPUT ${output}
            COMMAND ${SCDOC} < ${source} > ${output}
            DEPENDS ${source}
            COMMENT "scdoc ${page}")
        list(APPEND man_pages ${output})
    endforeach()
elseif(man_sources)
    message(STATUS "scdoc is missing: manual pages are not built")
endif()
add_custom_target(ratoon_man ALL DEPENDS ${man_pages})

# What `cmake --install` puts where.

install(TARGETS ratoon_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS ratoon_uv ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(RATOON_SHARED)
    install(TARGETS ratoon_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
if(TARGET ratoon)
    install(TARGETS ratoon RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        OPTIONAL FILES_MATCHING PATTERN "*.h")
install(FILES ${PROJECT_SOURCE_DIR}/log/events.fbs DESTINATION ${CMAKE_INSTALL_DATADIR}/ratoon
        OPTIONAL)

foreach(page IN LISTS man_pages)
    string(REGEX MATCH "[0-9]$" section ${page})
    install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()

# The .pc files find their prefix from where they lie, so that `cmake --install --prefix` and a
# moved tree work.
file(RELATIVE_PATH pc_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" pc_prefix ${pc_prefix})
configure_file(${PROJECT_SOURCE_DIR}/cmake/ratoon.pc.in ${PROJECT_BINARY_DIR}/ratoon.pc @ONLY)
configure_file(${PROJECT_SOURCE_DIR}/cmake/ratoon-uv.pc.in ${PROJECT_BINARY_DIR}/ratoon-uv.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/ratoon.pc ${PROJECT_BINARY_DIR}/ratoon-uv.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

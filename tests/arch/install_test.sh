#!/bin/sh
# What is installed is enough to build a program with: headers, both libraries, pkg-config files.
# Needs BUILD and CC.
set -eu
: "${BUILD:?is not set: the build folder}"
: "${SRC:?is not set: the folder with the sources}"
[ -e "$SRC/include/ratoon.h" ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$BUILD" --prefix "$work/prefix" >"$work/log"

libdir=$(dirname "$(find "$work/prefix" -name libratoon.a)")
for file in "$libdir/libratoon.so" "$libdir/libratoon.so.0" "$libdir/pkgconfig/ratoon.pc" \
    "$work/prefix/include/ratoon.h"; do
    if [ ! -e "$file" ]; then
        echo "not installed: ${file#"$work/"}" >&2
        exit 1
    fi
done

cat >"$work/program.c" <<'END'
#include <ratoon.h>

int main(void)
{
    return 0;
}
END
PKG_CONFIG_PATH=$libdir/pkgconfig
export PKG_CONFIG_PATH
# shellcheck disable=SC2046
"${CC:-cc}" -std=c11 -Werror "$work/program.c" -o "$work/shared" \
    $(pkg-config --cflags --libs ratoon)
LD_LIBRARY_PATH=$libdir "$work/shared"
# shellcheck disable=SC2046
"${CC:-cc}" -std=c11 -Werror $(pkg-config --cflags ratoon) "$work/program.c" -o "$work/static" \
    "$libdir/libratoon.a" $(pkg-config --libs --static ratoon)
LD_LIBRARY_PATH=$libdir "$work/static"

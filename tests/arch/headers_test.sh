#!/bin/sh
# Every public header compiles alone, as pedantic C11 and as C++. Needs SRC, CC and CXX.
set -eu
: "${SRC:?is not set: the folder with the sources}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
for header in $(cd "$SRC/include" && find . -name '*.h' | sed 's|^\./||'); do
    echo "#include <$header>" >"$work/alone.c"
    # Included twice: the guard works.
    echo "#include <$header>" >>"$work/alone.c"
    cp "$work/alone.c" "$work/alone.cc"
    # libuv's own header needs more than ISO C.
    system=
    [ "$header" != ratoon/uv.h ] || system=-D_GNU_SOURCE
    # shellcheck disable=SC2086
    "${CC:-cc}" -std=c11 -pedantic -Wall -Wextra -Wstrict-prototypes -Werror $system \
        -I"$SRC/include" -fsyntax-only "$work/alone.c" || failed=1
    for standard in c++11 c++17; do
        "${CXX:-c++}" -std=$standard -pedantic -Wall -Wextra -Werror -I"$SRC/include" \
            -fsyntax-only "$work/alone.cc" || failed=1
    done
done
exit "$failed"

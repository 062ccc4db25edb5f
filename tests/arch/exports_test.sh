#!/bin/sh
# The shared library exports what tests/arch/exports.txt lists, and every function that the public
# header declares. With --update the list is rewritten. Needs BUILD, SRC and CC.
set -eu
SRC=${SRC:-$(cd "$(dirname "$0")/../.." && pwd)}
BUILD=${BUILD:-$SRC/build/release}
list=$SRC/tests/arch/exports.txt
library=$BUILD/libratoon.so
LC_ALL=C
export LC_ALL

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# All but the version's own symbol, RATOON_0.
nm -D -P --defined-only "$library" | grep -v '^RATOON_[0-9]*[@ ]' | sed 's/[@ ].*//' |
    sort -u >"$work/exports"

failed=0
if grep -Ev '^ratoon_[a-z0-9]' "$work/exports" >"$work/bad"; then
    echo "exported, but not named ratoon_…:" >&2
    cat "$work/bad" >&2
    failed=1
fi

if [ "${1:-}" = --update ]; then
    cp "$work/exports" "$list"
    echo "$list: $(wc -l <"$list") names"
    exit "$failed"
fi

if ! diff -u "$list" "$work/exports" >"$work/diff"; then
    echo "exports differ from tests/arch/exports.txt (+ is new);" >&2
    echo "if that is meant: tests/arch/exports_test.sh --update" >&2
    cat "$work/diff" >&2
    failed=1
fi

# What the header declares must be there. gcc lists prototypes with the file they stand in.
if [ -e "$SRC/include/ratoon.h" ] && "${CC:-cc}" --version | grep -qi 'gcc\|Free Software'; then
    "${CC:-cc}" -std=c11 -I"$SRC/include" -fsyntax-only -aux-info "$work/prototypes" \
        -x c "$SRC/include/ratoon.h"
    sed -n 's|^/\* .*/include/ratoon\.h:.*:N[CF] \*/ extern [^(]*[ *]\(ratoon_[a-z0-9_]*\) (.*|\1|p' \
        "$work/prototypes" | sort -u >"$work/declared"
    comm -23 "$work/declared" "$work/exports" >"$work/missing"
    if [ -s "$work/missing" ]; then
        echo "declared in ratoon.h, but not exported:" >&2
        cat "$work/missing" >&2
        failed=1
    fi
fi
exit "$failed"

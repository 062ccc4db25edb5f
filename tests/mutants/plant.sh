# Plants one bug after the other in a copy of the tree, and expects a test to find it; a line for
# each. Sourced by scripts that set
#   here, root    the folder with the patches; of the sources
#   targets       what is to be built
#   build_type    of CMake
#   check()       the test, quiet unless asked: its words go to $log; $work/build, $work/tmp are its
#   said()        what it found, in one line, from $log; fails where it did not get to say so
# and then call `plant [PATCH…]`, which fails unless each is caught.
work=$(mktemp -d "${TMPDIR:-/tmp}/mutants.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
mkdir "$work/tree" "$work/tmp"
log=$work/log
jobs=${JOBS:-$(nproc)}

# quiet COMMAND…: shows what it said only if it fails
quiet() {
    "$@" >"$log" 2>&1 || {
        cat "$log" >&2
        return 1
    }
}

build() {
    # shellcheck disable=SC2086 # several targets
    quiet cmake --build "$work/build" --target $targets -j "$jobs"
}

copy_tree() {
    (cd "$root" && git ls-files --cached --others --exclude-standard |
        while IFS= read -r file; do [ ! -f "$file" ] || printf '%s\n' "$file"; done |
        tar -cf - -T -) | tar -xf - -C "$work/tree"
    quiet cmake -S "$work/tree" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE="$build_type" \
        -DRATOON_SHARED=OFF
    build
}

plant() {
    copy_tree
    if ! check; then
        cat "$log" >&2
        echo "the test fails without any mutant" >&2
        return 1
    fi
    [ $# -gt 0 ] || set -- "$here"/*.patch
    escaped=0
    for patch in "$@"; do
        name=$(basename "$patch" .patch)
        quiet patch -d "$work/tree" -p1 -i "$patch"
        build
        if check; then
            echo "ESCAPED $name"
            escaped=$((escaped + 1))
        elif found=$(said); then
            echo "caught  $name: $found"
        else
            cat "$log" >&2
            echo "FAILED  $name: the test did not get to say what is wrong" >&2
            escaped=$((escaped + 1))
        fi
        quiet patch -d "$work/tree" -p1 -R -i "$patch"
    done
    [ "$escaped" -eq 0 ]
}

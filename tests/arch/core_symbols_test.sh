#!/bin/sh
# core/ is pure: what its objects need from outside is memory and string functions, nothing else.
# Needs BUILD, the build folder.
set -eu
: "${BUILD:?is not set: the build folder}"

# The C library's memory and string functions, also in the checked variants of _FORTIFY_SOURCE.
memory='malloc|calloc|realloc|free|memcpy|memmove|memset|memcmp|memchr|qsort|bsearch'
string='strlen|strnlen|strcmp|strncmp|strchr|strrchr|strstr|strspn|strcspn|strpbrk'
string="$string|strcpy|strncpy|strcat|strncat|strdup|strndup|stpcpy"
checked='__(memcpy|memmove|memset|strcpy|strncpy|strcat|strncat|stpcpy)_chk'
# A broken invariant.
invariant='abort|__assert_fail|__stack_chk_fail'
# What the compiler adds.
compiler='_GLOBAL_OFFSET_TABLE_|__(asan|ubsan|tsan|lsan|msan|sanitizer|sancov|gcov|llvm)_[A-Za-z0-9_]*'
compiler="$compiler|__(div|mod|udiv|umod|mul)ti3|__popcountdi2|__start___sancov_[a-z_]*"
compiler="$compiler|__stop___sancov_[a-z_]*"
allowed="^($memory|$string|$checked|$invariant|$compiler)\$"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

tr '\n' '\0' <"$BUILD/core-objects.txt" >"$work/objects"
xargs -0 nm -P --defined-only -g <"$work/objects" | sed -n 's/^\([^ :]*\) [A-TV-Z].*/\1/p' |
    sort -u >"$work/defined"
xargs -0 nm -P -u <"$work/objects" | sed -n 's/^\([^ :]*\) [Uwv].*/\1/p' |
    sort -u >"$work/undefined"

comm -23 "$work/undefined" "$work/defined" | grep -Ev "$allowed" >"$work/bad" || true
if [ -s "$work/bad" ]; then
    echo "core/ uses what it must not; time, randomness and input/output are passed in:" >&2
    while read -r symbol; do
        while read -r object; do
            if nm -P -u "$object" | grep -q "^$symbol "; then
                echo "  $symbol in $object" >&2
            fi
        done <"$BUILD/core-objects.txt"
    done <"$work/bad"
    exit 1
fi

#!/bin/sh
# Each planted bug (tests/mutants, tests/*/mutants) still fits the code: one that doesn't finds
# nothing. Needs SRC, the folder with the sources.
set -eu
cd "${SRC:?is not set: the folder with the sources}"

failed=0
for bug in tests/mutants/*.patch tests/*/mutants/*.patch; do
    patch --dry-run --force --silent -p1 -i "$bug" >/dev/null || {
        echo "$bug does not fit the code any more" >&2
        failed=1
    }
done
exit "$failed"

#!/bin/sh
# The schema of the log reads what every released schema wrote. flatc --conform finds removed,
# reordered and retyped fields, changed defaults and values of enumerations; what it passes over is
# compared here: removed last members, grown structs, identifier, `required`, removed tables, and
# fields renamed within their type. Needs SRC.
set -eu
cd "${SRC:?is not set: the folder with the sources}"
command -v flatc >/dev/null || { echo "flatc is missing" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# declarations FILE: one line for everything that readers rely on, in no matter which order:
#   identifier "RTN1"; root Commit; table T; table T 3 name:type (required); enum E 2 name = 2
# The number is the place, since places are what a buffer refers to.
declarations() {
    sed 's|//.*||' "$1" | tr '\n\t' '  ' | sed 's/  */ /g; s/[;{}]/&\n/g' | awk '
        { gsub(/^ +| +$/, "") }
        /^file_identifier/ { sub(/;$/, ""); print "identifier " $2; next }
        /^root_type/ { sub(/;$/, ""); print "root " $2; next }
        /^(table|struct|enum|union) .*\{$/ {
            sub(/ *\{$/, ""); kind = $1; name = $2; place = 0
            print
            next
        }
        /\}$/ && (kind == "enum" || kind == "union") {
            sub(/ *\}$/, "")
            n = split($0, members, / *, */)
            for (i = 1; i <= n; i++) if (members[i] != "") print kind, name, i, members[i]
            kind = ""
            next
        }
        /^\}$/ { if (kind == "struct") print "struct", name, "fields", place; kind = ""; next }
        /;$/ && (kind == "table" || kind == "struct") {
            sub(/ *;$/, ""); print kind, name, ++place, $0
        }' | sort
}

# compatible OLD NEW
compatible() {
    flatc --conform "$1" "$2" >"$work/conform" 2>&1 || { cat "$work/conform" >&2; return 1; }
    declarations "$1" >"$work/old"
    declarations "$2" >"$work/new"
    comm -23 "$work/old" "$work/new" >"$work/missing"
    # A new field that is required makes every older buffer damaged.
    comm -13 "$work/old" "$work/new" | grep '^table .*(required)' | while read -r kind name rest; do
        grep -qx "$kind $name" "$work/old" && echo "new and required: $kind $name $rest"
    done >>"$work/missing" || true
    [ ! -s "$work/missing" ] || { cat "$work/missing" >&2; return 1; }
}

failed=0
for golden in tests/golden/events-*.fbs; do
    compatible "$golden" log/events.fbs || { echo "log/events.fbs breaks $golden" >&2; failed=1; }
done

# The check itself: each of these changes must be found.
change() {
    sed "$1" log/events.fbs >"$work/changed.fbs"
    if cmp -s "$work/changed.fbs" log/events.fbs; then
        echo "the change changes nothing: $1" >&2
        failed=1
    elif compatible log/events.fbs "$work/changed.fbs" 2>/dev/null; then
        echo "not found: $1" >&2
        failed=1
    fi
}
change 's/RTN1/RTN2/'
change 's/root_type Commit/root_type Event/'
change '/^  RunPipelineChanged = 18/d; s/LineageDeleted = 17,/LineageDeleted = 17/'
change '/^  Unknown = 9/d; s/Execution = 8,/Execution = 8/'
change 's/bytes:\[ubyte:32\]/bytes:[ubyte:31]/'
change 's/^  bytes:\[ubyte:16\];/&\n  more:ubyte;/'
change 's/^  writer:string (required);/  writer:string;/'
change 's/^  subject:string;/  subject:string (required);/'
change 's/^  subject:string;/  topic:string;/'
change 's/^  events:\[Event\] (required);/&\n  more:string (required);/'
change '/^table StageItems/,/^}/d; /StageItems = 14/d'
change '/^  depth:uint;/d'
change 's/until:int = -1/until:int/'
# What may be added.
sed 's/^  events:\[Event\] (required);/&\n  more:string;/; s/RunPipelineChanged = 18/&, Label = 19/' \
    log/events.fbs >"$work/added.fbs"
compatible log/events.fbs "$work/added.fbs" || { echo "additions are refused" >&2; failed=1; }

exit "$failed"

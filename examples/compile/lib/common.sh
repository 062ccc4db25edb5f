# Sourced by every stage; the working directory is the pipeline file's folder.
# Bytes, not characters: documents come in any encoding, and awk must not choke on one.
LC_ALL=C
export LC_ALL
set -eu

# Executions are counted in a file outside the store, so that what the store says about
# reuse can be compared with something it has no hand in.
counts=${COMPILE_COUNTS:-work/executions.log}
[ -d work ] || mkdir -p work
printf '%s\t%s\t%s\n' "$RATOON_RUN" "$RATOON_STAGE" "${RATOON_ITEM-}" >>"$counts"

fail() # EXIT MESSAGE
{
    code=$1
    shift
    printf '%s\n' "$*" >&2
    exit "$code"
}

progress() # DONE TOTAL MESSAGE (plain ASCII, without quotes)
{
    printf '{"progress":{"done":%d,"total":%d,"message":"%s"}}\n' "$1" "$2" "$3" >>"$RATOON_EVENTS"
}

# A JSON file as lines: path and value, separated by tabs (see lib/flatten.awk).
flat() # FILE [WANTED TOP-LEVEL KEYS, separated by spaces]
{
    awk -v want="${2-}" -f lib/text.awk -f lib/flatten.awk "$1"
}

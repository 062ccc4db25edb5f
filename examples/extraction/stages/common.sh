# Sourced by every stage; the working directory is the pipeline file's folder.
LC_ALL=C
export LC_ALL
set -eu

# Executions are counted in a file outside the store.
mkdir -p work
printf '%s\t%s\t%s\n' "$RATOON_RUN" "$RATOON_STAGE" "${RATOON_PARAM_BATCH_SIZE-}" \
    >>"${EXTRACTION_COUNTS:-work/executions.log}"

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

# A string of the state that holds nothing to escape but ends of lines and tabs.
text_of() # KEY
{
    value=$(sed -n 's/.*"'"$1"'": *"\([^"]*\)".*/\1/p' "$RATOON_STATE")
    printf '%b' "$value"
}

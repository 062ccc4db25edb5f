# Sourced by every stage; the working directory is the pipeline file's folder.
LC_ALL=C
export LC_ALL
set -eu

# Executions are counted in a file outside the store.
mkdir -p work
printf '%s\t%s\n' "$RATOON_RUN" "$RATOON_STAGE" >>"${COLLECT_COUNTS:-work/executions.log}"

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

# The path of a file that a stage before this one left.
file_of() # KEY
{
    sed -n 's/.*"'"$1"'": *{"file": *"\([^"]*\)".*/\1/p' "$RATOON_STATE"
}

# A repository that doesn't answer: as long as the file is there, the stage that it names waits.
wait_for_repository()
{
    while [ -e "${COLLECT_HOLD:-work/hold}.$RATOON_STAGE" ]; do
        sleep 0.05
    done
}

# A file for readers appears under its name only when it is whole.
publish() # FILE KEY
{
    mv "$1.$$" "$1"
    printf '{"%s":{"file":"%s"}}\n' "$2" "$1" >"$RATOON_OUTPUT"
}

# Sourced by every agent; the working directory is the pipeline file's folder.
LC_ALL=C
export LC_ALL
set -eu

# Calls and what they cost are counted in a file outside the store, so that what the store says
# about reuse can be compared with something it has no hand in.
counts=${AGENTS_COUNTS:-work/calls.log}
case $counts in
    work/*) [ -d work ] || mkdir -p work ;;
esac

note() # WHAT NUMBER
{
    printf '%s\t%s\t%s\t%d\n' "$RATOON_RUN" "$RATOON_STAGE" "$1" "$2" >>"$counts"
}

is_among() # COMMA-SEPARATED NAMES: does this agent's stand there?
{
    case ",$1," in
        *",$RATOON_STAGE,"*) return 0 ;;
    esac
    return 1
}

# A JSON file as lines: path and value, separated by tabs.
flat() # FILE [WANTED TOP-LEVEL KEYS, separated by spaces]
{
    awk -v want="${2-}" -f ../compile/lib/text.awk -f ../compile/lib/flatten.awk "$1"
}

# Reads the wanted keys of the state and answers with what AGENT.awk prints.
think() # WANTED KEYS [AWK OPTIONS]
{
    keys=$1
    shift
    flat "$RATOON_STATE" "$keys" | awk -F '	' -v effort="$effort" "$@" \
        -f ../compile/lib/text.awk -f "agents/$RATOON_STAGE.awk" >"$answer"
}

note call 1

# To be held up from outside: AGENTS_HOLD=AGENT:FILE waits, a minute at most, for FILE; that it
# waits is said by FILE.waiting.
case ${AGENTS_HOLD-} in
    "$RATOON_STAGE":*)
        hold=${AGENTS_HOLD#*:}
        : >"$hold.waiting"
        n=0
        while [ ! -e "$hold" ] && [ $n -lt 1200 ]; do
            sleep 0.05
            n=$((n + 1))
        done
        ;;
esac

if is_among "$RATOON_PARAM_OUTAGE"; then
    echo "the model behind $RATOON_STAGE does not answer" >&2
    exit 75
fi
effort=full
if is_among "$RATOON_PARAM_TIRED"; then
    effort=low
    printf '{"degraded":"%s answered from little"}\n' "$RATOON_STAGE" >>"$RATOON_EVENTS"
fi
answer=$RATOON_OUTPUT
if is_among "$RATOON_PARAM_MUTE"; then
    answer=/dev/null
    echo 'apology=I would rather talk about something else.' >"$RATOON_OUTPUT"
fi

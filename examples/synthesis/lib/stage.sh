# Sourced by every stage; the working directory is the pipeline file's folder.
LC_ALL=C
export LC_ALL
set -eu

# Executions are counted in a file outside the store, so that what the store says about reuse can be
# compared with something it has no hand in.
counts=${SYNTHESIS_COUNTS:-work/executions.log}
case $counts in
    work/*) [ -d work ] || mkdir -p work ;;
esac
printf '%s\t%s\n' "$RATOON_RUN" "${RATOON_STAGE:-on_end}" >>"$counts"

# To be held up from outside: SYNTHESIS_HOLD=STAGE:FILE waits, a minute at most, for FILE; that it
# waits is said by FILE.waiting.
case ${SYNTHESIS_HOLD-} in
    "${RATOON_STAGE:-on_end}":*)
        hold=${SYNTHESIS_HOLD#*:}
        : >"$hold.waiting"
        n=0
        while [ ! -e "$hold" ] && [ $n -lt 1200 ]; do
            sleep 0.05
            n=$((n + 1))
        done
        ;;
esac

# A JSON file as lines: path and value, separated by tabs.
flat() # FILE [WANTED TOP-LEVEL KEYS, separated by spaces]
{
    awk -v want="${2-}" -f ../compile/lib/text.awk -f ../compile/lib/flatten.awk "$1"
}

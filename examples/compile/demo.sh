#!/bin/sh
# A walk through one failure and its repair, on documents that this system has. What it does is
# printed as it does it; everything it writes is in demo/ (made anew each time) and work/.
set -eu
case ${RATOON:=} in
    '') RATOON=$(cd "$(dirname "$0")" && pwd)/../../build/release/ratoon ;;
    /*) ;;
    */*) RATOON=$PWD/$RATOON ;;
    *) RATOON=$(command -v "$RATOON" || echo "$RATOON") ;;
esac
cd "$(dirname "$0")"
if [ -e "$RATOON" ]; then
    RATOON=$(realpath "$RATOON")
fi

store=demo/store
glossary=demo/glossary
counts=demo/executions.log
threshold=6 # documents that must mention a thing, instead of the 2 that fail

say() { printf '%s\n' "$@"; }
title() { printf '\n== %s\n\n' "$*"; }
stop()
{
    printf '\ndemo: %s\n' "$*" >&2
    exit 1
}

# Shows a command, then runs it; its exit code is in $code.
try()
{
    printf '$ ratoon'
    for word in "$@"; do
        case $word in
            *[!A-Za-z0-9_./=:@,-]* | '') printf " '%s'" "$word" ;;
            *) printf ' %s' "$word" ;;
        esac
    done
    printf '\n'
    code=0
    "$RATOON" --store "$store" "$@" || code=$?
}

must()
{
    try "$@"
    [ "$code" -eq 0 ] || stop "this should have ended with exit code 0, not $code"
}

executed() # RUN STAGE: how often its program was started, by its own count
{
    awk -F '	' -v run="$1" -v stage="$2" '$1 == run && $2 == stage { n++ } END { print n + 0 }' "$counts"
}

[ -x "$RATOON" ] || stop "no ratoon at $RATOON; build it first (make), or say where it is: RATOON=..."
began=$(date +%s)
rm -rf demo
mkdir demo
COMPILE_COUNTS=$PWD/$counts
export COMPILE_COUNTS
# Neither another store nor a secret of the caller's has a part in this.
unset RATOON_STORE

title "1. Compile a glossary from this system's licence and copyright files"
say "Nine stages: ingest_urls, extract, resolve, match, plan, draft, crossref, commit, schema." \
    "Whatever $(awk '/entity_promotion_threshold:/ { sub(/.*default: /, ""); sub(/,.*/, ""); print }' pipeline.yaml) documents mention gets a page. (Every command below has --store $store.)" ""
try run pipeline.yaml --param output=$glossary
[ "$code" -ne 0 ] || stop "the run succeeded: this system's documents leave no page too short, so there is
nothing to repair. The pages are in $glossary; README.md says how to go on by hand."
[ "$code" -eq 1 ] || stop "expected a failed run (exit code 1), got exit code $code"
first=$(head -n 1 "$counts" | cut -f 1)
if [ "$(executed "$first" draft)" -eq 0 ] || [ "$(executed "$first" crossref)" -ne 0 ]; then
    stop "expected the failure in draft, before crossref"
fi

title "2. What happened, and what can be done"
say "Exit code 1, and rightly: things that two documents mention in passing don't fill a page." \
    "The other drafts are done and kept." ""
must show @last
say "" "In how many documents are the things that were found?" ""
must state @last spread --at before:plan
say "" \
    "Most of what was promoted is in a handful of documents. Two ways out: accept shorter" \
    "pages (min_draft_chars, from draft), or promote less (entity_promotion_threshold, from" \
    "plan). We take the second, and look at it before we do it." ""
must retry @last --from plan --rerun --param entity_promotion_threshold=$threshold --dry-run

title "3. Retry from plan with another threshold: a new branch"
must retry @last --from plan --rerun --param entity_promotion_threshold=$threshold \
    --reason "pages on things hardly mentioned"
second=$(tail -n 1 "$counts" | cut -f 1)
[ "$second" != "$first" ] || stop "the retry executed no stage"

title "4. What was executed, as the stages' own programs counted it"
printf '%-12s %10s %10s\n' stage 'first run' retry
again=0
for stage in ingest_urls extract resolve match plan draft crossref commit schema; do
    one=$(executed "$first" $stage)
    two=$(executed "$second" $stage)
    printf '%-12s %10d %10d\n' $stage "$one" "$two"
    case $stage in
        ingest_urls | extract | resolve | match) again=$((again + two)) ;;
        *) [ "$two" -gt 0 ] || stop "$stage was not executed in the retry" ;;
    esac
done
[ $again -eq 0 ] || stop "stages before plan were executed again ($again times)"
say "" "Nothing before plan was executed again."

title "5. Both runs, and the state each had before plan"
must tree @last
say ""
must state "$first" spread --at before:plan
must state "$second" spread --at before:plan
"$RATOON" --store "$store" --json state "$first" --at before:plan | sed 's/.*"state"://' >demo/before-plan.1
"$RATOON" --store "$store" --json state "$second" --at before:plan | sed 's/.*"state"://' >demo/before-plan.2
cmp -s demo/before-plan.1 demo/before-plan.2 || stop "the two states before plan differ (demo/before-plan.1, .2)"
say "" "The same, and not only this key: all $(wc -c <demo/before-plan.1) bytes of the two states agree."

title "6. Why extract was not executed, and plan was"
must explain @last extract
must explain @last plan

title "7. Is the history whole?"
must verify

title "The glossary"
pages=$(executed "$second" commit)
say "$pages pages, to be read from $glossary/index.md on. The most mentioned, with the number of documents:" ""
awk -F '|' '
    /^## / { sub(/^## /, ""); printf "%s%s:", (n_kinds++ ? "\n" : ""), $0; n = 0 }
    /^\| \[/ && n++ < 7 { sub(/^ \[/, "", $2); sub(/\].*/, "", $2); gsub(/ /, "", $3); printf "%s %s (%s)", (n > 1 ? "," : ""), $2, $3 }
    END { print "" }
' "$glossary/index.md"
say "" "$(($(date +%s) - began)) seconds in all. The store is left in $store for you:" "" \
    "  cd $PWD" \
    "  export PATH=$(dirname "$RATOON"):\$PATH RATOON_STORE=\$PWD/$store" "" \
    "  ratoon diff $first $second" \
    "  ratoon retry $first --param min_draft_chars=150 --param output=demo/short-pages" \
    "  ratoon log @last" "" \
    "The first compares the two runs; the second is the other way out (only the failed drafts are" \
    "executed again); the third lists every event of the newest run. README.md has more to play" \
    "through."

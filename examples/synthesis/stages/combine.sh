#!/bin/sh
# The members' current texts, one after the other. Whose result was used is recorded; a member
# without a text is recorded too, so that its first text makes this one stale, and leaves a gap.
. ./lib/stage.sh

newest() # SUBJECT: the id of its run, or nothing
{
    ratoon --json show "@subject:$1" 2>/dev/null | sed -n 's/.*"run":{"id":"\([^"]*\)".*/\1/p'
}

total=$(flat "$RATOON_STATE" outline | wc -l)
done=0
gaps=
{
    echo 'text<<END OF THE TEXT'
    for member in $(flat "$RATOON_STATE" outline | cut -f 3); do
        run=$(newest "$member:ok")
        if [ -n "$run" ]; then
            echo "[$member] $(ratoon state "$run" text)"
        else
            run=$(newest "$member")
            echo "[$member] (no text)"
            gaps="$gaps $member"
        fi
        [ -z "$run" ] || printf '{"consumes":"%s"}\n' "$run" >>"$RATOON_EVENTS"
        done=$((done + 1))
        printf '{"progress":{"done":%d,"total":%d,"message":"%s"}}\n' "$done" "$total" "$member" >>"$RATOON_EVENTS"
    done
    echo 'END OF THE TEXT'
} >"$RATOON_OUTPUT"
[ -z "$gaps" ] || printf '{"degraded":"no text of%s"}\n' "$gaps" >>"$RATOON_EVENTS"

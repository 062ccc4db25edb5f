#!/bin/sh
# Runs the program on the device: one job at a time has it, and its memory is limited.
. ./stages/common.sh

device=${EXTRACTION_DEVICE:-work/device}
samples=$(text_of samples)
total=$(printf '%s\n' "$samples" | wc -l)
progress 0 "$total" "waiting for the device"
exec 9>>"$device"
flock 9

model=$(text_of model)
[ -x "$model" ] || fail 4 "$model is gone"
printf '%s\n' "$samples" >work/samples.$$
trap 'rm -f work/samples.$$ work/features.$$' EXIT
(
    ulimit -v $((RATOON_PARAM_MEMORY_MB * 1024))
    exec "$model" "$RATOON_PARAM_BATCH_SIZE" "$RATOON_PARAM_TERMS" "$total" "$RATOON_EVENTS"
) <work/samples.$$ >work/features.$$
{
    echo 'features<<END'
    cat work/features.$$
    echo END
} >"$RATOON_OUTPUT"

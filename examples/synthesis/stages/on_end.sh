#!/bin/sh
# Told of every run that ended, before anything that follows from it is done.
. ./lib/stage.sh

[ "$RATOON_STATUS" != failed ] || echo "run $RATOON_RUN has failed and waits for a retry"

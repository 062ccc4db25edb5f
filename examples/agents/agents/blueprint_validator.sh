#!/bin/sh
# Is there enough to build from? Produces nothing: a retry from here generates the blueprint anew.
. ./lib/agent.sh

think "plan blueprint" -v min="$RATOON_PARAM_MIN_WORDS"

#!/bin/sh
# The story behind it; on a branch of its own, beside the plan.
. ./lib/agent.sh

think "enhanced"

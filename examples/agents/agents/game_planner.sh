#!/bin/sh
# A level for each theme, harder from level to level.
. ./lib/agent.sh

think "enhanced route"

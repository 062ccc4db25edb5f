#!/bin/sh
# Chooses the genre, and with it what the players do.
. ./lib/agent.sh

think "enhanced"

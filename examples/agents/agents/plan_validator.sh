#!/bin/sh
# Is the plan what was asked for? Produces nothing: a retry from here makes the plan anew.
. ./lib/agent.sh

think "plan constraints"

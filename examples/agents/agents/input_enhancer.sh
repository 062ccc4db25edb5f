#!/bin/sh
# Takes the request apart: what it is about, without filler.
. ./lib/agent.sh

think "request constraints"

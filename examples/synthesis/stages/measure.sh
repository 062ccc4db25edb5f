#!/bin/sh
# Nodes and edges of the archived graph.
. ./lib/stage.sh

flat "$RATOON_STATE" archive | cut -f 3 |
    awk 'NR > 1 { edges++; for (i = 1; i <= 2; i++) if (!seen[$i]++) nodes++ }
        END { printf "{\"nodes\":%d,\"edges\":%d}\n", nodes, edges }' >"$RATOON_OUTPUT"

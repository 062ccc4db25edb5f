# Edges get a weight: how often they stood there.
NR == 1 { print 2; next }
!times[$1 " " $2]++ { order[++n] = $1 " " $2 }
END {
    for (i = 1; i <= n; i++) {
        print order[i], times[order[i]]
    }
}

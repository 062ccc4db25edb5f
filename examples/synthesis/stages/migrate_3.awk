# Each edge once, whichever way it was written.
NR == 1 { print 3; next }
{
    edge = $1 < $2 ? $1 " " $2 : $2 " " $1
    if (!(edge in weight)) {
        order[++n] = edge
    }
    weight[edge] += $3
}
END {
    for (i = 1; i <= n; i++) {
        print order[i], weight[order[i]]
    }
}

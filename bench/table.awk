# table.awk: medians of what run.sh measured, side by side, with ratios and targets.
#
#     awk -v peers="lagoon go c" -f table.awk targets results
#
# targets: row TAB against TAB op TAB limit; against is a peer, whose ratio is limited, or
# "value"; op is <= or >=. results: row TAB peer TAB value, a line for each round.
BEGIN {
    FS = "\t"
    columns = split(peers, peer, " ")
    ours = peer[1]
}

FNR == NR {
    against[$1] = $2
    op[$1] = $3
    limit[$1] = $4
    next
}

{
    if (!($1 in seen)) {
        seen[$1] = 1
        row[++rows] = $1
    }
    sample[$1, $2, ++samples[$1, $2]] = $3 + 0
}

# The median of a row's samples of one peer, or "" if there are none.
function median(r, p,    n, i, j, v) {
    n = samples[r, p]
    if (n == 0)
        return ""
    for (i = 1; i <= n; i++) {
        v = sample[r, p, i]
        for (j = i - 1; j > 0 && sorted[j] > v; j--)
            sorted[j + 1] = sorted[j]
        sorted[j + 1] = v
    }
    if (n % 2)
        return sorted[(n + 1) / 2]
    return (sorted[n / 2] + sorted[n / 2 + 1]) / 2
}

function show(v) {
    if (v == "")
        return "-"
    if (v >= 1000)
        return sprintf("%.0f", v)
    return sprintf(v >= 10 ? "%.1f" : "%.3f", v)
}

function ratio(r, p,    theirs) {
    theirs = median(r, p)
    if (median(r, ours) == "" || theirs == "" || theirs == 0)
        return ""
    return median(r, ours) / theirs
}

function verdict(r,    v, met) {
    if (!(r in limit))
        return ""
    v = against[r] == "value" ? median(r, ours) : ratio(r, against[r])
    if (v == "")
        met = "?"
    else
        met = (op[r] == "<=" ? v <= limit[r] : v >= limit[r]) ? "met" : "MISSED"
    return sprintf("%s %s%s %s", op[r], limit[r],
                   against[r] == "value" ? "" : "x " against[r], met)
}

END {
    printf "%-34s", ""
    for (i = 1; i <= columns; i++)
        printf "%10s", peer[i]
    for (i = 2; i <= columns; i++)
        printf "%9s", "/" peer[i]
    print "   target"
    for (n = 1; n <= rows; n++) {
        printf "%-34s", row[n]
        for (i = 1; i <= columns; i++)
            printf "%10s", show(median(row[n], peer[i]))
        for (i = 2; i <= columns; i++) {
            v = ratio(row[n], peer[i])
            printf "%9s", v == "" ? "-" : sprintf("%.2f", v)
        }
        v = verdict(row[n])
        print (v == "" ? "" : "   " v)
    }
}

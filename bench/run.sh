#!/usr/bin/env bash
# run.sh: measures Lagoon and its peers side by side and prints the ratios.
#
#     bench/run.sh [--quick] [micro] [echo] [structure] [idle] [start]
#
# Without groups it runs them all. See README.md beside it for what is measured and how.
set -u
export LC_ALL=C

root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
bench=$root/bench
out=$root/build/bench
lagoon=${LAGOON:-$root/build/release/lagoon}
luajit=${LUAJIT:-luajit}
rounds=${ROUNDS:-3}
seconds=4 # that an echo case is measured for, each round
warmup=1
starts=20
idle_counts=(5000 10000 19000)
log=$out/log
job=     # the measuring command that runs now
server=  # the server that is being measured

usage() {
    echo "usage: bench/run.sh [--quick] [micro] [echo] [structure] [idle] [start]" >&2
    exit 2
}

groups=()
for word in "$@"; do
    case $word in
    --quick)
        rounds=${ROUNDS:-1} seconds=1 warmup=0.3 starts=5 idle_counts=(5000)
        export BENCH_QUICK=1
        ;;
    micro | echo | structure | idle | start) groups+=("$word") ;;
    *) usage ;;
    esac
done
[[ ${#groups[@]} -gt 0 ]] || groups=(micro echo structure idle start)

# --- processes -------------------------------------------------------------------------

have() {
    command -v "$1" >/dev/null 2>&1
}

# end PID: asks a process of ours to end, and makes it after five seconds.
end() {
    local pid=$1
    kill "$pid" 2>/dev/null
    for ((i = 0; i < 100; i++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
}

end_all() {
    [[ -z $job ]] || end "$job"
    [[ -z $server ]] || end "$server"
    job='' server=''
}

trap end_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# bounded SECONDS FILE COMMAND...: the output goes to FILE, what it complains of to the log.
# It runs in the background so that a signal to this script is acted on at once.
bounded() {
    local limit=$1 file=$2 status
    shift 2
    timeout -k 5 "$limit" "$@" </dev/null >"$file" 2>>"$log" &
    job=$!
    wait "$job"
    status=$?
    job=
    [[ $status -eq 0 ]] || echo "failed ($status): $*; see $log" >&2
    return "$status"
}

# start_server COMMAND...: sets server and port once it says where it listens.
start_server() {
    : >"$out/server"
    "${on_server[@]}" "$@" </dev/null >"$out/server" 2>>"$log" &
    server=$!
    for ((i = 0; i < 100; i++)); do
        port=$(sed -n 's/^listening 127\.0\.0\.1://p' "$out/server")
        [[ -z $port ]] || return 0
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    echo "failed to listen: $*; see $log" >&2
    stop_server
    return 1
}

stop_server() {
    end "$server"
    server=
}

# --- what there is to measure ----------------------------------------------------------

declare -A has=([true]=1)

build() {
    mkdir -p "$out" && : >"$log" || exit 1
    on_server=() on_load=()
    if have taskset && [[ $(nproc) -ge 2 ]]; then
        on_server=(taskset -c "${SERVER_CORE:-0}") on_load=(taskset -c "${LOAD_CORE:-1}")
    else
        echo "not pinned: it takes two cores and taskset" >&2
    fi
    if [[ -x $lagoon ]]; then
        has[lagoon]=1
    else
        echo "skipped: lagoon, for there is no $lagoon" >&2
    fi
    local cc=${CC:-cc}
    if have "$cc"; then
        local flags=(-std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Wconversion -Wshadow)
        "$cc" "${flags[@]}" -o "$out/load" "$bench/load.c" "$bench/process.c" || exit 1
        "$cc" "${flags[@]}" -o "$out/echo_epoll" "$bench/peers/echo_epoll.c" || exit 1
        has[c]=1
    else
        echo "skipped: C, and with it echo and idle, for there is no $cc" >&2
    fi
    if have go; then
        go build -o "$out/micro_go" "$bench/peers/micro.go" || exit 1
        go build -o "$out/echo_go" "$bench/peers/echo.go" || exit 1
        has[go]=1
    else
        echo "skipped: Go, for there is no go" >&2
    fi
    if have "$luajit"; then
        has[luajit]=1
    else
        echo "skipped: luajit, for there is no $luajit" >&2
    fi
}

# present PEER...: those that can be measured here.
present() {
    for peer in "$@"; do
        [[ -z ${has[$peer]-} ]] || echo "$peer"
    done
}

record() {
    printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$results"
}

# measure GROUP PEER...: runs a group and prints its table, with these columns.
measure() {
    local group=$1
    shift
    results=$out/$group.tsv
    : >"$results"
    "run_$group"
    printf '\n%s\n' "$group"
    awk -v peers="$*" -f "$bench/table.awk" <(targets) "$results"
}

# row, against, op, limit: of "against" x, or of the value itself
targets() {
    tr '|' '\t' <<'END'
pingpong, ns|go|<=|0.8
oneway, ns|go|<=|0.8
buffered, ns|go|<=|0.8
spawn, ns|go|<=|0.8
select4, ns|go|<=|0.8
selector4, ns|go|<=|0.8
timer_cancel, ns|go|<=|1.0
timer_fire, ns|go|<=|1.0
parked, bytes|value|<=|700
64 x 64 B, requests/s|c|>=|0.95
64 x 64 B, user us/request|go|<=|0.7
64 x 64 B, total us/request|c|<=|1.1
reads in a timeout, user us/request|plain|<=|1.15
1M timers armed, user us/request|plain|<=|1.05
beside a busy task, p99.9 us|go|<=|1.0
5000 idle, bytes/conn|value|<=|1100
10000 idle, bytes/conn|value|<=|1100
19000 idle, bytes/conn|value|<=|1100
start, ms|value|<=|15
END
}

# --- the groups ------------------------------------------------------------------------

micro_command() {
    if [[ $1 == lagoon ]]; then
        command=("$lagoon" "$bench/micro.lua" "$2")
    else
        command=("$out/micro_go" "$2")
    fi
}

run_micro() {
    local names=(pingpong oneway buffered spawn yield select4 selector4
        timer_cancel timer_fire parked)
    local unit value
    for name in "${names[@]}"; do
        unit=ns
        [[ $name != parked ]] || unit=bytes
        for ((round = 0; round < rounds; round++)); do
            for peer in $(present lagoon go); do
                # Go has one select: both of Lagoon's are held against it.
                [[ $peer == go && $name == selector4 ]] && continue
                micro_command "$peer" "$name"
                bounded 120 "$out/value" "${on_server[@]}" "${command[@]}" || continue
                value=$(awk -v name="$name" '$1 == name { print $2 }' "$out/value")
                record "$name, $unit" "$peer" "$value"
                [[ $peer == go && $name == select4 ]] && record "selector4, ns" go "$value"
            done
        done
    done
}

# start_echo PEER BYTES [MODE]: its echo server; Go's reads into a buffer of that size.
start_echo() {
    case $1 in
    lagoon) start_server "$lagoon" "$bench/echo.lua" ${3:+"$3"} ;;
    go) start_server env GOMAXPROCS=1 "$out/echo_go" -buf "$2" ${3:+"-$3"} ;;
    c) start_server "$out/echo_epoll" ;;
    esac
}

# load_echo ROW PEER LIMIT OPTION...: loads the server and records the columns of interest.
load_echo() {
    local row=$1 peer=$2 limit=$3 key value
    shift 3
    bounded "$limit" "$out/value" "${on_load[@]}" "$out/load" 127.0.0.1 "$port" \
        --pid "$server" "$@" || return 1
    while read -r key value; do
        case $key in
        req/s) record "$row, requests/s" "$peer" "$value" ;;
        user_us) record "$row, user us/request" "$peer" "$value" ;;
        cpu_us) record "$row, total us/request" "$peer" "$value" ;;
        p50_us | p99_us | p99.9_us) record "$row, ${key%_us} us" "$peer" "$value" ;;
        bytes_per_conn) record "$row, bytes/conn" "$peer" "$value" ;;
        esac
    done <"$out/value"
}

run_echo() {
    [[ -n ${has[c]-} ]] || return
    local conns size buffer row n
    while read -r conns size buffer row; do
        n=$rounds
        [[ $row != '64 x 64 B' ]] || n=$((3 * rounds)) # this one has targets
        for ((round = 0; round < n; round++)); do
            for peer in $(present lagoon go c); do
                start_echo "$peer" "$buffer" || continue
                load_echo "$row" "$peer" 60 --conns "$conns" --size "$size" \
                    --seconds "$seconds" --warmup "$warmup"
                stop_server
            done
        done
    done <<'END'
64 64 4096 64 x 64 B
1 64 4096 1 x 64 B
8 64 4096 8 x 64 B
512 64 4096 512 x 64 B
64 16384 16384 64 x 16 KiB
END
}

# load_structure ROW PEER MODE: an echo server in that mode, without one if that is -.
load_structure() {
    local peer=$2 mode=$3
    [[ $peer != plain ]] || peer=lagoon
    [[ $mode != - ]] || mode=
    start_echo "$peer" 4096 "$mode" || return
    load_echo "$1" "$2" 60 --conns 64 --size 64 --seconds "$seconds" --warmup "$warmup"
    stop_server
}

run_structure() {
    [[ -n ${has[c]-} && -n ${has[lagoon]-} ]] || return
    for ((round = 0; round < 3 * rounds; round++)); do
        for row in 'reads in a timeout' '1M timers armed'; do
            load_structure "$row" plain -
            [[ $row != reads* ]] || load_structure "$row" lagoon deadline
            [[ $row != 1M* ]] || load_structure "$row" lagoon timers
        done
        [[ $round -lt $rounds ]] || continue
        for peer in $(present lagoon go); do
            load_structure 'beside a busy task' "$peer" busy
        done
    done
}

run_idle() {
    [[ -n ${has[c]-} ]] || return
    local limit
    limit=$(ulimit -Hn)
    for count in "${idle_counts[@]}"; do
        if [[ $limit != unlimited && $limit -lt $((count + 200)) ]]; then
            echo "skipped: $count idle conns, for the limit is $limit files" >&2
            continue
        fi
        for ((round = 0; round < rounds; round++)); do
            for peer in $(present lagoon go c); do
                start_echo "$peer" 4096 || continue
                load_echo "$count idle" "$peer" 120 --idle "$count"
                stop_server
            done
        done
    done
}

run_start() {
    local begin us
    for ((round = 0; round < starts; round++)); do
        for peer in $(present lagoon luajit true); do
            case $peer in
            lagoon) command=("$lagoon" -e '') ;;
            luajit) command=("$luajit" -e '') ;;
            true) command=(true) ;;
            esac
            begin=${EPOCHREALTIME/./}
            bounded 10 /dev/null "${on_server[@]}" "${command[@]}" || continue
            us=$((${EPOCHREALTIME/./} - begin))
            record "start, ms" "$peer" "$((us / 1000)).$(printf %03d $((us % 1000)))"
        done
    done
}

# ---------------------------------------------------------------------------------------

build
printf '%s, %s cores, Linux %s; load average %s\n' \
    "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
    "$(nproc)" "$(uname -r)" "$(cut -d ' ' -f 1-3 /proc/loadavg)"
[[ -z ${has[go]-} ]] || go version
for group in "${groups[@]}"; do
    case $group in
    micro) measure micro lagoon go ;;
    echo | idle) measure "$group" lagoon go c ;;
    structure) measure structure lagoon plain go ;;
    start) measure start lagoon luajit true ;;
    esac
done

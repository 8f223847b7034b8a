// load.c: a load generator for echo servers.
//
//     load HOST PORT --conns N --size BYTES --seconds S [--warmup S] [--pid PID]
//     load HOST PORT --idle N --pid PID
//
// The first form is a closed loop: each conn sends a message, waits for its whole echo
// and sends the next. Every echoed byte is compared with what was sent. Prints "key
// value" lines for the S seconds after the warm-up; with --pid also the CPU time per
// request of that process.
//
// The second form opens N conns, has one message echoed on each, lets them rest, and
// prints by how much the resident memory of PID grew per conn.
//
// HOST is a numeric IPv4 address.
#include "process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_SIZE = 1 << 20,
    PERIOD = 251,            // of the pattern that messages are cut from
    CONNS_PER_SOURCE = 5000, // local addresses 127.0.0.2, .3, ...: ports do not run out
    IDLE_SIZE = 64,          // bytes in the message of an idle conn
    IDLE_WARMUP = 100,       // conns opened before memory is first read
    REST_US = 500 * 1000,    // before memory is read
    STALL_SECONDS = 5,       // without any progress: give up
    BATCH = 1024,
    HISTOGRAM_SUB = 64, // buckets per power of two: 1.6 % wide
    HISTOGRAM_SIZE = HISTOGRAM_SUB * 60,
};

typedef struct {
    const char *host;
    int port;
    long conns, size, idle;
    double seconds, warmup;
    pid_t pid;
} Options;

typedef struct {
    int fd;
    bool is_write_watched;
    const char *message; // somewhere in the pattern
    size_t sent, received;
    uint64_t start; // when sending began
} Conn;

typedef struct {
    int epoll;
    size_t size;
    uint64_t requests;
    uint64_t latency[HISTOGRAM_SIZE];
} Load;

static char pattern[MAX_SIZE + PERIOD];

static __attribute__((format(printf, 1, 2))) _Noreturn void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static size_t bucket_of(uint64_t ns)
{
    if (ns < HISTOGRAM_SUB)
        return (size_t)ns;
    size_t shift = 63u - 6u - (size_t)__builtin_clzll(ns);
    size_t bucket = shift * HISTOGRAM_SUB + (ns >> shift);
    return bucket < HISTOGRAM_SIZE ? bucket : HISTOGRAM_SIZE - 1;
}

// The middle of a bucket, in microseconds.
static double bucket_us(size_t bucket)
{
    if (bucket < HISTOGRAM_SUB)
        return (double)bucket / 1e3;
    size_t shift = bucket / HISTOGRAM_SUB - 1;
    uint64_t low = (uint64_t)(bucket % HISTOGRAM_SUB + HISTOGRAM_SUB) << shift;
    return ((double)low + (double)(UINT64_C(1) << shift) / 2) / 1e3;
}

static double percentile_us(const Load *load, double fraction)
{
    uint64_t rank = (uint64_t)(fraction * (double)load->requests);
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_SIZE; i++) {
        seen += load->latency[i];
        if (seen > rank)
            return bucket_us(i);
    }
    return 0;
}

static Cpu cpu_of(pid_t pid)
{
    Cpu cpu = {0};
    if (pid != 0 && !process_cpu(pid, &cpu))
        die("cannot read the CPU time of process %d", (int)pid);
    return cpu;
}

static double resident_of(pid_t pid)
{
    double bytes = process_resident(pid);
    if (bytes < 0)
        die("cannot read the memory of process %d", (int)pid);
    return bytes;
}

// A connected, blocking socket. The index chooses the local address on loopback.
static int dial(const Options *options, long index)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    to.sin_port = htons((uint16_t)options->port);
    if (inet_pton(AF_INET, options->host, &to.sin_addr) != 1)
        die("not an IPv4 address: %s", options->host);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket %ld: %s", index, strerror(errno));
    int on = 1;
    struct timeval patience = {.tv_sec = STALL_SECONDS};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (ntohl(to.sin_addr.s_addr) >> 24 == 127) {
        struct sockaddr_in from = {.sin_family = AF_INET};
        uint32_t host = 2 + (uint32_t)(index / CONNS_PER_SOURCE);
        from.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + host);
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0)
            die("bind: %s", strerror(errno));
    }
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("connect %ld: %s", index, strerror(errno));
    return fd;
}

static void conn_watch(Load *load, Conn *c, int op, bool is_write_watched)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    if (is_write_watched)
        ev.events |= EPOLLOUT;
    if (epoll_ctl(load->epoll, op, c->fd, &ev) != 0)
        die("epoll_ctl: %s", strerror(errno));
    c->is_write_watched = is_write_watched;
}

// Sends what the kernel takes of the message; the rest follows when it is writable.
static void conn_send(Load *load, Conn *c)
{
    while (c->sent < load->size) {
        ssize_t n = send(c->fd, c->message + c->sent, load->size - c->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            die("send: %s", strerror(errno));
        c->sent += (size_t)n;
    }
    bool is_waiting = c->sent < load->size;
    if (is_waiting != c->is_write_watched)
        conn_watch(load, c, EPOLL_CTL_MOD, is_waiting);
}

// Messages differ from each other, so that an echo from another conn is noticed.
static void conn_start(Load *load, Conn *c, uint64_t now)
{
    c->message = pattern + ((size_t)c->fd + load->requests) % PERIOD;
    c->sent = 0;
    c->received = 0;
    c->start = now;
    conn_send(load, c);
}

static void conn_receive(Load *load, Conn *c)
{
    static char buffer[64 * 1024];
    ssize_t n = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        die("the server closed a conn: %s", n == 0 ? "eof" : strerror(errno));
    if (c->received + (size_t)n > c->sent)
        die("%zu bytes echoed of %zu sent", c->received + (size_t)n, c->sent);
    if (memcmp(buffer, c->message + c->received, (size_t)n) != 0)
        die("the echo differs from what was sent");
    c->received += (size_t)n;
    if (c->received < load->size)
        return;
    uint64_t now = now_ns();
    load->latency[bucket_of(now - c->start)]++;
    load->requests++;
    conn_start(load, c, now);
}

// Runs the closed loop until the time is `end`.
static void load_run(Load *load, uint64_t end)
{
    static struct epoll_event events[BATCH];
    uint64_t progress = now_ns();
    for (uint64_t now = progress; now < end; now = now_ns()) {
        int n = epoll_wait(load->epoll, events, BATCH, 10);
        if (n < 0 && errno != EINTR)
            die("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < n; i++) {
            Conn *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                conn_send(load, c);
            if (events[i].events & ~(uint32_t)EPOLLOUT) // an error shows in recv
                conn_receive(load, c);
        }
        if (n > 0)
            progress = now;
        else if (now - progress > STALL_SECONDS * UINT64_C(1000000000))
            die("nothing echoed for %d s", STALL_SECONDS);
    }
}

static void print_cpu(Cpu from, Cpu to, double requests)
{
    double user = to.user - from.user, system = to.system - from.system;
    double ticks = user + system > 0 ? user + system : 1;
    double total_us = (to.total - from.total) * 1e6 / requests;
    printf("user_us %.3f\nsys_us %.3f\ncpu_us %.3f\n", total_us * user / ticks,
           total_us * system / ticks, total_us);
}

static void run_closed_loop(const Options *options)
{
    static Load load;
    load.size = (size_t)options->size;
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    Conn *conns = calloc((size_t)options->conns, sizeof *conns);
    if (load.epoll < 0 || conns == NULL)
        die("%s", strerror(errno));
    for (long i = 0; i < options->conns; i++) {
        conns[i].fd = dial(options, i);
        conn_watch(&load, &conns[i], EPOLL_CTL_ADD, false);
    }
    for (long i = 0; i < options->conns; i++)
        conn_start(&load, &conns[i], now_ns());
    load_run(&load, now_ns() + (uint64_t)(options->warmup * 1e9));

    memset(load.latency, 0, sizeof load.latency);
    uint64_t warm_requests = load.requests;
    Cpu cpu_start = cpu_of(options->pid);
    uint64_t start = now_ns();
    load_run(&load, start + (uint64_t)(options->seconds * 1e9));
    double seconds = (double)(now_ns() - start) / 1e9;
    Cpu cpu_end = cpu_of(options->pid);
    load.requests -= warm_requests;

    if (load.requests == 0)
        die("no request was answered in time");
    double requests = (double)load.requests;
    printf("requests %.0f\nreq/s %.0f\n", requests, requests / seconds);
    printf("p50_us %.1f\np99_us %.1f\np99.9_us %.1f\n", percentile_us(&load, 0.5),
           percentile_us(&load, 0.99), percentile_us(&load, 0.999));
    if (options->pid)
        print_cpu(cpu_start, cpu_end, requests);
    free(conns);
}

static void exchange(int fd)
{
    const char *message = pattern + (size_t)fd % PERIOD;
    char echo[IDLE_SIZE];
    if (send(fd, message, IDLE_SIZE, MSG_NOSIGNAL) != IDLE_SIZE)
        die("send: %s", strerror(errno));
    if (recv(fd, echo, IDLE_SIZE, MSG_WAITALL) != IDLE_SIZE ||
        memcmp(echo, message, IDLE_SIZE) != 0)
        die("an idle conn was not echoed rightly: %s", strerror(errno));
}

static void open_idle(const Options *options, int *fds, long from, long to)
{
    for (long i = from; i < to; i++) {
        fds[i] = dial(options, i);
        exchange(fds[i]);
    }
    usleep(REST_US);
}

static void run_idle(const Options *options)
{
    long all = IDLE_WARMUP + options->idle;
    int *fds = calloc((size_t)all, sizeof *fds);
    if (fds == NULL)
        die("calloc: %s", strerror(errno));
    open_idle(options, fds, 0, IDLE_WARMUP);
    double before = resident_of(options->pid);
    open_idle(options, fds, IDLE_WARMUP, all);
    double after = resident_of(options->pid);
    for (long i = 0; i < all; i++)
        exchange(fds[i]); // each is still served
    printf("conns %ld\nrss_before %.0f\nrss_after %.0f\nbytes_per_conn %.0f\n",
           options->idle, before, after, (after - before) / (double)options->idle);
    free(fds);
}

static double number(const char *text, double min, double max)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= min && value <= max))
        die("not a number from %.0f to %.0f: %s", min, max, text);
    return value;
}

static Options parse_options(int argc, char **argv)
{
    static const struct option names[] = {
        {"conns", required_argument, NULL, 'c'},
        {"size", required_argument, NULL, 'b'},
        {"seconds", required_argument, NULL, 's'},
        {"warmup", required_argument, NULL, 'w'},
        {"pid", required_argument, NULL, 'p'},
        {"idle", required_argument, NULL, 'i'},
        {NULL, 0, NULL, 0},
    };
    Options options = {.conns = 1, .size = 64, .seconds = 1, .warmup = 0.5};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (c == 'c')
            options.conns = (long)number(optarg, 1, 100000);
        else if (c == 'b')
            options.size = (long)number(optarg, 1, MAX_SIZE);
        else if (c == 's')
            options.seconds = number(optarg, 0.1, 3600);
        else if (c == 'w')
            options.warmup = number(optarg, 0, 3600);
        else if (c == 'p')
            options.pid = (pid_t)number(optarg, 1, INT32_MAX);
        else if (c == 'i')
            options.idle = (long)number(optarg, 1, 1000000);
        else
            exit(2);
    }
    if (argc - optind != 2 || (options.idle && !options.pid)) {
        fputs("usage: load HOST PORT --conns N --size BYTES --seconds S [--warmup S]"
              " [--pid PID]\n       load HOST PORT --idle N --pid PID\n",
              stderr);
        exit(2);
    }
    options.host = argv[optind];
    options.port = (int)number(argv[optind + 1], 1, 65535);
    return options;
}

int main(int argc, char **argv)
{
    Options options = parse_options(argc, argv);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (char)(i % PERIOD);
    if (options.idle)
        run_idle(&options);
    else
        run_closed_loop(&options);
    return 0;
}

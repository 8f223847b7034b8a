// main.c: the process: its limits, its signals, one worker, an exit status.

#include "worker.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

// A descriptor that we open must not become one of the standard streams, which who
// started us may have closed.
static void open_standard_streams(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO) {
        close(fd);
    }
}

// As many descriptors as the system lets us have, as Go does since 1.19.
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); // EPIPE tells the one who writes
    open_standard_streams();
    raise_file_limit();
    // getaddrinfo() may use half of the pool; libuv's default of 4 lets two dead look-ups
    // hold up all the others.
    setenv("UV_THREADPOOL_SIZE", "16", 0);
    argv = uv_setup_args(argc, argv);

    Worker *worker = worker_new();
    if (worker == NULL) {
        return EXIT_FAILURE;
    }
    int status = worker_run(worker, argc, argv);
    worker_free(worker);
    // What a script left in stdio's buffers goes out here; a full disk is an error.
    if (fflush(stdout) != 0 && status == 0) {
        perror("lagoon: stdout");
        status = EXIT_FAILURE;
    }
    return status;
}

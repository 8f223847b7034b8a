// process.h: what another process has cost so far, read from the kernel.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

// The kernel counts the total to the nanosecond, over all threads, ended ones too. How it
// divides into user and system time it only samples, at each timer interrupt (100 to 1000
// times a second), and tells in ticks: the shorter the window, the rougher the shares.
typedef struct {
    double total;        // seconds
    double user, system; // ticks
} Cpu;

// False, with *cpu undefined, if there is no such process.
bool process_cpu(pid_t pid, Cpu *cpu);

// Bytes of resident memory, or -1 if there is no such process. Exact: smaps_rollup walks
// the page tables, where the counters of statm may be some pages behind.
double process_resident(pid_t pid);

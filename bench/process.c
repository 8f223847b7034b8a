// process.c: CPU time and memory of another process.
#include "process.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static FILE *open_proc(pid_t pid, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return fopen(path, "re");
}

bool process_cpu(pid_t pid, Cpu *cpu)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return false;
    cpu->total = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
    FILE *file = open_proc(pid, "stat");
    if (file == NULL)
        return false;
    char line[1024];
    const char *rest = NULL;
    if (fgets(line, sizeof line, file) != NULL)
        rest = strrchr(line, ')');
    fclose(file);
    // The second field is the name in parentheses and may hold anything; after it come
    // the state, ten numbers, and the two wanted here.
    return rest != NULL &&
           sscanf(rest, ") %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lf %lf",
                  &cpu->user, &cpu->system) == 2;
}

double process_resident(pid_t pid)
{
    FILE *file = open_proc(pid, "smaps_rollup");
    if (file == NULL)
        return -1;
    char line[256];
    double kib = -1;
    while (fgets(line, sizeof line, file) != NULL && sscanf(line, "Rss: %lf", &kib) != 1)
        continue;
    fclose(file);
    return kib < 0 ? -1 : kib * 1024;
}

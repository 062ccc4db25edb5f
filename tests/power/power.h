/* The harness's programs and places. */
#ifndef RATOON_TESTS_POWER_POWER_H
#define RATOON_TESTS_POWER_POWER_H

#include <stdbool.h>
#include <stdint.h>

typedef struct power {
    char *programs; /* folder of this program, the workload and the preloaded library */
    char *work;     /* scratch folder */
    char *keep;     /* where failing images go */
    uint64_t seed;
    bool first_failure; /* ends with the first image that fails */
    unsigned scale;     /* runs of each thread in a session of the workload */
} power;

/* Starts the workload on the folder `root` with everything recorded to `record`, or (marks) only
 * what it was told. Returns its process. */
int power_start_workload(const power *p, const char *root, const char *mode, uint64_t seed,
                         const char *record, bool marks);
/* Waits for it; false where it did not end well. */
bool power_wait(int pid);

/* Power is taken from a mounted file system `rounds` times. The exit code. */
int power_loop(const power *p, unsigned rounds);

#endif

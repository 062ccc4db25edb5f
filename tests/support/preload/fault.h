/* Faults that the library of inject.c makes; for the program itself, by dlsym(RTLD_DEFAULT, …). */
#ifndef RATOON_TESTS_PRELOAD_FAULT_H
#define RATOON_TESTS_PRELOAD_FAULT_H

#include "tests/support/preload/hooks.h"

typedef struct fault {
    uint32_t ops;  /* bit 1u << hook_op of each that counts; 0: none fails */
    uint64_t nth;  /* which of them fails, from 1 */
    int error;     /* errno; 0: a write does half of what it should, then the next fails (ENOSPC) */
    bool lasting;  /* all from then on fail */
    char end[8];   /* only those on files whose name ends so; "": on all */
    uint64_t room; /* not 0: so many bytes can be written, then there is no space */
    bool room_known;  /* statvfs tells of that, and fallocate fails too */
    unsigned late_ms; /* not 0: a thread that looks at the disk's room is so late (slow.h) */
} fault;

typedef struct fault_report {
    uint64_t seen[HOOK_OPS]; /* calls since it was set */
    uint64_t fired;
    unsigned late;   /* threads that wait for late_ms now */
    unsigned looks;  /* at the disk's room, by other threads than the first */
    char path[4096]; /* of the first that failed, or "" (not known) */
    hook_op op;
} fault_report;

/* "fault_set": from now on; resets the report. "fault_get". */
typedef void fault_set_fn(const fault *f);
typedef void fault_get_fn(fault_report *out);

#endif

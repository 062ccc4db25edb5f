/* What the parts of the harness share. */
#ifndef RATOON_TESTS_IOFAULT_IOFAULT_H
#define RATOON_TESTS_IOFAULT_IOFAULT_H

#include "tests/iofault/trial.h"

typedef struct iofault {
    char *work; /* scratch folder: faults are made below it */
    uint64_t seed;
} iofault;

void iofault_set(const fault *f);
void iofault_get(fault_report *report);
/* Makes the template below the scratch folder, in a process of its own. */
bool iofault_template(const iofault *io, bool crashed);
/* Copies the template into the trial's folder; where there is no template yet, makes it. */
void iofault_prepare(const iofault *io, bool crashed, trial *t);
/* Leaves the trial's store as it is, with what is known, to a process that finds it. */
void iofault_leave(const iofault *io, const trial *t);
void iofault_find(const iofault *io, trial *t);
/* What is wrong with what is known, "" where nothing is. */
void iofault_check_known(trial *t, char *wrong, size_t size);
/* Does something in a process of its own, which must not take long. True: it ended well; says so
 * under that name. */
bool iofault_in_process(const iofault *io, const char *name,
                        void (*act)(const iofault *io, trial *t));
/* Appends something large, and knows it. */
ratoon_status iofault_append(trial *t);
/* Opens it without faults: what is known is there, it takes appends, it verifies; closes it. */
void iofault_open_and_check(trial *t);
/* A disk that fills up and gets room again. 0: all is well. */
int iofault_full_disk(const iofault *io);
/* Closing while RocksDB recovers from want of room. 0: all is well. */
int iofault_closing(const iofault *io);

#endif

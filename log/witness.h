/* The witness: the last position that was acknowledged and synced, in a small file beside the log.
 * No recovery mode of the log can tell that its end is missing; a log that ends before the witness
 * has lost acknowledged commits. Written after each sync and not synced itself, so it is never
 * ahead of an undamaged log. Two slots are written in turn, a torn one leaves the other. */
#ifndef RATOON_LOG_WITNESS_H
#define RATOON_LOG_WITNESS_H

#include "core/mem.h"
#include <pthread.h>

typedef struct ratoon__witness {
    int fd;
    pthread_mutex_t mutex;
    uint64_t sequence;
    uint64_t position;
} ratoon__witness;

/* Makes the file, synced, for position 0. */
ratoon_status ratoon__witness_create(const char *folder, ratoon_error *error);
/* DAMAGED where it is missing or neither slot is whole. */
ratoon_status ratoon__witness_open(ratoon__witness *w, const char *folder, ratoon_error *error);
/* Notes a position; an older one than is noted is passed over. False: could not be written. */
bool ratoon__witness_note(ratoon__witness *w, uint64_t position);
/* Makes the file anew for a position, whatever it says: a loss was accepted. Synced. */
ratoon_status ratoon__witness_replace(const char *folder, uint64_t position, ratoon_error *error);
void ratoon__witness_close(ratoon__witness *w);

#endif

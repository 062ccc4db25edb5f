/* Sums of sets, for verification: the same for the same set of things, in whatever order. Each
 * thing counts with a pseudo-random 128 bits under a key that is drawn anew each time: what hides a
 * difference from one verification shows in the next, and nobody can prepare it. */
#ifndef RATOON_LOG_SUM_H
#define RATOON_LOG_SUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ratoon.h"

typedef struct ratoon__sum_key {
    uint64_t words[2];
} ratoon__sum_key;

typedef struct ratoon__sum { /* begins all zero; only sums under one key can be compared */
    uint64_t a, b, count;
} ratoon__sum;

ratoon_status ratoon__sum_key_draw(ratoon__sum_key *key);
void ratoon__sum_add(ratoon__sum *s, const ratoon__sum_key *key, const void *data, size_t size);
bool ratoon__sum_equal(const ratoon__sum *a, const ratoon__sum *b);

#endif

/* UUIDv7 (RFC 9562), monotonic within a generator: 48 bits of milliseconds, then 12 bits that count
 * up within a millisecond from a random start, then 62 random bits. */
#ifndef RATOON_CORE_ID_H
#define RATOON_CORE_ID_H

#include "core/mem.h"

typedef struct ratoon__id_state { /* zero-initialise; guarded by its owner */
    uint64_t last_ms;
    uint16_t counter;
} ratoon__id_state;
/* random: 10 fresh random bytes. Ids of one state ascend strictly, whatever the clock does. */
ratoon_id ratoon__id_next(ratoon__id_state *state, uint64_t now_us, const uint8_t random[10]);
/* Compares as unsigned bytes. */
int ratoon__id_compare(ratoon_id a, ratoon_id b);
#endif

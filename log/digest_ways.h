/* Ways to work out SHA-256 of several things side by side, which log/digest_many.c gives things to.
 */
#ifndef RATOON_LOG_DIGEST_WAYS_H
#define RATOON_LOG_DIGEST_WAYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RATOON__DIGEST_MOST = 16 }; /* things side by side */

typedef struct ratoon__digest_way {
    size_t side_by_side; /* things, at most RATOON__DIGEST_MOST */
    /* So many blocks of 64 bytes of each, from its pointer on. The state has the first word of all
     * things, then the second, and so on. */
    void (*compress)(uint32_t *state, const uint8_t *const *blocks, size_t count);
} ratoon__digest_way;

/* False: the processor can't. */
bool ratoon__digest_by_eight(ratoon__digest_way *way);   /* AVX2 */
bool ratoon__digest_by_sixteen(ratoon__digest_way *way); /* AVX-512 */

#endif

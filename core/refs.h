/* Reference counts of objects that versions of a projection share. */
#ifndef RATOON_CORE_REFS_H
#define RATOON_CORE_REFS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* One more. Only the count of a published object changes, so sharing a const one is sound. */
static inline void ratoon__refs_add(const atomic_uint *refs)
{
    atomic_uint *shared = (atomic_uint *)(uintptr_t)refs;
    atomic_fetch_add_explicit(shared, 1, memory_order_relaxed);
}

/* Whether the caller's is the only one. */
static inline bool ratoon__refs_one(const atomic_uint *refs)
{
    /* Reading changes nothing, but C11's generic function wants it plain. */
    return atomic_load_explicit((atomic_uint *)(uintptr_t)refs, memory_order_acquire) == 1;
}

/* One less; whether it was the last. Who has the only one has nobody to race with, and most objects
 * are never shared: that saves a locked instruction for each. */
static inline bool ratoon__refs_drop(atomic_uint *refs)
{
    return ratoon__refs_one(refs) || atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

#endif

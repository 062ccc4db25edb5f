/* The driver itself: its operations, and its keeper, the thread that writes derived rows once they
 * have piled up and syncs where that is done by the clock. */
#include "log/rocksdb_impl.h"
#include "log/thread.h"

#include <rocksdb/c.h>

#include <errno.h>

static ratoon_status end(ratoon__driver *d, uint64_t *position, ratoon_error *error)
{
    (void)error;
    *position = atomic_load(&ratoon__rocks_of(d)->acked) + 1;
    return RATOON_OK;
}

static void watch(ratoon__driver *d, int eventfd)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    pthread_mutex_lock(&r->state);
    r->watch_fd = eventfd;
    pthread_mutex_unlock(&r->state);
}

const ratoon__driver_ops ratoon__rocks_ops = {
    .name = "rocksdb",
    .append = ratoon__rocks_append,
    .head = ratoon__rocks_head,
    .heads = ratoon__rocks_heads,
    .read = ratoon__rocks_read,
    .read_ranges = ratoon__rocks_read_ranges,
    .tail = ratoon__rocks_tail,
    .end = end,
    .value_get = ratoon__rocks_value_get,
    .values = ratoon__rocks_values,
    .values_from = ratoon__rocks_values_from,
    .run_get = ratoon__rocks_run_get,
    .list = ratoon__rocks_list,
    .claim_get = ratoon__rocks_claim_get,
    .claims = ratoon__rocks_claims,
    .snapshot_get = ratoon__rocks_snapshot_get,
    .snapshot_put = ratoon__rocks_snapshot_put,
    .places = ratoon__rocks_places,
    .rows = ratoon__rocks_rows,
    .snapshots = ratoon__rocks_snapshots,
    .sweep = ratoon__rocks_sweep,
    .checkpoint = ratoon__rocks_checkpoint,
    .watch = watch,
    .close = ratoon__rocks_close,
};

/* ---- keeper ---- */

/* Waits until there is something to do; true: it is time to sync. With `state` held. */
static bool keeper_wait(ratoon__rocks *r, struct timespec *next_sync)
{
    bool by_clock = r->options.durability == RATOON_DURABILITY_INTERVAL;
    while (!r->keeper_stop && !r->keeper_flush) {
        if (!by_clock) {
            pthread_cond_wait(&r->keeper_wake, &r->state);
        } else if (pthread_cond_timedwait(&r->keeper_wake, &r->state, next_sync) == ETIMEDOUT) {
            *next_sync = ratoon__deadline_after(r->options.interval_ms);
            return true;
        }
    }
    return false;
}

static void *keeper_main(void *argument)
{
    ratoon__rocks *r = argument;
    struct timespec next_sync = ratoon__deadline_after(r->options.interval_ms);
    pthread_mutex_lock(&r->state);
    while (!r->keeper_stop) {
        bool sync = keeper_wait(r, &next_sync);
        bool flush = r->keeper_flush && !r->keeper_stop;
        r->keeper_flush = false;
        pthread_mutex_unlock(&r->state);
        /* A failure of either turns the store read-only; the next append says so. */
        if (flush) {
            (void)ratoon__rocks_flush_derived(r, NULL);
        }
        if (sync) {
            (void)ratoon__rocks_sync(r, NULL);
        }
        pthread_mutex_lock(&r->state);
    }
    pthread_mutex_unlock(&r->state);
    return NULL;
}

bool ratoon__rocks_keeper_start(ratoon__rocks *r)
{
    r->keeper_started = ratoon__thread_start(&r->keeper, keeper_main, r) == 0;
    return r->keeper_started;
}

void ratoon__rocks_keeper_stop(ratoon__rocks *r)
{
    if (!r->keeper_started) {
        return;
    }
    pthread_mutex_lock(&r->state);
    r->keeper_stop = true;
    pthread_cond_signal(&r->keeper_wake);
    pthread_mutex_unlock(&r->state);
    pthread_join(r->keeper, NULL);
    r->keeper_started = false;
}

/* RocksDB behind callers that wait and share a sync: whoever finds nobody writing writes the
 * commits of all that have come, in one batch with one sync, and tells them; nothing is decided,
 * encoded or hashed. Who writes waits for those who are about to come back, asleep, for 45 µs at
 * most (the library's committer yields, and not for groups as large), and they are told by a heap,
 * as the committer tells large groups. So this is about what that way of sharing costs by itself.
 */
#include "bench/support/rocks.h"

#include "log/futex.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { WAITS, LEADS, DONE };
enum { GATHER_NS = 45000, TOLD_BY_ONE = 2 };

typedef struct waiter {
    const bench_record *record;
    struct waiter *next;
    struct waiter *told[TOLD_BY_ONE]; /* whom it tells in turn */
    _Atomic uint32_t turn;
} waiter;

typedef struct shared {
    void *rocks;
    _Atomic(waiter *) arrived;
    _Atomic uint32_t count;  /* arrived and not taken */
    _Atomic uint32_t gather; /* a leader sleeps until so many have; 0: none does */
    _Atomic bool led;
    uint32_t expected; /* the leader's */
} shared;

static void *shared_open(const bench_options *o, const char *dir, unsigned clients, bool sync,
                         bool reopen)
{
    shared *s = calloc(1, sizeof *s);
    s->rocks = bench_rocksdb_batched.open(o, dir, clients, sync, reopen);
    return s;
}

static void shared_close(void *peer)
{
    shared *s = peer;
    bench_rocksdb_batched.close(s->rocks);
    free(s);
}

static uint64_t shared_scan(void *peer, ratoon_id lineage, uint64_t *bytes)
{
    shared *s = peer;
    return bench_rocksdb_batched.scan(s->rocks, lineage, bytes);
}

static bool role_take(shared *s)
{
    bool led = false;
    return !atomic_load(&s->led) && atomic_compare_exchange_strong(&s->led, &led, true);
}

static void turn_give(waiter *w, uint32_t turn)
{
    _Atomic uint32_t *word = &w->turn; /* it may be gone once it is told */
    atomic_store(word, turn);
    ratoon__futex_wake(word, 1);
}

static void push(shared *s, waiter *w)
{
    const uint32_t count = atomic_fetch_add(&s->count, 1) + 1;
    w->next = atomic_load(&s->arrived);
    while (!atomic_compare_exchange_weak(&s->arrived, &w->next, w)) {
    }
    uint32_t wanted = atomic_load(&s->gather);
    if (wanted != 0 && count >= wanted && atomic_compare_exchange_strong(&s->gather, &wanted, 0)) {
        ratoon__futex_wake(&s->gather, 1);
    }
}

static void gather(shared *s)
{
    const struct timespec most = {.tv_nsec = GATHER_NS};
    atomic_store(&s->gather, s->expected);
    if (s->expected > 1 && atomic_load(&s->count) < s->expected) {
        ratoon__futex_wait(&s->gather, s->expected, &most);
    }
    atomic_store(&s->gather, 0);
}

/* The role goes to one who came meanwhile, who is in the next group; or to nobody. */
static void role_pass_on(shared *s)
{
    do {
        waiter *next = atomic_load(&s->arrived);
        if (next != NULL) {
            turn_give(next, LEADS);
            return;
        }
        atomic_store(&s->led, false);
    } while (atomic_load(&s->arrived) != NULL && role_take(s));
}

static void lead(shared *s, waiter *self)
{
    waiter *group[BENCH_THREADS_MAX];
    uint32_t count = 1;
    gather(s);
    group[0] = self;
    for (waiter *w = atomic_exchange(&s->arrived, NULL); w != NULL; w = w->next) {
        bench_rocks_add(s->rocks, w->record);
        if (w != self) {
            group[count++] = w;
        }
    }
    atomic_fetch_sub(&s->count, count);
    bench_rocks_write(s->rocks);
    s->expected = count + atomic_load(&s->count);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < TOLD_BY_ONE; k++) {
            const uint32_t at = TOLD_BY_ONE * i + 1 + k;
            group[i]->told[k] = at < count ? group[at] : NULL;
        }
    }
    role_pass_on(s);
    atomic_store(&self->turn, DONE);
}

static void shared_put(void *peer, unsigned client, const bench_record *record)
{
    shared *s = peer;
    waiter w = {.record = record};
    (void)client;
    push(s, &w);
    bool leads = role_take(s);
    while (atomic_load(&w.turn) != DONE) {
        if (leads || atomic_load(&w.turn) == LEADS) {
            lead(s, &w);
        } else {
            ratoon__futex_wait(&w.turn, WAITS, NULL);
        }
    }
    for (uint32_t k = 0; k < TOLD_BY_ONE && w.told[k] != NULL; k++) {
        turn_give(w.told[k], DONE);
    }
}

static const char *shared_version(void)
{
    return bench_rocksdb_batched.version();
}

const bench_peer bench_rocksdb_shared = {
    .name = "rocksdb-shared",
    .how = "one put a commit, of all callers that wait in one batch; nothing else done",
    .sync_mode = "sync write of a batch of the commits of all callers that wait",
    .version = shared_version,
    .open = shared_open,
    .put = shared_put,
    .scan = shared_scan,
    .close = shared_close,
};

/* The way to the committer. Whoever asks for a change pushes it onto a list; whoever finds nobody
 * committing takes the role, and with it all that has arrived, as one group (committer.c): group
 * commit without a thread of its own, so that a lone caller pays for no hand-over and makes no
 * system call but those of the log. An answer is given once the role has been passed on.
 *
 * Pushing takes no lock. A caller that waits sleeps on a word of its own request, which says what
 * it is woken for: its answer, or the role. */
#include "log/digest_many.h"
#include "log/futex.h"
#include "log/monotonic.h"
#include "log/store_impl.h"

#include <sched.h>
#include <stdlib.h>

enum {
    BACK_NS = 2500,          /* from one caller that was told, and comes back, to the next */
    GATHER_SYNCS = 2,        /* a leader waits for them for as long as so many syncs take… */
    GATHER_NS_MAX = 500000,  /* …but no longer than this… */
    AWAKE_NS_MAX = 100000,   /* …and so long without sleeping, as being woken takes a while */
    YIELD_NS_MAX = 200000,   /* a longer yield was to others, who want the processor too */
    ASLEEP_MIN = 64,         /* groups waited for asleep after that; twice as many each time… */
    ASLEEP_MAX = 4096,       /* …up to this */
    SKIPS_MAX = 64,          /* groups not waited for after it was in vain */
    SMOOTHING = 8,           /* of the last so many syncs */
    TOLD_BY_LEADER_MAX = 16, /* callers of a group */
    TOGETHER_MIN = 4,        /* callers of a group whose commits are digested side by side */
};

bool ratoon__commit_queue_init(ratoon__commit_queue *q)
{
    q->last = &q->first;
    q->encoder = ratoon__encoder_new();
    return q->encoder != NULL;
}

void ratoon__commit_queue_free(ratoon__commit_queue *q)
{
    ratoon__encoder_free(q->encoder);
    for (size_t i = 0; i < RATOON__ENCODERS; i++) {
        ratoon__encoder_free(atomic_load(&q->encoders[i]));
    }
    ratoon__group_space_free(q->space);
}

uint32_t ratoon__commit_waiting(const ratoon_store *s)
{
    return atomic_load(&s->queue.count);
}

/* ---- the list ---- */

static void push(ratoon__commit_queue *q, ratoon__request *r)
{
    atomic_store_explicit(&r->turn, RATOON__TURN_WAIT, memory_order_relaxed);
    const uint32_t count = atomic_fetch_add(&q->count, 1) + 1;
    ratoon__request *head = atomic_load_explicit(&q->arrived, memory_order_relaxed);
    do {
        r->next = head;
    } while (!atomic_compare_exchange_weak(&q->arrived, &head, r));
    uint32_t wanted = atomic_load(&q->gather);
    if (wanted != 0 && count >= wanted && atomic_compare_exchange_strong(&q->gather, &wanted, 0)) {
        ratoon__futex_wake(&q->gather, 1);
    }
}

/* Takes over what has arrived, in its order. By whoever has the role. */
static void collect(ratoon__commit_queue *q)
{
    if (atomic_load(&q->arrived) == NULL) {
        return;
    }
    ratoon__request *newest = atomic_exchange(&q->arrived, NULL);
    ratoon__request *oldest = NULL;
    ratoon__request **end = newest != NULL ? &newest->next : NULL;
    while (newest != NULL) {
        ratoon__request *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    if (oldest != NULL) {
        *q->last = oldest;
        q->last = end;
    }
}

static size_t bytes_of(const ratoon__request *r)
{
    size_t bytes = 0;
    for (size_t i = 0; i < r->values_count; i++) {
        bytes += r->values[i].size;
    }
    return bytes;
}

/* Takes the requests of one group off the list. */
static ratoon__request *take(ratoon__commit_queue *q, ratoon__request **members, size_t *count)
{
    ratoon__request *list = q->first;
    ratoon__request **end = &list;
    size_t bytes = 0;
    size_t n = 0;
    while (*end != NULL && n < RATOON__GROUP_MAX && bytes < RATOON__GROUP_BYTES_MAX) {
        bytes += bytes_of(*end);
        members[n++] = *end;
        end = &(*end)->next;
    }
    q->first = *end;
    *end = NULL;
    if (q->first == NULL) {
        q->last = &q->first;
    }
    atomic_fetch_sub(&q->count, (uint32_t)n);
    *count = n;
    return list;
}

/* What has to be decided again comes before what arrived later: requests of one caller to one run
 * keep their order. */
static void put_back(ratoon__commit_queue *q, ratoon__request *list)
{
    ratoon__request **end = &list;
    uint32_t n = 0;
    for (; *end != NULL; end = &(*end)->next) {
        n++;
    }
    if (n == 0) {
        return;
    }
    *end = q->first;
    if (q->first == NULL) {
        q->last = end;
    }
    q->first = list;
    atomic_fetch_add(&q->count, n);
}

/* ---- the role ---- */

static bool role_take(ratoon__commit_queue *q)
{
    bool led = false;
    return !atomic_load(&q->led) && atomic_compare_exchange_strong(&q->led, &led, true);
}

/* Says to a caller that waits what its turn is. Once that is said the request may be gone. */
static void turn_give(ratoon__request *r, ratoon__turn turn)
{
    _Atomic uint32_t *word = &r->turn;
    if (atomic_exchange(word, turn) == RATOON__TURN_WAIT) {
        ratoon__futex_wake(word, 1);
    }
}

/* Waking a thread takes a while, and most of it on the processor of whoever does it. Of a large
 * group, a caller that is told that it is done tells two others, as in a heap, and the answers
 * spread over all processors; the leader, which is awake, comes first and goes on when it has told
 * two. In a small one the leader tells all: then nobody's answer waits for a caller that gets less
 * of the processor than others. */
static void callers_tell(ratoon__request **callers, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (atomic_load_explicit(&callers[i]->turn, memory_order_relaxed) == RATOON__TURN_AWAKE) {
            ratoon__request *leader = callers[i];
            callers[i] = callers[0];
            callers[0] = leader;
        }
    }
    const bool heap = count > TOLD_BY_LEADER_MAX;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < RATOON__TOLD_BY_ONE; k++) {
            const size_t at = RATOON__TOLD_BY_ONE * i + 1 + k;
            callers[i]->told[k] = heap && at < count ? callers[at] : NULL;
        }
    }
    for (size_t i = 0; i < count && (i == 0 || !heap); i++) {
        turn_give(callers[i], RATOON__TURN_DONE);
    }
}

/* The request is done, and so its caller's. */
static void others_tell(const ratoon__request *r)
{
    for (size_t k = 0; k < RATOON__TOLD_BY_ONE && r->told[k] != NULL; k++) {
        turn_give(r->told[k], RATOON__TURN_DONE);
    }
}

/* Gives the role to whoever waits first, or to nobody. */
static void role_pass_on(ratoon_store *s)
{
    ratoon__commit_queue *q = &s->queue;
    do {
        if (q->first == NULL) {
            collect(q);
        }
        ratoon__request *next = q->first;
        if (next != NULL && next->async != NULL) {
            ratoon__async_give_role(s);
            return;
        }
        if (next != NULL) {
            turn_give(next, RATOON__TURN_LEAD);
            return;
        }
        atomic_store(&q->led, false);
        /* Somebody may have pushed who still found it taken. */
    } while (atomic_load(&q->arrived) != NULL && role_take(q));
}

static bool all_wait(ratoon__commit_queue *q)
{
    return atomic_load(&q->count) >= q->expected;
}

/* Without sleeping, for a while; how long it was. Where others want the processor, whoever yields
 * gets it back only after milliseconds, and who is woken gets it at once. */
static uint64_t wait_awake(ratoon__commit_queue *q, uint64_t most_ns)
{
    const uint64_t begin_ns = ratoon__monotonic_ns();
    uint64_t spent_ns = 0;
    if (q->asleep > 0) {
        q->asleep--;
        return 0;
    }
    while (!all_wait(q) && spent_ns < most_ns && spent_ns < AWAKE_NS_MAX) {
        sched_yield(); /* to those who are to come */
        const uint64_t now_ns = ratoon__monotonic_ns() - begin_ns;
        if (now_ns - spent_ns > YIELD_NS_MAX) {
            q->asleeps = q->asleeps == 0           ? ASLEEP_MIN
                         : q->asleeps < ASLEEP_MAX ? q->asleeps * 2
                                                   : ASLEEP_MAX;
            q->asleep = q->asleeps;
            return now_ns;
        }
        spent_ns = now_ns;
    }
    q->asleeps -= q->asleeps / ASLEEP_MIN;
    return spent_ns;
}

/* Until all that are expected wait, or the time is over. */
static void wait_for_callers(ratoon__commit_queue *q, uint64_t most_ns)
{
    const uint64_t spent_ns = wait_awake(q, most_ns);
    if (all_wait(q) || spent_ns >= most_ns) {
        return;
    }
    const struct timespec timeout = {.tv_nsec = (long)(most_ns - spent_ns)};
    atomic_store(&q->gather, q->expected);
    if (!all_wait(q)) {
        ratoon__futex_wait(&q->gather, q->expected, &timeout);
    }
    atomic_store(&q->gather, 0);
}

/* One sync is shared by all who are in the group, and those who were answered last are about to
 * come back: waiting for them makes groups twice as large as going ahead with those who came
 * meanwhile. Not where there are so many that their coming back takes longer than a sync: then it
 * is better to write some while others come. Where they don't come back, it isn't tried for a
 * while. */
static void gather(ratoon_store *s)
{
    ratoon__commit_queue *q = &s->queue;
    if (s->options.durability != RATOON_DURABILITY_SYNC || q->expected < 2 || all_wait(q) ||
        (uint64_t)q->expected * BACK_NS > q->sync_ns) {
        return;
    }
    if (q->skip > 0) {
        q->skip--;
        return;
    }
    const uint64_t most_ns = q->sync_ns * GATHER_SYNCS;
    wait_for_callers(q, most_ns < GATHER_NS_MAX ? most_ns : GATHER_NS_MAX);
    if (all_wait(q)) {
        q->skips = 0;
    } else {
        q->skips = q->skips == 0 ? 1 : q->skips < SKIPS_MAX ? q->skips * 2 : SKIPS_MAX;
        q->skip = q->skips;
    }
}

/* What is to be said to whom once the role is passed on. */
typedef struct answers {
    ratoon__request *callers[RATOON__GROUP_MAX];
    ratoon_async *queues[RATOON__GROUP_MAX];
    size_t callers_count, queues_count;
} answers;

/* Hands the answers of queues over to them, in order: then those requests are not the committer's
 * any more. The callers' are answered later. */
static void settle(ratoon__request *const *members, size_t count, answers *out)
{
    for (size_t i = 0; i < count;) {
        ratoon__request *first = members[i++];
        if (!first->settled) {
            continue; /* goes round again */
        }
        if (first->async == NULL) {
            out->callers[out->callers_count++] = first;
            continue;
        }
        ratoon_async *async = first->async;
        ratoon__request *last = first;
        for (; i < count && members[i]->settled && members[i]->async == async; i++) {
            last->next = members[i];
            last = members[i];
        }
        last->next = NULL;
        if (ratoon__async_settled(async, first, last)) {
            out->queues[out->queues_count++] = async;
        }
    }
}

void ratoon__commit_lead(ratoon_store *s)
{
    ratoon__commit_queue *q = &s->queue;
    ratoon__request *members[RATOON__GROUP_MAX];
    answers told;
    told.callers_count = told.queues_count = 0;
    gather(s);
    collect(q);
    size_t count = 0;
    ratoon__request *list = take(q, members, &count);
    if (count > 0) {
        uint64_t sync_ns = 0;
        put_back(q,
                 ratoon__group_commit(s, s->driver, q->encoder, &q->space, list, count, &sync_ns));
        if (sync_ns > 0) {
            q->sync_ns = (q->sync_ns * (SMOOTHING - 1) + sync_ns) / SMOOTHING;
        }
        settle(members, count, &told);
        atomic_store_explicit(&q->digests_later,
                              told.callers_count >= TOGETHER_MIN &&
                                  ratoon__sha256_many_pays(told.callers_count),
                              memory_order_relaxed);
        q->expected =
            told.callers_count == 0 ? 0 : (uint32_t)told.callers_count + atomic_load(&q->count);
    }
    role_pass_on(s);
    callers_tell(told.callers, told.callers_count);
    for (size_t i = 0; i < told.queues_count; i++) {
        ratoon__async_tell(told.queues[i]);
    }
}

bool ratoon__commit_submit(ratoon_store *s, ratoon__request *r)
{
    r->settled = false;
    r->tries = 0;
    r->after = NULL;
    push(&s->queue, r);
    return role_take(&s->queue);
}

/* The caller is awake and has the role; its request may have its answer already. */
static void turn_begin(ratoon__request *r)
{
    uint32_t turn = atomic_load(&r->turn);
    bool set = false;
    while (turn != RATOON__TURN_DONE && !set) {
        set = atomic_compare_exchange_weak(&r->turn, &turn, RATOON__TURN_AWAKE);
    }
}

ratoon_status ratoon__commit_request(ratoon_store *s, ratoon__request *r)
{
    ratoon_status status = ratoon__async_may_wait(s, r->error);
    if (status != RATOON_OK) {
        r->after = NULL;
        return status;
    }
    if (r->error != NULL) {
        r->error->code = RATOON_OK; /* whatever the caller left there */
    }
    if (r->may_make_ahead && atomic_load(&s->queue.led)) {
        ratoon__commit_make_ahead(s, r);
    }
    bool lead = ratoon__commit_submit(s, r);
    for (;;) {
        if (lead) {
            turn_begin(r);
            ratoon__commit_lead(s);
        }
        uint32_t turn = atomic_load(&r->turn);
        if (turn == RATOON__TURN_AWAKE) { /* it was not in the group */
            (void)atomic_compare_exchange_strong(&r->turn, &turn, RATOON__TURN_WAIT);
            turn = atomic_load(&r->turn);
        }
        if (turn == RATOON__TURN_DONE) {
            others_tell(r);
            break;
        }
        lead = turn == RATOON__TURN_LEAD;
        if (!lead) {
            ratoon__futex_wait(&r->turn, RATOON__TURN_WAIT, NULL);
        }
    }
    ratoon__request_finish_error(r);
    return r->status;
}

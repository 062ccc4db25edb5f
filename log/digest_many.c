#include "log/digest_many.h"

#include "log/digest.h"
#include "log/digest_ways.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <endian.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { BLOCK = 64 };

static const uint32_t first_state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/* What one of those that are made side by side is at. */
typedef struct lane {
    ratoon__digest_job *job;
    size_t end_blocks;      /* that come behind those it is at, in `end`; 0: none */
    uint8_t end[2 * BLOCK]; /* what is no whole block of the data, padded */
} lane;

typedef struct lanes {
    const ratoon__digest_way *way;
    ratoon__digest_job *next; /* up to `behind` */
    const ratoon__digest_job *behind;
    uint32_t busy; /* bitmap of lanes with a job */
    /* What each step changes of all lanes stands apart from what it changes of few. */
    const uint8_t *at[RATOON__DIGEST_MOST];
    size_t left[RATOON__DIGEST_MOST]; /* blocks that lie there, of a busy one 1 at least */
    lane all[RATOON__DIGEST_MOST];
    uint32_t state[8 * RATOON__DIGEST_MOST];
} lanes;

static uint32_t *state_word(lanes *l, size_t i, size_t k)
{
    return &l->state[k * l->way->side_by_side + i];
}

/* From the blocks of the data to those at the end; false: it is through. */
static bool lane_turn(lanes *l, size_t i)
{
    lane *one = &l->all[i];
    l->at[i] = one->end;
    l->left[i] = one->end_blocks;
    one->end_blocks = 0;
    return l->left[i] > 0;
}

/* Gives a lane the next job, if there is one. */
static void lane_begin(lanes *l, size_t i)
{
    if (l->next == l->behind) {
        return;
    }
    lane *one = &l->all[i];
    ratoon__digest_job *job = l->next++;
    const size_t rest = job->size % BLOCK;
    const uint64_t bits = htobe64((uint64_t)job->size * 8);
    one->job = job;
    one->end_blocks = rest < BLOCK - 8 ? 1 : 2;
    memset(one->end, 0, sizeof one->end);
    l->at[i] = job->data;
    l->left[i] = job->size / BLOCK;
    if (rest > 0) {
        memcpy(one->end, l->at[i] + job->size - rest, rest);
    }
    one->end[rest] = 0x80;
    memcpy(one->end + one->end_blocks * BLOCK - sizeof bits, &bits, sizeof bits);
    for (size_t k = 0; k < 8; k++) {
        *state_word(l, i, k) = first_state[k];
    }
    l->busy |= 1u << i;
    if (l->left[i] == 0) {
        (void)lane_turn(l, i);
    }
}

static void lane_end(lanes *l, size_t i)
{
    for (size_t k = 0; k < 8; k++) {
        const uint32_t word = htobe32(*state_word(l, i, k));
        memcpy(l->all[i].job->digest.bytes + 4 * k, &word, sizeof word);
    }
    l->busy &= ~(1u << i);
}

/* What is left in a lane, by itself. */
static void lane_finish(lanes *l, size_t i)
{
    uint32_t state[8];
    for (size_t k = 0; k < 8; k++) {
        state[k] = *state_word(l, i, k);
    }
    do {
        ratoon__sha256_blocks(state, l->at[i], l->left[i]);
    } while (lane_turn(l, i));
    for (size_t k = 0; k < 8; k++) {
        *state_word(l, i, k) = state[k];
    }
    lane_end(l, i);
}

static size_t lowest(uint32_t bits)
{
    return (size_t)__builtin_ctz(bits);
}

/* As many blocks in all lanes as the one has that has the fewest; those without a job go along with
 * another one. Bitmap of the lanes that have come to an end with it. */
static uint32_t lanes_step(lanes *l)
{
    const uint32_t all = (1u << l->way->side_by_side) - 1;
    const size_t some = lowest(l->busy);
    for (uint32_t idle = all & ~l->busy; idle != 0; idle &= idle - 1) {
        l->at[lowest(idle)] = l->at[some];
        l->left[lowest(idle)] = l->left[some];
    }
    size_t count = l->left[0];
    for (size_t i = 1; i < l->way->side_by_side; i++) {
        count = l->left[i] < count ? l->left[i] : count;
    }
    l->way->compress(l->state, l->at, count);
    uint32_t through = 0;
    for (size_t i = 0; i < l->way->side_by_side; i++) {
        l->at[i] += count * BLOCK;
        l->left[i] -= count;
        through |= (uint32_t)(l->left[i] == 0) << i;
    }
    return through & l->busy;
}

/* Things of different lengths: where fewer than `least` (1 or more) are left, they go on alone. */
static void side_by_side(const ratoon__digest_way *way, size_t least, ratoon__digest_job *jobs,
                         size_t jobs_count)
{
    lanes l;
    l.way = way;
    l.next = jobs;
    l.behind = jobs + jobs_count;
    l.busy = 0;
    memset(l.left, 0, sizeof l.left);
    for (size_t i = 0; i < way->side_by_side; i++) {
        lane_begin(&l, i);
    }
    while ((size_t)__builtin_popcount(l.busy) >= least) {
        for (uint32_t through = lanes_step(&l); through != 0; through &= through - 1) {
            const size_t i = lowest(through);
            if (!lane_turn(&l, i)) {
                lane_end(&l, i);
                lane_begin(&l, i);
            }
        }
    }
    while (l.busy != 0) {
        lane_finish(&l, lowest(l.busy));
    }
}

/* Whether it says what OpenSSL says, of all remainders by a block. */
static bool is_right(const ratoon__digest_way *way)
{
    enum { MOST = 150 };
    uint8_t bytes[MOST];
    ratoon__digest_job jobs[MOST];
    for (size_t i = 0; i < MOST; i++) {
        bytes[i] = (uint8_t)(i * 37 + 11);
        jobs[i] = (ratoon__digest_job){.data = bytes, .size = i};
    }
    side_by_side(way, 1, jobs, MOST);
    for (size_t i = 0; i < MOST; i++) {
        ratoon_digest expected;
        if (ratoon__sha256(bytes, i, &expected) != RATOON_OK ||
            !ratoon__digest_equal(&expected, &jobs[i].digest)) {
            return false;
        }
    }
    return true;
}

/* ---- which way ---- */

enum { SIXTEEN, EIGHT, WAYS };

static ratoon__digest_way ways[WAYS];
static bool usable[WAYS];
static size_t least[WAYS]; /* things, of which it is faster than one by one; SIZE_MAX: never */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_size_t wanted; /* by a test; 0: what is fastest */

static bool has_sha_instructions(void)
{
#if defined(__x86_64__)
    enum { LEAF = 7, SHA = 1u << 29 };
    unsigned a, b, c, d;
    return __get_cpuid_count(LEAF, 0, &a, &b, &c, &d) != 0 && (b & SHA) != 0;
#else
    return false;
#endif
}

/* A block in all lanes takes as long as seven one after the other with SHA instructions, where
 * there are sixteen, and as six where there are eight, which then gain too little; without such
 * instructions as two or three. */
static void find_ways(void)
{
    const bool sha = has_sha_instructions();
    usable[SIXTEEN] = ratoon__digest_by_sixteen(&ways[SIXTEEN]) && is_right(&ways[SIXTEEN]);
    usable[EIGHT] = ratoon__digest_by_eight(&ways[EIGHT]) && is_right(&ways[EIGHT]);
    least[SIXTEEN] = usable[SIXTEEN] ? (sha ? 8 : 4) : SIZE_MAX;
    least[EIGHT] = usable[EIGHT] && !sha ? 3 : SIZE_MAX;
}

/* For so many things; WAYS: one after the other. together: what is wanted. */
static size_t way_for(size_t count, size_t together)
{
    (void)pthread_once(&once, find_ways);
    for (size_t i = 0; i < WAYS; i++) {
        if (together == 0 ? count >= least[i]
                          : usable[i] && together == ways[i].side_by_side && count > 1) {
            return i;
        }
    }
    return WAYS;
}

bool ratoon__sha256_many_pays(size_t count)
{
    return way_for(count, atomic_load(&wanted)) != WAYS;
}

bool ratoon__sha256_many_set(size_t together)
{
    atomic_store(&wanted, together);
    return together <= 1 || way_for(RATOON__DIGEST_MOST, together) != WAYS;
}

static ratoon_status one_by_one(ratoon__digest_job *jobs, size_t count)
{
    ratoon_status status = RATOON_OK;
    for (size_t i = 0; status == RATOON_OK && i < count; i++) {
        status = ratoon__sha256(jobs[i].data, jobs[i].size, &jobs[i].digest);
    }
    return status;
}

ratoon_status ratoon__sha256_many(ratoon__digest_job *jobs, size_t count)
{
    const size_t together = atomic_load(&wanted);
    const size_t way = way_for(count, together);
    if (way == WAYS) {
        return one_by_one(jobs, count);
    }
    side_by_side(&ways[way], together == 0 ? least[way] : 2, jobs, count);
    return RATOON_OK;
}

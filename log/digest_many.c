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
    ratoon__digest_job *job; /* NULL: none */
    const uint8_t *at;
    size_t left;            /* blocks that lie there */
    size_t end_blocks;      /* that come behind them, in `end` */
    uint8_t end[2 * BLOCK]; /* what is no whole block of the data, padded */
} lane;

typedef struct lanes {
    const ratoon__digest_way *way;
    size_t least; /* lanes that are worth it */
    lane all[RATOON__DIGEST_MOST];
    uint32_t state[8 * RATOON__DIGEST_MOST];
} lanes;

static uint32_t *state_word(lanes *l, size_t i, size_t k)
{
    return &l->state[k * l->way->side_by_side + i];
}

/* From the blocks of the data to those at the end. */
static void lane_turn(lane *l)
{
    if (l->left == 0) {
        l->at = l->end;
        l->left = l->end_blocks;
        l->end_blocks = 0;
    }
}

static void lane_begin(lane *l, ratoon__digest_job *job)
{
    const size_t rest = job->size % BLOCK;
    const uint64_t bits = htobe64((uint64_t)job->size * 8);
    l->job = job;
    l->at = job->data;
    l->left = job->size / BLOCK;
    l->end_blocks = rest < BLOCK - 8 ? 1 : 2;
    memset(l->end, 0, sizeof l->end);
    if (rest > 0) {
        memcpy(l->end, l->at + job->size - rest, rest);
    }
    l->end[rest] = 0x80;
    memcpy(l->end + l->end_blocks * BLOCK - sizeof bits, &bits, sizeof bits);
    lane_turn(l);
}

/* Gives free lanes something to do; how many blocks all lanes have before them, 0: too few of them
 * have any. Lanes that stay free go along with another one. */
static size_t lanes_fill(lanes *l, ratoon__digest_job **next, const ratoon__digest_job *end,
                         const uint8_t *blocks[RATOON__DIGEST_MOST])
{
    const uint8_t *any = NULL;
    size_t count = 0;
    size_t busy = 0;
    for (size_t i = 0; i < l->way->side_by_side; i++) {
        lane *one = &l->all[i];
        if (one->job == NULL && *next < end) {
            lane_begin(one, (*next)++);
            for (size_t k = 0; k < 8; k++) {
                *state_word(l, i, k) = first_state[k];
            }
        }
        blocks[i] = one->at;
        if (one->job != NULL) {
            count = any == NULL || one->left < count ? one->left : count;
            any = one->at;
            busy++;
        }
    }
    if (busy < l->least) {
        return 0;
    }
    for (size_t i = 0; i < l->way->side_by_side; i++) {
        blocks[i] = l->all[i].job != NULL ? blocks[i] : any;
    }
    return count;
}

static void lane_end(lanes *l, size_t i)
{
    for (size_t k = 0; k < 8; k++) {
        const uint32_t word = htobe32(*state_word(l, i, k));
        memcpy(l->all[i].job->digest.bytes + 4 * k, &word, sizeof word);
    }
    l->all[i].job = NULL;
}

/* What is left in a lane, by itself. */
static void lane_finish(lanes *l, size_t i)
{
    lane *one = &l->all[i];
    uint32_t state[8];
    for (size_t k = 0; k < 8; k++) {
        state[k] = *state_word(l, i, k);
    }
    while (one->left > 0) {
        ratoon__sha256_blocks(state, one->at, one->left);
        one->left = 0;
        lane_turn(one);
    }
    for (size_t k = 0; k < 8; k++) {
        *state_word(l, i, k) = state[k];
    }
    lane_end(l, i);
}

/* Things of different lengths: where only a few long ones are left, they go on one by one. */
static void side_by_side(const ratoon__digest_way *way, size_t least, ratoon__digest_job *jobs,
                         size_t jobs_count)
{
    lanes l = {.way = way, .least = least};
    const uint8_t *blocks[RATOON__DIGEST_MOST];
    ratoon__digest_job *next = jobs;
    size_t count;
    while ((count = lanes_fill(&l, &next, jobs + jobs_count, blocks)) > 0) {
        way->compress(l.state, blocks, count);
        for (size_t i = 0; i < way->side_by_side; i++) {
            lane *one = &l.all[i];
            if (one->job != NULL) {
                one->at += count * BLOCK;
                one->left -= count;
                lane_turn(one);
                if (one->left == 0) {
                    lane_end(&l, i);
                }
            }
        }
    }
    for (size_t i = 0; i < way->side_by_side; i++) {
        if (l.all[i].job != NULL) {
            lane_finish(&l, i);
        }
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

/* For so many things; WAYS: one after the other. */
static size_t way_for(size_t count)
{
    const size_t together = atomic_load(&wanted);
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
    return way_for(count) != WAYS;
}

bool ratoon__sha256_many_set(size_t together)
{
    atomic_store(&wanted, together);
    return together <= 1 || way_for(RATOON__DIGEST_MOST) != WAYS;
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
    const size_t way = way_for(count);
    if (way == WAYS) {
        return one_by_one(jobs, count);
    }
    side_by_side(&ways[way], atomic_load(&wanted) == 0 ? least[way] : 2, jobs, count);
    return RATOON_OK;
}

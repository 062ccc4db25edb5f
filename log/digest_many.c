#include "log/digest_many.h"

#include "log/digest.h"

#include <endian.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static atomic_bool lanes_off;

void ratoon__sha256_many_lanes(bool used)
{
    atomic_store(&lanes_off, !used);
}

static ratoon_status one_by_one(ratoon__digest_job *jobs, size_t count)
{
    ratoon_status status = RATOON_OK;
    for (size_t i = 0; status == RATOON_OK && i < count; i++) {
        status = ratoon__sha256(jobs[i].data, jobs[i].size, &jobs[i].digest);
    }
    return status;
}

#if defined(__x86_64__)
#include <cpuid.h>

enum { LANES = 8, BLOCK = 64, ROUNDS = 64 };
enum { FEW = 3 }; /* as many lanes take longer than one after the other */

typedef uint32_t lanes __attribute__((vector_size(4 * LANES)));
typedef uint8_t lane_bytes __attribute__((vector_size(4 * LANES)));

static const uint32_t first_state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static const uint32_t constants[ROUNDS] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* FIPS 180-4, 4.1.2. Macros: a vector can't be an argument where the processor may not have it. */
#define TURN(x, by) ((x) >> (by) | (x) << (32 - (by)))
#define SUM0(x) (TURN(x, 2) ^ TURN(x, 13) ^ TURN(x, 22))
#define SUM1(x) (TURN(x, 6) ^ TURN(x, 11) ^ TURN(x, 25))
#define SIGMA0(x) (TURN(x, 7) ^ TURN(x, 18) ^ (x) >> 3)
#define SIGMA1(x) (TURN(x, 17) ^ TURN(x, 19) ^ (x) >> 10)
#define CHOOSE(x, y, z) ((z) ^ ((x) & ((y) ^ (z))))
#define MAJORITY(x, y, z) (((x) & (y)) | ((z) & ((x) | (y))))

/* The same word of two lanes beside each other, pairs of words, halves: three steps that turn eight
 * rows of eight words into columns. */
#define WORDS_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define WORDS_HIGH(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define PAIRS_LOW(a, b) __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define PAIRS_HIGH(a, b) __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define HALVES_LOW(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define HALVES_HIGH(a, b) __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15)

/* Eight words of each block, from `at` on: words[t] has word t of all lanes. */
static inline __attribute__((always_inline)) void load(lanes words[8],
                                                       const uint8_t *const blocks[LANES],
                                                       size_t at)
{
    lanes rows[LANES];
#pragma GCC unroll 8
    for (size_t i = 0; i < LANES; i++) {
        lane_bytes b;
        memcpy(&b, blocks[i] + at, sizeof b);
        rows[i] = (lanes)__builtin_shufflevector(b, b, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14,
                                                 13, 12, 19, 18, 17, 16, 23, 22, 21, 20, 27, 26, 25,
                                                 24, 31, 30, 29, 28); /* they are big-endian */
    }
    lanes quarters[2][4]; /* of four lanes: words t and t + 4 */
#pragma GCC unroll 2
    for (size_t i = 0; i < 2; i++) {
        const lanes *r = rows + 4 * i;
        quarters[i][0] = PAIRS_LOW(WORDS_LOW(r[0], r[1]), WORDS_LOW(r[2], r[3]));
        quarters[i][1] = PAIRS_HIGH(WORDS_LOW(r[0], r[1]), WORDS_LOW(r[2], r[3]));
        quarters[i][2] = PAIRS_LOW(WORDS_HIGH(r[0], r[1]), WORDS_HIGH(r[2], r[3]));
        quarters[i][3] = PAIRS_HIGH(WORDS_HIGH(r[0], r[1]), WORDS_HIGH(r[2], r[3]));
    }
#pragma GCC unroll 4
    for (size_t t = 0; t < 4; t++) {
        words[t] = HALVES_LOW(quarters[0][t], quarters[1][t]);
        words[t + 4] = HALVES_HIGH(quarters[0][t], quarters[1][t]);
    }
}

/* So many blocks in each lane: FIPS 180-4, 6.2.2. The loops over words and rounds are to be
 * unrolled, so that no word and no variable changes its place. */
static inline __attribute__((always_inline)) void compress(lanes state[8],
                                                           const uint8_t *const blocks[LANES],
                                                           size_t count)
{
    for (size_t at = 0; at < count * BLOCK; at += BLOCK) {
        lanes w[16];
        lanes a = state[0], b = state[1], c = state[2], d = state[3];
        lanes e = state[4], f = state[5], g = state[6], h = state[7];
        load(w, blocks, at);
        load(w + 8, blocks, at + BLOCK / 2);
        for (size_t begin = 0; begin < ROUNDS; begin += 16) {
#pragma GCC unroll 16
            for (size_t t = 0; begin > 0 && t < 16; t++) {
                w[t] += SIGMA1(w[(t + 14) % 16]) + w[(t + 9) % 16] + SIGMA0(w[(t + 1) % 16]);
            }
#pragma GCC unroll 16
            for (size_t t = 0; t < 16; t++) {
                const lanes one = h + SUM1(e) + CHOOSE(e, f, g) + constants[begin + t] + w[t];
                const lanes two = SUM0(a) + MAJORITY(a, b, c);
                h = g;
                g = f;
                f = e;
                e = d + one;
                d = c;
                c = b;
                b = a;
                a = one + two;
            }
        }
        state[0] += a;
        state[1] += b;
        state[2] += c;
        state[3] += d;
        state[4] += e;
        state[5] += f;
        state[6] += g;
        state[7] += h;
    }
}

typedef void (*compress_fn)(lanes state[8], const uint8_t *const blocks[LANES], size_t count);

__attribute__((target("avx2"))) static void compress_avx2(lanes state[8],
                                                          const uint8_t *const blocks[LANES],
                                                          size_t count)
{
    compress(state, blocks, count);
}

/* The same registers, with instructions that turn. */
__attribute__((target("avx512f,avx512vl"))) static void compress_avx512(
    lanes state[8], const uint8_t *const blocks[LANES], size_t count)
{
    compress(state, blocks, count);
}

/* What a lane is at. */
typedef struct lane {
    ratoon__digest_job *job; /* NULL: none */
    const uint8_t *at;
    size_t left;            /* blocks that lie there */
    size_t end_blocks;      /* that come behind them, in `end` */
    uint8_t end[2 * BLOCK]; /* what is no whole block of the data, padded */
} lane;

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

/* Gives free lanes something to do; how many blocks all lanes have before them, 0: nothing is left.
 * Lanes that stay free go along with another one. */
static size_t lanes_fill(lane all[LANES], lanes state[8], ratoon__digest_job **next,
                         const ratoon__digest_job *end, const uint8_t *blocks[LANES])
{
    const uint8_t *any = NULL;
    size_t count = 0;
    for (size_t i = 0; i < LANES; i++) {
        lane *l = &all[i];
        if (l->job == NULL && *next < end) {
            lane_begin(l, (*next)++);
            for (size_t k = 0; k < 8; k++) {
                state[k][i] = first_state[k];
            }
        }
        blocks[i] = l->at;
        if (l->job != NULL) {
            count = any == NULL || l->left < count ? l->left : count;
            any = l->at;
        }
    }
    for (size_t i = 0; i < LANES; i++) {
        blocks[i] = all[i].job != NULL ? blocks[i] : any;
    }
    return count;
}

static void side_by_side(ratoon__digest_job *jobs, size_t jobs_count, compress_fn fn)
{
    lane all[LANES] = {{0}};
    lanes state[8] = {{0}};
    const uint8_t *blocks[LANES];
    ratoon__digest_job *next = jobs;
    size_t count;
    while ((count = lanes_fill(all, state, &next, jobs + jobs_count, blocks)) > 0) {
        fn(state, blocks, count);
        for (size_t i = 0; i < LANES; i++) {
            lane *l = &all[i];
            if (l->job == NULL) {
                continue;
            }
            l->at += count * BLOCK;
            l->left -= count;
            lane_turn(l);
            if (l->left == 0) {
                for (size_t k = 0; k < 8; k++) {
                    const uint32_t word = htobe32(state[k][i]);
                    memcpy(l->job->digest.bytes + 4 * k, &word, sizeof word);
                }
                l->job = NULL;
            }
        }
    }
}

/* Whether the lanes say what OpenSSL says, of all remainders by a block. */
static bool is_right(compress_fn fn)
{
    enum { MOST = 150 };
    uint8_t bytes[MOST];
    ratoon__digest_job jobs[MOST];
    for (size_t i = 0; i < MOST; i++) {
        bytes[i] = (uint8_t)(i * 37 + 11);
        jobs[i] = (ratoon__digest_job){.data = bytes, .size = i};
    }
    side_by_side(jobs, MOST, fn);
    for (size_t i = 0; i < MOST; i++) {
        ratoon_digest expected;
        if (ratoon__sha256(bytes, i, &expected) != RATOON_OK ||
            !ratoon__digest_equal(&expected, &jobs[i].digest)) {
            return false;
        }
    }
    return true;
}

static compress_fn chosen;
static pthread_once_t chosen_once = PTHREAD_ONCE_INIT;

static void choose(void)
{
    unsigned a, b, c, d;
    const bool sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b >> 29 & 1) != 0;
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || sha) {
        return;
    }
    const bool turns = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
    const compress_fn fn = turns ? compress_avx512 : compress_avx2;
    chosen = is_right(fn) ? fn : NULL;
}

bool ratoon__sha256_many_has_lanes(void)
{
    (void)pthread_once(&chosen_once, choose);
    return chosen != NULL;
}

ratoon_status ratoon__sha256_many(ratoon__digest_job *jobs, size_t count)
{
    if (count < FEW || atomic_load(&lanes_off) || !ratoon__sha256_many_has_lanes()) {
        return one_by_one(jobs, count);
    }
    side_by_side(jobs, count, chosen);
    return RATOON_OK;
}

#else

bool ratoon__sha256_many_has_lanes(void)
{
    return false;
}

ratoon_status ratoon__sha256_many(ratoon__digest_job *jobs, size_t count)
{
    return one_by_one(jobs, count);
}

#endif

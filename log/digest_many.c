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

typedef uint32_t lanes __attribute__((vector_size(4 * LANES)));

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

static inline uint32_t word_at(const uint8_t *block, size_t i)
{
    uint32_t word;
    memcpy(&word, block + 4 * i, sizeof word);
    return be32toh(word);
}

/* One block in each lane: FIPS 180-4, 6.2.2. */
static inline __attribute__((always_inline)) void compress(lanes state[8],
                                                           const uint8_t *const blocks[LANES])
{
    lanes w[16];
    lanes a = state[0], b = state[1], c = state[2], d = state[3];
    lanes e = state[4], f = state[5], g = state[6], h = state[7];
#pragma GCC unroll 16
    for (size_t t = 0; t < 16; t++) {
        w[t] = (lanes){word_at(blocks[0], t), word_at(blocks[1], t), word_at(blocks[2], t),
                       word_at(blocks[3], t), word_at(blocks[4], t), word_at(blocks[5], t),
                       word_at(blocks[6], t), word_at(blocks[7], t)};
    }
#pragma GCC unroll 16
    for (size_t t = 0; t < ROUNDS; t++) {
        if (t >= 16) {
            w[t % 16] += SIGMA1(w[(t - 2) % 16]) + w[(t - 7) % 16] + SIGMA0(w[(t - 15) % 16]);
        }
        const lanes one = h + SUM1(e) + CHOOSE(e, f, g) + constants[t] + w[t % 16];
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
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
}

typedef void (*compress_fn)(lanes state[8], const uint8_t *const blocks[LANES]);

__attribute__((target("avx2"))) static void compress_avx2(lanes state[8],
                                                          const uint8_t *const blocks[LANES])
{
    compress(state, blocks);
}

/* The same registers, with instructions that turn. */
__attribute__((target("avx512f,avx512vl"))) static void compress_avx512(
    lanes state[8], const uint8_t *const blocks[LANES])
{
    compress(state, blocks);
}

/* What a lane is at. */
typedef struct lane {
    ratoon__digest_job *job; /* NULL: none */
    const uint8_t *at;
    size_t whole;           /* blocks of the data that are still to come */
    uint8_t end[2 * BLOCK]; /* what is behind them, padded */
    size_t end_blocks, end_done;
} lane;

static void lane_begin(lane *l, ratoon__digest_job *job)
{
    const size_t left = job->size % BLOCK;
    const uint64_t bits = htobe64((uint64_t)job->size * 8);
    l->job = job;
    l->at = job->data;
    l->whole = job->size / BLOCK;
    l->end_done = 0;
    l->end_blocks = left < BLOCK - 8 ? 1 : 2;
    memset(l->end, 0, sizeof l->end);
    if (left > 0) {
        memcpy(l->end, l->at + job->size - left, left);
    }
    l->end[left] = 0x80;
    memcpy(l->end + l->end_blocks * BLOCK - sizeof bits, &bits, sizeof bits);
}

static const uint8_t *lane_next(lane *l)
{
    const uint8_t *block;
    if (l->whole > 0) {
        block = l->at;
        l->at += BLOCK;
        l->whole--;
    } else {
        block = l->end + BLOCK * l->end_done++;
    }
    return block;
}

static bool lane_ended(const lane *l)
{
    return l->whole == 0 && l->end_done == l->end_blocks;
}

static void side_by_side(ratoon__digest_job *jobs, size_t count, compress_fn fn)
{
    static const uint8_t nothing[BLOCK];
    lane all[LANES] = {{0}};
    lanes state[8] = {{0}};
    size_t next = 0;
    for (size_t busy = 0;; busy = 0) {
        const uint8_t *blocks[LANES];
        for (size_t i = 0; i < LANES; i++) {
            lane *l = &all[i];
            if (l->job == NULL && next < count) {
                lane_begin(l, &jobs[next++]);
                for (size_t k = 0; k < 8; k++) {
                    state[k][i] = first_state[k];
                }
            }
            busy += l->job != NULL;
            blocks[i] = l->job != NULL ? lane_next(l) : nothing;
        }
        if (busy == 0) {
            return;
        }
        fn(state, blocks);
        for (size_t i = 0; i < LANES; i++) {
            lane *l = &all[i];
            for (size_t k = 0; l->job != NULL && lane_ended(l) && k < 8; k++) {
                const uint32_t word = htobe32(state[k][i]);
                memcpy(l->job->digest.bytes + 4 * k, &word, sizeof word);
            }
            l->job = l->job != NULL && lane_ended(l) ? NULL : l->job;
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
    if (atomic_load(&lanes_off) || !ratoon__sha256_many_has_lanes()) {
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

/* SHA-256 of eight or sixteen things side by side, one in each lane of the registers of AVX2 or
 * AVX-512: each instruction does its part of a round for all of them. */
#include "log/digest_ways.h"

#include <string.h>

#if defined(__x86_64__)

enum { BLOCK = 64, ROUNDS = 64 };

#define PRAGMA(text) _Pragma(#text)
#ifdef __OPTIMIZE__
#define UNROLL(count) PRAGMA(GCC unroll count)
#else
#define UNROLL(count) /* the compiler would complain that it can't */
#endif

/* GCC 12 gives variables of 64 bytes a place of 32 where the address sanitizer watches the use of
 * frames after their return, and the processor faults. */
#define UNWATCHED __attribute__((no_sanitize("address")))
#define INLINE inline __attribute__((always_inline)) UNWATCHED

typedef uint32_t eight __attribute__((vector_size(32)));
typedef uint8_t eight_bytes __attribute__((vector_size(32)));
typedef uint32_t sixteen __attribute__((vector_size(64)));

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

/* Eight words of eight blocks, from `at` on: words[t] has word t of all of them. */
static INLINE void load_half(eight words[8], const uint8_t *const *blocks, size_t at)
{
    eight rows[8];
    UNROLL(8)
    for (size_t i = 0; i < 8; i++) {
        eight_bytes b;
        memcpy(&b, blocks[i] + at, sizeof b);
        rows[i] = (eight)__builtin_shufflevector(b, b, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14,
                                                 13, 12, 19, 18, 17, 16, 23, 22, 21, 20, 27, 26, 25,
                                                 24, 31, 30, 29, 28); /* they are big-endian */
    }
    eight quarters[2][4]; /* of four lanes: words t and t + 4 */
    UNROLL(2)
    for (size_t i = 0; i < 2; i++) {
        const eight *r = rows + 4 * i;
        quarters[i][0] = PAIRS_LOW(WORDS_LOW(r[0], r[1]), WORDS_LOW(r[2], r[3]));
        quarters[i][1] = PAIRS_HIGH(WORDS_LOW(r[0], r[1]), WORDS_LOW(r[2], r[3]));
        quarters[i][2] = PAIRS_LOW(WORDS_HIGH(r[0], r[1]), WORDS_HIGH(r[2], r[3]));
        quarters[i][3] = PAIRS_HIGH(WORDS_HIGH(r[0], r[1]), WORDS_HIGH(r[2], r[3]));
    }
    UNROLL(4)
    for (size_t t = 0; t < 4; t++) {
        words[t] = HALVES_LOW(quarters[0][t], quarters[1][t]);
        words[t + 4] = HALVES_HIGH(quarters[0][t], quarters[1][t]);
    }
}

/* All sixteen words of a block of each lane. */
static INLINE void load_eight(eight words[16], const uint8_t *const *blocks, size_t at)
{
    load_half(words, blocks, at);
    load_half(words + 8, blocks, at + BLOCK / 2);
}

static INLINE void load_sixteen(sixteen words[16], const uint8_t *const *blocks, size_t at)
{
    eight low[16], high[16];
    load_eight(low, blocks, at);
    load_eight(high, blocks + 8, at);
    UNROLL(16)
    for (size_t t = 0; t < 16; t++) {
        words[t] = __builtin_shufflevector(low[t], high[t], 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
                                           12, 13, 14, 15);
    }
}

/* So many blocks in each lane of a type of vector: FIPS 180-4, 6.2.2. The loops over words and
 * rounds are to be unrolled, so that no word and no variable changes its place. */
#define DEFINE_COMPRESS(name, features, lanes, load)                                               \
    __attribute__((target(features))) UNWATCHED static void name(                                  \
        uint32_t *all, const uint8_t *const *blocks, size_t count)                                 \
    {                                                                                              \
        lanes state[8];                                                                            \
        memcpy(state, all, sizeof state);                                                          \
        for (size_t at = 0; at < count * BLOCK; at += BLOCK) {                                     \
            lanes w[16];                                                                           \
            lanes a = state[0], b = state[1], c = state[2], d = state[3];                          \
            lanes e = state[4], f = state[5], g = state[6], h = state[7];                          \
            load(w, blocks, at);                                                                   \
            for (size_t begin = 0; begin < ROUNDS; begin += 16) {                                  \
                UNROLL(16) for (size_t t = 0; begin > 0 && t < 16; t++)                            \
                {                                                                                  \
                    w[t] += SIGMA1(w[(t + 14) % 16]) + w[(t + 9) % 16] + SIGMA0(w[(t + 1) % 16]);  \
                }                                                                                  \
                UNROLL(16) for (size_t t = 0; t < 16; t++)                                         \
                {                                                                                  \
                    const lanes one = h + SUM1(e) + CHOOSE(e, f, g) + constants[begin + t] + w[t]; \
                    const lanes two = SUM0(a) + MAJORITY(a, b, c);                                 \
                    h = g;                                                                         \
                    g = f;                                                                         \
                    f = e;                                                                         \
                    e = d + one;                                                                   \
                    d = c;                                                                         \
                    c = b;                                                                         \
                    b = a;                                                                         \
                    a = one + two;                                                                 \
                }                                                                                  \
            }                                                                                      \
            state[0] += a;                                                                         \
            state[1] += b;                                                                         \
            state[2] += c;                                                                         \
            state[3] += d;                                                                         \
            state[4] += e;                                                                         \
            state[5] += f;                                                                         \
            state[6] += g;                                                                         \
            state[7] += h;                                                                         \
        }                                                                                          \
        memcpy(all, state, sizeof state);                                                          \
    }

DEFINE_COMPRESS(compress_avx2, "avx2", eight, load_eight)
DEFINE_COMPRESS(compress_avx512vl, "avx512f,avx512vl", eight, load_eight) /* these can turn words */
DEFINE_COMPRESS(compress_avx512, "avx512f,avx512vl,avx512bw", sixteen, load_sixteen)

bool ratoon__digest_by_eight(ratoon__digest_way *way)
{
    __builtin_cpu_init();
    const bool turns = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
    *way = (ratoon__digest_way){.side_by_side = 8,
                                .compress = turns ? compress_avx512vl : compress_avx2};
    return __builtin_cpu_supports("avx2");
}

/* Only where 512 bits at once don't make the processor slower: those with VBMI2 and after. */
bool ratoon__digest_by_sixteen(ratoon__digest_way *way)
{
    __builtin_cpu_init();
    *way = (ratoon__digest_way){.side_by_side = 16, .compress = compress_avx512};
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi2");
}

#else

bool ratoon__digest_by_eight(ratoon__digest_way *way)
{
    (void)way;
    return false;
}

bool ratoon__digest_by_sixteen(ratoon__digest_way *way)
{
    (void)way;
    return false;
}

#endif

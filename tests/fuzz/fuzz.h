/* What fuzz targets share. */
#ifndef RATOON_TESTS_FUZZ_H
#define RATOON_TESTS_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for every input. */
#define must(holds)                                                                                \
    ((holds) ? (void)0                                                                             \
             : (dprintf(2, "%s:%d: must hold: %s\n", __FILE__, __LINE__, #holds), abort()))

/* A copy on the heap of exactly that size, so that a sanitizer sees what lies beyond. */
static inline void *fuzz_copy(const void *data, size_t size)
{
    void *copy = malloc(size > 0 ? size : 1);
    must(copy != NULL);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

/* ---- an input taken as a list of choices; behind its end all are 0 ---- */

typedef struct fuzz_input {
    const uint8_t *at;
    size_t left;
} fuzz_input;

static inline uint8_t fuzz_byte(fuzz_input *in)
{
    if (in->left == 0) {
        return 0;
    }
    in->left--;
    return *in->at++;
}

static inline uint32_t fuzz_below(fuzz_input *in, uint32_t bound) /* bound ≤ 256 */
{
    return fuzz_byte(in) % bound;
}

static inline uint64_t fuzz_u64(fuzz_input *in)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) {
        value = value << 8 | fuzz_byte(in);
    }
    return value;
}

/* The next `size` bytes, or what there is; lent by the input. */
static inline const uint8_t *fuzz_bytes(fuzz_input *in, size_t *size)
{
    const uint8_t *bytes = in->at;
    *size = *size < in->left ? *size : in->left;
    if (*size > 0) {
        in->at += *size;
        in->left -= *size;
    }
    return bytes;
}

/* The bytes up to the next zero byte or the input's end, as a string; free() it. */
static inline char *fuzz_string(fuzz_input *in)
{
    const uint8_t *end = in->left == 0 ? NULL : memchr(in->at, 0, in->left);
    size_t size = end == NULL ? in->left : (size_t)(end - in->at);
    char *string = malloc(size + 1);
    must(string != NULL);
    memcpy(string, in->left == 0 ? "" : (const char *)in->at, size);
    string[size] = '\0';
    size += end == NULL ? 0 : 1;
    in->at += size;
    in->left -= size;
    return string;
}

#endif

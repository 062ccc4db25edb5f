/* OpenSSL's functions for SHA-256 alone, which it calls deprecated in favour of EVP: what EVP does
 * for each digest, new and cleared memory and a look whether its provider runs, takes as long as
 * one or two blocks more, beside the five of a usual commit. What they compute is the same. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "log/digest.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

ratoon_status ratoon__sha256(const void *data, size_t size, ratoon_digest *out)
{
    static_assert(sizeof out->bytes == SHA256_DIGEST_LENGTH, "SHA-256");
    SHA256_CTX ctx;
    ratoon_digest digest;
    if (SHA256_Init(&ctx) != 1 || (size > 0 && SHA256_Update(&ctx, data, size) != 1) ||
        SHA256_Final(digest.bytes, &ctx) != 1) {
        return RATOON_ERR_NO_MEMORY;
    }
    *out = digest;
    return RATOON_OK;
}

void ratoon__sha256_blocks(uint32_t state[8], const uint8_t *blocks, size_t count)
{
    enum { BLOCK = 64, WORDS = 8 };
    SHA256_CTX ctx;
    (void)SHA256_Init(&ctx);
    for (size_t k = 0; k < WORDS; k++) {
        ctx.h[k] = state[k];
    }
    for (size_t i = 0; i < count; i++) {
        SHA256_Transform(&ctx, blocks + i * BLOCK);
    }
    for (size_t k = 0; k < WORDS; k++) {
        state[k] = ctx.h[k];
    }
}

struct ratoon__sha256_stream {
    SHA256_CTX ctx;
    bool failed;
};

ratoon__sha256_stream *ratoon__sha256_begin(void)
{
    ratoon__sha256_stream *stream = calloc(1, sizeof *stream);
    if (stream != NULL) {
        stream->failed = SHA256_Init(&stream->ctx) != 1;
    }
    return stream;
}

void ratoon__sha256_add(ratoon__sha256_stream *stream, const void *data, size_t size)
{
    stream->failed = stream->failed || (size > 0 && SHA256_Update(&stream->ctx, data, size) != 1);
}

ratoon_status ratoon__sha256_end(ratoon__sha256_stream *stream, ratoon_digest *out)
{
    ratoon_digest digest;
    bool good = !stream->failed && SHA256_Final(digest.bytes, &stream->ctx) == 1;
    free(stream);
    if (!good) {
        return RATOON_ERR_NO_MEMORY;
    }
    *out = digest;
    return RATOON_OK;
}

ratoon_status ratoon__hmac_sha256(const void *key, size_t key_size, const void *data, size_t size,
                                  ratoon_digest *out)
{
    ratoon_digest digest;
    /* OpenSSL takes a NULL key for "the same as before". */
    if (key_size > INT32_MAX || HMAC(EVP_sha256(), key_size > 0 ? key : "", (int)key_size,
                                     size > 0 ? data : "", size, digest.bytes, NULL) == NULL) {
        return RATOON_ERR_NO_MEMORY;
    }
    *out = digest;
    return RATOON_OK;
}

void ratoon__digest_format(const ratoon_digest *d, char hex[65])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof d->bytes; i++) {
        hex[2 * i] = digits[d->bytes[i] >> 4];
        hex[2 * i + 1] = digits[d->bytes[i] & 15];
    }
    hex[64] = '\0';
}

bool ratoon__digest_equal(const ratoon_digest *a, const ratoon_digest *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

ratoon_status ratoon__random(void *out, size_t size)
{
    uint8_t *to = out;
    while (size > 0) {
        ssize_t got = getrandom(to, size, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return RATOON_ERR_IO;
        }
        to += got;
        size -= (size_t)got;
    }
    return RATOON_OK;
}

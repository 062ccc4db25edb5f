#include "log/digest.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* A fetched digest and a reused context cost 114 ns for 100 bytes, where EVP_Digest() with an
 * implicit fetch costs 304 ns. Contexts can't be shared, so each thread keeps its own until it
 * ends. */
typedef struct hasher {
    EVP_MD *md;
    EVP_MD_CTX *ctx;
} hasher;

static pthread_key_t hasher_key;
static pthread_once_t hasher_once = PTHREAD_ONCE_INIT;
static bool hasher_key_made;

static void hasher_free(void *data)
{
    hasher *h = data;
    if (h != NULL) {
        EVP_MD_CTX_free(h->ctx);
        EVP_MD_free(h->md);
        free(h);
    }
}

/* Destructors of a key don't run for the thread that ends the process. Registered after OpenSSL's
 * own handler, so it runs before that one. */
static void hasher_free_own(void)
{
    hasher_free(pthread_getspecific(hasher_key));
    (void)pthread_setspecific(hasher_key, NULL);
}

static void hasher_make_key(void)
{
    (void)OPENSSL_init_crypto(0, NULL);
    hasher_key_made = pthread_key_create(&hasher_key, hasher_free) == 0;
    if (hasher_key_made) {
        (void)atexit(hasher_free_own);
    }
}

static hasher *hasher_get(void)
{
    (void)pthread_once(&hasher_once, hasher_make_key);
    if (!hasher_key_made) {
        return NULL;
    }
    hasher *h = pthread_getspecific(hasher_key);
    if (h != NULL) {
        return h;
    }
    h = calloc(1, sizeof *h);
    if (h == NULL) {
        return NULL;
    }
    h->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    h->ctx = EVP_MD_CTX_new();
    if (h->md == NULL || h->ctx == NULL || pthread_setspecific(hasher_key, h) != 0) {
        hasher_free(h);
        return NULL;
    }
    return h;
}

ratoon_status ratoon__sha256(const void *data, size_t size, ratoon_digest *out)
{
    static_assert(sizeof out->bytes == 32, "SHA-256");
    hasher *h = hasher_get();
    ratoon_digest digest;
    if (h == NULL || EVP_DigestInit_ex2(h->ctx, h->md, NULL) != 1 ||
        (size > 0 && EVP_DigestUpdate(h->ctx, data, size) != 1) ||
        EVP_DigestFinal_ex(h->ctx, digest.bytes, NULL) != 1) {
        return RATOON_ERR_NO_MEMORY;
    }
    *out = digest;
    return RATOON_OK;
}

struct ratoon__sha256_stream {
    EVP_MD_CTX *ctx;
    bool failed;
};

ratoon__sha256_stream *ratoon__sha256_begin(void)
{
    hasher *h = hasher_get();
    ratoon__sha256_stream *stream = calloc(1, sizeof *stream);
    if (stream != NULL) {
        stream->ctx = EVP_MD_CTX_new();
        stream->failed =
            h == NULL || stream->ctx == NULL || EVP_DigestInit_ex2(stream->ctx, h->md, NULL) != 1;
    }
    return stream;
}

void ratoon__sha256_add(ratoon__sha256_stream *stream, const void *data, size_t size)
{
    stream->failed = stream->failed || EVP_DigestUpdate(stream->ctx, data, size) != 1;
}

ratoon_status ratoon__sha256_end(ratoon__sha256_stream *stream, ratoon_digest *out)
{
    ratoon_digest digest;
    bool good = !stream->failed && EVP_DigestFinal_ex(stream->ctx, digest.bytes, NULL) == 1;
    EVP_MD_CTX_free(stream->ctx);
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
    hasher *h = hasher_get();
    ratoon_digest digest;
    /* OpenSSL takes a NULL key for "the same as before". */
    if (h == NULL || key_size > INT32_MAX ||
        HMAC(h->md, key_size > 0 ? key : "", (int)key_size, size > 0 ? data : "", size,
             digest.bytes, NULL) == NULL) {
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

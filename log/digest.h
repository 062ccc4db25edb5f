/* SHA-256 and HMAC by OpenSSL. Thread-safe. */
#ifndef RATOON_LOG_DIGEST_H
#define RATOON_LOG_DIGEST_H

#include "core/mem.h"

/* What whole blocks of 64 bytes make of a state of eight words (FIPS 180-4, 6.2.2). */
void ratoon__sha256_blocks(uint32_t state[8], const uint8_t *blocks, size_t count);
ratoon_status ratoon__sha256(const void *data, size_t size, ratoon_digest *out);
/* A digest in pieces; one thread at a time. end frees the stream, whatever it returns. */
typedef struct ratoon__sha256_stream ratoon__sha256_stream;
ratoon__sha256_stream *ratoon__sha256_begin(void); /* NULL: out of memory */
void ratoon__sha256_add(ratoon__sha256_stream *stream, const void *data, size_t size);
ratoon_status ratoon__sha256_end(ratoon__sha256_stream *stream, ratoon_digest *out);
ratoon_status ratoon__hmac_sha256(const void *key, size_t key_size, const void *data, size_t size,
                                  ratoon_digest *out);
void ratoon__digest_format(const ratoon_digest *d, char hex[65]); /* lower-case hex and NUL */
bool ratoon__digest_equal(const ratoon_digest *a, const ratoon_digest *b);
/* Fills with random bytes from the system. */
ratoon_status ratoon__random(void *out, size_t size);
#endif

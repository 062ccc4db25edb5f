/* Ed25519 signatures (RFC 8032) through OpenSSL, for seals (Q02). Keys are PEM files that openssl
 * reads: PKCS #8 the secret one, SubjectPublicKeyInfo the public one. */
#ifndef RATOON_LOG_SIGN_H
#define RATOON_LOG_SIGN_H

#include "core/mem.h"

#define RATOON__SIGNATURE_SIZE 64

typedef struct ratoon__public_key {
    uint8_t bytes[32];
} ratoon__public_key;

/* Makes a pair: the secret key in `path`, mode 0600, the public one beside it in `path`.pub.
 * EXISTS where either is there; nothing is ever overwritten. */
ratoon_status ratoon__sign_keygen(const char *path, ratoon_error *error);

typedef struct ratoon__sign_key ratoon__sign_key; /* a secret one */
/* USAGE: it can't be read (backend_code: errno), or is no secret Ed25519 key. */
ratoon_status ratoon__sign_key_load(const char *path, ratoon__sign_key **out, ratoon_error *error);
const ratoon__public_key *ratoon__sign_key_public(const ratoon__sign_key *key);
ratoon_status ratoon__sign(const ratoon__sign_key *key, const void *data, size_t size,
                           uint8_t signature[RATOON__SIGNATURE_SIZE], ratoon_error *error);
void ratoon__sign_key_free(ratoon__sign_key *key); /* NULL is fine */

ratoon_status ratoon__public_key_load(const char *path, ratoon__public_key *out,
                                      ratoon_error *error);
void ratoon__public_key_format(const ratoon__public_key *key, char hex[65]);
/* Whether the data was signed by that key; a signature of another size never is. */
bool ratoon__signature_is_valid(const ratoon__public_key *key, const void *data, size_t size,
                                const void *signature, size_t signature_size);

#endif

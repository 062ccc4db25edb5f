#include "log/sign.h"

#include "log/digest.h"
#include "log/folder.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_FILE_MAX = 65536, MODE_SECRET = 0600, MODE_PUBLIC = 0666 };

struct ratoon__sign_key {
    EVP_PKEY *key;
    ratoon__public_key public_key;
};

static ratoon_status crypto_failed(const char *what, ratoon_error *error)
{
    char text[256] = "";
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    ERR_clear_error();
    return ratoon__fail(error, RATOON_ERR_IO, "%s: %s", what, text);
}

/* ---- key files ---- */

typedef enum key_kind { SECRET_KEY, PUBLIC_KEY } key_kind;

/* The key as PEM, in memory that is wiped when it is freed. */
static BIO *key_text(EVP_PKEY *key, key_kind kind)
{
    BIO *text = BIO_new(BIO_s_secmem());
    const bool written =
        text != NULL &&
        (kind == SECRET_KEY ? PEM_write_bio_PKCS8PrivateKey(text, key, NULL, NULL, 0, NULL, NULL)
                            : PEM_write_bio_PUBKEY(text, key)) == 1;
    if (!written) {
        BIO_free(text);
        return NULL;
    }
    return text;
}

static ratoon_status key_write(EVP_PKEY *key, key_kind kind, const char *path, ratoon_error *error)
{
    char *data = NULL;
    BIO *text = key_text(key, kind);
    const long size = text != NULL ? BIO_get_mem_data(text, &data) : 0;
    ratoon_status status =
        size > 0 ? ratoon__file_create(path, data, (size_t)size,
                                       kind == SECRET_KEY ? MODE_SECRET : MODE_PUBLIC, error)
                 : crypto_failed("can't write a key", error);
    BIO_free(text);
    return status;
}

static ratoon_status pair_write(EVP_PKEY *key, const char *path, const char *public_path,
                                ratoon_error *error)
{
    ratoon_status status = key_write(key, SECRET_KEY, path, error);
    if (status != RATOON_OK) {
        return status;
    }
    status = key_write(key, PUBLIC_KEY, public_path, error);
    if (status != RATOON_OK) {
        (void)unlink(path); /* it was made just now */
    }
    return status;
}

ratoon_status ratoon__sign_keygen(const char *path, ratoon_error *error)
{
    char *public_path = NULL;
    if (asprintf(&public_path, "%s.pub", path) < 0) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    ratoon_status status = key != NULL ? pair_write(key, path, public_path, error)
                                       : crypto_failed("can't make a key", error);
    if (status == RATOON_ERR_EXISTS) {
        ratoon__hint(error, "keys are never overwritten: choose another name");
    }
    EVP_PKEY_free(key);
    free(public_path);
    return status;
}

/* A passphrase is not asked for: nobody may be there. */
static int no_passphrase(char *out, int size, int writing, void *ctx)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)ctx;
    return -1;
}

static ratoon_status file_read(const char *path, char *data, size_t *size, ratoon_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang us */
    ssize_t got = fd < 0 ? -1 : read(fd, data, KEY_FILE_MAX);
    const int reason = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (got < 0) {
        errno = reason;
        return ratoon__fail_errno(error, RATOON_ERR_USAGE, "can't read the key", path);
    }
    *size = (size_t)got;
    return RATOON_OK;
}

static ratoon_status key_read(const char *path, key_kind kind, EVP_PKEY **out, ratoon_error *error)
{
    char *data = malloc(KEY_FILE_MAX);
    size_t size = 0;
    if (data == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    ratoon_status status = file_read(path, data, &size, error);
    BIO *text = status == RATOON_OK ? BIO_new_mem_buf(data, (int)size) : NULL;
    EVP_PKEY *key = NULL;
    if (text != NULL) {
        key = kind == SECRET_KEY ? PEM_read_bio_PrivateKey(text, NULL, no_passphrase, NULL)
                                 : PEM_read_bio_PUBKEY(text, NULL, no_passphrase, NULL);
        ERR_clear_error();
    }
    BIO_free(text);
    OPENSSL_cleanse(data, KEY_FILE_MAX);
    free(data);
    if (status == RATOON_OK && (key == NULL || !EVP_PKEY_is_a(key, "ED25519"))) {
        EVP_PKEY_free(key);
        status = ratoon__fail(error, RATOON_ERR_USAGE, "%s is no %s Ed25519 key in PEM form", path,
                              kind == SECRET_KEY ? "secret" : "public");
        ratoon__hint(error, kind == SECRET_KEY
                                ? "`ratoon keygen FILE` makes one; one with a passphrase can't be "
                                  "used"
                                : "`ratoon keygen FILE` makes a pair: FILE.pub is the public key");
        return status;
    }
    *out = key;
    return status;
}

/* ---- secret keys ---- */

static bool public_bytes(const EVP_PKEY *key, ratoon__public_key *out)
{
    size_t size = sizeof out->bytes;
    return EVP_PKEY_get_raw_public_key(key, out->bytes, &size) == 1 && size == sizeof out->bytes;
}

ratoon_status ratoon__sign_key_load(const char *path, ratoon__sign_key **out, ratoon_error *error)
{
    ratoon__sign_key *k = calloc(1, sizeof *k);
    if (k == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    ratoon_status status = key_read(path, SECRET_KEY, &k->key, error);
    if (status == RATOON_OK && !public_bytes(k->key, &k->public_key)) {
        status = crypto_failed("can't use the key", error);
    }
    if (status != RATOON_OK) {
        ratoon__sign_key_free(k);
        return status;
    }
    *out = k;
    return RATOON_OK;
}

const ratoon__public_key *ratoon__sign_key_public(const ratoon__sign_key *key)
{
    return &key->public_key;
}

void ratoon__sign_key_free(ratoon__sign_key *key)
{
    if (key != NULL) {
        EVP_PKEY_free(key->key);
        free(key);
    }
}

ratoon_status ratoon__sign(const ratoon__sign_key *key, const void *data, size_t size,
                           uint8_t signature[RATOON__SIGNATURE_SIZE], ratoon_error *error)
{
    size_t got = RATOON__SIGNATURE_SIZE;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const bool good =
        ctx != NULL && EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, key->key, NULL) == 1 &&
        EVP_DigestSign(ctx, signature, &got, data, size) == 1 && got == RATOON__SIGNATURE_SIZE;
    EVP_MD_CTX_free(ctx);
    return good ? RATOON_OK : crypto_failed("can't sign", error);
}

/* ---- public keys ---- */

ratoon_status ratoon__public_key_load(const char *path, ratoon__public_key *out,
                                      ratoon_error *error)
{
    EVP_PKEY *key = NULL;
    ratoon_status status = key_read(path, PUBLIC_KEY, &key, error);
    if (status == RATOON_OK && !public_bytes(key, out)) {
        status = crypto_failed("can't use the key", error);
    }
    EVP_PKEY_free(key);
    return status;
}

void ratoon__public_key_format(const ratoon__public_key *key, char hex[65])
{
    ratoon_digest bytes;
    static_assert(sizeof bytes.bytes == sizeof key->bytes, "both have 32 bytes");
    memcpy(bytes.bytes, key->bytes, sizeof bytes.bytes);
    ratoon__digest_format(&bytes, hex);
}

bool ratoon__signature_is_valid(const ratoon__public_key *key, const void *data, size_t size,
                                const void *signature, size_t signature_size)
{
    EVP_PKEY *k =
        EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, key->bytes, sizeof key->bytes);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const bool valid = k != NULL && ctx != NULL && signature_size == RATOON__SIGNATURE_SIZE &&
                       EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, k, NULL) == 1 &&
                       EVP_DigestVerify(ctx, signature, signature_size, data, size) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(k);
    ERR_clear_error();
    return valid;
}

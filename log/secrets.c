/* Secrets: only a keyed digest of one is ever written (E08). */
#include "log/folder.h"
#include "log/store_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_BYTES 32
#define FILE_BYTES (SECRET_BYTES + sizeof(ratoon_digest)) /* the key, and its digest */

/* Reads the key: OK, NOT_FOUND where there is none yet, DAMAGED. A key that has changed would take
 * every secret for another one. Stores made before the digest was there have the key alone. */
static ratoon_status key_read(const char *path, uint8_t key[SECRET_BYTES], ratoon_error *error)
{
    uint8_t bytes[FILE_BYTES + 1];
    ratoon_digest digest;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) {
        return RATOON_ERR_NOT_FOUND;
    }
    ssize_t got = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
    const int reason = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (got < 0 && reason != ELOOP && reason != EISDIR) { /* it may be all right another time */
        return ratoon__fail(error, RATOON_ERR_IO, "%s can't be read: %s", path, strerror(reason));
    }
    if (got != SECRET_BYTES && got != (ssize_t)FILE_BYTES) {
        return ratoon__fail(error, RATOON_ERR_DAMAGED, "%s can't be read as a key of %u bytes",
                            path, (uint32_t)SECRET_BYTES);
    }
    if (got == (ssize_t)FILE_BYTES &&
        (ratoon__sha256(bytes, SECRET_BYTES, &digest) != RATOON_OK ||
         memcmp(digest.bytes, bytes + SECRET_BYTES, sizeof digest.bytes) != 0)) {
        return ratoon__fail(error, RATOON_ERR_DAMAGED,
                            "the key in %s is not what its digest says: restore it from a backup",
                            path);
    }
    memcpy(key, bytes, SECRET_BYTES);
    return RATOON_OK;
}

/* Makes the key if nobody else does so at the same time. */
static ratoon_status key_make(const char *path, ratoon_error *error)
{
    uint8_t bytes[FILE_BYTES];
    ratoon_digest digest;
    ratoon_status status = ratoon__random(bytes, SECRET_BYTES);
    if (status != RATOON_OK) {
        return ratoon__fail(error, status, "the system gives no random bytes");
    }
    status = ratoon__sha256(bytes, SECRET_BYTES, &digest);
    if (status != RATOON_OK) {
        return ratoon__fail(error, status, "%s can't be made: no digest of it", path);
    }
    memcpy(bytes + SECRET_BYTES, digest.bytes, sizeof digest.bytes);
    status = ratoon__file_create(path, bytes, sizeof bytes, S_IRUSR | S_IWUSR, error);
    return status == RATOON_ERR_EXISTS ? RATOON_OK : status;
}

/* The store's key, made at its first use: 32 random bytes and their digest, mode 0600. */
static ratoon_status secret_file(const char *store_path, uint8_t key[SECRET_BYTES],
                                 ratoon_error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/secret.key", store_path);
    ratoon_status status = key_read(path, key, error);
    if (status == RATOON_ERR_NOT_FOUND) {
        status = key_make(path, error);
        status = status == RATOON_OK ? key_read(path, key, error) : status;
    }
    return status == RATOON_ERR_NOT_FOUND
               ? ratoon__fail(error, RATOON_ERR_IO, "%s was removed while it was made", path)
               : status;
}

ratoon_status ratoon__store_secret_check(ratoon_store *s, ratoon_error *error)
{
    char path[4096];
    uint8_t key[SECRET_BYTES];
    snprintf(path, sizeof path, "%s/secret.key", s->path);
    const ratoon_status status =
        s->path[0] == '\0' ? RATOON_ERR_NOT_FOUND : key_read(path, key, error);
    return status == RATOON_ERR_NOT_FOUND ? RATOON_OK : status;
}

static ratoon_status secret_key(ratoon_store *s, ratoon_error *error)
{
    ratoon_status status = RATOON_OK;
    pthread_mutex_lock(&s->secret_lock);
    if (!s->secret_known) {
        status = s->path[0] == '\0' ? ratoon__random(s->secret, SECRET_BYTES)
                                    : secret_file(s->path, s->secret, error);
        s->secret_known = status == RATOON_OK;
    }
    pthread_mutex_unlock(&s->secret_lock);
    return status;
}

ratoon_status ratoon__prepare_params(ratoon_store *s, ratoon__arena *a, const ratoon_pipeline *p,
                                     const ratoon_pair *in, size_t count, const ratoon_pair **plain,
                                     size_t *plain_count, const ratoon__param **secrets,
                                     size_t *secrets_count, ratoon_error *error)
{
    ratoon_pair *keep = ratoon__arena_alloc(a, count * sizeof *keep);
    ratoon__param *digests = ratoon__arena_alloc(a, count * sizeof *digests);
    size_t kept = 0, hidden = 0;
    if (keep == NULL || digests == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        int32_t def = ratoon__pipeline_param_find(p, in[i].name);
        if (def < 0 || !p->params[def].secret) {
            keep[kept++] = in[i];
            continue;
        }
        ratoon_digest digest;
        char text[13 + 65] = "hmac-sha256:";
        ratoon_status status = secret_key(s, error);
        if (status == RATOON_OK) {
            status = ratoon__hmac_sha256(s->secret, SECRET_BYTES, in[i].value, strlen(in[i].value),
                                         &digest);
        }
        if (status != RATOON_OK) {
            return status;
        }
        ratoon__digest_format(&digest, text + 12);
        digests[hidden++] = (ratoon__param){
            .name = in[i].name, .text = ratoon__arena_strdup(a, text), .secret = true};
    }
    *plain = keep;
    *plain_count = kept;
    *secrets = digests;
    *secrets_count = hidden;
    return RATOON_OK;
}

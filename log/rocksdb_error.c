/* What RocksDB says, as statuses. Its C interface has only texts: this is the one place that reads
 * them. */
#include "log/rocksdb_impl.h"

#include <rocksdb/c.h>

#include <errno.h>
#include <string.h>

static ratoon_status status_of(const char *message)
{
    if (strncmp(message, "Corruption", 10) == 0 ||
        strstr(message, "No such file or directory") != NULL ||
        strstr(message, "Column family not found") != NULL ||
        strstr(message, "create_if_missing is false") != NULL) {
        return RATOON_ERR_DAMAGED;
    }
    if (strstr(message, "/LOCK: Resource temporarily unavailable") != NULL ||
        strstr(message, "lock hold by current process") != NULL) {
        return RATOON_ERR_STORE_BUSY;
    }
    if (strncmp(message, "Not implemented", 15) == 0) {
        return RATOON_ERR_UNSUPPORTED;
    }
    return RATOON_ERR_IO;
}

char ratoon__rocks_no_memory[] = "out of memory";

ratoon_status ratoon__rocks_error(char *message, const char *what, ratoon_error *error)
{
    if (message == ratoon__rocks_no_memory) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "%s: %s", what, message);
    }
    ratoon_status status = status_of(message);
    ratoon__fail(error, status, "%s: %s", what, message);
    if (strstr(message, "No space left") != NULL) {
        ratoon__hint(error, "make room on the disk, then open the store again");
        if (error != NULL) {
            error->backend_code = ENOSPC;
        }
    }
    rocksdb_free(message);
    return status;
}

void ratoon__rocks_refuse(ratoon__rocks *r, ratoon_status refusal, const char *text)
{
    pthread_mutex_lock(&r->state);
    if (atomic_load(&r->refusal) == RATOON_OK) {
        size_t size = strnlen(text, sizeof r->refusal_text - 1);
        memcpy(r->refusal_text, text, size);
        r->refusal_text[size] = '\0';
        atomic_store(&r->refusal, refusal);
    }
    pthread_cond_broadcast(&r->moved);
    pthread_mutex_unlock(&r->state);
}

ratoon_status ratoon__rocks_writable(ratoon__rocks *r, ratoon_error *error)
{
    const ratoon_status refusal = atomic_load(&r->refusal);
    if (refusal == RATOON_ERR_READ_ONLY) {
        /* The text does not change any more once it is set. */
        ratoon__fail(error, refusal, "the store %s is read-only since an error: %s", r->path,
                     r->refusal_text);
        ratoon__hint(error, "close the store and open it again; what was acknowledged is kept");
    } else if (refusal != RATOON_OK) {
        ratoon__fail(error, refusal, "%s", r->refusal_text);
        ratoon__hint(error, "it can be read; restore a backup, or accept the loss with `ratoon "
                            "verify --accept-loss`; until then it takes no appends");
    }
    return refusal;
}

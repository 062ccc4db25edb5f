#include "log/witness.h"

#include "log/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A slot: magic, sequence, position, checksum of the three; u64 little-endian each. The slots are
 * a page apart, so that no torn page takes both. */
enum { SLOT_SIZE = 32, SLOT_STEP = 4096, FILE_SIZE = 2 * SLOT_STEP };
static const uint64_t magic = 0x314e54495754524e; /* "NRTWITN1" */

static void put_u64(uint8_t *out, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t get_u64(const uint8_t *in)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) {
        value = value << 8 | in[i];
    }
    return value;
}

/* FNV-1a over the first three fields: it finds torn and zeroed slots, it is no defence. */
static uint64_t checksum(const uint8_t slot[SLOT_SIZE])
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < 24; i++) {
        hash = (hash ^ slot[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static void slot_encode(uint8_t slot[SLOT_SIZE], uint64_t sequence, uint64_t position)
{
    put_u64(slot, magic);
    put_u64(slot + 8, sequence);
    put_u64(slot + 16, position);
    put_u64(slot + 24, checksum(slot));
}

static bool slot_decode(const uint8_t slot[SLOT_SIZE], uint64_t *sequence, uint64_t *position)
{
    if (get_u64(slot) != magic || get_u64(slot + 24) != checksum(slot)) {
        return false;
    }
    *sequence = get_u64(slot + 8);
    *position = get_u64(slot + 16);
    return true;
}

ratoon_status ratoon__witness_replace(const char *folder, uint64_t position, ratoon_error *error)
{
    char *path = ratoon__path_join(folder, "witness");
    if (path == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    uint8_t bytes[FILE_SIZE] = {0};
    slot_encode(bytes, 0, position);
    slot_encode(bytes + SLOT_STEP, 1, position);
    ratoon_status status = ratoon__file_write(path, bytes, sizeof bytes, error);
    free(path);
    return status;
}

ratoon_status ratoon__witness_create(const char *folder, ratoon_error *error)
{
    return ratoon__witness_replace(folder, 0, error);
}

ratoon_status ratoon__witness_open(ratoon__witness *w, const char *folder, ratoon_error *error)
{
    char *path = ratoon__path_join(folder, "witness");
    if (path == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    ratoon_status status = RATOON_OK;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        status = ratoon__fail_errno(error, errno == ENOENT ? RATOON_ERR_DAMAGED : RATOON_ERR_IO,
                                    "can't open the witness of the last acknowledged commit", path);
        free(path);
        return status;
    }
    uint8_t bytes[FILE_SIZE] = {0};
    bool found = false;
    if (pread(fd, bytes, sizeof bytes, 0) == (ssize_t)sizeof bytes) {
        for (size_t i = 0; i < 2; i++) {
            uint64_t sequence;
            uint64_t position;
            if (slot_decode(bytes + i * SLOT_STEP, &sequence, &position) &&
                (!found || sequence > w->sequence)) {
                found = true;
                w->sequence = sequence;
                w->position = position;
            }
        }
    }
    if (!found) {
        status =
            ratoon__fail(error, RATOON_ERR_DAMAGED,
                         "the witness of the last acknowledged commit, %s, is not readable", path);
        close(fd);
    } else {
        w->fd = fd;
        pthread_mutex_init(&w->mutex, NULL);
    }
    free(path);
    return status;
}

bool ratoon__witness_note(ratoon__witness *w, uint64_t position)
{
    pthread_mutex_lock(&w->mutex);
    bool written = true;
    if (position > w->position) {
        uint8_t slot[SLOT_SIZE];
        slot_encode(slot, w->sequence + 1, position);
        off_t at = (off_t)((w->sequence + 1) % 2 * SLOT_STEP);
        ssize_t done;
        do {
            done = pwrite(w->fd, slot, sizeof slot, at);
        } while (done < 0 && errno == EINTR);
        written = done == (ssize_t)sizeof slot;
        if (written) {
            w->sequence++;
            w->position = position;
        }
    }
    pthread_mutex_unlock(&w->mutex);
    return written;
}

void ratoon__witness_close(ratoon__witness *w)
{
    if (w->fd >= 0) {
        close(w->fd);
        w->fd = -1;
        pthread_mutex_destroy(&w->mutex);
    }
}

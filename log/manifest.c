#include "log/manifest.h"

#include "log/folder.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Records lie in blocks; none begins where a block has no room for its head: checksum u32, size
 * u16, kind u8, little-endian. One that is longer than its block goes on in the next. */
enum { BLOCK = 32 << 10, HEAD = 7, FULL = 1, FIRST = 2, MIDDLE = 3, LAST = 4 };
enum { NAME_SIZE_MAX = 64, LIST_SIZE_MAX = 256 << 20 };

/* CRC-32C (RFC 3720, B.4), masked as RocksDB stores it; over kind and bytes of a record. */
static uint32_t checksum(const uint8_t *data, size_t size)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (0x82f63b78 & (0U - (crc & 1)));
        }
    }
    crc = ~crc;
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8;
}

/* How much of the list is whole records. */
static size_t whole_size(const uint8_t *list, size_t size)
{
    size_t whole = 0;
    size_t at = 0;
    bool inside = false; /* a record that is longer than a block */
    for (;;) {
        const size_t room = BLOCK - at % BLOCK;
        if (room < HEAD) {
            at += room;
            continue;
        }
        if (at + HEAD > size) {
            return whole;
        }
        const uint8_t *head = list + at;
        const size_t length = head[4] | (size_t)head[5] << 8;
        const int kind = head[6];
        const uint32_t stored =
            head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 24;
        const bool begins = kind == FULL || kind == FIRST;
        if (kind < FULL || kind > LAST || begins == inside || HEAD + length > room ||
            at + HEAD + length > size || checksum(head + 6, 1 + length) != stored) {
            return whole;
        }
        at += HEAD + length;
        inside = kind == FIRST || kind == MIDDLE;
        whole = inside ? whole : at;
    }
}

/* A whole file, to be freed; NULL where it can't be had. */
static uint8_t *file_read(const char *path, size_t size_max, size_t *size)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    const off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    uint8_t *bytes = end >= 0 && (uint64_t)end <= size_max ? malloc((size_t)end + 1) : NULL;
    *size = 0;
    ssize_t got = 1;
    while (bytes != NULL && *size < (size_t)end && got > 0) {
        got = pread(fd, bytes + *size, (size_t)end - *size, (off_t)*size);
        *size += got > 0 ? (size_t)got : 0;
    }
    if (bytes != NULL && *size < (size_t)end) {
        free(bytes);
        bytes = NULL;
    }
    if (fd >= 0) {
        close(fd);
    }
    return bytes;
}

/* The path of the list that CURRENT names, and the same in another folder of the store; to be
 * freed. */
static bool list_paths(const char *store_path, char **list, char **kept)
{
    size_t size = 0;
    char *current = ratoon__path_join(store_path, "db/CURRENT");
    char *name = current == NULL ? NULL : (char *)file_read(current, NAME_SIZE_MAX, &size);
    ratoon__buf path = {0};
    ratoon__buf copy = {0};
    bool found = false;
    if (name != NULL && size > 1 && name[size - 1] == '\n') {
        name[size - 1] = '\0';
        if (strncmp(name, "MANIFEST-", 9) == 0 && strchr(name, '/') == NULL) {
            ratoon__buf_format(&path, "%s/db/%s", store_path, name);
            ratoon__buf_format(&copy, "%s/%s/%s", store_path, RATOON__LOGS_LINKED, name);
            found = !path.failed && !copy.failed;
        }
    }
    *list = found ? strdup(path.data) : NULL;
    *kept = found ? strdup(copy.data) : NULL;
    ratoon__buf_free(&path);
    ratoon__buf_free(&copy);
    free(name);
    free(current);
    return *list != NULL && *kept != NULL;
}

bool ratoon__manifest_mend(const char *store_path)
{
    char *path = NULL;
    char *kept = NULL;
    uint8_t *list = NULL;
    size_t size = 0;
    bool mended = list_paths(store_path, &path, &kept) &&
                  (list = file_read(path, LIST_SIZE_MAX, &size)) != NULL;
    if (mended) {
        ratoon_error ignored;
        const size_t whole = whole_size(list, size);
        mended = whole > 0 && whole < size && ratoon__files_link(store_path) &&
                 ratoon__file_write(kept, list, size, &ignored) == RATOON_OK &&
                 ratoon__file_write(path, list, whole, &ignored) == RATOON_OK;
    }
    free(list);
    free(path);
    free(kept);
    return mended;
}

void ratoon__manifest_unmend(const char *store_path)
{
    char *path = NULL;
    char *kept = NULL;
    uint8_t *list = NULL;
    size_t size = 0;
    if (list_paths(store_path, &path, &kept) &&
        (list = file_read(kept, LIST_SIZE_MAX, &size)) != NULL) {
        ratoon_error ignored; /* the copy stays where it is until the store is opened again */
        (void)ratoon__file_write(path, list, size, &ignored);
    }
    free(list);
    free(path);
    free(kept);
}

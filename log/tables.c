#include "log/tables.h"

#include "log/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A table ends with: kind of checksum (one byte), the places of the block of blocks and of the
 * index (two varints each: offset, size), zeros up to 41 bytes, version (u32), magic (u64),
 * little-endian (RocksDB, "BlockBasedTable format", versions 1 to 5; RocksDB 7.8 writes 5. Later
 * ones have the places elsewhere). */
enum { FOOTER = 53, PLACES = 1, PLACES_END = 41, MAGIC = 45, BLOCK_SIZE_MAX = 64 << 10 };
enum { VERSION_MIN = 1, VERSION_MAX = 5 };
static const uint8_t magic[8] = {0xf7, 0xcf, 0xf4, 0x85, 0xb7, 0x41, 0xe2, 0x88};

/* A block ends with the offsets of its restarts and their number (u32), whose highest bit says that
 * there is a hash index. */
enum { RESTART = 4, HASH_INDEX = 0x80 };

typedef struct place {
    uint64_t offset, size;
} place;

static bool read_varint(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
        const uint8_t byte = *(*at)++;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return true;
        }
    }
    return false;
}

static bool read_place(const uint8_t *at, const uint8_t *end, place *out)
{
    return read_varint(&at, end, &out->offset) && read_varint(&at, end, &out->size);
}

static bool read_whole(int fd, void *data, uint64_t size, uint64_t offset)
{
    return offset <= INT64_MAX && pread(fd, data, size, (off_t)offset) == (ssize_t)size;
}

/* Entries are: how much of the last key is the key's beginning, how much follows of the key and of
 * the value (three varints); those parts. A name that begins like the one before is not looked for
 * here: the block of blocks repeats every key whole (restart interval 1). */
static bool find_place(const uint8_t *at, const uint8_t *end, const char *name, place *out)
{
    uint64_t shared, key_size, value_size;
    while (read_varint(&at, end, &shared) && read_varint(&at, end, &key_size) &&
           read_varint(&at, end, &value_size)) {
        const uint64_t rest = (uint64_t)(end - at);
        if (key_size > rest || value_size > rest - key_size) {
            return false;
        }
        if (shared == 0 && key_size == strlen(name) && memcmp(at, name, key_size) == 0) {
            return read_place(at + key_size, at + key_size + value_size, out);
        }
        at += key_size + value_size;
    }
    return false;
}

/* Whether the block of properties says that it has a hash index. */
static bool has_that_bit(int fd)
{
    uint8_t footer[FOOTER];
    place blocks, properties;
    const off_t end = lseek(fd, 0, SEEK_END);
    uint8_t last = 0;
    if (end < FOOTER || !read_whole(fd, footer, FOOTER, (uint64_t)end - FOOTER) ||
        memcmp(footer + MAGIC, magic, sizeof magic) != 0 || footer[PLACES_END] < VERSION_MIN ||
        footer[PLACES_END] > VERSION_MAX ||
        !read_place(footer + PLACES, footer + PLACES_END, &blocks) ||
        blocks.size > BLOCK_SIZE_MAX || blocks.size < RESTART) {
        return false;
    }
    uint8_t *bytes = malloc(blocks.size);
    const bool found =
        bytes != NULL && read_whole(fd, bytes, blocks.size, blocks.offset) &&
        find_place(bytes, bytes + blocks.size - RESTART, "rocksdb.properties", &properties);
    free(bytes);
    return found && properties.size > 0 && properties.size <= (uint64_t)end &&
           properties.offset <= (uint64_t)end - properties.size &&
           read_whole(fd, &last, 1, properties.offset + properties.size - 1) &&
           (last & HASH_INDEX) != 0;
}

ratoon_status ratoon__tables_check(const char *store_path, ratoon_error *error)
{
    ratoon_status status = RATOON_OK;
    char *path = ratoon__path_join(store_path, "db");
    if (path == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    DIR *folder = opendir(path);
    free(path);
    for (const struct dirent *e; status == RATOON_OK && folder != NULL && (e = readdir(folder));) {
        const char *dot = strrchr(e->d_name, '.');
        if (dot == NULL || strcmp(dot, ".sst") != 0) {
            continue;
        }
        const int fd = openat(dirfd(folder), e->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0 && has_that_bit(fd)) {
            status = ratoon__fail(error, RATOON_ERR_DAMAGED,
                                  "can't open the store: the table db/%s is damaged: its block of "
                                  "properties says that it has a hash index",
                                  e->d_name);
            ratoon__hint(error, "restore the store from a backup; nothing was removed from it");
        }
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return status;
}

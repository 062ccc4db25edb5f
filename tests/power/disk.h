/* What a disk went through: built from a record, the history of every file and folder below the
 * record's root, in the order of the record's entries, counted from 1 ("moments"). */
#ifndef RATOON_TESTS_POWER_DISK_H
#define RATOON_TESTS_POWER_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct disk_file disk_file;

typedef enum disk_change_kind {
    DISK_WRITE,  /* data at offset */
    DISK_SIZE,   /* offset is the new size */
    DISK_EXTEND, /* offset is the size at least */
} disk_change_kind;

typedef struct disk_change { /* of a file's content */
    uint64_t moment;
    disk_change_kind kind;
    uint64_t offset, size;
    const uint8_t *data;
} disk_change;

typedef struct disk_name_change { /* of a folder's names */
    uint64_t moment;
    char *from, *to; /* NULL: none. `from` goes, `to` comes and is `file` */
    disk_file *file;
} disk_name_change;

typedef struct disk_sync { /* one that succeeded: what was done before `begin` is durable at `end`
                            */
    uint64_t begin, end;
} disk_sync;

typedef struct disk_entry {
    char *name;
    disk_file *file;
} disk_entry;

struct disk_file {
    uint64_t number;
    bool folder, unseen; /* unseen: what was written to it is not known */
    disk_change *changes;
    size_t changes_count, changes_capacity;
    disk_name_change *names;
    size_t names_count, names_capacity;
    disk_sync *syncs;
    size_t syncs_count, syncs_capacity;
    disk_entry *entries; /* of a folder, at the end of the record */
    size_t entries_count, entries_capacity;
    bool log; /* RocksDB's log */
};

typedef struct disk_mark {
    uint64_t moment;
    const char *text; /* with a NUL */
} disk_mark;

typedef struct disk {
    uint8_t *record;
    size_t record_size;
    uint64_t moments; /* of the last entry */
    uint32_t *kinds;  /* recording_kind at each moment */
    disk_file *root;
    disk_file **files;
    size_t files_count, files_capacity;
    disk_mark *marks;
    size_t marks_count, marks_capacity;
} disk;

/* Reads the record of a program that began with the folder `root` holding what `start` holds now
 * (NULL: nothing), all of it durable. `limit`: how much of the record counts, 0: all. */
disk *disk_load(const char *record, const char *root, const char *start, size_t limit);
void disk_free(disk *d);
/* Whether replaying everything gives what the folder holds; else says what differs. */
bool disk_is_at(const disk *d, const char *folder);

/* Lets a test program stop with a message. */
_Noreturn void power_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *power_alloc(size_t size);
/* Room for one more in a list. */
void *power_grow(void *items, size_t count, size_t *capacity, size_t size);

#endif

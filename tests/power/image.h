/* What a disk may hold after power was lost. The model, which docs/power-loss.md states for
 * readers:
 *   - What a file held when its last sync that was answered began, it holds. Each unit (512 or
 *     4096 bytes) that was written since is as it was at some moment since, each unit at another
 *     one; one may be torn: some bytes of one moment, the rest of another. Its size is that of some
 *     moment since.
 *   - Names of a folder (files and folders made, renamed, linked, removed) are as they were at some
 *     moment since the beginning of the folder's last sync, and each change is whole. By `strict`,
 *     each folder at another moment; else (as a journal does it) the names of all at one moment,
 *     and not before the beginning of any sync that was answered. */
#ifndef RATOON_TESTS_POWER_IMAGE_H
#define RATOON_TESTS_POWER_IMAGE_H

#include "tests/power/disk.h"

typedef struct image_choice {
    uint64_t seed;
    uint64_t moment; /* power was lost right behind this one */
    uint64_t lying;  /* syncs that begin at or after this moment do nothing; 0: none lies */
    bool strict;
    uint32_t unit;
    int style; /* how unsynced units are chosen in every file; -1: in each file otherwise */
} image_choice;

/* A choice for a seed. With `lies`, syncs lie from some moment on. */
image_choice image_choose(const disk *d, uint64_t seed, bool lies);
void image_describe(const image_choice *c, char *text, size_t size);
/* Puts the image into the folder `path`, which must be empty. */
void image_make(const disk *d, const image_choice *c, const char *path);
/* A file's content at the end of the record; free(). */
uint8_t *image_content_now(const disk_file *file, size_t *size);
/* The moment from which on changes of the file are not known to be durable at `moment`. */
uint64_t image_synced(const disk_file *file, uint64_t moment, uint64_t lying);

#endif

#include "tests/power/disk.h"

#include "tests/power/image.h"
#include "tests/support/preload/recording.h"
#include "tests/support/support.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPENED_MAX = 1 << 20 };

void power_fail(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    (void)fprintf(stderr, "power: ");
    (void)vfprintf(stderr, format, list);
    (void)fprintf(stderr, "\n");
    va_end(list);
    exit(2);
}

void *power_alloc(size_t size)
{
    void *data = calloc(1, size == 0 ? 1 : size);
    if (data == NULL) {
        power_fail("out of memory");
    }
    return data;
}

void *power_grow(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return items;
    }
    *capacity = *capacity == 0 ? 16 : 2 * *capacity;
    items = realloc(items, *capacity * size);
    if (items == NULL) {
        power_fail("out of memory");
    }
    return items;
}

#define GROW(list) list = power_grow(list, list##_count, &list##_capacity, sizeof *(list))

/* ---- names ---- */

typedef struct reader {
    disk *d;
    const char *root;
    disk_file **opened; /* by number of the descriptor */
    size_t opened_count;
    disk_file **syncing; /* by number of the sync */
    uint64_t *sync_begin;
    size_t syncing_count;
    uint64_t moment;
} reader;

static disk_file *new_file(disk *d, bool folder)
{
    disk_file *f = power_alloc(sizeof *f);
    f->folder = folder;
    f->number = d->files_count;
    GROW(d->files);
    d->files[d->files_count++] = f;
    return f;
}

static disk_entry *entry_find(disk_file *folder, const char *name)
{
    for (size_t i = 0; i < folder->entries_count; i++) {
        if (strcmp(folder->entries[i].name, name) == 0) {
            return &folder->entries[i];
        }
    }
    return NULL;
}

static void entry_set(disk_file *folder, const char *name, disk_file *file)
{
    disk_entry *e = entry_find(folder, name);
    if (e == NULL) {
        GROW(folder->entries);
        e = &folder->entries[folder->entries_count++];
        e->name = strdup(name);
    }
    e->file = file;
}

static void entry_remove(disk_file *folder, const char *name)
{
    disk_entry *e = entry_find(folder, name);
    if (e == NULL) {
        power_fail("record: %s is removed and was not there", name);
    }
    free(e->name);
    *e = folder->entries[--folder->entries_count];
}

/* The folder that `path` is in and the name there. */
static disk_file *parent_of(reader *r, const char *path, char **name)
{
    char *copy = strdup(path + strlen(r->root));
    char *save = NULL;
    disk_file *folder = r->d->root;
    *name = NULL;
    for (char *part = strtok_r(copy, "/", &save); part != NULL; part = strtok_r(NULL, "/", &save)) {
        if (strcmp(part, ".") == 0) {
            continue;
        }
        if (*name != NULL) {
            disk_entry *e = entry_find(folder, *name);
            if (e == NULL || !e->file->folder) {
                power_fail("record: %s is in no folder", path);
            }
            folder = e->file;
        }
        free(*name);
        *name = strdup(part);
    }
    free(copy);
    return folder;
}

static disk_file *lookup(reader *r, const char *path)
{
    char *name;
    disk_file *folder = parent_of(r, path, &name);
    disk_entry *e = name == NULL ? NULL : entry_find(folder, name);
    disk_file *found = name == NULL ? r->d->root : e == NULL ? NULL : e->file;
    free(name);
    return found;
}

static void name_change(reader *r, disk_file *folder, const char *from, const char *to,
                        disk_file *file)
{
    GROW(folder->names);
    folder->names[folder->names_count++] = (disk_name_change){
        .moment = r->moment,
        .from = from == NULL ? NULL : strdup(from),
        .to = to == NULL ? NULL : strdup(to),
        .file = file,
    };
    if (from != NULL) {
        entry_remove(folder, from);
    }
    if (to != NULL) {
        entry_set(folder, to, file);
    }
}

static void add_name(reader *r, const char *path, disk_file *file)
{
    char *name;
    disk_file *folder = parent_of(r, path, &name);
    name_change(r, folder, NULL, name, file);
    const char *dot = strrchr(name, '.');
    file->log = file->log || (!file->folder && dot != NULL && strcmp(dot, ".log") == 0);
    free(name);
}

static void remove_name(reader *r, const char *path)
{
    char *name;
    disk_file *folder = parent_of(r, path, &name);
    name_change(r, folder, name, NULL, NULL);
    free(name);
}

static void rename_name(reader *r, const char *path, const char *path2)
{
    char *from;
    char *to;
    disk_file *folder = parent_of(r, path, &from);
    if (parent_of(r, path2, &to) != folder) {
        power_fail("record: %s is renamed to %s: between folders, which is not modelled", path,
                   path2);
    }
    disk_entry *e = entry_find(folder, from);
    if (e == NULL) {
        power_fail("record: %s is renamed and was not there", path);
    }
    name_change(r, folder, from, to, e->file);
    free(from);
    free(to);
}

/* ---- contents ---- */

static void content_change(reader *r, disk_file *f, disk_change change)
{
    change.moment = r->moment;
    GROW(f->changes);
    f->changes[f->changes_count++] = change;
}

static disk_file *opened(reader *r, uint64_t number)
{
    return number < r->opened_count ? r->opened[number] : NULL;
}

static void open_file(reader *r, const recording_head *h, const char *path, bool unseen)
{
    const int flags = (int)h->number;
    disk_file *f = lookup(r, path);
    if (f == NULL) {
        f = new_file(r->d, false);
        f->unseen = unseen;
        add_name(r, path, f);
    } else if ((flags & O_TRUNC) != 0) {
        content_change(r, f, (disk_change){.kind = DISK_SIZE});
    }
    if (h->file >= OPENED_MAX) {
        power_fail("record: too many files");
    }
    while (r->opened_count <= h->file) {
        r->opened[r->opened_count++] = NULL;
    }
    r->opened[h->file] = f;
}

static bool is_diary(const char *name)
{
    return strncmp(name, "LOG", 3) == 0;
}

static void sync_begin(reader *r, const recording_head *h)
{
    if (h->number >= OPENED_MAX) {
        power_fail("record: too many syncs");
    }
    while (r->syncing_count <= h->number) {
        r->syncing[r->syncing_count++] = NULL;
    }
    r->syncing[h->number] = opened(r, h->file);
    r->sync_begin[h->number] = r->moment;
}

static void sync_end(reader *r, const recording_head *h)
{
    disk_file *f = h->number < r->syncing_count ? r->syncing[h->number] : NULL;
    if (f != NULL && h->file == 1) {
        GROW(f->syncs);
        f->syncs[f->syncs_count++] =
            (disk_sync){.begin = r->sync_begin[h->number], .end = r->moment};
    }
}

static void mark(reader *r, const void *data, size_t size)
{
    disk *d = r->d;
    char *text = power_alloc(size + 1);
    memcpy(text, data, size);
    GROW(d->marks);
    d->marks[d->marks_count++] = (disk_mark){.moment = r->moment, .text = text};
}

static void take(reader *r, const recording_head *h, const char *text, const char *text2,
                 const uint8_t *data)
{
    disk_file *f = opened(r, h->file);
    const char *slash = strrchr(text, '/');
    switch (h->kind) {
    case RECORDING_OPEN:
        open_file(r, h, text, slash != NULL && is_diary(slash + 1));
        break;
    case RECORDING_WRITE:
        if (f == NULL) {
            power_fail("record: a write to no file");
        }
        content_change(
            r, f,
            (disk_change){
                .kind = DISK_WRITE, .offset = h->number, .size = h->data_size, .data = data});
        break;
    case RECORDING_TRUNCATE:
        f = lookup(r, text);
        if (f != NULL) {
            content_change(r, f, (disk_change){.kind = DISK_SIZE, .offset = h->number});
        }
        break;
    case RECORDING_RESIZE:
    case RECORDING_EXTEND:
        content_change(r, f,
                       (disk_change){.kind = h->kind == RECORDING_RESIZE ? DISK_SIZE : DISK_EXTEND,
                                     .offset = h->number});
        break;
    case RECORDING_SYNC_BEGIN:
        sync_begin(r, h);
        break;
    case RECORDING_SYNC_END:
        sync_end(r, h);
        break;
    case RECORDING_RENAME:
        rename_name(r, text, text2);
        break;
    case RECORDING_LINK:
        add_name(r, text2, lookup(r, text));
        break;
    case RECORDING_UNLINK:
    case RECORDING_RMDIR:
        remove_name(r, text);
        break;
    case RECORDING_MKDIR:
        add_name(r, text, new_file(r->d, true));
        break;
    case RECORDING_MARK:
        mark(r, data, h->data_size);
        break;
    default:
        power_fail("record: an entry of no kind");
    }
}

/* ---- what was there before ---- */

static void load_start(reader *r, disk_file *folder, const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    if (dir == NULL) {
        power_fail("can't read %s", path);
    }
    while ((entry = readdir(dir)) != NULL) {
        struct stat st;
        char *whole = support_path_join(path, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            lstat(whole, &st) == 0 && (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode))) {
            disk_file *f = new_file(r->d, S_ISDIR(st.st_mode));
            name_change(r, folder, NULL, entry->d_name, f);
            const char *dot = strrchr(entry->d_name, '.');
            f->log = dot != NULL && strcmp(dot, ".log") == 0;
            f->unseen = is_diary(entry->d_name);
            if (f->folder) {
                load_start(r, f, whole);
            } else {
                size_t size;
                const uint8_t *data = (const uint8_t *)support_read_file(whole, &size);
                content_change(r, f, (disk_change){.kind = DISK_WRITE, .size = size, .data = data});
            }
            f->syncs = power_alloc(sizeof *f->syncs);
            f->syncs_capacity = f->syncs_count = 1;
            f->syncs[0] = (disk_sync){.begin = 1, .end = 1};
        }
        free(whole);
    }
    closedir(dir);
}

disk *disk_load(const char *record, const char *root, const char *start, size_t limit)
{
    disk *d = power_alloc(sizeof *d);
    reader r = {.d = d, .root = root};
    r.opened = power_alloc(sizeof *r.opened * OPENED_MAX);
    r.syncing = power_alloc(sizeof *r.syncing * OPENED_MAX);
    r.sync_begin = power_alloc(sizeof *r.sync_begin * OPENED_MAX);
    d->root = new_file(d, true);
    GROW(d->root->syncs); /* the folder itself was there before */
    d->root->syncs[d->root->syncs_count++] = (disk_sync){.begin = 1, .end = 1};
    if (start != NULL) {
        load_start(&r, d->root, start);
    }
    d->record = (uint8_t *)support_read_file(record, &d->record_size);
    size_t end = limit != 0 && limit < d->record_size ? limit : d->record_size;
    size_t kinds_capacity = 0;
    for (size_t at = 0; at + sizeof(recording_head) <= end;) {
        recording_head h;
        memcpy(&h, d->record + at, sizeof h);
        const size_t size = sizeof h + h.text_size + h.text2_size + h.data_size;
        if (size > end - at) {
            break; /* still being written when it was looked at */
        }
        char *text = strndup((const char *)d->record + at + sizeof h, h.text_size);
        char *text2 = strndup((const char *)d->record + at + sizeof h + h.text_size, h.text2_size);
        r.moment = d->moments + 1;
        d->kinds = power_grow(d->kinds, d->moments + 1, &kinds_capacity, sizeof *d->kinds);
        d->kinds[++d->moments] = h.kind;
        take(&r, &h, text, text2, d->record + at + size - h.data_size);
        free(text);
        free(text2);
        at += size;
    }
    free(r.opened);
    free(r.syncing);
    free(r.sync_begin);
    return d;
}

void disk_free(disk *d)
{
    for (size_t i = 0; i < d->files_count; i++) {
        disk_file *f = d->files[i];
        for (size_t k = 0; k < f->names_count; k++) {
            free(f->names[k].from);
            free(f->names[k].to);
        }
        for (size_t k = 0; k < f->entries_count; k++) {
            free(f->entries[k].name);
        }
        if (f->changes_count > 0 && f->changes[0].moment == 0) {
            free((void *)(uintptr_t)f->changes[0].data);
        }
        free(f->names);
        free(f->entries);
        free(f->changes);
        free(f->syncs);
        free(f);
    }
    for (size_t i = 0; i < d->marks_count; i++) {
        free((void *)(uintptr_t)d->marks[i].text);
    }
    free(d->marks);
    free(d->files);
    free(d->kinds);
    free(d->record);
    free(d);
}

/* ---- is it what is there? ---- */

static bool folder_is_at(const disk *d, const disk_file *folder, const char *path);

static bool entry_is_at(const disk *d, const disk_entry *e, const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0 || (bool)S_ISDIR(st.st_mode) != e->file->folder) {
        (void)fprintf(stderr, "%s: recorded and not there\n", path);
        return false;
    }
    if (e->file->folder) {
        return folder_is_at(d, e->file, path);
    }
    if (e->file->unseen) {
        return true;
    }
    size_t size;
    size_t there_size;
    uint8_t *bytes = image_content_now(e->file, &size);
    char *there = support_read_file(path, &there_size);
    const bool same = size == there_size && memcmp(bytes, there, size) == 0;
    if (!same) {
        (void)fprintf(stderr, "%s: is not as recorded: %zu bytes, there %zu\n", path, size,
                      there_size);
    }
    free(bytes);
    free(there);
    return same;
}

static bool folder_is_at(const disk *d, const disk_file *folder, const char *path)
{
    bool same = true;
    for (size_t i = 0; i < folder->entries_count; i++) {
        char *whole = support_path_join(path, folder->entries[i].name);
        same = entry_is_at(d, &folder->entries[i], whole) && same;
        free(whole);
    }
    DIR *dir = opendir(path);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            entry_find((disk_file *)(uintptr_t)folder, entry->d_name) == NULL) {
            (void)fprintf(stderr, "%s/%s: there and not recorded\n", path, entry->d_name);
            same = false;
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return same;
}

bool disk_is_at(const disk *d, const char *folder)
{
    return folder_is_at(d, d->root, folder);
}

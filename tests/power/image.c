#include "tests/power/image.h"

#include "tests/support/preload/recording.h"
#include "tests/support/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum style {
    STYLE_NOTHING, /* nothing that was not synced is there */
    STYLE_ALL,     /* all of it is */
    STYLE_UNTIL,   /* all until some moment, nothing behind it */
    STYLE_CUT,    /* all before some place in the file, nothing behind it; the unit there is torn */
    STYLE_HOLE,   /* all but a few units */
    STYLE_SUBSET, /* each unit is there or not */
    STYLE_MOMENTS, /* each unit is of another moment */
    STYLES,
};

static const char *const style_names[STYLES] = {"nothing", "all",    "until",  "cut",
                                                "hole",    "subset", "moments"};

/* ---- choosing ---- */

static uint64_t moment_choose(const disk *d, support_prng *prng)
{
    const uint64_t kind = support_prng_below(prng, 4);
    for (int tries = 0; kind != 0 && tries < 2000; tries++) {
        const uint64_t moment = 1 + support_prng_below(prng, d->moments);
        const uint32_t there = d->kinds[moment];
        bool fits = kind == 1   ? there == RECORDING_MARK
                    : kind == 2 ? there == RECORDING_SYNC_BEGIN || there == RECORDING_SYNC_END
                                : there == RECORDING_RENAME || there == RECORDING_UNLINK ||
                                      there == RECORDING_MKDIR || there == RECORDING_OPEN ||
                                      there == RECORDING_LINK;
        if (fits) {
            return moment;
        }
    }
    return 1 + support_prng_below(prng, d->moments);
}

image_choice image_choose(const disk *d, uint64_t seed, bool lies)
{
    support_prng prng = support_prng_new(seed);
    image_choice c = {.seed = support_prng_next(&prng)};
    c.moment = moment_choose(d, &prng);
    c.strict = support_prng_below(&prng, 2) == 0;
    c.unit = support_prng_below(&prng, 2) == 0 ? 512 : 4096;
    c.style = support_prng_below(&prng, 3) == 0 ? -1 : (int)support_prng_below(&prng, STYLES);
    if (lies) {
        const uint64_t back = support_prng_below(&prng, 400);
        c.lying = c.moment > back ? c.moment - back : 1;
    }
    return c;
}

void image_describe(const image_choice *c, char *text, size_t size)
{
    char lying[64] = "";
    if (c->lying != 0) {
        (void)snprintf(lying, sizeof lying, ", syncs lie from moment %llu",
                       (unsigned long long)c->lying);
    }
    (void)snprintf(
        text, size, "power lost behind moment %llu, names %s, units of %u, unsynced %s%s",
        (unsigned long long)c->moment, c->strict ? "of each folder alone" : "as journalled",
        c->unit, c->style < 0 ? "mixed" : style_names[c->style], lying);
}

uint64_t image_synced(const disk_file *file, uint64_t moment, uint64_t lying)
{
    uint64_t synced = 0;
    for (size_t i = 0; i < file->syncs_count; i++) {
        const disk_sync *s = &file->syncs[i];
        if (s->end <= moment && s->begin > synced && (lying == 0 || s->begin < lying)) {
            synced = s->begin;
        }
    }
    return synced;
}

/* ---- contents ---- */

typedef struct content {
    uint8_t *bytes;
    size_t size, capacity;
} content;

static void reserve(content *c, size_t size)
{
    if (size > c->capacity) {
        size_t capacity = size + size / 2;
        c->bytes = realloc(c->bytes, capacity);
        if (c->bytes == NULL) {
            power_fail("out of memory");
        }
        memset(c->bytes + c->capacity, 0, capacity - c->capacity);
        c->capacity = capacity;
    }
}

static void resize(content *c, size_t size)
{
    reserve(c, size);
    if (size < c->capacity) {
        memset(c->bytes + size, 0, c->capacity - size);
    }
    c->size = size;
}

/* How the unsynced part of one file is chosen. */
typedef struct chooser {
    uint64_t seed;
    uint64_t synced, moment; /* of changes in between it is not known whether they are there */
    uint64_t size_moment;    /* the size is that of this moment */
    uint64_t until;
    uint64_t cut;       /* place in the file */
    uint64_t torn_unit; /* this one is torn, after torn_bytes; UINT64_MAX: none */
    uint32_t torn_bytes, unit;
    int style;
} chooser;

static uint64_t between(support_prng *prng, uint64_t from, uint64_t to)
{
    return from + support_prng_below(prng, to - from + 1);
}

/* Changes before the moment that this gives are in that unit. */
static uint64_t unit_until(const chooser *c, uint64_t unit)
{
    support_prng prng = support_prng_new(c->seed ^ (unit + 1) * UINT64_C(0x9e3779b97f4a7c15));
    const uint64_t all = c->moment + 1;
    switch (c->style) {
    case STYLE_NOTHING:
        return c->synced;
    case STYLE_ALL:
        return all;
    case STYLE_UNTIL:
        return c->until;
    case STYLE_CUT:
        return unit * c->unit < c->cut ? all : c->synced;
    case STYLE_HOLE:
        return support_prng_below(&prng, 8) == 0 ? c->synced : all;
    case STYLE_SUBSET:
        return support_prng_below(&prng, 2) == 0 ? c->synced : all;
    default:
        return between(&prng, c->synced, all);
    }
}

static chooser chooser_of(const image_choice *c, const disk_file *f, uint64_t synced)
{
    support_prng prng = support_prng_new(c->seed + (f->number + 1) * UINT64_C(0xd1342543de82ef95));
    chooser out = {.seed = support_prng_next(&prng),
                   .synced = synced,
                   .moment = c->moment,
                   .size_moment = c->moment + 1,
                   .torn_unit = UINT64_MAX,
                   .unit = c->unit,
                   .style = c->style};
    if (out.style < 0) {
        out.style = (int)support_prng_below(&prng, STYLES);
    }
    uint64_t low = UINT64_MAX;
    uint64_t high = 0;
    size_t unsynced = 0;
    for (size_t i = 0; i < f->changes_count; i++) {
        const disk_change *change = &f->changes[i];
        if (change->moment < synced || change->moment > c->moment) {
            continue;
        }
        unsynced++;
        if (change->kind == DISK_WRITE) {
            low = change->offset < low ? change->offset : low;
            high = change->offset + change->size > high ? change->offset + change->size : high;
        }
    }
    /* A moment of one of the changes, else most moments would be between the same two. */
    size_t pick = unsynced == 0 ? 0 : (size_t)support_prng_below(&prng, unsynced + 1);
    out.until = c->moment + 1;
    for (size_t i = 0; i < f->changes_count; i++) {
        const disk_change *change = &f->changes[i];
        if (change->moment >= synced && change->moment <= c->moment && pick-- == 0) {
            out.until = change->moment;
            break;
        }
    }
    out.cut = low < high ? between(&prng, low, high) : 0;
    if (out.style == STYLE_NOTHING) {
        out.size_moment = synced;
    } else if (out.style == STYLE_UNTIL ||
               (out.style > STYLE_UNTIL && support_prng_below(&prng, 2) == 0)) {
        out.size_moment = out.until;
    }
    if (out.style == STYLE_CUT || (out.style > STYLE_ALL && support_prng_below(&prng, 4) == 0)) {
        out.torn_unit = out.cut / c->unit;
        out.torn_bytes = c->unit == 512 ? (uint32_t)(out.cut % c->unit)
                                        : (uint32_t)support_prng_below(&prng, c->unit / 512) * 512;
    }
    return out;
}

/* Puts the part of a write into one unit that is there. */
static void write_part(content *out, const chooser *c, const disk_change *w, uint64_t from,
                       uint64_t to)
{
    const uint64_t unit = from / c->unit;
    uint64_t until = unit_until(c, unit);
    if (unit == c->torn_unit) { /* before the tear all, behind it what the style says, or nothing */
        const uint64_t tear = unit * c->unit + c->torn_bytes;
        const uint64_t all_to = to < tear ? to : tear;
        if (from < all_to) {
            memcpy(out->bytes + from, w->data + (from - w->offset), all_to - from);
        }
        until = c->style == STYLE_CUT ? c->synced : until;
        from = from > all_to ? from : all_to;
    }
    if (from < to && w->moment < until) {
        memcpy(out->bytes + from, w->data + (from - w->offset), to - from);
    }
}

static void apply(content *out, const chooser *c, const disk_change *change)
{
    const bool sized = change->moment < c->size_moment;
    if (change->kind == DISK_SIZE) {
        if (sized) {
            resize(out, change->offset);
        }
        return;
    }
    const uint64_t end = change->offset + change->size;
    reserve(out, end);
    if (sized && end > out->size) {
        out->size = end;
    }
    for (uint64_t at = change->offset; at < end;) {
        uint64_t next = (at / c->unit + 1) * c->unit;
        next = next < end ? next : end;
        write_part(out, c, change, at, next);
        at = next;
    }
}

static content content_of(const image_choice *choice, const disk_file *f)
{
    const uint64_t synced = image_synced(f, choice->moment, choice->lying);
    const chooser unsynced = chooser_of(choice, f, synced);
    const chooser durable = {.synced = UINT64_MAX,
                             .moment = UINT64_MAX - 1,
                             .size_moment = UINT64_MAX,
                             .torn_unit = UINT64_MAX,
                             .unit = 1 << 20,
                             .style = STYLE_ALL};
    content out = {0};
    for (size_t i = 0; i < f->changes_count; i++) {
        const disk_change *change = &f->changes[i];
        if (change->moment <= choice->moment) {
            apply(&out, change->moment < synced ? &durable : &unsynced, change);
        }
    }
    if (out.size < out.capacity) { /* what is behind the end isn't there */
        memset(out.bytes + out.size, 0, out.capacity - out.size);
    }
    return out;
}

uint8_t *image_content_now(const disk_file *file, size_t *size)
{
    const image_choice all = {.moment = UINT64_MAX - 2, .unit = 1 << 20, .style = STYLE_ALL};
    content c = content_of(&all, file);
    reserve(&c, 1);
    *size = c.size;
    return c.bytes;
}

static void put_file(const image_choice *choice, const disk_file *f, const char *path)
{
    static const uint8_t zeros[1 << 16];
    content c = content_of(choice, f);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)c.size) != 0) {
        power_fail("can't make %s", path);
    }
    for (size_t at = 0; at < c.size; at += sizeof zeros) { /* holes stay holes */
        const size_t size = c.size - at < sizeof zeros ? c.size - at : sizeof zeros;
        if (memcmp(c.bytes + at, zeros, size) != 0 &&
            pwrite(fd, c.bytes + at, size, (off_t)at) != (ssize_t)size) {
            power_fail("can't write %s", path);
        }
    }
    close(fd);
    free(c.bytes);
}

/* ---- names ---- */

static void names_apply(disk_entry **entries, size_t *count, size_t *capacity,
                        const disk_name_change *change)
{
    for (size_t i = 0; i < *count;) {
        const char *name = (*entries)[i].name;
        if ((change->from != NULL && strcmp(name, change->from) == 0) ||
            (change->to != NULL && strcmp(name, change->to) == 0)) {
            (*entries)[i] = (*entries)[--*count];
        } else {
            i++;
        }
    }
    if (change->to != NULL) {
        *entries = power_grow(*entries, *count, capacity, sizeof **entries);
        (*entries)[(*count)++] = (disk_entry){.name = change->to, .file = change->file};
    }
}

/* Changes of names before this moment are there. */
static uint64_t names_until(const disk *d, const image_choice *c, const disk_file *folder)
{
    const disk_file *seeded = c->strict ? folder : d->root;
    support_prng prng =
        support_prng_new(c->seed ^ (seeded->number + 7) * UINT64_C(0xa0761d6478bd642f));
    uint64_t floor = 0;
    if (c->strict) {
        floor = image_synced(folder, c->moment, c->lying);
    } else {
        for (size_t i = 0; i < d->files_count; i++) {
            const uint64_t synced = image_synced(d->files[i], c->moment, c->lying);
            floor = synced > floor ? synced : floor;
        }
    }
    switch (support_prng_below(&prng, 3)) {
    case 0:
        return floor;
    case 1:
        return c->moment + 1;
    default:
        break;
    }
    if (!c->strict) {
        return between(&prng, floor, c->moment + 1);
    }
    size_t open_count = 0; /* one of the folder's own moments */
    for (size_t i = 0; i < folder->names_count; i++) {
        const uint64_t moment = folder->names[i].moment;
        open_count += moment >= floor && moment <= c->moment;
    }
    size_t pick = open_count == 0 ? 0 : (size_t)support_prng_below(&prng, open_count);
    for (size_t i = 0; i < folder->names_count; i++) {
        const uint64_t moment = folder->names[i].moment;
        if (moment >= floor && moment <= c->moment && pick-- == 0) {
            return moment;
        }
    }
    return c->moment + 1;
}

typedef struct made {
    const disk_file *file;
    char *path;
} made;

typedef struct maker {
    const disk *d;
    const image_choice *choice;
    made *made; /* by the file's number: a second name is a link */
} maker;

static void put_folder(maker *m, const disk_file *folder, const char *path)
{
    disk_entry *entries = NULL;
    size_t count = 0;
    size_t capacity = 0;
    const uint64_t until = names_until(m->d, m->choice, folder);
    for (size_t i = 0; i < folder->names_count && folder->names[i].moment < until; i++) {
        names_apply(&entries, &count, &capacity, &folder->names[i]);
    }
    for (size_t i = 0; i < count; i++) {
        char *whole = support_path_join(path, entries[i].name);
        made *there = &m->made[entries[i].file->number];
        if (entries[i].file->folder) {
            if (mkdir(whole, S_IRWXU) != 0) {
                power_fail("can't make %s", whole);
            }
            put_folder(m, entries[i].file, whole);
            free(whole);
        } else if (there->path != NULL) {
            if (link(there->path, whole) != 0) {
                power_fail("can't link %s", whole);
            }
            free(whole);
        } else {
            put_file(m->choice, entries[i].file, whole);
            there->path = whole;
        }
    }
    free(entries);
}

void image_make(const disk *d, const image_choice *c, const char *path)
{
    maker m = {.d = d, .choice = c, .made = power_alloc(sizeof(made) * d->files_count)};
    put_folder(&m, d->root, path);
    for (size_t i = 0; i < d->files_count; i++) {
        free(m.made[i].path);
    }
    free(m.made);
}

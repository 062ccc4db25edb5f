#include "tests/power/expect.h"

#include "tests/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROW(list) list = power_grow(list, list##_count, &list##_capacity, sizeof *(list))

static void feed_mark(expect *e, const disk_mark *m)
{
    unsigned long long position;
    unsigned long long number;
    char lineage[64];
    char digest[65];
    char type[64];
    if (sscanf(m->text, "feed %llu %63s %llu %64s %63s", &position, lineage, &number, digest,
               type) != 5) {
        power_fail("mark: %s", m->text);
    }
    while (e->commits_count <= position) {
        GROW(e->commits);
        e->commits[e->commits_count++] = (expect_commit){0};
    }
    expect_commit *c = &e->commits[position];
    *c = (expect_commit){.moment = m->moment, .number = number};
    c->deletes = strcmp(type, "lineage.deleted") == 0;
    (void)snprintf(c->digest, sizeof c->digest, "%s", digest);
    if (ratoon_id_parse(lineage, &c->lineage) != RATOON_OK) {
        power_fail("mark: %s", m->text);
    }
}

static uint64_t last_of(const expect *e, ratoon_id lineage)
{
    for (size_t i = e->commits_count; i-- > 1;) {
        if (e->commits[i].moment != 0 && ratoon_id_equal(e->commits[i].lineage, lineage)) {
            return i;
        }
    }
    return 0;
}

static void store_mark(expect *e, const disk_mark *m)
{
    char path[4096];
    char from[4096];
    const int words = sscanf(m->text, "making %4095s %4095s", path, from);
    if (words < 1) {
        power_fail("mark: %s", m->text);
    }
    expect_store made = {.path = strdup(path), .making = m->moment};
    if (words == 2) {
        made.copied = m->moment;
        for (size_t i = 0; i < e->stores_count; i++) { /* a copy of a copy */
            const expect_store *s = &e->stores[i];
            made.copied = strcmp(s->path, from) == 0 && s->copied != 0 ? s->copied : made.copied;
        }
    }
    GROW(e->stores);
    e->stores[e->stores_count++] = made;
}

static void key_mark(expect *e, const disk_mark *m)
{
    char run[64];
    GROW(e->keys);
    expect_key *key = &e->keys[e->keys_count++];
    *key = (expect_key){.moment = m->moment};
    if (sscanf(m->text, "key %63s %63s", key->name, run) != 2 ||
        ratoon_id_parse(run, &key->run) != RATOON_OK) {
        power_fail("mark: %s", m->text);
    }
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static void take(expect *e, const disk_mark *m)
{
    if (begins(m->text, "feed ")) {
        feed_mark(e, m);
    } else if (begins(m->text, "ack ")) {
        e->acked[m->moment] = strtoull(m->text + 4, NULL, 10);
    } else if (begins(m->text, "failed ")) {
        ratoon_id lineage;
        if (ratoon_id_parse(m->text + 7, &lineage) != RATOON_OK) {
            power_fail("mark: %s", m->text);
        }
        e->failed[m->moment] = last_of(e, lineage);
    } else if (begins(m->text, "making ")) {
        store_mark(e, m);
    } else if (begins(m->text, "made ")) {
        for (size_t i = 0; i < e->stores_count; i++) {
            if (strcmp(e->stores[i].path, m->text + 5) == 0) {
                e->stores[i].made = m->moment;
            }
        }
    } else if (begins(m->text, "key ")) {
        key_mark(e, m);
    }
}

expect *expect_load(const disk *d, ratoon_durability mode, bool all_known)
{
    expect *e = power_alloc(sizeof *e);
    *e = (expect){.d = d, .mode = mode, .all_known = all_known};
    e->acked = power_alloc((d->moments + 2) * sizeof *e->acked);
    e->failed = power_alloc((d->moments + 2) * sizeof *e->failed);
    e->closed = power_alloc((d->moments + 2) * sizeof *e->closed);
    uint64_t acked = 0;
    for (size_t i = 0; i < d->marks_count; i++) {
        take(e, &d->marks[i]);
        acked = e->acked[d->marks[i].moment] > acked ? e->acked[d->marks[i].moment] : acked;
        if (begins(d->marks[i].text, "closed ")) {
            e->closed[d->marks[i].moment] = acked;
        } else if (begins(d->marks[i].text, "sealing ")) {
            e->sealing = acked;
        } else if (begins(d->marks[i].text, "sealed ")) {
            e->closed[d->marks[i].moment] = e->sealing;
            GROW(e->seals);
            e->seals[e->seals_count++] = (expect_seal){
                .moment = d->marks[i].moment, .path = strdup(d->marks[i].text + strlen("sealed "))};
        }
    }
    for (uint64_t i = 1; i <= d->moments; i++) { /* each holds from then on */
        e->acked[i] = e->acked[i] > e->acked[i - 1] ? e->acked[i] : e->acked[i - 1];
        e->failed[i] = e->failed[i] > e->failed[i - 1] ? e->failed[i] : e->failed[i - 1];
        e->closed[i] = e->closed[i] > e->closed[i - 1] ? e->closed[i] : e->closed[i - 1];
    }
    return e;
}

void expect_free(expect *e)
{
    for (size_t i = 0; i < e->stores_count; i++) {
        free(e->stores[i].path);
    }
    for (size_t i = 0; i < e->seals_count; i++) {
        free(e->seals[i].path);
    }
    free(e->seals);
    free(e->stores);
    free(e->keys);
    free(e->commits);
    free(e->acked);
    free(e->failed);
    free(e->closed);
    free(e);
}

/* Whether all that the logs held at `then` has been synced by `moment`. */
static bool logs_synced(const disk *d, uint64_t then, uint64_t moment)
{
    for (size_t i = 0; i < d->files_count; i++) {
        const disk_file *f = d->files[i];
        uint64_t last = 0;
        for (size_t k = 0; f->log && k < f->changes_count && f->changes[k].moment <= then; k++) {
            last = f->changes[k].moment;
        }
        if (last != 0 && image_synced(f, moment, 0) <= last) {
            return false;
        }
    }
    return true;
}

static uint64_t interval_position(const expect *e, uint64_t moment)
{
    uint64_t position =
        e->failed[moment] > e->closed[moment] ? e->failed[moment] : e->closed[moment];
    uint64_t low = 0; /* what was acknowledged then is synced */
    uint64_t high = moment + 1;
    while (high - low > 1) {
        const uint64_t middle = low + (high - low) / 2;
        if (logs_synced(e->d, middle, moment)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return e->acked[low] > position ? e->acked[low] : position;
}

uint64_t expect_position(const expect *e, const expect_store *s, const image_choice *c)
{
    if (s->copied != 0) { /* whole on disk before anybody is told */
        return e->acked[s->copied];
    }
    switch (e->mode) {
    case RATOON_DURABILITY_SYNC:
        return e->acked[c->moment];
    case RATOON_DURABILITY_INTERVAL:
        return interval_position(e, c->moment);
    default:
        return e->closed[c->moment];
    }
}

/* The other passes: feed against commits, stored values, captured files. */
#include "replay/verify.h"

#include "log/codec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void ratoon__sum_feed(const ratoon__report *r, ratoon__sum *s, uint64_t position, ratoon_id lineage,
                      uint64_t number)
{
    uint8_t bytes[32];
    memcpy(bytes, &position, 8);
    memcpy(bytes + 8, &number, 8);
    memcpy(bytes + 16, lineage.bytes, 16);
    ratoon__sum_add(s, &r->key, bytes, sizeof bytes);
}

/* ---- feed: what it says against the commits that were seen ---- */

typedef struct places_walk {
    const ratoon__report *report;
    ratoon__sum sum;
    uint64_t last, holes;
    bool gap;
} places_walk;

/* Whether a mark stands for a commit. */
static bool is_erased(const ratoon__report *r, ratoon_id lineage, uint64_t number)
{
    size_t low = 0;
    size_t high = r->marks_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order =
            memcmp(r->marks[middle].lineage.bytes, lineage.bytes, sizeof lineage.bytes);
        if (order == 0) {
            return number < r->marks[middle].number;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return false;
}

static bool place_seen(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number)
{
    places_walk *w = ctx;
    if (position >= w->report->feed_end) {
        return false;
    }
    w->gap = w->gap || position != w->last + 1;
    w->last = position;
    if (is_erased(w->report, lineage, number)) {
        w->holes++;
        w->gap = w->gap || position >= w->report->marks_end;
    } else {
        ratoon__sum_feed(w->report, &w->sum, position, lineage, number);
    }
    return !w->gap;
}

/* Whether the feed names every commit that was seen, at its position and without a gap, and besides
 * them only what marks stand for. If not, or if that can't be told without asking for each commit,
 * the feed is read to say what is wrong. */
static bool places_fit(const ratoon__report *r, const ratoon__sum *seen)
{
    const ratoon__driver *d = ratoon__store_driver(r->store);
    places_walk w = {.report = r};
    return d->ops->places != NULL && !r->marks_missing &&
           d->ops->places(ratoon__store_driver(r->store), 1, place_seen, &w, NULL) == RATOON_OK &&
           !w.gap && w.last + 1 == r->feed_end && w.holes == r->erased &&
           ratoon__sum_equal(&w.sum, seen);
}

/* ---- feed: read as anybody reads it ---- */

typedef struct feed_walk {
    ratoon__report *report;
    ratoon__sum sum;
    uint64_t last, end;
    uint64_t holes; /* positions that nothing is at */
} feed_walk;

static bool feed_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                        const void *data, size_t size)
{
    feed_walk *w = ctx;
    (void)data;
    (void)size;
    if (position >= w->end) {
        return false;
    }
    /* A hole before a mark of a deleted lineage may be one that it explains (R20); how many it
     * explains is counted at the end. */
    if (position != w->last + 1 && position >= w->report->marks_end) {
        ratoon__problem(w->report, (ratoon_id){{0}}, 0, "feed",
                        "the feed goes from position %U to %U, where commit %U of lineage %I is: "
                        "what was between is missing",
                        w->last, position, number, &lineage);
    }
    w->holes += position - w->last - 1;
    w->last = position;
    ratoon__sum_feed(w->report, &w->sum, position, lineage, number);
    return true;
}

typedef struct erased_walk {
    uint64_t last, end;
    uint64_t erased; /* commits */
} erased_walk;

static bool count_erased(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                         const void *data, size_t size)
{
    erased_walk *w = ctx;
    ratoon__arena arena = {0};
    ratoon__commit c;
    (void)lineage;
    if (position >= w->end) {
        return false;
    }
    w->last = position;
    if (ratoon__commit_decode(data, size, &arena, &c, NULL) == RATOON_OK && c.events_count == 1 &&
        c.events[0].type == RATOON__EVENT_LINEAGE_DELETED) {
        w->erased += number - 1;
    }
    ratoon__arena_free(&arena);
    return true;
}

/* Commits that were erased since the verification began, and until now. */
static ratoon_status erased_since(const ratoon__report *r, uint64_t *erased, ratoon_error *error)
{
    ratoon__driver *d = ratoon__store_driver(r->store);
    erased_walk w = {.last = r->feed_end - 1};
    ratoon_status status = d->ops->end(d, &w.end, error);
    for (uint64_t before = 0; status == RATOON_OK && before != w.last && w.last + 1 < w.end;) {
        before = w.last;
        status = d->ops->tail(d, w.last + 1, 0, count_erased, &w, error); /* some of them */
    }
    *erased = w.erased;
    return status == RATOON_ERR_TIMED_OUT ? RATOON_OK : status;
}

/* The holes must be as many as the commits that marks stand for: each of those had a position. */
static void check_holes(ratoon__report *r, const feed_walk *w, uint64_t since)
{
    if (w->holes < r->erased || w->holes > r->erased + since) {
        ratoon__problem(r, (ratoon_id){{0}}, 0, "feed",
                        "%U positions of the feed are empty; marks of deleted lineages explain %U",
                        w->holes, r->erased);
    }
}

ratoon_status ratoon__verify_feed(ratoon__report *r, const ratoon__sum *seen, ratoon_error *error)
{
    ratoon__driver *d = ratoon__store_driver(r->store);
    feed_walk w = {.report = r, .end = r->feed_end};
    ratoon_error why = {0};
    ratoon_status status = RATOON_OK;
    const ratoon__report_place before_it = ratoon__report_here(r);
    if (places_fit(r, seen)) {
        return RATOON_OK;
    }
    while (status == RATOON_OK && w.last + 1 < w.end) {
        uint64_t before = w.last;
        status = d->ops->tail(d, w.last + 1, 0, feed_commit, &w, &why);
        if (status == RATOON_OK && w.last == before) {
            break;
        }
    }
    uint64_t since = 0;
    if (status == RATOON_OK || status == RATOON_ERR_TIMED_OUT) {
        ratoon_error unread = {0};
        (void)ratoon__report_unseen(r, erased_since(r, &since, &unread), &unread);
    }
    if (since > 0) { /* the two passes have not seen the same store: holes may be of what went */
        ratoon__report_back_to(r, before_it);
        check_holes(r, &w, since);
        return RATOON_OK;
    }
    if (status == RATOON_OK || status == RATOON_ERR_TIMED_OUT) {
        check_holes(r, &w, 0);
    }
    if (status == RATOON_ERR_TIMED_OUT || (status == RATOON_OK && w.last + 1 < w.end)) {
        ratoon__problem(r, (ratoon_id){{0}}, 0, "feed", "the feed ends at position %U of %U",
                        w.last, w.end - 1);
        status = RATOON_OK;
    } else if (status == RATOON_ERR_DAMAGED) {
        ratoon__problem(r, (ratoon_id){{0}}, 0, "feed", "after position %U: %s", w.last,
                        why.message);
        status = RATOON_OK;
    } else if (status == RATOON_OK && !ratoon__sum_equal(&w.sum, seen)) {
        ratoon__problem(r, (ratoon_id){{0}}, 0, "feed",
                        "the feed holds %U commits and the lineages hold %U, or not the same ones",
                        w.sum.count, seen->count);
    }
    if (status != RATOON_OK && error != NULL) {
        *error = why;
    }
    return status;
}

/* ---- values ---- */

static bool value_digest(void *ctx, const ratoon_digest *digest, const void *data, size_t size)
{
    ratoon__report *r = ctx;
    ratoon_digest found;
    r->values++;
    const ratoon_status status = ratoon__sha256(data, size, &found);
    if (ratoon__report_unseen(r, status, NULL)) {
        return false;
    }
    if (!ratoon__digest_equal(&found, digest)) {
        char name[65];
        ratoon__digest_format(digest, name);
        ratoon__problem(r, (ratoon_id){{0}}, 0, "value",
                        "the stored value %s (%U bytes) is not what its digest says", name,
                        (uint64_t)size);
    }
    return true;
}

ratoon_status ratoon__verify_values(ratoon__report *r, ratoon_error *error)
{
    ratoon__driver *d = ratoon__store_driver(r->store);
    ratoon_error why = {0};
    ratoon_status status = d->ops->values(d, value_digest, r, &why);
    if (status == RATOON_ERR_DAMAGED) {
        ratoon__problem(r, (ratoon_id){{0}}, 0, "value", "reading values failed: %s", why.message);
        return RATOON_OK;
    }
    if (status != RATOON_OK && error != NULL) {
        *error = why;
    }
    return status;
}

/* ---- captured output (E07) ---- */

/* Whether the system could not look, which says nothing about the file. */
static bool is_unseen(ratoon__report *r, const char *path, int reason)
{
    ratoon_error why = {0};
    return (reason == EIO || reason == EMFILE || reason == ENFILE || reason == ENOMEM) &&
           ratoon__report_unseen(r,
                                 ratoon__fail(&why, RATOON_ERR_IO,
                                              "captured output %s can't be read: %s", path,
                                              strerror(reason)),
                                 &why);
}

static void file_check(ratoon__report *r, const ratoon__commit *c, const char *path, uint64_t size,
                       const ratoon_digest *expected)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        const int reason = errno;
        if (!is_unseen(r, path, reason)) {
            ratoon__problem(r, c->lineage, c->number, "file", "captured output %s: %s", path,
                            strerror(reason));
        }
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    ratoon__sha256_stream *stream = ratoon__sha256_begin();
    char block[65536];
    ssize_t got = 0;
    while (stream != NULL && (got = read(fd, block, sizeof block)) > 0) {
        ratoon__sha256_add(stream, block, (size_t)got);
    }
    const int reason = errno;
    close(fd);
    ratoon_digest found = {{0}};
    const ratoon_status status =
        stream != NULL ? ratoon__sha256_end(stream, &found) : RATOON_ERR_NO_MEMORY;
    if ((got < 0 && is_unseen(r, path, reason)) || ratoon__report_unseen(r, status, NULL)) {
        return;
    }
    if ((uint64_t)st.st_size != size) {
        ratoon__problem(r, c->lineage, c->number, "file",
                        "captured output %s has %U bytes and had %U", path, (uint64_t)st.st_size,
                        size);
    } else if (got < 0 || status != RATOON_OK || !ratoon__digest_equal(&found, expected)) {
        ratoon__problem(r, c->lineage, c->number, "file", "captured output %s has changed", path);
    }
}

void ratoon__verify_capture(ratoon__report *r, const ratoon__commit *commit,
                            const ratoon__event *event, const char *stage)
{
    const bool item = event->type == RATOON__EVENT_ITEM_ENDED;
    const bool returned = event->type == RATOON__EVENT_STAGE_RETURNED;
    const ratoon__capture *capture = item       ? &event->u.item.capture
                                     : returned ? &event->u.stage_returned.capture
                                                : &event->u.stage_ended.capture;
    const uint32_t attempt = item       ? event->u.item.attempt
                             : returned ? event->u.stage_returned.attempt
                                        : event->u.stage_ended.attempt;
    const char *key = item ? event->u.item.key : NULL;
    const char *store = ratoon_store_path(r->store);
    char path[4096 + 512];
    if (!capture->present || store[0] == '\0') {
        return;
    }
    const ratoon_capture *c = &capture->c;
    ratoon_capture_path(store, event->run, stage, attempt, key, 1, path, sizeof path);
    const bool here = !ratoon__capture_elsewhere(store, event->run, commit->number);
    if ((c->stdout_size > 0 && here) || access(path, F_OK) == 0) {
        file_check(r, commit, path, c->stdout_size, &c->stdout_digest);
    }
    ratoon_capture_path(store, event->run, stage, attempt, key, 2, path, sizeof path);
    if ((c->stderr_size > 0 && here) || access(path, F_OK) == 0) {
        file_check(r, commit, path, c->stderr_size, &c->stderr_digest);
    }
}

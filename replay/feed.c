/* The live feed (Q06): every commit in one total order, from any position, without a gap or a
 * repeat. Commits are read a batch ahead and handed out one by one. */
#include "replay/erased.h"
#include "replay/json.h"

#include <stdlib.h>
#include <string.h>

#define FEED_BATCH 64 /* commits read ahead */

typedef struct entry {
    uint64_t position, number;
    ratoon_id lineage;
    void *data; /* malloc'ed, so aligned for any type */
    size_t size;
} entry;

struct ratoon_feed {
    ratoon_store *store;
    uint64_t next; /* position to read on from */
    entry entries[FEED_BATCH];
    size_t count, taken;
    bool failed;
    ratoon_buffer json; /* of the item handed out last */
    ratoon_id *runs;
    const char **types;
};

ratoon_status ratoon_feed_open(ratoon_store *store, uint64_t from, ratoon_feed **out,
                               ratoon_error *error)
{
    if (out == NULL) {
        return ratoon__no_place("out", error);
    }
    ratoon_feed *feed = calloc(1, sizeof *feed);
    if (feed == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    feed->store = store;
    feed->next = from == 0 ? 1 : from;
    *out = feed;
    return RATOON_OK;
}

ratoon_status ratoon_feed_end(ratoon_store *store, uint64_t *position, ratoon_error *error)
{
    if (position == NULL) {
        return ratoon__no_place("position", error);
    }
    ratoon__driver *d = ratoon__store_driver(store);
    return d->ops->end(d, position, error);
}

static void entries_clear(ratoon_feed *feed)
{
    for (size_t i = 0; i < feed->count; i++) {
        free(feed->entries[i].data);
    }
    feed->count = 0;
    feed->taken = 0;
}

void ratoon_feed_close(ratoon_feed *feed)
{
    if (feed != NULL) {
        entries_clear(feed);
        ratoon_buffer_free(&feed->json);
        free(feed->runs);
        free(feed->types);
        free(feed);
    }
}

static bool take_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                        const void *data, size_t size)
{
    ratoon_feed *feed = ctx;
    entry *e = &feed->entries[feed->count];
    *e = (entry){.position = position, .number = number, .lineage = lineage, .size = size};
    e->data = malloc(size == 0 ? 1 : size);
    if (e->data == NULL) {
        feed->failed = true;
        return false;
    }
    memcpy(e->data, data, size);
    feed->count++;
    feed->next = position + 1;
    return feed->count < FEED_BATCH;
}

static bool is_failure(const ratoon__event *e)
{
    return (e->type == RATOON__EVENT_RUN_ENDED && e->u.ended.status == RATOON_RUN_FAILED) ||
           (e->type == RATOON__EVENT_STAGE_ENDED && e->u.stage_ended.status == RATOON_STAGE_FAILED);
}

/* An event as `log` prints it; a failure with what can be done now, too (A03). */
static json_t *event_of(ratoon_store *s, const ratoon__lineage *l, const ratoon__commit *commit,
                        size_t i)
{
    const ratoon__event *event = &commit->events[i];
    const ratoon__run *r = l != NULL ? ratoon__lineage_run(l, event->run) : NULL;
    json_t *doc = ratoon__json_event(commit, i, r != NULL ? r->pipeline : NULL);
    if (r != NULL && is_failure(event)) {
        json_t *actions = ratoon__json_actions(s, l, r);
        if (actions == NULL ||
            json_object_set_new(json_object_get(doc, "data"), "actions", actions) != 0) {
            json_decref(doc); /* out of memory */
            return NULL;
        }
    }
    return doc;
}

static ratoon_status item_of(ratoon_feed *feed, const entry *e, const ratoon__commit *commit,
                             ratoon_feed_item *out, ratoon_error *error)
{
    ratoon__lineage *l = NULL;
    free(feed->runs);
    free(feed->types);
    feed->runs = calloc(commit->events_count + 1, sizeof *feed->runs);
    feed->types = calloc(commit->events_count + 1, sizeof *feed->types);
    if (feed->runs == NULL || feed->types == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    ratoon_status status = ratoon__store_lineage(feed->store, e->lineage, &l, error);
    if (status != RATOON_OK && status != RATOON_ERR_NOT_FOUND) {
        return status;
    }
    json_t *events = json_array();
    for (size_t i = 0; i < commit->events_count; i++) {
        const ratoon__event *event = &commit->events[i];
        if (json_array_append_new(events, event_of(feed->store, l, commit, i)) != 0) {
            json_decref(events); /* then there is no document either */
            events = NULL;
        }
        feed->runs[i] = event->run;
        feed->types[i] = ratoon__event_type_name(event->type);
    }
    ratoon__lineage_unref(l);
    json_t *doc = json_pack("{s:i,s:I,s:o,s:I,s:o,s:o}", "schema", RATOON__SCHEMA, "position",
                            (json_int_t)e->position, "lineage", ratoon__json_id(e->lineage),
                            "commit", (json_int_t)e->number, "time",
                            ratoon__json_time(commit->time_us), "events", events);
    ratoon_buffer_free(&feed->json);
    feed->json = (ratoon_buffer){0};
    status = ratoon__json_finish(doc, &feed->json, error);
    if (status == RATOON_OK) {
        *out = (ratoon_feed_item){.position = e->position,
                                  .lineage = e->lineage,
                                  .commit = e->number,
                                  .time_us = commit->time_us,
                                  .json = feed->json,
                                  .runs = feed->runs,
                                  .types = feed->types,
                                  .events = commit->events_count};
    }
    return status;
}

/* Reads on where everything read so far was handed out. */
static ratoon_status read_ahead(ratoon_feed *feed, uint32_t timeout_ms, ratoon_error *error)
{
    ratoon__driver *d = ratoon__store_driver(feed->store);
    if (feed->taken < feed->count) {
        return RATOON_OK;
    }
    entries_clear(feed);
    ratoon_status status = d->ops->tail(d, feed->next, timeout_ms, take_commit, feed, error);
    if (feed->failed) {
        feed->failed = false;
        status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    if (status == RATOON_OK && feed->count == 0) {
        status =
            ratoon__fail(error, RATOON_ERR_TIMED_OUT, "no commit came within %u ms", timeout_ms);
    }
    return status;
}

static ratoon_status hand_out(ratoon_feed *feed, const entry *e, ratoon_feed_item *out,
                              ratoon_error *error)
{
    ratoon__arena arena = {0};
    ratoon__commit commit;
    ratoon_status status =
        ratoon__store_decode(feed->store, e->data, e->size, &arena, &commit, error);
    if (status == RATOON_OK) {
        status = item_of(feed, e, &commit, out, error);
        ratoon__commit_release(&commit);
    }
    ratoon__arena_free(&arena);
    return status;
}

ratoon_status ratoon_feed_next(ratoon_feed *feed, uint32_t timeout_ms, ratoon_feed_item *out,
                               ratoon_error *error)
{
    if (out == NULL) {
        return ratoon__no_place("out", error);
    }
    for (;;) {
        ratoon_status status = read_ahead(feed, timeout_ms, error);
        if (status != RATOON_OK) {
            return status;
        }
        const entry *e = &feed->entries[feed->taken];
        status = hand_out(feed, e, out, error);
        /* What was read ahead may have been deleted meanwhile, its definition with it: then it is
         * a hole as for those who come later (R20). The mark comes behind it. */
        const bool hole =
            status == RATOON_ERR_DAMAGED && ratoon__is_erased(feed->store, e->lineage);
        feed->taken += status == RATOON_OK || hole;
        if (!hole) {
            return status;
        }
    }
}

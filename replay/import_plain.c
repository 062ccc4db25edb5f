/* Runs from elsewhere as plain lines (R18): what they tell becomes events, one commit each, in the
 * order of their times; then they are checked like any others. Nothing here is judged by what a
 * decider would allow today: it is history. But a run's outcome is derived from its stages (L05),
 * and a line that says otherwise is refused. */
#include "replay/import_plain.h"

#include "core/decide_internal.h"

#include <stdlib.h>
#include <string.h>

#define RUN_MEMBERS                                                                                \
    "id pipeline version status state params subject labels created_at started_at ended_at "       \
    "external_ref reason actor"
#define STAGE_MEMBERS "run name status outputs error reason started_at ended_at needs"

/* ---- collecting lines ---- */

static ratoon_status run_line(ratoon__import *im, const json_t *line)
{
    json_t *run = json_object_get(line, "run");
    json_t *stages = json_object_get(line, "stages");
    json_t *list = json_object_get(im->plain, "runs");
    json_t *ids = json_object_get(im->plain, "ids");
    ratoon_status status = ratoon__plain_check(im, run, "run", RUN_MEMBERS);
    if (status == RATOON_OK && stages != NULL && !json_is_array(stages)) {
        status = ratoon__import_fail(im, RATOON_ERR_USAGE, "its \"stages\" is no list");
    }
    for (size_t i = 0; status == RATOON_OK && i < json_array_size(stages); i++) {
        status = ratoon__plain_check(im, json_array_get(stages, i), "stage", STAGE_MEMBERS);
    }
    if (status != RATOON_OK) {
        return status;
    }
    const char *id = ratoon__plain_string(run, "id");
    if (id != NULL && json_object_get(ids, id) != NULL) {
        return ratoon__import_fail(im, RATOON_ERR_USAGE, "the run %s comes twice", id);
    }
    if (id != NULL) {
        json_object_set_new(ids, id, json_integer((json_int_t)json_array_size(list)));
    }
    json_t *copy = stages != NULL ? json_copy(stages) : json_array();
    json_t *entry =
        json_pack("{s:I,s:O,s:o}", "line", (json_int_t)im->line, "run", run, "stages", copy);
    return json_array_append_new(list, entry) == 0 ? RATOON_OK : ratoon__import_no_memory(im);
}

static ratoon_status stage_line(ratoon__import *im, json_t *stage)
{
    const ratoon_status status = ratoon__plain_check(im, stage, "stage", STAGE_MEMBERS);
    if (status != RATOON_OK) {
        return status;
    }
    const char *id = ratoon__plain_string(stage, "run");
    const json_t *index =
        id == NULL ? NULL : json_object_get(json_object_get(im->plain, "ids"), id);
    if (index == NULL) {
        return ratoon__import_fail(im, RATOON_ERR_USAGE,
                                   "a stage names the \"id\" of a run on a line before it; this "
                                   "one has %s",
                                   id == NULL ? "none" : id);
    }
    json_t *entry =
        json_array_get(json_object_get(im->plain, "runs"), (size_t)json_integer_value(index));
    return json_array_append(json_object_get(entry, "stages"), stage) == 0
               ? RATOON_OK
               : ratoon__import_no_memory(im);
}

ratoon_status ratoon__import_plain_line(ratoon__import *im, const json_t *line)
{
    if (json_object_get(line, "run") == NULL && json_object_get(line, "stage") == NULL) {
        return ratoon__import_fail(im, RATOON_ERR_USAGE,
                                   "the line is neither a commit, a value, a run nor a stage");
    }
    const ratoon_status status = ratoon__plain_check(im, line, "line", "schema run stage stages");
    if (status != RATOON_OK) {
        return status;
    }
    if (im->plain == NULL) {
        im->plain = json_pack("{s:[],s:{}}", "runs", "ids");
    }
    if (json_object_get(line, "run") != NULL) {
        return run_line(im, line);
    }
    return stage_line(im, json_object_get(line, "stage"));
}

/* ---- commits ---- */

static const ratoon__run *run_of(const ratoon__plain *p)
{
    return ratoon__lineage_run(p->im->lineage, p->id);
}

/* Appends one event as a commit of its own. */
static ratoon_status commit(ratoon__plain *p, uint64_t time_us, const ratoon__event *event)
{
    ratoon__import *im = p->im;
    const ratoon__lineage *l = im->lineage;
    const bool first = event->type == RATOON__EVENT_RUN_CREATED;
    p->time_us = time_us > p->time_us ? time_us : p->time_us; /* L13 */
    ratoon__commit c = {.id = ratoon__store_new_id(im->store),
                        .lineage = p->id,
                        .number = first ? 1 : l->head + 1,
                        .first_event = first ? 1 : l->events + 1,
                        .time_us = p->time_us,
                        .writer = ratoon__store_writer(im->store),
                        .events = event,
                        .events_count = 1};
    if (!first) {
        c.previous = l->head_digest;
    }
    const void *data = NULL;
    size_t size = 0;
    ratoon_error why = {0};
    ratoon_status status = ratoon__commit_encode(p->encoder, &c, &data, &size, &why);
    if (status != RATOON_OK) {
        return ratoon__import_fail(im, status, "%s", why.message);
    }
    /* Aligned, and not the encoder's own. */
    void *copy = ratoon__arena_memdup(&p->arena, data, size);
    return copy == NULL ? ratoon__import_no_memory(im)
                        : ratoon__import_commit_bytes(im, copy, size);
}

static ratoon_status pairs_of(ratoon__plain *p, const char *member, const ratoon_pair **out,
                              size_t *count)
{
    const json_t *object = json_object_get(p->run, member);
    ratoon_pair *pairs = ratoon__arena_alloc(&p->arena, json_object_size(object) * sizeof *pairs);
    const char *name = NULL;
    json_t *value = NULL;
    size_t n = 0;
    if (pairs == NULL) {
        return ratoon__import_no_memory(p->im);
    }
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        const char *text = ratoon__plain_param(&p->arena, value);
        if (text == NULL) {
            return ratoon__import_fail(p->im, RATOON_ERR_PARAM_INVALID,
                                       "\"%s\" in %s is neither text, number nor boolean", name,
                                       member);
        }
        pairs[n++] = (ratoon_pair){name, text};
    }
    *out = pairs;
    *count = n;
    return RATOON_OK;
}

static ratoon_status commit_created(ratoon__plain *p, uint64_t time_us, const char *key,
                                    const char *external_ref)
{
    ratoon__import *im = p->im;
    const json_t *version = json_object_get(p->run, "version");
    ratoon__create_request q = {.run = p->id,
                                .pipeline = p->pipeline,
                                .subject = ratoon__plain_string(p->run, "subject"),
                                .reason = ratoon__plain_string(p->run, "reason"),
                                .external_ref = external_ref,
                                .key = key,
                                .no_exec = true,
                                .auto_retry = -1};
    ratoon__facts facts = {.now_us = time_us,
                           .actor = ratoon__plain_string(p->run, "actor"),
                           .store_max_depth = ratoon__store_max_depth(im->store)};
    ratoon__decision d = {.arena = &p->arena};
    ratoon_error why = {0};
    if (version != NULL && !json_is_null(version)) {
        if (!json_is_integer(version) || json_integer_value(version) < 1) {
            return ratoon__import_fail(im, RATOON_ERR_USAGE, "\"version\" is no whole number");
        }
        q.target = (uint64_t)json_integer_value(version);
    }
    ratoon_status status = pairs_of(p, "params", &q.params, &q.params_count);
    if (status == RATOON_OK) {
        status = pairs_of(p, "labels", &q.labels, &q.labels_count);
    }
    if (status == RATOON_OK) {
        status = ratoon__plain_values(p, json_object_get(p->run, "state"), "state", &q.state);
    }
    if (status != RATOON_OK) {
        return status;
    }
    status = ratoon__decide_create(&q, &facts, &d, &why);
    if (status != RATOON_OK) {
        return ratoon__import_fail(im, status, "%s", why.message);
    }
    d.events[0].u.created.scope = NULL; /* it never held one here */
    return commit(p, time_us, &d.events[0]);
}

/* ---- stages ---- */

typedef struct moment { /* something that happened to a stage */
    uint64_t time_us;
    size_t order;
    ratoon__event event;
} moment;

typedef struct moments {
    moment *items;
    size_t count;
} moments;

static int compare_moments(const void *a, const void *b)
{
    const moment *x = a, *y = b;
    if (x->time_us != y->time_us) {
        return x->time_us < y->time_us ? -1 : 1;
    }
    return x->order < y->order ? -1 : 1;
}

static void add_moment(moments *m, uint64_t time_us, ratoon__event event)
{
    m->items[m->count] = (moment){.time_us = time_us, .order = m->count, .event = event};
    m->count++;
}

static ratoon_status stage_index(ratoon__plain *p, const json_t *stage, bool *seen, uint32_t *out)
{
    const char *name = ratoon__plain_string(stage, "name");
    const int32_t index = name == NULL ? -1 : ratoon__pipeline_find(p->pipeline, name);
    if (index < 0) {
        return ratoon__import_fail(p->im, RATOON_ERR_NO_SUCH_STAGE,
                                   "the pipeline %s has no stage %s", p->pipeline->name,
                                   name == NULL ? "without a name" : name);
    }
    if (seen[index]) {
        return ratoon__import_fail(p->im, RATOON_ERR_USAGE, "the stage %s comes twice", name);
    }
    seen[index] = true;
    *out = (uint32_t)index;
    return RATOON_OK;
}

static ratoon_status stage_status_of(ratoon__plain *p, const json_t *stage,
                                     ratoon_stage_status *out)
{
    const char *text = ratoon__plain_string(stage, "status");
    *out = text == NULL ? (ratoon_stage_status)0 : ratoon_stage_status_parse(text);
    if (*out == 0 || *out == RATOON_STAGE_RUNNING || *out == RATOON_STAGE_REUSED) {
        return ratoon__import_fail(p->im, RATOON_ERR_USAGE,
                                   "the stage %s has no status that can be imported: pending "
                                   "succeeded degraded failed cancelled skipped",
                                   ratoon__plain_string(stage, "name"));
    }
    return RATOON_OK;
}

static ratoon_status add_stage(ratoon__plain *p, const json_t *stage, uint32_t index, moments *m,
                               uint64_t *now)
{
    ratoon_stage_status status = 0;
    uint64_t start = *now;
    ratoon_status result = stage_status_of(p, stage, &status);
    if (result != RATOON_OK || status == RATOON_STAGE_PENDING) {
        return result;
    }
    result = ratoon__plain_time(p->im, stage, "started_at", &start);
    uint64_t end = start;
    if (result == RATOON_OK) {
        result = ratoon__plain_time(p->im, stage, "ended_at", &end);
    }
    ratoon__event e = {.type = RATOON__EVENT_STAGE_ENDED, .run = p->id};
    e.u.stage_ended.stage = index;
    e.u.stage_ended.attempt = status == RATOON_STAGE_SKIPPED ? 0 : 1;
    e.u.stage_ended.status = status;
    e.u.stage_ended.reason = ratoon__plain_string(stage, "reason");
    if (result == RATOON_OK) {
        result = ratoon__plain_values(p, json_object_get(stage, "outputs"), "outputs",
                                      &e.u.stage_ended.outputs);
    }
    if (result == RATOON_OK && status == RATOON_STAGE_FAILED) {
        result = ratoon__plain_failure(p, stage, &e.u.stage_ended.failure);
        if (result == RATOON_OK) {
            result =
                ratoon__failure_complete(run_of(p), index, &e.u.stage_ended.failure, &p->arena);
        }
    }
    if (result != RATOON_OK) {
        return result;
    }
    if (end < start) {
        return ratoon__import_fail(p->im, RATOON_ERR_USAGE, "the stage %s ended before it started",
                                   p->pipeline->stages[index].pub.name);
    }
    if (status != RATOON_STAGE_SKIPPED) {
        ratoon__event s = {.type = RATOON__EVENT_STAGE_STARTED, .run = p->id};
        s.u.stage_started.stage = index;
        s.u.stage_started.attempt = 1;
        add_moment(m, start, s);
    }
    add_moment(m, end, e);
    *now = end > *now ? end : *now;
    return RATOON_OK;
}

static ratoon_status commit_stages(ratoon__plain *p)
{
    const size_t count = json_array_size(p->stages);
    moments m = {.items = ratoon__arena_alloc(&p->arena, (2 * count + 1) * sizeof *m.items)};
    bool *seen = ratoon__arena_alloc(&p->arena, p->pipeline->stages_count * sizeof *seen);
    uint64_t now = p->time_us;
    ratoon_status status =
        m.items != NULL && seen != NULL ? RATOON_OK : ratoon__import_no_memory(p->im);
    for (size_t i = 0; status == RATOON_OK && i < count; i++) {
        const json_t *stage = json_array_get(p->stages, i);
        uint32_t index = 0;
        status = stage_index(p, stage, seen, &index);
        if (status == RATOON_OK) {
            status = add_stage(p, stage, index, &m, &now);
        }
    }
    if (status == RATOON_OK && m.count > 0) {
        qsort(m.items, m.count, sizeof *m.items, compare_moments);
    }
    for (size_t i = 0; status == RATOON_OK && i < m.count; i++) {
        status = commit(p, m.items[i].time_us, &m.items[i].event);
    }
    return status;
}

/* ---- a run ---- */

static ratoon_status commit_started(ratoon__plain *p)
{
    uint64_t at = p->time_us;
    ratoon__event e = {.type = RATOON__EVENT_RUN_STARTED, .run = p->id};
    e.u.started.epoch = 1;
    e.u.started.until = -1;
    e.u.started.actor = ratoon__plain_string(p->run, "actor");
    const ratoon_status status = ratoon__plain_time(p->im, p->run, "started_at", &at);
    return status == RATOON_OK ? commit(p, at, &e) : status;
}

static ratoon_status commit_ended(ratoon__plain *p)
{
    const char *text = ratoon__plain_string(p->run, "status");
    const ratoon_run_status derived = ratoon__run_outcome(run_of(p));
    ratoon_run_status says = text == NULL ? derived : ratoon_run_status_parse(text);
    uint64_t at = p->time_us;
    if (text != NULL && !ratoon_run_status_terminal(says)) {
        return ratoon__import_fail(p->im, RATOON_ERR_USAGE,
                                   "\"%s\" is no end of a run: succeeded degraded failed cancelled",
                                   text);
    }
    if (derived == RATOON_RUN_SUSPENDED && says != RATOON_RUN_CANCELLED) {
        return ratoon__import_fail(p->im, RATOON_ERR_USAGE,
                                   "the run %s, but stages of it are not done and none has failed: "
                                   "give each stage its status, or the run the status cancelled",
                                   text == NULL ? "has no status" : text);
    }
    if (says != derived && says != RATOON_RUN_CANCELLED) {
        return ratoon__import_fail(p->im, RATOON_ERR_USAGE,
                                   "the run says it is %s; by its stages it is %s", text,
                                   ratoon_run_status_name(derived));
    }
    ratoon__event e = {.type = RATOON__EVENT_RUN_ENDED, .run = p->id};
    e.u.ended.status = says;
    const ratoon_status status = ratoon__plain_time(p->im, p->run, "ended_at", &at);
    return status == RATOON_OK ? commit(p, at, &e) : status;
}

static ratoon_status definition_of(ratoon__plain *p)
{
    ratoon__import *im = p->im;
    const char *name = ratoon__plain_string(p->run, "pipeline");
    if (im->pipeline == NULL && name == NULL) {
        return ratoon__import_fail(im, RATOON_ERR_USAGE, "a run names its \"pipeline\"");
    }
    if (im->pipeline != NULL && name != NULL && strcmp(name, im->pipeline->name) != 0) {
        return ratoon__import_fail(im, RATOON_ERR_USAGE,
                                   "the run is of pipeline %s; the definition given is of %s", name,
                                   im->pipeline->name);
    }
    ratoon_status status = RATOON_OK;
    if (im->pipeline != NULL) {
        p->pipeline = ratoon__pipeline_ref(im->pipeline);
    } else {
        status = ratoon__plain_definition(im, p->run, p->stages, &p->pipeline);
    }
    return status == RATOON_OK
               ? ratoon__import_value_add(im, &p->pipeline->digest, p->pipeline->canonical,
                                          p->pipeline->canonical_size)
               : status;
}

/* The run's id here, and the key that stands for an id of another kind; *there: it was imported
 * before. */
static ratoon_status identify(ratoon__plain *p, const char **key, bool *there)
{
    ratoon__import *im = p->im;
    ratoon__driver *d = ratoon__store_driver(im->store);
    const char *id = ratoon__plain_string(p->run, "id");
    ratoon_id root;
    ratoon_status found = RATOON_ERR_NOT_FOUND;
    *key = NULL;
    if (id != NULL && ratoon_id_parse(id, &p->id) == RATOON_OK && !ratoon_id_is_zero(p->id)) {
        found = d->ops->run_get(d, p->id, &root, im->error);
    } else {
        p->id = ratoon__store_new_id(im->store);
        if (id != NULL) {
            const char *claim = ratoon__arena_text(&p->arena, "key:import:%s", id);
            if (claim == NULL) {
                return ratoon__import_no_memory(im);
            }
            *key = claim + strlen("key:");
            found = d->ops->claim_get(d, claim, &root, im->error);
            p->id = found == RATOON_OK ? root : p->id;
        }
    }
    *there = found == RATOON_OK;
    return found == RATOON_ERR_NOT_FOUND ? RATOON_OK : found;
}

static ratoon_status plain_run(ratoon__plain *p)
{
    ratoon__import *im = p->im;
    const char *key = NULL;
    bool there = false;
    uint64_t created = ratoon_store_now(im->store);
    ratoon_status status = identify(p, &key, &there);
    im->result.last = p->id;
    if (status == RATOON_OK && there) {
        im->result.skipped++;
        return RATOON_OK;
    }
    const char *external = ratoon__plain_string(p->run, "external_ref");
    external = external == NULL && key != NULL ? ratoon__plain_string(p->run, "id") : external;
    if (status == RATOON_OK) {
        status = ratoon__plain_time(im, p->run, "started_at", &created);
    }
    if (status == RATOON_OK) {
        status = ratoon__plain_time(im, p->run, "created_at", &created);
    }
    if (status == RATOON_OK) {
        status = definition_of(p);
    }
    p->encoder = status == RATOON_OK ? ratoon__encoder_new() : NULL;
    if (status == RATOON_OK && p->encoder == NULL) {
        status = ratoon__import_no_memory(im);
    }
    if (status == RATOON_OK) {
        status = commit_created(p, created, key, external);
    }
    if (status == RATOON_OK) {
        status = commit_started(p);
    }
    if (status == RATOON_OK) {
        status = commit_stages(p);
    }
    if (status == RATOON_OK) {
        status = commit_ended(p);
    }
    return status == RATOON_OK ? ratoon__import_lineage_end(im) : status;
}

ratoon_status ratoon__import_plain_end(ratoon__import *im)
{
    const json_t *runs = json_object_get(im->plain, "runs");
    ratoon_status status = RATOON_OK;
    for (size_t i = 0; status == RATOON_OK && i < json_array_size(runs); i++) {
        const json_t *entry = json_array_get(runs, i);
        ratoon__plain p = {.im = im,
                           .run = json_object_get(entry, "run"),
                           .stages = json_object_get(entry, "stages")};
        im->line = (uint64_t)json_integer_value(json_object_get(entry, "line"));
        status = plain_run(&p);
        ratoon__encoder_free(p.encoder);
        ratoon__pipeline_unref(p.pipeline);
        ratoon__arena_free(&p.arena);
    }
    return status;
}

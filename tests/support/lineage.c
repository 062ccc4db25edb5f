#include "tests/support/lineage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void die(const char *what, const char *about)
{
    fprintf(stderr, "support: %s: %s\n", what, about);
    abort();
}

static ratoon_digest made_up_digest(const char *text)
{
    ratoon_digest digest;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < sizeof digest.bytes; i++) {
        const char *at = text;
        do {
            hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
        } while (*at++ != '\0');
        digest.bytes[i] = (uint8_t)(hash >> 32);
    }
    return digest;
}

ratoon_id support_id(uint64_t n)
{
    ratoon_id id = {{0}};
    for (size_t i = 0; i < 8; i++) {
        id.bytes[15 - i] = (uint8_t)(n >> (8 * i));
    }
    id.bytes[6] = 0x70;
    return id;
}

ratoon__value_ref support_value(const char *key, const char *text)
{
    return (ratoon__value_ref){
        .key = key,
        .media_type = "application/json",
        .digest = made_up_digest(text),
        .size = strlen(text),
        .data = text,
    };
}

/* The next word of a line, in the arena; NULL at its end. */
static const char *next_word(ratoon__arena *a, const char **line, const char *separators)
{
    *line += strspn(*line, separators);
    const size_t length = strcspn(*line, separators);
    if (length == 0) {
        return NULL;
    }
    char *word = ratoon__arena_alloc(a, length + 1);
    memcpy(word, *line, length);
    *line += length;
    return word;
}

static int compare_u32(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

typedef struct parsing {
    ratoon_pipeline *p;
    ratoon__stage_def *stages;
    const char **needs;
} parsing;

static void parse_words(parsing *s, size_t i)
{
    ratoon__stage_def *def = &s->stages[i];
    ratoon__arena *a = &s->p->arena;
    const char *line = s->needs[i];
    uint32_t *needs = ratoon__arena_alloc(a, s->p->stages_count * sizeof *needs);
    for (const char *word = NULL; (word = next_word(a, &line, " ")) != NULL;) {
        if (strcmp(word, "!commits") == 0) {
            def->pub.commits = true;
        } else if (strcmp(word, "!allow_failure") == 0) {
            def->pub.allow_failure = true;
        } else if (strncmp(word, "!validates=", 11) == 0) {
            def->pub.validates = ratoon__pipeline_find(s->p, word + 11);
        } else {
            needs[def->pub.needs_count++] = support_stage(s->p, word);
        }
    }
    qsort(needs, def->pub.needs_count, sizeof *needs, compare_u32);
    def->pub.needs = needs;
}

ratoon_pipeline *support_pipeline(const char *line)
{
    ratoon_pipeline *p = ratoon__pipeline_new();
    parsing s = {p, NULL, NULL};
    p->name = "test";
    p->version = 1;
    p->max_active_branches = 1;
    p->canonical = ratoon__arena_strdup(&p->arena, line);
    p->canonical_size = strlen(line);
    p->digest = made_up_digest(line);
    size_t capacity = 1;
    for (const char *at = line; *at != '\0'; at++) {
        capacity += *at == ';' ? 1 : 0;
    }
    s.stages = ratoon__arena_alloc(&p->arena, capacity * sizeof *s.stages);
    s.needs = ratoon__arena_alloc(&p->arena, capacity * sizeof *s.needs);
    p->stages = s.stages;
    for (const char *text = NULL; (text = next_word(&p->arena, &line, ";")) != NULL;) {
        ratoon__stage_def *def = &s.stages[p->stages_count];
        def->pub.name = next_word(&p->arena, &text, " :");
        def->pub.jobs = 1;
        def->pub.validates = -1;
        def->pub.retry.attempts = 1;
        text += *text == ':' ? 1 : 0;
        s.needs[p->stages_count++] = text;
    }
    for (size_t i = 0; i < p->stages_count; i++) {
        parse_words(&s, i);
    }
    ratoon_error error = {0};
    uint32_t bad = 0;
    if (ratoon__pipeline_check(p, &bad, &error) != RATOON_OK) {
        die("pipeline", error.message);
    }
    return p;
}

uint32_t support_stage(const ratoon_pipeline *p, const char *name)
{
    const int32_t index = ratoon__pipeline_find(p, name);
    if (index < 0) {
        die("no such stage", name);
    }
    return (uint32_t)index;
}

ratoon__commit support_next(support_lineage *s, const ratoon__event *events, size_t count)
{
    return (ratoon__commit){
        .id = support_id(1000000 + s->l->head),
        .lineage = s->l->id,
        .number = s->l->head + 1,
        .first_event = s->l->events + 1,
        .time_us = s->time_us + 1000000,
        .writer = "test",
        .events = events,
        .events_count = count,
    };
}

/* A version that nobody else holds is folded in place, with the same result. */
static void fold_alone(support_lineage *s, const ratoon__commit *commit,
                       const ratoon_digest *digest)
{
    ratoon__buf what = {0};
    if (ratoon__fold_into(&s->alone, commit, digest, NULL) != s->status) {
        die("fold in place", "another status");
    }
    if (s->status == RATOON_OK && !ratoon__lineage_equal(s->l, s->alone, &what)) {
        die("fold in place", what.data);
    }
    if (s->status != RATOON_OK) {
        ratoon__lineage_unref(s->alone); /* some of it may be folded in */
        s->alone = NULL;
    }
    ratoon__buf_free(&what);
}

/* What runs count, against their stages one by one. */
static void check_counts(const ratoon__lineage *l)
{
    for (uint32_t i = 0; i < l->runs_count; i++) {
        const ratoon__run *r = l->runs[i];
        uint32_t unforgiven = 0;
        for (uint32_t k = 0; k < r->stages_count; k++) {
            const bool failed = ratoon__run_stage_at(r, k)->status == RATOON_STAGE_FAILED;
            unforgiven += failed && !r->pipeline->stages[k].pub.allow_failure ? 1 : 0;
        }
        if (unforgiven != r->unforgiven) {
            die("counts", "a run's number of unforgiven failures is not that of its stages");
        }
    }
}

ratoon_status support_commit(support_lineage *s, const ratoon__event *events, size_t count)
{
    const ratoon__commit commit = support_next(s, events, count);
    const ratoon_digest digest = made_up_digest("commit");
    ratoon__lineage *next = NULL;
    s->status = ratoon__fold(s->l, &commit, &digest, &next, &s->error);
    if (s->status == RATOON_OK) {
        ratoon__lineage_unref(s->l);
        s->l = next;
        s->time_us = commit.time_us;
        check_counts(s->l);
    }
    if (s->alone != NULL) {
        fold_alone(s, &commit, &digest);
    }
    return s->status;
}

static void must_commit(support_lineage *s, const ratoon__event *events, size_t count)
{
    if (support_commit(s, events, count) != RATOON_OK) {
        die("commit", s->error.message);
    }
}

/* Values from "key=value key=value". */
static ratoon__values values_of(support_lineage *s, const char *text)
{
    ratoon__values values = {NULL, 0};
    if (text == NULL) {
        return values;
    }
    ratoon__value_ref *items =
        ratoon__arena_alloc(&s->arena, (strlen(text) / 2 + 1) * sizeof *items);
    for (const char *word = NULL; (word = next_word(&s->arena, &text, " ")) != NULL;) {
        const char *key = next_word(&s->arena, &word, "=");
        items[values.count++] = support_value(key, word[0] == '=' ? word + 1 : word);
    }
    values.items = items;
    return values;
}

void support_lineage_init(support_lineage *s, const ratoon_pipeline *p,
                          const ratoon__value_ref *state, size_t count)
{
    *s = (support_lineage){.time_us = 1000000000, .next_run = 2};
    s->l = ratoon__lineage_new(support_id(1));
    s->alone = ratoon__lineage_new(support_id(1));
    const ratoon__event event = {
        .type = RATOON__EVENT_RUN_CREATED,
        .run = support_id(1),
        .u.created =
            {
                .root = support_id(1),
                .number = 1,
                .max_depth = RATOON_DEPTH_DEFAULT,
                .status = RATOON_RUN_RUNNING,
                .pipeline_name = p->name,
                .pipeline_version = p->version,
                .pipeline_digest = p->digest,
                .state = {state, count},
                .until = -1,
                .auto_retry = -1,
                .executor = support_id(500),
                .requested_stage = -1,
                .effective_stage = -1,
                .pipeline = p,
            },
    };
    must_commit(s, &event, 1);
}

void support_lineage_free(support_lineage *s)
{
    ratoon__lineage_unref(s->l);
    ratoon__lineage_unref(s->alone);
    ratoon__arena_free(&s->arena);
}

const ratoon__run *support_run(const support_lineage *s, uint32_t number)
{
    if (number == 0 || number > s->l->runs_count) {
        die("no such run", "number");
    }
    return s->l->runs[number - 1];
}

const ratoon__stage *support_stage_of(const support_lineage *s, uint32_t number, const char *stage)
{
    const ratoon__run *r = support_run(s, number);
    return ratoon__run_stage_at(r, support_stage(r->pipeline, stage));
}

ratoon__event support_event(const support_lineage *s, ratoon__event_type type, uint32_t run)
{
    return (ratoon__event){.type = type, .run = support_run(s, run)->fixed->id};
}

ratoon__event support_stage_event(const support_lineage *s, ratoon__event_type type, uint32_t run,
                                  const char *stage)
{
    ratoon__event e = support_event(s, type, run);
    e.u.stage_started.stage = support_stage(support_run(s, run)->pipeline, stage);
    e.u.stage_started.attempt = support_stage_of(s, run, stage)->attempt;
    return e;
}

void support_start(support_lineage *s, uint32_t run, const char *stage)
{
    ratoon__event e = support_stage_event(s, RATOON__EVENT_STAGE_STARTED, run, stage);
    e.u.stage_started.attempt++;
    must_commit(s, &e, 1);
}

void support_end(support_lineage *s, uint32_t run, const char *stage, ratoon_stage_status status,
                 const char *outputs)
{
    ratoon__event e = support_stage_event(s, RATOON__EVENT_STAGE_ENDED, run, stage);
    e.u.stage_ended.status = status;
    e.u.stage_ended.outputs = values_of(s, outputs);
    if (status == RATOON_STAGE_FAILED) {
        e.u.stage_ended.failure =
            (ratoon__failure){.error_class = RATOON_CLASS_EXECUTION, .message = "exit 1"};
    }
    must_commit(s, &e, 1);
}

void support_succeed(support_lineage *s, uint32_t run, const char *stage, const char *outputs)
{
    support_start(s, run, stage);
    support_end(s, run, stage, RATOON_STAGE_SUCCEEDED, outputs);
}

void support_item(support_lineage *s, uint32_t run, const char *stage, const char *key, bool failed,
                  bool committed, const char *output)
{
    ratoon__event e = support_stage_event(s, RATOON__EVENT_ITEM_ENDED, run, stage);
    e.u.item.key = key;
    e.u.item.failed = failed;
    e.u.item.committed = committed;
    e.u.item.has_output = output != NULL;
    e.u.item.error_class = failed ? RATOON_CLASS_EXECUTION : RATOON_CLASS_NONE;
    e.u.item.error = failed ? "exit 1" : NULL;
    if (output != NULL) {
        e.u.item.output = support_value("", output);
    }
    must_commit(s, &e, 1);
}

void support_finish(support_lineage *s, uint32_t run, ratoon_run_status status)
{
    ratoon__event e = support_event(s, RATOON__EVENT_RUN_ENDED, run);
    e.u.ended.status = status;
    must_commit(s, &e, 1);
}

static const ratoon__edit *edits_of(support_lineage *s, const support_branch *b, size_t *count)
{
    const ratoon__values edits = values_of(s, b->edits);
    const ratoon__values partial = values_of(s, b->partial);
    *count = edits.count + partial.count;
    ratoon__edit *list = ratoon__arena_alloc(&s->arena, *count * sizeof *list);
    for (size_t i = 0; i < *count; i++) {
        const bool is_partial = i >= edits.count;
        list[i].value = is_partial ? partial.items[i - edits.count] : edits.items[i];
        list[i].partial = is_partial;
    }
    return list;
}

uint32_t support_branch_create(support_lineage *s, const support_branch *b)
{
    const ratoon__run *parent = support_run(s, b->parent);
    const ratoon_pipeline *p = b->pipeline == NULL ? parent->pipeline : b->pipeline;
    const char *rerun = b->rerun;
    uint32_t *set = ratoon__arena_alloc(&s->arena, p->stages_count * sizeof *set);
    size_t count = 0;
    for (const char *word = NULL; (word = next_word(&s->arena, &rerun, " ")) != NULL;) {
        set[count++] = support_stage(p, word);
    }
    const ratoon_id id = support_id(s->next_run++);
    ratoon__event events[2] = {{.type = RATOON__EVENT_RUN_BRANCHED},
                               {.type = RATOON__EVENT_RUN_CREATED}};
    events[0].run = parent->fixed->id;
    events[0].u.branched.child = id;
    events[0].u.branched.from_stage = count > 0 ? (int32_t)set[0] : -1;
    events[0].u.branched.depth = parent->fixed->created.depth + 1;
    events[1].run = id;
    events[1].u.created = (ratoon__run_created){
        .root = s->l->id,
        .parent = parent->fixed->id,
        .depth = parent->fixed->created.depth + 1,
        .number = s->l->runs_count + 1,
        .max_depth = RATOON_DEPTH_DEFAULT,
        .status = RATOON_RUN_RUNNING,
        .pipeline_name = p->name,
        .pipeline_version = p->version,
        .pipeline_digest = p->digest,
        .until = -1,
        .auto_retry = -1,
        .executor = support_id(501),
        .parent_event = parent->last_event,
        .requested_stage = count > 0 ? (int32_t)set[0] : -1,
        .effective_stage = count > 0 ? (int32_t)set[0] : -1,
        .boundary = "before:somewhere",
        .only = b->only,
        .rerun_set = set,
        .rerun_set_count = count,
        .plans = b->plans,
        .plans_count = b->plans_count,
        .pipeline = p,
    };
    events[1].u.created.edits = edits_of(s, b, &events[1].u.created.edits_count);
    must_commit(s, events, 2);
    return s->l->runs_count;
}

static const char *text_in(support_lineage *s, const ratoon__state_view *view, const char *key)
{
    const ratoon__state_entry *entry = ratoon__state_find(view, key);
    if (entry == NULL) {
        return "(none)";
    }
    char *text = ratoon__arena_alloc(&s->arena, (size_t)entry->value->size + 1);
    memcpy(text, entry->value->data, (size_t)entry->value->size);
    return text;
}

const char *support_state(support_lineage *s, uint32_t run, const char *boundary, const char *key)
{
    const ratoon__run *r = support_run(s, run);
    ratoon__boundary at;
    ratoon__state_view view;
    ratoon_error error = {0};
    if (ratoon__boundary_parse(r->pipeline, boundary, &at, &error) != RATOON_OK ||
        ratoon__state_at(r, &at, &s->arena, &view) != RATOON_OK) {
        die("state", boundary);
    }
    return text_in(s, &view, key);
}

const char *support_input(support_lineage *s, uint32_t run, const char *stage, const char *key)
{
    const ratoon__run *r = support_run(s, run);
    ratoon__state_view view;
    if (ratoon__state_input(r, support_stage(r->pipeline, stage), &s->arena, &view) != RATOON_OK) {
        die("input", stage);
    }
    return text_in(s, &view, key);
}

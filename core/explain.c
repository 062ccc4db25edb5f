/* Why a stage ran or was reused (R26). */
#include "core/decide_internal.h"

#include <string.h>

typedef struct explaining {
    const ratoon__run *run, *parent;
    uint32_t stage;
    const ratoon__stage *now, *before; /* before: in the parent, or NULL */
    ratoon__arena *arena;
    ratoon__because *because;
    size_t count, capacity;
} explaining;

static void add(explaining *x, const char *kind, const char *name, const char *old_text,
                const char *new_text)
{
    if (x->count == x->capacity) {
        const size_t capacity = x->capacity == 0 ? 8 : x->capacity * 2;
        ratoon__because *because = ratoon__arena_alloc(x->arena, capacity * sizeof *because);
        if (because == NULL) {
            return;
        }
        if (x->count > 0) {
            memcpy(because, x->because, x->count * sizeof *because);
        }
        x->because = because;
        x->capacity = capacity;
    }
    x->because[x->count++] = (ratoon__because){kind, name, old_text, new_text};
}

static const char *digest_text(explaining *x, const ratoon_digest *digest)
{
    ratoon__buf b = {0};
    ratoon__buf_digest(&b, digest);
    return ratoon__arena_take(x->arena, &b);
}

/* The name of a stage that the run's first event gives by index; NULL: none. */
static const char *created_stage(const ratoon__run_created *c, int32_t stage)
{
    return stage < 0 ? NULL : ratoon__stage_name(c->pipeline, (uint32_t)stage);
}

static void explain_request(explaining *x)
{
    const ratoon__run_created *c = &x->run->fixed->created;
    const char *name = ratoon__stage_name(x->run->pipeline, x->stage);
    const char *requested = created_stage(c, c->requested_stage);
    const char *effective = created_stage(c, c->effective_stage);
    if (effective != NULL && strcmp(effective, name) == 0) {
        const bool other = requested != NULL && strcmp(requested, effective) != 0;
        add(x, "request", "from_stage", other ? requested : NULL, effective);
    }
}

static void explain_params(explaining *x)
{
    const ratoon__run_created *c = &x->run->fixed->created;
    for (size_t i = 0; i < c->overrides_count; i++) {
        const ratoon__override *o = &c->overrides[i];
        add(x, "parameter", o->name, o->old_text, o->new_text);
    }
}

/* A stage that declares what it requires is not made to run by an edit of something else. */
static bool concerns(const ratoon__stage_def *def, const char *key)
{
    const size_t required = ratoon__required_count(def);
    for (size_t i = 0; i < required; i++) {
        if (strcmp(ratoon__required_key(def, i), key) == 0) {
            return true;
        }
    }
    return required == 0;
}

static void explain_edits(explaining *x)
{
    const ratoon__run_created *c = &x->run->fixed->created;
    for (size_t i = 0; i < c->edits_count; i++) {
        const ratoon__edit *e = &c->edits[i];
        if (concerns(&x->run->pipeline->stages[x->stage], e->value.key)) {
            add(x, "edit", e->value.key, e->had_old ? digest_text(x, &e->old_digest) : NULL,
                digest_text(x, &e->value.digest));
        }
    }
}

static void explain_pipeline(explaining *x)
{
    const ratoon_digest *old =
        x->parent != NULL ? &x->parent->pipeline->digest : &x->run->fixed->created.pipeline_digest;
    const ratoon_digest *now = &x->run->pipeline->digest;
    if (!ratoon__same_digest(old, now)) {
        add(x, "pipeline", x->run->pipeline->name, digest_text(x, old), digest_text(x, now));
    }
}

/* Stages directly before it that were executed in this run, or are to be. */
static void explain_upstream(explaining *x)
{
    const ratoon_stage_def *def = &x->run->pipeline->stages[x->stage].pub;
    for (size_t i = 0; i < def->needs_count; i++) {
        const ratoon__stage *s = ratoon__run_stage_at(x->run, def->needs[i]);
        if (s->status != RATOON_STAGE_REUSED) {
            add(x, "upstream", ratoon__stage_name(x->run->pipeline, def->needs[i]), NULL,
                ratoon_stage_status_name(s->status));
        }
    }
}

static void explain_not_done(explaining *x)
{
    const ratoon_stage_status status =
        x->before == NULL ? RATOON_STAGE_PENDING : ratoon__stage_counts_as(x->before);
    if (!ratoon_stage_status_done(status)) {
        add(x, "not_done", ratoon__stage_name(x->run->pipeline, x->stage),
            x->before == NULL ? NULL : ratoon_stage_status_name(status), NULL);
    }
}

/* Only some of its items were to be executed. */
static void explain_items(explaining *x)
{
    static const char *const modes[] = {"missing", "failed", "all", "listed"};
    const ratoon__run_created *c = &x->run->fixed->created;
    const char *name = ratoon__stage_name(x->run->pipeline, x->stage);
    for (size_t i = 0; i < c->plans_count; i++) {
        const ratoon__stage_plan *plan = &c->plans[i];
        const bool some =
            plan->keep_done || plan->kept_count > 0 ||
            (plan->keep_committed && x->before != NULL && x->before->items_committed > 0);
        if (some && strcmp(ratoon__stage_name(c->pipeline, plan->stage), name) == 0) {
            add(x, "items", modes[plan->mode], NULL, NULL);
        }
    }
}

static void explain_branch(explaining *x)
{
    const ratoon__run_created *c = &x->run->fixed->created;
    if (x->now->status == RATOON_STAGE_REUSED) {
        /* The request started elsewhere: that is why this one stayed as it was. */
        add(x, "request", "from_stage", NULL, created_stage(c, c->effective_stage));
        return;
    }
    explain_request(x);
    explain_params(x);
    explain_edits(x);
    explain_pipeline(x);
    explain_upstream(x);
    explain_not_done(x);
    explain_items(x);
}

ratoon_status ratoon__explain(const ratoon__lineage *l, const ratoon__run *r, uint32_t stage,
                              ratoon__arena *arena, ratoon__explanation *out)
{
    explaining x = {
        .run = r,
        .parent = ratoon__lineage_run(l, r->fixed->created.parent),
        .stage = stage,
        .now = ratoon__run_stage_at(r, stage),
        .arena = arena,
    };
    ratoon__explanation explanation = {.parent = r->fixed->created.parent};
    explanation.ran = x.now->status != RATOON_STAGE_REUSED && x.now->ever_started;
    if (x.parent != NULL) {
        const int32_t index = ratoon__stage_mapped(r->pipeline, stage, x.parent->pipeline);
        if (index >= 0) {
            x.before = ratoon__run_stage_at(x.parent, (uint32_t)index);
            explanation.parent_status = x.before->status;
        }
        explain_branch(&x);
    } else if (explanation.ran) {
        add(&x, "first_run", ratoon__stage_name(r->pipeline, stage), NULL, NULL);
        explain_pipeline(&x);
    }
    if (arena->failed) {
        return RATOON_ERR_NO_MEMORY;
    }
    explanation.because = x.because;
    explanation.because_count = x.count;
    *out = explanation;
    return RATOON_OK;
}

/* A lineage made by hand, for tests of core: pipelines without a parser, decisions folded at once,
 * no store. Whatever the helpers expect to work and doesn't aborts the test. */
#ifndef RATOON_TESTS_WORLD_H
#define RATOON_TESTS_WORLD_H

#include "core/decide.h"

#include <check.h>

typedef struct world_stage { /* lists are separated by blanks */
    const char *name;
    const char *needs; /* NULL: the stage before; "": none */
    const char *requires_keys, *produces;
    const char *foreach_key;
    const char *validates;
    bool commits, allow_failure, setup;
    const char *halve_on_oom; /* parameter */
} world_stage;

typedef struct world_param {
    const char *name;
    ratoon__param_type type;
    const char *default_text;
    double min, max; /* both 0: none */
    bool power_of_two, secret;
} world_param;

typedef struct world_pipeline {
    const char *name; /* NULL: "compile" */
    uint64_t version; /* 0: 1 */
    const world_stage *stages;
    size_t stages_count;
    const world_param *params;
    size_t params_count;
    const char *scope;
    uint32_t max_depth, max_active_branches;
    bool auto_retry;
    const char *salt; /* makes the digest another one */
} world_pipeline;

ratoon_pipeline *world_pipeline_new(const world_pipeline *p); /* free with unref */

typedef struct world {
    ratoon__arena arena;
    ratoon__lineage *l;
    ratoon_pipeline *p;
    ratoon__facts facts;
    ratoon_error error;    /* of the last call that failed */
    ratoon__decision last; /* the last decision that was folded in */
    ratoon_id root;
    ratoon_id made;    /* the last branch */
    ratoon__plan plan; /* of the last retry or preview */
    uint64_t ids;
} world;

void world_open(world *w, ratoon_pipeline *p); /* takes the reference; no run yet */
void world_close(world *w);
ratoon_id world_new_id(world *w);
/* "key=value key=value", in the world's arena. */
ratoon__values world_values(world *w, const char *text);
ratoon_digest world_digest(const char *text);
void world_fold(world *w, const ratoon__decision *d);

/* Creates the root, running, with an initial state. */
void world_create(world *w, const char *state);
ratoon_status world_create_with(world *w, const ratoon__create_request *request);

const ratoon__run *world_run(const world *w, ratoon_id run);
const ratoon__stage *world_stage_of(const world *w, ratoon_id run, const char *stage);

/* Operations with the run's present epoch and the stage's present attempt. */
ratoon_status world_apply(world *w, ratoon_id run, ratoon_op op);
ratoon_status world_apply_ops(world *w, ratoon_id run, uint64_t epoch, ratoon_op *ops,
                              size_t count);
ratoon_status world_start(world *w, ratoon_id run, const char *stage);
ratoon_status world_end(world *w, ratoon_id run, const char *stage, ratoon_stage_status status,
                        const char *outputs);
ratoon_status world_finish(world *w, ratoon_id run);
/* These must work. */
void world_succeed(world *w, ratoon_id run, const char *stage, const char *outputs);
void world_fail(world *w, ratoon_id run, const char *stage, ratoon_class error_class,
                const char *partial);
/* "a b !c +d": items done, failed (!) and committed (+), of `total`. The stage is running. */
void world_items(world *w, ratoon_id run, const char *stage, uint64_t total, const char *items);

ratoon_status world_resume(world *w, ratoon_id run, const char *until);
ratoon_status world_cancel(world *w, ratoon_id run);
ratoon_status world_recover(world *w, ratoon_id run);

/* Decides and, where nothing refuses, folds; the branch is w->made. options->edits are digested. */
ratoon_status world_retry(world *w, const ratoon_retry_options *options);
ratoon_status world_preview(world *w, const ratoon_retry_options *options);
ratoon_status world_retry_from(world *w, ratoon_id parent, const char *from);
ratoon_status world_rerun_from(world *w, ratoon_id parent, const char *from);
/* Whether the plan has a refusal of that code. */
const ratoon__refusal *world_refusal(const world *w, ratoon_status code);
/* "a b c" of the plan's lists. */
const char *world_plan_run(world *w);
const char *world_plan_reuse(world *w);
const ratoon__plan_items *world_plan_items(const world *w, const char *stage);
/* Value under a key in what a stage receives; NULL: absent. */
const char *world_input(world *w, ratoon_id run, const char *stage, const char *key);

#endif

/* The definition: references, look-ups and what the library shows of it. */
#include "core/pipeline.h"

#include "core/refs.h"

#include <stdlib.h>
#include <string.h>

ratoon_pipeline *ratoon__pipeline_new(void)
{
    ratoon_pipeline *p = calloc(1, sizeof *p);
    if (p != NULL) {
        atomic_init(&p->refs, 1);
    }
    return p;
}

ratoon_pipeline *ratoon__pipeline_ref(const ratoon_pipeline *p)
{
    ratoon_pipeline *shared = (ratoon_pipeline *)(uintptr_t)p;
    if (shared != NULL) {
        ratoon__refs_add(&shared->refs);
    }
    return shared;
}

void ratoon__pipeline_unref(ratoon_pipeline *p)
{
    if (p != NULL && ratoon__refs_drop(&p->refs)) {
        ratoon__arena_free(&p->arena);
        free(p);
    }
}

bool ratoon__pipeline_is_ancestor(const ratoon_pipeline *p, uint32_t ancestor, uint32_t stage)
{
    return ratoon__set_has(p->ancestors + (size_t)stage * p->row_words, ancestor);
}

int32_t ratoon__pipeline_param_find(const ratoon_pipeline *p, const char *name)
{
    for (size_t i = 0; i < p->params_count; i++) {
        if (strcmp(p->params[i].name, name) == 0) {
            return (int32_t)i;
        }
    }
    return -1;
}

ratoon__stage_set ratoon__set_new(ratoon__arena *a, const ratoon_pipeline *p)
{
    return ratoon__arena_alloc(a, p->row_words * sizeof(uint64_t));
}

void ratoon_pipeline_free(ratoon_pipeline *pipeline)
{
    ratoon__pipeline_unref(pipeline);
}

const char *ratoon_pipeline_name(const ratoon_pipeline *pipeline)
{
    return pipeline->name;
}

uint64_t ratoon_pipeline_version(const ratoon_pipeline *pipeline)
{
    return pipeline->version;
}

ratoon_digest ratoon_pipeline_digest(const ratoon_pipeline *pipeline)
{
    return pipeline->digest;
}

const char *ratoon_pipeline_canonical(const ratoon_pipeline *pipeline, size_t *size)
{
    if (size != NULL) {
        *size = pipeline->canonical_size;
    }
    return pipeline->canonical;
}

size_t ratoon_pipeline_stage_count(const ratoon_pipeline *pipeline)
{
    return pipeline->stages_count;
}

const ratoon_stage_def *ratoon_pipeline_stage(const ratoon_pipeline *pipeline, size_t i)
{
    return i < pipeline->stages_count ? &pipeline->stages[i].pub : NULL;
}

int32_t ratoon_pipeline_stage_find(const ratoon_pipeline *pipeline, const char *name)
{
    return name == NULL ? -1 : ratoon__pipeline_find(pipeline, name);
}

const uint32_t *ratoon_pipeline_order(const ratoon_pipeline *pipeline)
{
    return pipeline->order;
}

bool ratoon_pipeline_depends(const ratoon_pipeline *pipeline, uint32_t stage, uint32_t ancestor)
{
    return stage < pipeline->stages_count && ancestor < pipeline->stages_count &&
           ratoon__pipeline_is_ancestor(pipeline, ancestor, stage);
}

uint64_t ratoon_pipeline_timeout_ms(const ratoon_pipeline *pipeline)
{
    return pipeline->timeout_ms;
}

bool ratoon_pipeline_resume_on_failure(const ratoon_pipeline *pipeline)
{
    return pipeline->resume_on_failure;
}

const char *const *ratoon_pipeline_on_end(const ratoon_pipeline *pipeline, size_t *count)
{
    if (count != NULL) {
        *count = pipeline->on_end_count;
    }
    return pipeline->on_end;
}

bool ratoon_pipeline_auto_retry(const ratoon_pipeline *pipeline, uint32_t *attempts)
{
    if (attempts != NULL) {
        *attempts = pipeline->auto_retry ? pipeline->auto_retry_attempts : 0;
    }
    return pipeline->auto_retry;
}

bool ratoon_pipeline_param(const ratoon_pipeline *pipeline, size_t index, const char **name,
                           bool *secret)
{
    if (index >= pipeline->params_count) {
        return false;
    }
    if (name != NULL) {
        *name = pipeline->params[index].name;
    }
    if (secret != NULL) {
        *secret = pipeline->params[index].secret;
    }
    return true;
}

/* Pipeline definitions by digest: a small cache over the stored canonical forms, and decoding of
 * commits with the definitions of the runs they create filled in. */
#include "log/pipeline_file.h"
#include "log/store_impl.h"

#include <string.h>

void ratoon__definition_remember(ratoon_store *s, const ratoon_pipeline *p)
{
    pthread_mutex_lock(&s->definitions_lock);
    for (size_t i = 0; i < RATOON__CACHED_DEFINITIONS && s->definitions[i] != NULL; i++) {
        if (ratoon__digest_equal(&s->definitions[i]->digest, &p->digest)) {
            pthread_mutex_unlock(&s->definitions_lock);
            return;
        }
    }
    ratoon_pipeline **slot = &s->definitions[s->definitions_next];
    s->definitions_next = (s->definitions_next + 1) % RATOON__CACHED_DEFINITIONS;
    ratoon__pipeline_unref(*slot);
    *slot = ratoon__pipeline_ref(p);
    pthread_mutex_unlock(&s->definitions_lock);
}

static ratoon_pipeline *cached(ratoon_store *s, const ratoon_digest *digest)
{
    ratoon_pipeline *found = NULL;
    pthread_mutex_lock(&s->definitions_lock);
    for (size_t i = 0; i < RATOON__CACHED_DEFINITIONS && s->definitions[i] != NULL; i++) {
        if (ratoon__digest_equal(&s->definitions[i]->digest, digest)) {
            found = ratoon__pipeline_ref(s->definitions[i]);
            break;
        }
    }
    pthread_mutex_unlock(&s->definitions_lock);
    return found;
}

ratoon_status ratoon__definition_load(ratoon_store *s, ratoon__driver *d,
                                      const ratoon_digest *digest, ratoon_pipeline **out,
                                      ratoon_error *error)
{
    ratoon_pipeline *p = cached(s, digest);
    if (p == NULL) {
        ratoon_buffer text = {0};
        ratoon_status status = d->ops->value_get(d, digest, &text, error);
        if (status == RATOON_ERR_NOT_FOUND) {
            char hex[65];
            ratoon__digest_format(digest, hex);
            return ratoon__fail(error, RATOON_ERR_DAMAGED,
                                "the definition %s, which a run was made with, is missing", hex);
        }
        if (status != RATOON_OK) {
            return status;
        }
        status = ratoon__pipeline_parse_canonical(text.data, text.size, NULL, digest, &p, error);
        ratoon_buffer_free(&text);
        if (status != RATOON_OK) {
            return status == RATOON_ERR_NO_MEMORY ? status : RATOON_ERR_DAMAGED;
        }
        ratoon__definition_remember(s, p);
    }
    *out = p;
    return RATOON_OK;
}

ratoon_status ratoon__store_definition(ratoon_store *s, const ratoon_digest *digest,
                                       ratoon_pipeline **out, ratoon_error *error)
{
    return ratoon__definition_load(s, s->driver, digest, out, error);
}

ratoon_status ratoon__decode(ratoon_store *s, ratoon__driver *d, const void *data, size_t size,
                             ratoon__arena *arena, ratoon__commit *out, ratoon_error *error)
{
    ratoon_status status = ratoon__commit_decode(data, size, arena, out, error);
    for (size_t i = 0; status == RATOON_OK && i < out->events_count; i++) {
        /* The events were made by the decoder in our arena; only their definitions are filled in.
         */
        ratoon__event *e = (ratoon__event *)(uintptr_t)&out->events[i];
        ratoon_pipeline *p = NULL;
        if (e->type == RATOON__EVENT_RUN_CREATED) {
            status = ratoon__definition_load(s, d, &e->u.created.pipeline_digest, &p, error);
            e->u.created.pipeline = p;
        } else if (e->type == RATOON__EVENT_RUN_PIPELINE_CHANGED) {
            status = ratoon__definition_load(s, d, &e->u.pipeline_changed.new_digest, &p, error);
            e->u.pipeline_changed.pipeline = p;
        }
        if (status != RATOON_OK) {
            out->events_count = i; /* release what was resolved before */
            ratoon__commit_release(out);
        }
    }
    return status;
}

ratoon_status ratoon__store_decode(ratoon_store *s, const void *data, size_t size,
                                   ratoon__arena *arena, ratoon__commit *out, ratoon_error *error)
{
    return ratoon__decode(s, s->driver, data, size, arena, out, error);
}

void ratoon__commit_release(ratoon__commit *commit)
{
    for (size_t i = 0; i < commit->events_count; i++) {
        const ratoon__event *e = &commit->events[i];
        const ratoon_pipeline *p = e->type == RATOON__EVENT_RUN_CREATED ? e->u.created.pipeline
                                   : e->type == RATOON__EVENT_RUN_PIPELINE_CHANGED
                                       ? e->u.pipeline_changed.pipeline
                                       : NULL;
        ratoon__pipeline_unref((ratoon_pipeline *)(uintptr_t)p);
    }
    commit->events_count = 0;
}

void ratoon__definitions_free(ratoon_store *s)
{
    for (size_t i = 0; i < RATOON__CACHED_DEFINITIONS; i++) {
        ratoon__pipeline_unref(s->definitions[i]);
    }
}

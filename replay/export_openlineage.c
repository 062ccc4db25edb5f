/* OpenLineage run events (spec 1-x), one JSON object a line: START of each run and stage, and
 * COMPLETE, FAIL or ABORT where it ended. A run of a pipeline is a run of the job PIPELINE; a stage
 * attempt is one of the job PIPELINE.STAGE whose parent it is. */
#include "replay/export.h"

#include <stdlib.h>
#include <string.h>

#define PRODUCER "urn:ratoon"
#define SPEC "https://openlineage.io/spec/"
#define RUN_EVENT SPEC "2-0-2/OpenLineage.json#/$defs/RunEvent"
#define NAMESPACE "ratoon"

/* A facet says who made it and by which schema. */
static json_t *facet(const char *schema, json_t *members)
{
    json_t *doc = json_pack("{s:s,s:s}", "_producer", PRODUCER, "_schemaURL", schema);
    json_object_update(doc, members);
    json_decref(members);
    return doc;
}

static json_t *job_of(const ratoon__run *r, const char *stage)
{
    ratoon__buf name = {0};
    ratoon__buf_str(&name, r->pipeline->name);
    if (stage != NULL) {
        ratoon__buf_format(&name, ".%s", stage);
    }
    json_t *doc =
        json_pack("{s:s,s:o,s:{s:o}}", "namespace", NAMESPACE, "name", ratoon__json_text(name.data),
                  "facets", "jobType",
                  facet(SPEC "facets/2-0-3/JobTypeJobFacet.json#/$defs/JobTypeJobFacet",
                        json_pack("{s:s,s:s,s:s}", "processingType", "BATCH", "integration",
                                  "RATOON", "jobType", stage == NULL ? "PIPELINE" : "STAGE")));
    ratoon__buf_free(&name);
    return doc;
}

static json_t *parent_facet(const ratoon__run *parent)
{
    return facet(SPEC "facets/1-0-1/ParentRunFacet.json#/$defs/ParentRunFacet",
                 json_pack("{s:{s:o},s:{s:s,s:o}}", "run", "runId",
                           ratoon__json_id(parent->fixed->id), "job", "namespace", NAMESPACE,
                           "name", ratoon__json_text(parent->pipeline->name)));
}

static json_t *error_facet(const char *message, ratoon_class c)
{
    ratoon__buf text = {0};
    ratoon__buf_format(&text, "%s: %s", ratoon_class_name(c), message != NULL ? message : "");
    json_t *doc = facet(SPEC "facets/1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet",
                        json_pack("{s:o,s:s}", "message", ratoon__json_text(text.data),
                                  "programmingLanguage", "unknown"));
    ratoon__buf_free(&text);
    return doc;
}

static void put(ratoon__export *x, const char *type, uint64_t time_us, json_t *id, json_t *facets,
                json_t *job)
{
    ratoon__export_json(x, json_pack("{s:s,s:o,s:s,s:s,s:{s:o,s:o},s:o,s:[],s:[]}", "eventType",
                                     type, "eventTime", ratoon__json_time(time_us), "producer",
                                     PRODUCER, "schemaURL", RUN_EVENT, "run", "runId", id, "facets",
                                     facets, "job", job, "inputs", "outputs"));
}

static const char *type_of(const char *status)
{
    if (strcmp(status, "succeeded") == 0 || strcmp(status, "degraded") == 0 ||
        strcmp(status, "skipped") == 0) {
        return "COMPLETE";
    }
    return strcmp(status, "failed") == 0 ? "FAIL" : "ABORT";
}

/* ---- runs ---- */

static json_t *run_facets(const ratoon__lineage *l, const ratoon__run *r)
{
    const ratoon__run_created *c = &r->fixed->created;
    const ratoon__run *parent = ratoon__lineage_run(l, c->parent);
    json_t *params = json_object();
    for (size_t i = 0; i < c->params_count; i++) {
        json_object_set_new(params, c->params[i].name,
                            ratoon__json_param(c->pipeline, c->params[i].name, c->params[i].text));
    }
    json_t *facets = json_pack(
        "{s:o}", "ratoon",
        facet(PRODUCER ":RatoonRunFacet",
              json_pack("{s:o,s:o,s:I,s:I,s:o,s:s,s:o,s:o}", "root", ratoon__json_id(c->root),
                        "parent", ratoon__json_id(c->parent), "depth", (json_int_t)c->depth,
                        "version", (json_int_t)r->pipeline->version, "subject",
                        ratoon__json_text(c->subject), "status", ratoon_run_status_name(r->status),
                        "reason", ratoon__json_text(c->reason), "params", params)));
    if (parent != NULL) {
        json_object_set_new(facets, "parent", parent_facet(parent));
    }
    return facets;
}

static void put_run(ratoon__export *x, const ratoon__lineage *l, const ratoon__run *r)
{
    if (r->started_at != 0) {
        put(x, "START", r->started_at, ratoon__json_id(r->fixed->id), run_facets(l, r),
            job_of(r, NULL));
    }
    if (!ratoon_run_status_terminal(r->status)) {
        return;
    }
    json_t *facets = run_facets(l, r);
    for (uint32_t i = 0; i < r->stages_count; i++) {
        const ratoon__stage *s = ratoon__run_stage_at(r, i);
        if (s->status == RATOON_STAGE_FAILED && s->failure != NULL) {
            json_object_set_new(facets, "errorMessage",
                                error_facet(s->failure->f.message, s->failure->f.error_class));
            break;
        }
    }
    put(x, type_of(ratoon_run_status_name(r->status)), r->ended_at, ratoon__json_id(r->fixed->id),
        facets, job_of(r, NULL));
}

/* ---- attempts ---- */

/* The id of an attempt: a UUID (version 8) made of the digest of what names it, so that every
 * export gives the same. */
static ratoon_id attempt_id(const ratoon__attempt *a)
{
    ratoon__buf text = {0};
    ratoon_digest digest = {{0}};
    ratoon_id id;
    ratoon__buf_format(&text, "%I %u %s", &a->run->fixed->id, a->attempt,
                       a->run->pipeline->stages[a->stage].pub.name);
    (void)ratoon__sha256(text.data, text.size, &digest);
    memcpy(id.bytes, digest.bytes, sizeof id.bytes);
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0F) | 0x80);
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3F) | 0x80);
    ratoon__buf_free(&text);
    return id;
}

static void put_attempt(void *ctx, const ratoon__attempt *a)
{
    ratoon__export *x = ctx;
    const char *stage = a->run->pipeline->stages[a->stage].pub.name;
    const ratoon_id id = attempt_id(a);
    put(x, "START", a->started_at, ratoon__json_id(id),
        json_pack("{s:o}", "parent", parent_facet(a->run)), job_of(a->run, stage));
    if (a->ended_at == 0) {
        return;
    }
    json_t *facets = json_pack("{s:o}", "parent", parent_facet(a->run));
    if (a->error_class != RATOON_CLASS_NONE) {
        json_object_set_new(facets, "errorMessage", error_facet(a->message, a->error_class));
    }
    put(x, type_of(a->status), a->ended_at, ratoon__json_id(id), facets, job_of(a->run, stage));
}

static void openlineage_lineage(ratoon__export *x, const ratoon__lineage *l)
{
    for (uint32_t i = 0; i < l->runs_count; i++) {
        put_run(x, l, l->runs[i]);
    }
    ratoon__export_attempts(x, l, put_attempt, x);
}

const ratoon__exporter ratoon__export_openlineage = {.lineage = openlineage_lineage};

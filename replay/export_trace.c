/* Chrome's trace event format, as chrome://tracing and Perfetto read it: a process for each run, a
 * thread for each stage, a complete event ("X") for each attempt, microseconds since 1970. */
#include "replay/export.h"

#include <stdlib.h>

typedef struct tracing {
    ratoon__export *x;
    const ratoon__lineage *lineage;
    uint32_t first_pid;
} tracing;

static void put(ratoon__export *x, json_t *event)
{
    char *text = event != NULL ? json_dumps(event, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    json_decref(event);
    if (text == NULL) {
        ratoon__export_fail(x, RATOON_ERR_NO_MEMORY);
        return;
    }
    if (x->items++ > 0) {
        ratoon__export_text(x, ",\n");
    }
    ratoon__export_text(x, text);
    free(text);
}

static json_int_t pid_of(const tracing *t, const ratoon__run *r)
{
    return (json_int_t)t->first_pid + r->fixed->created.number;
}

static void name_run(const tracing *t, const ratoon__run *r)
{
    char id[RATOON_ID_TEXT];
    ratoon__buf name = {0};
    ratoon_id_format(r->fixed->id, id);
    ratoon__buf_format(&name, "%s %s (%s)", r->pipeline->name, id,
                       ratoon_run_status_name(r->status));
    put(t->x, json_pack("{s:s,s:s,s:I,s:i,s:{s:o}}", "ph", "M", "name", "process_name", "pid",
                        pid_of(t, r), "tid", 0, "args", "name", ratoon__json_text(name.data)));
    ratoon__buf_free(&name);
    for (uint32_t i = 0; i < r->stages_count; i++) {
        if (ratoon__run_stage_at(r, i)->attempt == 0) {
            continue;
        }
        put(t->x, json_pack("{s:s,s:s,s:I,s:I,s:{s:o}}", "ph", "M", "name", "thread_name", "pid",
                            pid_of(t, r), "tid", (json_int_t)i + 1, "args", "name",
                            ratoon__json_text(r->pipeline->stages[i].pub.name)));
    }
}

static void trace_attempt(void *ctx, const ratoon__attempt *a)
{
    const tracing *t = ctx;
    const bool over = a->ended_at >= a->started_at && a->ended_at > 0;
    json_t *args = json_pack("{s:I,s:s}", "attempt", (json_int_t)a->attempt, "status", a->status);
    if (a->error_class != RATOON_CLASS_NONE) {
        json_object_set_new(args, "class", ratoon__json_class(a->error_class));
        json_object_set_new(args, "error", ratoon__json_text(a->message));
    }
    json_t *event = json_pack("{s:s,s:o,s:s,s:I,s:I,s:I,s:o}", "ph", over ? "X" : "B", "name",
                              ratoon__json_text(a->run->pipeline->stages[a->stage].pub.name), "cat",
                              "stage", "ts", (json_int_t)a->started_at, "pid", pid_of(t, a->run),
                              "tid", (json_int_t)a->stage + 1, "args", args);
    if (over) {
        json_object_set_new(event, "dur", json_integer((json_int_t)(a->ended_at - a->started_at)));
    }
    put(t->x, event);
}

static void trace_begin(ratoon__export *x)
{
    ratoon__export_text(x, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n");
}

static void trace_lineage(ratoon__export *x, const ratoon__lineage *l)
{
    const tracing t = {.x = x, .lineage = l, .first_pid = (uint32_t)x->runs};
    for (uint32_t i = 0; i < l->runs_count; i++) {
        name_run(&t, l->runs[i]);
    }
    ratoon__export_attempts(x, l, trace_attempt, (void *)(uintptr_t)&t);
    x->runs += l->runs_count;
}

static void trace_end(ratoon__export *x)
{
    ratoon__export_text(x, "\n]}\n");
}

const ratoon__exporter ratoon__export_trace = {
    .begin = trace_begin, .lineage = trace_lineage, .end = trace_end};

/* CSV as in RFC 4180: one line a stage attempt, in the order of their ends. */
#include "replay/export.h"

#include <stdlib.h>
#include <string.h>

static void field(ratoon__export *x, const char *text, bool last)
{
    if (text != NULL && strpbrk(text, ",\"\r\n") != NULL) {
        ratoon__export_text(x, "\"");
        for (const char *at = text; *at != '\0';) {
            const size_t plain = strcspn(at, "\"");
            ratoon__buf_add(&x->out, at, plain);
            at += plain;
            if (*at == '"') {
                ratoon__export_text(x, "\"\"");
                at++;
            }
        }
        ratoon__export_text(x, "\"");
    } else if (text != NULL) {
        ratoon__export_text(x, text);
    }
    ratoon__export_text(x, last ? "\r\n" : ",");
}

static void time_field(ratoon__export *x, uint64_t time_us)
{
    char *text = ratoon__export_time(time_us);
    field(x, text, false);
    free(text);
}

static void csv_attempt(void *ctx, const ratoon__attempt *a)
{
    ratoon__export *x = ctx;
    const ratoon__run_created *c = &a->run->fixed->created;
    ratoon__export_format(x, "%I,%I,", &c->root, &a->run->fixed->id);
    field(x, a->run->pipeline->name, false);
    ratoon__export_format(x, "%U,", a->run->pipeline->version);
    field(x, c->subject, false);
    field(x, ratoon_run_status_name(a->run->status), false);
    ratoon__export_format(x, "%u,", c->depth);
    field(x, a->run->pipeline->stages[a->stage].pub.name, false);
    ratoon__export_format(x, "%u,", a->attempt);
    field(x, a->status, false);
    time_field(x, a->started_at);
    time_field(x, a->ended_at);
    if (a->ended_at >= a->started_at && a->ended_at > 0) {
        const uint64_t us = a->ended_at - a->started_at;
        char fraction[8] = {'.'};
        uint64_t rest = us % 1000000u;
        for (size_t i = 6; i > 0; i--, rest /= 10) {
            fraction[i] = (char)('0' + rest % 10);
        }
        ratoon__export_format(x, "%U%s", us / 1000000u, fraction);
    }
    ratoon__export_text(x, ",");
    field(x, a->error_class != RATOON_CLASS_NONE ? ratoon_class_name(a->error_class) : "", false);
    field(x, a->message, true);
}

static void csv_begin(ratoon__export *x)
{
    ratoon__export_text(x, "lineage,run,pipeline,version,subject,run_status,depth,stage,attempt,"
                           "status,started_at,ended_at,seconds,error_class,error\r\n");
}

static void csv_lineage(ratoon__export *x, const ratoon__lineage *l)
{
    ratoon__export_attempts(x, l, csv_attempt, x);
}

const ratoon__exporter ratoon__export_csv = {.begin = csv_begin, .lineage = csv_lineage};

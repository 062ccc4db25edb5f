#include "tests/support/derived.h"

#include "log/attach_route.h"
#include "log/store_impl.h"

#include <string.h>

enum { PAGE = 500 };

typedef struct dump {
    ratoon__buf *out;
    const char *name;
    ratoon__run_row last;
    uint32_t seen;
    char claim[RATOON__CLAIM_NAME_MAX + 1];
} dump;

static bool dump_row(void *ctx, const ratoon__run_row *row)
{
    dump *d = ctx;
    ratoon__buf_format(d->out, "%s %I root %I created %U %s executor %I subject %s pipeline %s\n",
                       d->name, &row->run, &row->root, row->created_at,
                       ratoon_run_status_name(row->status), &row->executor, row->subject,
                       row->pipeline);
    d->last.run = row->run;
    d->last.created_at = row->created_at;
    d->seen++;
    return true;
}

static bool dump_claim(void *ctx, const char *name, ratoon_id holder)
{
    dump *d = ctx;
    ratoon__buf_format(d->out, "claim %s held by %I\n", name, &holder);
    strncpy(d->claim, name, sizeof d->claim - 1);
    d->seen++;
    return true;
}

static ratoon_status dump_index(ratoon__driver *driver, ratoon__index index, const char *key,
                                const char *name, ratoon__buf *out, ratoon_error *error)
{
    dump d = {.out = out, .name = name};
    ratoon_status status = RATOON_OK;
    do {
        const ratoon__list_query query = {.index = index,
                                          .key = key,
                                          .before_time = d.last.created_at,
                                          .before_id = d.last.run,
                                          .limit = PAGE};
        d.seen = 0;
        status = driver->ops->list(driver, &query, dump_row, &d, error);
    } while (status == RATOON_OK && d.seen == PAGE);
    return status;
}

/* By id they come ascending, and the next page begins behind the last one. */
static ratoon_status dump_ids(ratoon__driver *driver, ratoon__buf *out, ratoon_error *error)
{
    dump d = {.out = out, .name = "by id"};
    ratoon_status status = RATOON_OK;
    do {
        const ratoon__list_query query = {
            .index = RATOON__INDEX_ID, .from_id = d.last.run, .limit = PAGE};
        d.seen = 0;
        status = driver->ops->list(driver, &query, dump_row, &d, error);
        for (size_t i = sizeof d.last.run.bytes; i-- > 0 && ++d.last.run.bytes[i] == 0;) {
        }
    } while (status == RATOON_OK && d.seen == PAGE);
    return status;
}

ratoon_status support_derived_dump(ratoon_store *store, const support_names *names,
                                   ratoon__buf *out, ratoon_error *error)
{
    ratoon__driver *d = ratoon__store_driver(store);
    ratoon_status status = dump_index(d, RATOON__INDEX_TIME, NULL, "by time", out, error);
    for (ratoon_run_status s = RATOON_RUN_QUEUED; s <= RATOON_RUN_CANCELLED; s++) {
        if (status == RATOON_OK) {
            status = dump_index(d, RATOON__INDEX_STATUS, ratoon_run_status_name(s), "by status",
                                out, error);
        }
    }
    for (size_t i = 0; status == RATOON_OK && i < names->subjects_count; i++) {
        status = dump_index(d, RATOON__INDEX_SUBJECT, names->subjects[i], "by subject", out, error);
    }
    for (size_t i = 0; status == RATOON_OK && i < names->pipelines_count; i++) {
        status =
            dump_index(d, RATOON__INDEX_PIPELINE, names->pipelines[i], "by pipeline", out, error);
    }
    if (status == RATOON_OK) {
        status = dump_ids(d, out, error);
    }
    dump claims = {.out = out};
    do {
        claims.seen = 0;
        if (status == RATOON_OK) {
            status = d->ops->claims(d, "", claims.claim, dump_claim, &claims, error);
        }
    } while (status == RATOON_OK && claims.seen == RATOON__CLAIMS_PAGE);
    return out->failed ? RATOON_ERR_NO_MEMORY : status;
}

ratoon_status support_derived_rebuild(ratoon_store *store, ratoon_error *error)
{
    ratoon__attached *attached = (ratoon__attached *)ratoon__store_driver(store);
    ratoon__route *route = ratoon__route_enter(attached);
    ratoon_status status = ratoon__rocksdb_forget_derived(route->driver, error);
    if (status == RATOON_OK) {
        status = ratoon__on_owner(store, route->driver, error);
    }
    ratoon__route_leave(route);
    return status;
}

/* Everything that can be seen of a store, as a digest. */
#include "log/digest.h"
#include "log/store.h"
#include "tests/rot/rot.h"
#include "tests/support/derived.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Nothing here outlives a loss of power or fills a disk, and syncing and reserving room, which is
 * given back soon, would be most of the time. */
__attribute__((visibility("default"))) int fdatasync(int fd)
{
    (void)fd;
    return 0;
}

__attribute__((visibility("default"))) int fsync(int fd)
{
    (void)fd;
    return 0;
}

__attribute__((visibility("default"))) int fallocate(int fd, int mode, off_t offset, off_t size)
{
    return (mode & FALLOC_FL_KEEP_SIZE) != 0 ? 0 : ftruncate(fd, offset + size);
}

__attribute__((visibility("default"))) int posix_fallocate(int fd, off_t offset, off_t size)
{
    return ftruncate(fd, offset + size) == 0 ? 0 : errno;
}

typedef struct sum {
    ratoon__sha256_stream *whole, *commits;
    uint64_t limit;
} sum;

static void say(rot_look *out, rot_sight sight, const char *text)
{
    out->sight = sight;
    snprintf(out->text, sizeof out->text, "%.*s", (int)sizeof out->text - 1, text);
}

static bool add_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                       const void *data, size_t size)
{
    sum *s = ctx;
    ratoon__sha256_add(s->whole, &position, sizeof position);
    ratoon__sha256_add(s->whole, lineage.bytes, sizeof lineage.bytes);
    ratoon__sha256_add(s->whole, &number, sizeof number);
    ratoon__sha256_add(s->whole, data, size);
    return true;
}

static bool add_in_order(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                         const void *data, size_t size)
{
    sum *s = ctx;
    (void)lineage;
    (void)number;
    if (s->limit != 0 && position >= s->limit) {
        return false;
    }
    ratoon__sha256_add(s->commits, &position, sizeof position);
    ratoon__sha256_add(s->commits, data, size);
    return true;
}

static bool add_value(void *ctx, const ratoon_digest *digest, const void *data, size_t size)
{
    sum *s = ctx;
    ratoon__sha256_add(s->whole, digest->bytes, sizeof digest->bytes);
    ratoon__sha256_add(s->whole, data, size);
    return true;
}

static ratoon_status add_runs(ratoon_store *store, sum *s, ratoon_error *error)
{
    const ratoon_list_options options = RATOON_LIST_OPTIONS_INIT;
    ratoon_id *runs = NULL;
    size_t count = 0;
    ratoon_status status = ratoon_run_list(store, &options, &runs, &count, error);
    for (size_t i = 0; status == RATOON_OK && i < count; i++) {
        ratoon_buffer doc = {0};
        status = ratoon_doc_run(store, runs[i], true, &doc, error);
        if (status == RATOON_OK) {
            ratoon__sha256_add(s->whole, doc.data, doc.size);
        }
        ratoon_buffer_free(&doc);
    }
    free(runs);
    return status;
}

/* What secrets are compared by is not shown by anything else. */
static ratoon_status add_secret(ratoon_store *store, sum *s, ratoon_error *error)
{
    static const char text[] = "pipeline: probe\nparams:\n  token: {type: string, secret: true}\n"
                               "stages:\n  - {name: one, run: [\"true\"]}\n";
    const ratoon_pair token = {"token", "swordfish"};
    ratoon_pipeline *pipeline = NULL;
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    ratoon_status status =
        ratoon_pipeline_parse("probe", text, strlen(text), NULL, &pipeline, error);
    options.pipeline = pipeline;
    options.params = &token;
    options.params_count = 1;
    options.no_exec = true;
    options.key = "probe";
    if (status == RATOON_OK) {
        status = ratoon_run_create(store, &options, &created, error);
    }
    if (status == RATOON_OK) {
        ratoon__lineage *l = NULL;
        const ratoon__run *run = NULL;
        status = ratoon__store_run(store, created.run, &l, &run, error);
        if (status == RATOON_OK) {
            const char *hidden = run->fixed->created.params[0].text;
            ratoon__sha256_add(s->whole, hidden, strlen(hidden));
            ratoon__lineage_unref(l);
        }
    }
    ratoon_pipeline_free(pipeline);
    return status;
}

static ratoon_status add_all(ratoon_store *store, sum *s, uint64_t *end, ratoon_error *error)
{
    static const char *const subjects[] = {"subject"};
    static const char *const pipelines[] = {"rot"};
    static const support_names names = {subjects, 1, pipelines, 1};
    ratoon__driver *d = ratoon__store_driver(store);
    const ratoon_id first = {{0}};
    ratoon__buf rows = {0};
    ratoon_status status = ratoon_feed_end(store, end, error);
    if (status == RATOON_OK) {
        status = d->ops->read(d, first, 0, false, false, add_commit, s, error);
    }
    if (status == RATOON_OK && *end > 1) {
        status = d->ops->tail(d, 1, 0, add_in_order, s, error);
    }
    if (status == RATOON_OK) {
        status = d->ops->values(d, add_value, s, error);
    }
    if (status == RATOON_OK) {
        status = support_derived_dump(store, &names, &rows, error);
        ratoon__sha256_add(s->whole, rows.data, rows.size);
    }
    ratoon__buf_free(&rows);
    if (status == RATOON_OK) {
        status = add_runs(store, s, error);
    }
    return status;
}

static void look(ratoon_store *store, uint64_t limit, rot_look *out)
{
    const ratoon_id all = {{0}};
    ratoon_buffer report = {0};
    size_t problems = 0;
    ratoon_error error = {0};
    sum s = {.whole = ratoon__sha256_begin(), .commits = ratoon__sha256_begin(), .limit = limit};
    ratoon_status status = ratoon_verify(store, all, &report, &problems, &error);
    if (status != RATOON_OK) {
        say(out, ROT_NAMED, error.message);
    } else if (problems > 0) {
        say(out, ROT_NAMED, report.data);
    } else {
        status = add_all(store, &s, &out->end, &error);
        if (status == RATOON_OK && limit == 0) {
            status = add_secret(store, &s, &error);
        }
        if (status != RATOON_OK) {
            say(out, ROT_NAMED, error.message);
        } else {
            out->sight = ROT_CLEAN;
        }
    }
    (void)ratoon__sha256_end(s.whole, &out->whole);
    (void)ratoon__sha256_end(s.commits, &out->commits);
    ratoon_buffer_free(&report);
}

void rot_look_at(const char *path, uint64_t limit, rot_look *out)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_store *store = NULL;
    ratoon_error error = {0};
    *out = (rot_look){.sight = ROT_CLEAN};
    options.no_serve = true;
    options.durability = RATOON_DURABILITY_NONE;
    const ratoon_status status = ratoon_store_open(path, &options, &store, &error);
    if (status == RATOON_ERR_DAMAGED && store != NULL) {
        say(out, ROT_DAMAGED, error.message);
    } else if (status != RATOON_OK) {
        say(out, ROT_REFUSED, error.message);
    } else {
        look(store, limit, out);
    }
    ratoon_store_close(store);
}

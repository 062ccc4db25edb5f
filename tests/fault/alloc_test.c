/* Memory runs out everywhere: each function of the public interface is called with its first, its
 * second, … allocation failing, once and from then on, until it passes untouched. It must say so,
 * hold nothing, have appended nothing, and work when it is called again. */
#include "tests/support/alloc_fault.h"
#include "tests/support/support.h"

#include <ratoon.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The first EACH_UNTIL, then every (N / STEP)th, unless RATOON_ALLOC_ALL is set; fewer where a
 * store takes long to make. */
enum { EACH_UNTIL = 40, STEP = 12, SLOW_EACH_UNTIL = 6, SLOW_STEP = 3 };

static const char definition[] =
    "pipeline: p\n"
    "version: 2\n"
    "params:\n"
    "  n: {type: int, default: 4, min: 1, max: 64}\n"
    "policy: {scope: \"s-${n}\", max_active_branches: 4}\n"
    "stages:\n"
    "  - {name: a, run: [\"true\"], produces: [k, list]}\n"
    "  - {name: b, run: [\"true\"], requires: [k], foreach: list, needs: [a],\n"
    "     adjust: {OOM: {n: {op: halve, min: 1}}},\n"
    "     errors: [{match: \"out of [mM]emory\", class: OOM}]}\n"
    "  - {name: c, run: [\"true\"], needs: [b]}\n";

static const char other_definition[] = "pipeline: q\n"
                                       "stages:\n"
                                       "  - {name: a, run: [\"true\"]}\n"
                                       "  - {name: z, run: [\"true\"], needs: [a]}\n";

typedef enum kind { MEMORY, ROCKSDB, SOCKET } kind;

/* A store with a little of everything, and what a call leaves. */
typedef struct world {
    kind kind;
    char *folder, *path;
    pid_t owner; /* SOCKET: the process that owns the store */
    ratoon_store *store;
    ratoon_pipeline *p, *q;
    ratoon_id failed;  /* root: a succeeded, b failed with two items */
    ratoon_id active;  /* its branch, running, b not started */
    ratoon_id ended;   /* another lineage, succeeded */
    ratoon_id queued;  /* another one, not started */
    ratoon_id user;    /* consumed `ended`, of which a newer branch succeeded */
    uint64_t epoch;    /* of `active` */
    uint32_t attempt;  /* of the running stage of `active`, if there is one */
    uint64_t feed_end; /* before the call */
    char *exported;
    size_t exported_size;
    ratoon_state *state;
    ratoon_items *items;
    ratoon_feed *feed;
    unsigned numbers; /* for paths */
} world;

static char big[3000]; /* more than goes inline */
static uint64_t now = 1700000000000000u;

static uint64_t tick(void *ctx)
{
    (void)ctx;
    return now += 1000;
}

static void must(ratoon_status status, const ratoon_error *error)
{
    ck_assert_msg(status == RATOON_OK, "%s: %s", ratoon_status_name(status), error->message);
}

/* ---- making a world ---- */

static ratoon_store_options store_options(kind k)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    options.driver = k == MEMORY ? RATOON_DRIVER_MEMORY : RATOON_DRIVER_AUTO;
    options.durability = k == MEMORY ? RATOON_DURABILITY_SYNC : RATOON_DURABILITY_NONE;
    options.no_serve = k == ROCKSDB;
    options.actor = "tester";
    options.clock_us = tick;
    return options;
}

static ratoon_created create_run(world *w, const ratoon_pipeline *p, const char *subject,
                                 const char *n, bool no_exec)
{
    ratoon_run_options o = RATOON_RUN_OPTIONS_INIT;
    const ratoon_pair param = {"n", n};
    const ratoon_value state[] = {{.key = "input", .data = "\"i\"", .size = 3},
                                  {.key = "big", .data = big, .size = sizeof big}};
    const ratoon_pair label = {"l", "v"};
    ratoon_created out;
    ratoon_error error;
    o.pipeline = p;
    o.params = &param;
    o.params_count = n == NULL ? 0 : 1;
    o.state = state;
    o.state_count = 2;
    o.labels = &label;
    o.labels_count = 1;
    o.subject = subject;
    o.no_exec = no_exec;
    must(ratoon_run_create(w->store, &o, &out, &error), &error);
    return out;
}

static uint32_t start(world *w, ratoon_created run, const char *stage)
{
    uint32_t attempt = 0;
    ratoon_error error;
    must(ratoon_stage_start(w->store, run.run, run.epoch, stage, &attempt, &error), &error);
    return attempt;
}

static void succeed(world *w, ratoon_created run, const char *stage)
{
    const ratoon_value outputs[] = {{.key = "k", .data = "1", .size = 1},
                                    {.key = "list", .data = "[\"x\",\"y\"]", .size = 9},
                                    {.key = "large", .data = big, .size = sizeof big}};
    ratoon_error error;
    const uint32_t attempt = start(w, run, stage);
    must(ratoon_stage_succeed(w->store, run.run, run.epoch, stage, attempt, outputs, 3, &error),
         &error);
}

static void finish(world *w, ratoon_created run)
{
    ratoon_run_status status;
    ratoon_error error;
    must(ratoon_run_finish(w->store, run.run, run.epoch, &status, &error), &error);
}

static ratoon_created branch(world *w, ratoon_id parent, const char *from, bool rerun)
{
    ratoon_retry_options o = RATOON_RETRY_OPTIONS_INIT;
    ratoon_created out;
    ratoon_error error;
    o.parent = parent;
    o.from = from;
    o.rerun = rerun;
    must(ratoon_retry_create(w->store, &o, &out, &error), &error);
    return out;
}

static const ratoon_failure out_of_memory = {RATOON_CLASS_OOM, "out of memory", "details"};

static void fill_failed(world *w)
{
    const ratoon_item_result results[] = {
        {.key = "x", .output = "{\"o\":1}", .output_size = 7},
        {.key = "y", .failed = true, .error_class = RATOON_CLASS_OOM, .error = "no"}};
    ratoon_error error;
    const ratoon_created run = create_run(w, w->p, "one", "8", false);
    succeed(w, run, "a");
    ratoon_op ops[] = {
        {.kind = RATOON_OP_STAGE_ITEMS, .stage = "b", .attempt = start(w, run, "b"), .total = 2},
        {.kind = RATOON_OP_ITEM, .stage = "b", .attempt = 1, .items = results, .items_count = 2}};
    must(ratoon_run_apply(w->store, run.run, run.epoch, ops, 2, &error), &error);
    must(ratoon_stage_fail(w->store, run.run, run.epoch, "b", 1, &out_of_memory, &error), &error);
    finish(w, run);
    w->failed = run.run;
}

static void fill(world *w)
{
    ratoon_error error;
    fill_failed(w);
    const ratoon_created active = branch(w, w->failed, NULL, false);
    w->active = active.run;
    w->epoch = active.epoch;
    const ratoon_created ended = create_run(w, w->q, "two", NULL, false);
    succeed(w, ended, "a");
    succeed(w, ended, "z");
    finish(w, ended);
    w->ended = ended.run;
    const ratoon_created user = create_run(w, w->q, "three", NULL, false);
    ratoon_op consumes = {
        .kind = RATOON_OP_CONSUMES, .stage = "a", .attempt = start(w, user, "a"), .run = ended.run};
    must(ratoon_run_apply(w->store, user.run, user.epoch, &consumes, 1, &error), &error);
    must(ratoon_stage_succeed(w->store, user.run, user.epoch, "a", 1, NULL, 0, &error), &error);
    succeed(w, user, "z");
    finish(w, user);
    w->user = user.run;
    const ratoon_created newer = branch(w, ended.run, "z", true);
    succeed(w, newer, "z");
    finish(w, newer);
    w->queued = create_run(w, w->p, "four", "2", true).run;
}

/* The process that makes and owns the store, until it is killed or this one ends. */
static pid_t start_owner(const char *path)
{
    int ready[2];
    char byte = 0;
    ck_assert_int_eq(pipe(ready), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        ratoon_store *store = NULL;
        const ratoon_store_options options = store_options(SOCKET);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ready[0]);
        if (ratoon_store_create(path, &options, NULL) != RATOON_OK ||
            ratoon_store_open(path, &options, &store, NULL) != RATOON_OK ||
            write(ready[1], "r", 1) != 1) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    close(ready[1]);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void world_open(world *w, kind k)
{
    ratoon_error error;
    const ratoon_store_options options = store_options(k);
    memset(w, 0, sizeof *w);
    w->kind = k;
    w->folder = support_temp_dir("alloc");
    w->path = support_path_join(w->folder, "store");
    must(ratoon_pipeline_parse("p", definition, strlen(definition), "/base", &w->p, &error),
         &error);
    must(
        ratoon_pipeline_parse("q", other_definition, strlen(other_definition), NULL, &w->q, &error),
        &error);
    if (k == SOCKET) {
        w->owner = start_owner(w->path);
    } else if (k == ROCKSDB) {
        must(ratoon_store_create(w->path, &options, &error), &error);
    }
    must(ratoon_store_open(k == MEMORY ? NULL : w->path, &options, &w->store, &error), &error);
    ck_assert(ratoon_store_is_owner(w->store) == (k != SOCKET));
    fill(w);
}

static void world_close(world *w)
{
    ratoon_state_free(w->state);
    ratoon_items_free(w->items);
    ratoon_feed_close(w->feed);
    ratoon_store_close(w->store);
    ratoon_pipeline_free(w->p);
    ratoon_pipeline_free(w->q);
    free(w->exported);
    if (w->owner != 0) {
        (void)kill(w->owner, SIGKILL);
        (void)waitpid(w->owner, NULL, 0);
    }
    free(w->path);
    support_temp_dir_free(w->folder);
}

/* ---- the calls ---- */

/* What doesn't hold while memory is short is told afterwards: telling takes memory. */
static const char *broken;
#define EXPECT(holds)                                                                              \
    do {                                                                                           \
        if (!(holds) && broken == NULL) {                                                          \
            broken = #holds;                                                                       \
        }                                                                                          \
    } while (0)

static char untouched[1];

/* What documents have when there is memory: how many quotation marks, one after the other. */
static size_t marks[16], marks_count, marks_at;
static bool marks_known;

static void check_marks(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++) {
        count += *text == '"' ? 1 : 0;
    }
    if (!marks_known && marks_count < sizeof marks / sizeof marks[0]) {
        marks[marks_count++] = count;
    } else if (marks_at < marks_count) {
        EXPECT(count == marks[marks_at++]);
    }
}

/* The calls that give a buffer. */
static ratoon_status checked(ratoon_status status, ratoon_buffer *buffer)
{
    if (status == RATOON_OK) {
        EXPECT(buffer->data != untouched && buffer->data != NULL);
        EXPECT(strlen(buffer->data) == buffer->size);
        check_marks(buffer->data);
        ratoon_buffer_free(buffer);
    } else {
        EXPECT(buffer->data == untouched && buffer->size == 0);
    }
    return status;
}
#define BUFFER(name) ratoon_buffer name = {.data = untouched}

static ratoon_status call_pipeline(world *w, ratoon_error *error)
{
    ratoon_pipeline *p = NULL;
    BUFFER(lines);
    const ratoon_status status =
        ratoon_pipeline_parse("p", other_definition, strlen(other_definition), "/b", &p, error);
    if (status != RATOON_OK) {
        EXPECT(p == NULL);
        return status;
    }
    const ratoon_status diff = checked(ratoon_pipeline_diff(w->p, p, &lines, error), &lines);
    ratoon_pipeline_free(p);
    return diff;
}

/* Everything that only tells what is there takes no memory. */
static ratoon_status call_plain(world *w, ratoon_error *error)
{
    (void)error;
    size_t size = 0;
    const char *name = NULL;
    bool secret = false;
    uint32_t attempts = 0;
    char text[RATOON_ID_TEXT], path[4096];
    ratoon_id id;
    const ratoon_digest digest = ratoon_pipeline_digest(w->p);
    EXPECT(digest.bytes[0] != 0 || digest.bytes[1] != 0);
    EXPECT(strcmp(ratoon_pipeline_name(w->p), "p") == 0 && ratoon_pipeline_version(w->p) == 2);
    EXPECT(ratoon_pipeline_canonical(w->p, &size) != NULL && size > 0);
    EXPECT(ratoon_pipeline_stage_count(w->p) == 3);
    EXPECT(strcmp(ratoon_pipeline_stage(w->p, 1)->name, "b") == 0);
    EXPECT(ratoon_pipeline_stage_find(w->p, "c") == 2);
    EXPECT(ratoon_pipeline_order(w->p)[0] == 0 && ratoon_pipeline_depends(w->p, 2, 0));
    EXPECT(ratoon_pipeline_timeout_ms(w->p) == 0 && !ratoon_pipeline_resume_on_failure(w->p));
    EXPECT(ratoon_pipeline_on_end(w->p, &size) == NULL || size == 0);
    EXPECT(!ratoon_pipeline_auto_retry(w->p, &attempts));
    EXPECT(ratoon_pipeline_param(w->p, 0, &name, &secret) && !secret);
    EXPECT(ratoon_store_path(w->store) != NULL && ratoon_store_now(w->store) > 0);
    EXPECT(ratoon_store_is_owner(w->store) == (w->kind != SOCKET));
    ratoon_id_format(w->failed, text);
    EXPECT(ratoon_id_parse(text, &id) == RATOON_OK && ratoon_id_equal(id, w->failed));
    EXPECT(!ratoon_id_is_zero(id));
    EXPECT(strcmp(ratoon_status_name(RATOON_ERR_NO_MEMORY), "NO_MEMORY") == 0);
    EXPECT(ratoon_status_text(RATOON_ERR_NO_MEMORY)[0] != '\0');
    EXPECT(ratoon_status_exit_code(RATOON_ERR_NO_MEMORY) == 7);
    EXPECT(ratoon_run_status_parse(ratoon_run_status_name(RATOON_RUN_FAILED)) == RATOON_RUN_FAILED);
    EXPECT(ratoon_stage_status_parse(ratoon_stage_status_name(RATOON_STAGE_REUSED)) ==
           RATOON_STAGE_REUSED);
    EXPECT(ratoon_class_parse(ratoon_class_name(RATOON_CLASS_OOM)) == RATOON_CLASS_OOM);
    EXPECT(ratoon_run_status_active(RATOON_RUN_QUEUED));
    EXPECT(ratoon_run_status_terminal(RATOON_RUN_FAILED));
    EXPECT(ratoon_stage_status_done(RATOON_STAGE_REUSED));
    EXPECT(ratoon_export_format_parse("csv") == RATOON_EXPORT_CSV);
    ratoon_capture_path("/store", w->failed, "a", 1, "item", 1, path, sizeof path);
    EXPECT(strncmp(path, "/store/output/", 14) == 0);
    return RATOON_OK;
}

/* Always gives a class: the one it can't find out is UNKNOWN or EXECUTION. */
static ratoon_status call_classify(world *w, ratoon_error *error)
{
    (void)error;
    const ratoon_class found =
        ratoon_failure_classify(w->p, 1, 1, -1, "CUDA out of memory", strlen("CUDA out of memory"));
    EXPECT(found >= RATOON_CLASS_OOM && found <= RATOON_CLASS_UNKNOWN);
    return RATOON_OK;
}

static ratoon_status call_open(world *w, ratoon_error *error)
{
    char path[4200];
    const ratoon_store_options options = store_options(w->kind);
    ratoon_store *store = NULL;
    ratoon_status status = RATOON_OK;
    snprintf(path, sizeof path, "%s/other-%u", w->folder, w->numbers);
    if (w->kind == ROCKSDB) {
        status = ratoon_store_create(path, &options, error);
        if (status != RATOON_OK) {
            EXPECT(access(path, F_OK) != 0);
            return status;
        }
        w->numbers++;
    }
    status = ratoon_store_open(w->kind == MEMORY    ? NULL
                               : w->kind == ROCKSDB ? path
                                                    : w->path,
                               &options, &store, error);
    EXPECT((status == RATOON_OK) == (store != NULL));
    ratoon_store_close(store);
    return status;
}

static ratoon_status call_run_create(world *w, ratoon_error *error)
{
    ratoon_run_options o = RATOON_RUN_OPTIONS_INIT;
    const ratoon_pair param = {"n", "32"};
    const ratoon_value state[] = {{.key = "big", .data = big, .size = sizeof big}};
    ratoon_created out = {.epoch = 77};
    o.pipeline = w->p;
    o.params = &param;
    o.params_count = 1;
    o.state = state;
    o.state_count = 1;
    o.subject = "five";
    o.key = "a key";
    o.external_ref = "ref";
    const ratoon_status status = ratoon_run_create(w->store, &o, &out, error);
    EXPECT(status == RATOON_OK ? out.epoch == 1 && !out.repeated : out.epoch == 77);
    return status;
}

static ratoon_retry_options retry_options(const world *w)
{
    static const ratoon_pair param = {"n", "16"};
    static const ratoon_value edit = {.key = "k", .data = big, .size = sizeof big};
    static const char *const items[] = {"y"};
    ratoon_retry_options o = RATOON_RETRY_OPTIONS_INIT;
    o.parent = w->failed;
    o.from = "b";
    o.params = &param;
    o.params_count = 1;
    o.edits = &edit;
    o.edits_count = 1;
    o.items_mode = RATOON_ITEMS_LISTED;
    o.items_given = true;
    o.items = items;
    o.items_count = 1;
    o.reason = "because";
    return o;
}

static ratoon_status call_retry_create(world *w, ratoon_error *error)
{
    ratoon_retry_options o = retry_options(w);
    ratoon_created out = {.epoch = 77};
    o.key = "another key";
    const ratoon_status status = ratoon_retry_create(w->store, &o, &out, error);
    EXPECT(status == RATOON_OK ? out.epoch == 1 && !out.repeated : out.epoch == 77);
    return status;
}

static ratoon_status call_retry_preview(world *w, ratoon_error *error)
{
    const ratoon_retry_options o = retry_options(w);
    BUFFER(json);
    size_t refusals = 77;
    const ratoon_status status =
        checked(ratoon_retry_preview(w->store, &o, &json, &refusals, error), &json);
    EXPECT(refusals == (status == RATOON_OK ? 0u : 77u));
    return status;
}

static ratoon_status call_run_start(world *w, ratoon_error *error)
{
    uint64_t epoch = 77;
    ratoon_start_options o = RATOON_START_OPTIONS_INIT;
    o.until = "b";
    const ratoon_status status = ratoon_run_start(w->store, w->queued, &o, &epoch, error);
    EXPECT(epoch == (status == RATOON_OK ? 1u : 77u));
    return status;
}

static ratoon_status call_stage_start(world *w, ratoon_error *error)
{
    uint32_t attempt = 77;
    const ratoon_status status =
        ratoon_stage_start(w->store, w->active, w->epoch, "b", &attempt, error);
    EXPECT(attempt == (status == RATOON_OK ? 1u : 77u));
    return status;
}

static void start_b(world *w)
{
    w->attempt = start(w, (ratoon_created){.run = w->active, .epoch = w->epoch}, "b");
}

static ratoon_status call_stage_succeed(world *w, ratoon_error *error)
{
    const ratoon_value outputs[] = {{.key = "out", .data = big, .size = sizeof big - 1},
                                    {.key = "small", .data = "1", .size = 1}};
    return ratoon_stage_succeed(w->store, w->active, w->epoch, "b", w->attempt, outputs, 2, error);
}

static ratoon_status call_stage_fail(world *w, ratoon_error *error)
{
    return ratoon_stage_fail(w->store, w->active, w->epoch, "b", w->attempt, &out_of_memory, error);
}

static ratoon_status call_run_apply(world *w, ratoon_error *error)
{
    const ratoon_item_result result = {
        .key = "y", .committed = true, .output = big, .output_size = sizeof big};
    ratoon_op ops[] = {
        {.kind = RATOON_OP_STAGE_PROGRESS, .stage = "b", .done = 1, .total = 2, .text = "half"},
        {.kind = RATOON_OP_ITEM, .stage = "b", .items = &result, .items_count = 1},
        {.kind = RATOON_OP_EXTERNAL_REF, .text = "elsewhere"},
        {.kind = RATOON_OP_CONSUMES, .stage = "b", .run = w->ended},
        {.kind = RATOON_OP_STAGE_RETURN, .stage = "b", .failure = &out_of_memory, .delay_ms = 9}};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        ops[i].attempt = w->attempt;
    }
    return ratoon_run_apply(w->store, w->active, w->epoch, ops, sizeof ops / sizeof ops[0], error);
}

static ratoon_status call_run_finish(world *w, ratoon_error *error)
{
    ratoon_run_status out = (ratoon_run_status)77;
    const ratoon_status status = ratoon_run_finish(w->store, w->active, w->epoch, &out, error);
    EXPECT(status == RATOON_OK ? out == RATOON_RUN_SUSPENDED : out == (ratoon_run_status)77);
    return status;
}

static ratoon_status call_run_cancel(world *w, ratoon_error *error)
{
    ratoon_run_status out = (ratoon_run_status)77;
    const ratoon_status status = ratoon_run_cancel(w->store, w->queued, "why", &out, error);
    EXPECT(status == RATOON_OK ? out == RATOON_RUN_CANCELLED : out == (ratoon_run_status)77);
    return status;
}

static ratoon_status call_annotate(world *w, ratoon_error *error)
{
    return ratoon_run_annotate(w->store, w->ended, "a note", error);
}

static ratoon_status call_delete(world *w, ratoon_error *error)
{
    ratoon_deleted out = {.runs = 77};
    ratoon_freed freed = {.values = 77};
    const ratoon_status status =
        ratoon_lineage_delete(w->store, w->ended, true, &out, &freed, error);
    EXPECT(status == RATOON_OK ? out.runs == 2 : out.runs == 77 && freed.values == 77);
    return status;
}

static ratoon_status call_prune(world *w, ratoon_error *error)
{
    ratoon_prune_options o = RATOON_PRUNE_OPTIONS_INIT;
    ratoon_deleted *out = NULL;
    size_t count = 77;
    ratoon_freed freed = {.values = 77};
    o.before = UINT64_MAX;
    const ratoon_status status = ratoon_prune(w->store, &o, &out, &count, &freed, error);
    EXPECT(status == RATOON_OK ? count <= 2 : out == NULL && count == 77);
    free(out);
    return status;
}

static ratoon_status call_look(world *w, ratoon_error *error)
{
    ratoon_run_info info = {.number = 77};
    ratoon_stage_info stage = {.attempt = 77};
    ratoon_status status = ratoon_run_get(w->store, w->failed, &info, error);
    EXPECT(info.number == (status == RATOON_OK ? 1u : 77u));
    if (status == RATOON_OK) {
        status = ratoon_run_stage(w->store, w->failed, 1, &stage, error);
        EXPECT(stage.attempt == (status == RATOON_OK ? 1u : 77u));
    }
    ratoon_pipeline *p = NULL;
    if (status == RATOON_OK) {
        status = ratoon_run_pipeline(w->store, w->failed, &p, error);
        EXPECT((status == RATOON_OK) == (p != NULL));
        ratoon_pipeline_free(p);
    }
    BUFFER(base);
    if (status == RATOON_OK) {
        status = checked(ratoon_run_base_dir(w->store, w->failed, &base, error), &base);
    }
    ratoon_pair *params = NULL;
    size_t count = 0;
    if (status == RATOON_OK) {
        status = ratoon_run_params(w->store, w->failed, &params, &count, error);
        EXPECT((status == RATOON_OK) == (count == 1));
        ratoon_pairs_free(params, count);
    }
    return status;
}

static ratoon_status call_find(world *w, ratoon_error *error)
{
    static const char *const specs[] = {"@last", "@subject:one", "@subject:two:ok"};
    char text[RATOON_ID_TEXT];
    ratoon_id id = {{0}};
    ratoon_status status = RATOON_OK;
    ratoon_id_format(w->failed, text);
    text[30] = '\0';
    for (size_t i = 0; i < 3 && status == RATOON_OK; i++) {
        status = ratoon_run_find(w->store, specs[i], &id, error);
    }
    status = status == RATOON_OK ? ratoon_run_find(w->store, text, &id, error) : status;
    status = status == RATOON_OK ? ratoon_find_in_flight(w->store, "one", &id, error) : status;
    EXPECT(status != RATOON_OK || ratoon_id_equal(id, w->active));
    return status == RATOON_OK ? ratoon_most_recent(w->store, "one", &id, error) : status;
}

static ratoon_status call_list(world *w, ratoon_error *error)
{
    ratoon_list_options o = RATOON_LIST_OPTIONS_INIT;
    ratoon_id *ids = NULL;
    size_t count = 0;
    const ratoon_status status = ratoon_run_list(w->store, &o, &ids, &count, error);
    EXPECT(status == RATOON_OK ? count >= 6 : ids == NULL && count == 0);
    free(ids);
    return status;
}

static ratoon_status call_documents(world *w, ratoon_error *error)
{
    BUFFER(a);
    BUFFER(b);
    BUFFER(c);
    BUFFER(d);
    BUFFER(e);
    BUFFER(f);
    BUFFER(g);
    ratoon_status s = checked(ratoon_doc_run(w->store, w->failed, true, &a, error), &a);
    s = s != RATOON_OK ? s : checked(ratoon_doc_tree(w->store, w->failed, &b, error), &b);
    s = s != RATOON_OK ? s : checked(ratoon_doc_explain(w->store, w->active, "b", &c, error), &c);
    s = s != RATOON_OK ? s
                       : checked(ratoon_doc_diff(w->store, w->failed, w->active, &d, error), &d);
    s = s != RATOON_OK ? s : checked(ratoon_doc_log(w->store, w->failed, true, &e, error), &e);
    s = s != RATOON_OK ? s : checked(ratoon_doc_stats(w->store, "p", &f, error), &f);
    return s != RATOON_OK ? s : checked(ratoon_doc_stale(w->store, &g, error), &g);
}

static ratoon_status call_cascade(world *w, ratoon_error *error)
{
    ratoon_stale *list = NULL;
    size_t count = 0;
    ratoon_created out = {.epoch = 77};
    ratoon_status status = ratoon_stale_list(w->store, &list, &count, error);
    EXPECT(status == RATOON_OK ? count == 1 : list == NULL && count == 0);
    if (status == RATOON_OK) {
        status = ratoon_cascade_create(w->store, list, &out, error);
        EXPECT(status == RATOON_OK || out.epoch == 77);
    }
    free(list);
    return status;
}

static ratoon_status call_state(world *w, ratoon_error *error)
{
    static const char *const at[] = {"start", "end", "before:b", "after:a", "3"};
    ratoon_status status = RATOON_OK;
    for (size_t i = 0; i <= sizeof at / sizeof at[0] && status == RATOON_OK; i++) {
        ratoon_state *state = NULL;
        status = i == sizeof at / sizeof at[0]
                     ? ratoon_state_input(w->store, w->failed, "b", &state, error)
                     : ratoon_state_at(w->store, w->failed, at[i], &state, error);
        EXPECT((status == RATOON_OK) == (state != NULL));
        for (size_t n = 0; status == RATOON_OK && n < ratoon_state_count(state); n++) {
            ratoon_state_entry entry = {.key = untouched};
            status = ratoon_state_get(state, n, &entry, error);
            EXPECT((status == RATOON_OK) == (entry.key != untouched));
        }
        ratoon_state_free(state);
    }
    return status;
}

static ratoon_status call_items(world *w, ratoon_error *error)
{
    ratoon_items *items = NULL;
    ratoon_status status = ratoon_stage_items(w->store, w->failed, "b", &items, error);
    EXPECT((status == RATOON_OK) == (items != NULL));
    if (status == RATOON_OK) {
        EXPECT(ratoon_items_count(items) == 2 && ratoon_items_find(items, "y") == 1);
        EXPECT(ratoon_items_wanted(items, "y"));
        ratoon_item item = {.key = untouched};
        status = ratoon_items_get(items, 0, &item, error);
        EXPECT((status == RATOON_OK) == (item.key != untouched));
    }
    ratoon_items_free(items);
    return status;
}

static ratoon_status call_feed(world *w, ratoon_error *error)
{
    ratoon_feed *feed = NULL;
    uint64_t end = 0;
    ratoon_feed_item item = {.position = 77};
    ratoon_status status = ratoon_feed_open(w->store, 1, &feed, error);
    EXPECT((status == RATOON_OK) == (feed != NULL));
    status = status == RATOON_OK ? ratoon_feed_end(w->store, &end, error) : status;
    for (uint64_t at = 1; status == RATOON_OK && at < end; at++) {
        status = ratoon_feed_next(feed, 0, &item, error);
        EXPECT(status != RATOON_OK || item.position == at);
    }
    ratoon_feed_close(feed);
    return status;
}

static ratoon_status call_verify(world *w, ratoon_error *error)
{
    BUFFER(json);
    size_t problems = 77;
    const ratoon_status status =
        checked(ratoon_verify(w->store, (ratoon_id){{0}}, &json, &problems, error), &json);
    EXPECT(problems == (status == RATOON_OK ? 0u : 77u));
    return status;
}

static ratoon_status call_seal(world *w, ratoon_error *error)
{
    char key[4200], seal[4200], public_key[4210];
    size_t problems = 77;
    snprintf(key, sizeof key, "%s/key-%u", w->folder, w->numbers);
    snprintf(seal, sizeof seal, "%s/seal-%u", w->folder, w->numbers);
    snprintf(public_key, sizeof public_key, "%s.pub", key);
    w->numbers++; /* what a failed one left is not in the way of the next */
    ratoon_status status = ratoon_seal_keygen(key, error);
    BUFFER(made);
    if (status == RATOON_OK) {
        status = checked(ratoon_seal(w->store, seal, key, &made, error), &made);
    }
    ratoon_verify_options o = RATOON_VERIFY_OPTIONS_INIT;
    o.seal = seal;
    o.key = public_key;
    BUFFER(report);
    if (status == RATOON_OK) {
        status = checked(ratoon_verify_with(w->store, &o, &report, &problems, error), &report);
        EXPECT(problems == (status == RATOON_OK ? 0u : 77u));
    }
    ratoon_buffer bytes = {.data = untouched};
    if (status == RATOON_OK) {
        status = ratoon_commit_bytes(w->store, w->failed, 1, &bytes, error);
        EXPECT((status == RATOON_OK) == (bytes.data != untouched));
        if (status == RATOON_OK) {
            ratoon_buffer_free(&bytes);
        }
    }
    return status;
}

static bool take_bytes(void *ctx, const void *data, size_t size)
{
    world *w = ctx;
    if (w->exported != NULL && w->exported_size + size <= 1 << 20) {
        memcpy(w->exported + w->exported_size, data, size);
    }
    w->exported_size += size;
    return true;
}

static ratoon_status call_export(world *w, ratoon_error *error)
{
    ratoon_status status = RATOON_OK;
    for (int format = RATOON_EXPORT_JSONL; format <= RATOON_EXPORT_HTML && status == RATOON_OK;
         format++) {
        w->exported_size = 0;
        status = ratoon_export(w->store, &w->failed, 1, (ratoon_export_format)format, take_bytes, w,
                               error);
        EXPECT(status != RATOON_OK || w->exported_size > 0);
    }
    return status;
}

/* The exported lines of another world, and plain ones. */
static void export_other(world *w)
{
    static const char plain[] =
        "{\"run\":{\"id\":\"r\",\"pipeline\":\"legacy\",\"params\":{\"x\":1}},\"stages\":["
        "{\"name\":\"s\",\"status\":\"succeeded\",\"outputs\":{\"o\":[1]}},"
        "{\"name\":\"t\",\"status\":\"failed\",\"error\":\"broken\"}]}\n";
    world other;
    ratoon_error error;
    world_open(&other, MEMORY);
    must(ratoon_run_cancel(other.store, other.active, NULL, &(ratoon_run_status){0}, &error),
         &error);
    other.exported = calloc(1, 1 << 20);
    must(ratoon_export(other.store, &other.failed, 1, RATOON_EXPORT_JSONL, take_bytes, &other,
                       &error),
         &error);
    ck_assert_uint_lt(other.exported_size + sizeof plain, 1 << 20);
    (void)take_bytes(&other, plain, sizeof plain - 1);
    w->exported = other.exported;
    w->exported_size = other.exported_size;
    other.exported = NULL;
    world_close(&other);
}

typedef struct input {
    const world *w;
    size_t at;
} input;

static int64_t give_bytes(void *ctx, void *data, size_t size)
{
    input *in = ctx;
    const size_t left = in->w->exported_size - in->at;
    size = size < left ? size : left;
    memcpy(data, in->w->exported + in->at, size);
    in->at += size;
    return (int64_t)size;
}

static ratoon_status call_import(world *w, ratoon_error *error)
{
    input in = {.w = w};
    ratoon_imported out = {.lineages = 77};
    const ratoon_status status = ratoon_import(w->store, NULL, give_bytes, &in, &out, error);
    EXPECT((status == RATOON_OK) == (out.lineages != 77));
    return status;
}

static ratoon_status call_backup(world *w, ratoon_error *error)
{
    char backup[4200], restored[4200];
    snprintf(backup, sizeof backup, "%s/backup-%u", w->folder, w->numbers);
    snprintf(restored, sizeof restored, "%s/restored-%u", w->folder, w->numbers);
    if (access(backup, F_OK) != 0) {
        const ratoon_status status = ratoon_store_backup(w->store, backup, error);
        if (status != RATOON_OK) {
            EXPECT(access(backup, F_OK) != 0);
            return status;
        }
    }
    const ratoon_status status = ratoon_store_restore(backup, restored, error);
    EXPECT((status == RATOON_OK) == (access(restored, F_OK) == 0));
    w->numbers += status == RATOON_OK ? 1 : 0;
    return status;
}

/* Nothing is lost there: USAGE is what it says with memory. */
static ratoon_status call_accept_loss(world *w, ratoon_error *error)
{
    char path[4200];
    const ratoon_store_options options = store_options(ROCKSDB);
    BUFFER(lost);
    snprintf(path, sizeof path, "%s/other", w->folder);
    if (access(path, F_OK) != 0) {
        const ratoon_status created = ratoon_store_create(path, &options, error);
        if (created != RATOON_OK) {
            return created;
        }
    }
    const ratoon_status status = ratoon_store_accept_loss(path, &lost, error);
    EXPECT(lost.data == untouched);
    return status == RATOON_ERR_USAGE ? RATOON_OK : status;
}

typedef struct answer {
    ratoon_status status;
    bool called;
} answer;

static void answered(void *ctx, ratoon_status status, const ratoon_error *error)
{
    answer *a = ctx;
    EXPECT(!a->called && (error == NULL) == (status == RATOON_OK));
    a->called = true;
    a->status = status;
}

static void wake(void *ctx)
{
    (void)ctx;
}

static ratoon_status call_async(world *w, ratoon_error *error)
{
    ratoon_async_options o = RATOON_ASYNC_OPTIONS_INIT;
    ratoon_async *async = NULL;
    answer got = {.status = RATOON_OK};
    ratoon_op op = {.kind = RATOON_OP_EXTERNAL_REF, .text = "queue"};
    o.notify = wake; /* callbacks in this thread */
    ratoon_status status = ratoon_async_open(w->store, &o, &async, error);
    EXPECT((status == RATOON_OK) == (async != NULL));
    if (status != RATOON_OK) {
        return status;
    }
    status = ratoon_async_apply(async, w->active, w->epoch, &op, 1, answered, &got, error);
    EXPECT(status == RATOON_OK || !got.called);
    (void)ratoon_async_dispatch(async);
    const ratoon_status drained = ratoon_async_drain(async, error);
    const ratoon_status closed = ratoon_async_close(async, error);
    EXPECT(drained == RATOON_OK && closed == RATOON_OK);
    EXPECT(got.called == (status == RATOON_OK));
    if (status == RATOON_OK && got.status != RATOON_OK && error != NULL) {
        error->code = got.status;
        strcpy(error->message, "in the callback");
    }
    return status != RATOON_OK ? status : got.status;
}

enum { ON_MEMORY = 1 << MEMORY, ON_ROCKSDB = 1 << ROCKSDB, ON_SOCKET = 1 << SOCKET };
enum { ON_ANY = ON_MEMORY | ON_ROCKSDB | ON_SOCKET };

typedef struct call {
    const char *covers; /* functions, separated by blanks */
    ratoon_status (*call)(world *w, ratoon_error *error);
    void (*before)(world *w); /* may be NULL; once for a world */
    unsigned on;
    bool takes_none; /* no memory at all */
} call;

static const call calls[] = {
    {"ratoon_pipeline_name ratoon_pipeline_version ratoon_pipeline_digest "
     "ratoon_pipeline_canonical ratoon_pipeline_stage_count ratoon_pipeline_stage "
     "ratoon_pipeline_stage_find ratoon_pipeline_order ratoon_pipeline_depends "
     "ratoon_pipeline_timeout_ms ratoon_pipeline_resume_on_failure ratoon_pipeline_on_end "
     "ratoon_pipeline_auto_retry ratoon_pipeline_param ratoon_store_path ratoon_store_now "
     "ratoon_store_is_owner ratoon_id_format ratoon_id_parse ratoon_id_equal ratoon_id_is_zero "
     "ratoon_status_name ratoon_status_text ratoon_status_exit_code ratoon_run_status_parse "
     "ratoon_run_status_name ratoon_stage_status_parse ratoon_stage_status_name "
     "ratoon_class_parse ratoon_class_name ratoon_run_status_active ratoon_run_status_terminal "
     "ratoon_stage_status_done ratoon_export_format_parse ratoon_capture_path",
     call_plain, NULL, ON_MEMORY, true},
    {"ratoon_failure_classify", call_classify, NULL, ON_MEMORY, false},
    {"ratoon_pipeline_parse ratoon_pipeline_diff ratoon_pipeline_free ratoon_buffer_free",
     call_pipeline, NULL, ON_MEMORY, false},
    {"ratoon_store_create ratoon_store_open ratoon_store_close", call_open, NULL, ON_ANY, false},
    {"ratoon_run_create", call_run_create, NULL, ON_ANY, false},
    {"ratoon_retry_create", call_retry_create, NULL, ON_ANY, false},
    {"ratoon_retry_preview", call_retry_preview, NULL, ON_MEMORY, false},
    {"ratoon_run_start", call_run_start, NULL, ON_MEMORY, false},
    {"ratoon_stage_start", call_stage_start, NULL, ON_ANY, false},
    {"ratoon_stage_succeed", call_stage_succeed, start_b, ON_ANY, false},
    {"ratoon_stage_fail", call_stage_fail, start_b, ON_MEMORY, false},
    {"ratoon_run_apply", call_run_apply, start_b, ON_ANY, false},
    {"ratoon_run_finish", call_run_finish, NULL, ON_MEMORY, false},
    {"ratoon_run_cancel", call_run_cancel, NULL, ON_MEMORY, false},
    {"ratoon_run_annotate", call_annotate, NULL, ON_MEMORY, false},
    {"ratoon_lineage_delete", call_delete, NULL, ON_ANY, false},
    {"ratoon_prune", call_prune, NULL, ON_MEMORY, false},
    {"ratoon_run_get ratoon_run_stage ratoon_run_pipeline ratoon_run_base_dir ratoon_run_params "
     "ratoon_pairs_free",
     call_look, NULL, ON_ANY, false},
    {"ratoon_run_find ratoon_find_in_flight ratoon_most_recent", call_find, NULL, ON_ANY, false},
    {"ratoon_run_list", call_list, NULL, ON_ANY, false},
    {"ratoon_doc_run ratoon_doc_tree ratoon_doc_explain ratoon_doc_diff ratoon_doc_log "
     "ratoon_doc_stats ratoon_doc_stale",
     call_documents, NULL, ON_MEMORY, false},
    {"ratoon_stale_list ratoon_cascade_create", call_cascade, NULL, ON_MEMORY, false},
    {"ratoon_state_at ratoon_state_input ratoon_state_count ratoon_state_get ratoon_state_free",
     call_state, NULL, ON_ANY, false},
    {"ratoon_stage_items ratoon_items_count ratoon_items_find ratoon_items_wanted ratoon_items_get "
     "ratoon_items_free",
     call_items, NULL, ON_MEMORY, false},
    {"ratoon_feed_open ratoon_feed_end ratoon_feed_next ratoon_feed_close", call_feed, NULL, ON_ANY,
     false},
    {"ratoon_verify", call_verify, NULL, ON_ANY, false},
    {"ratoon_seal_keygen ratoon_seal ratoon_verify_with ratoon_commit_bytes", call_seal, NULL,
     ON_ROCKSDB, false},
    {"ratoon_export", call_export, NULL, ON_MEMORY, false},
    {"ratoon_import", call_import, export_other, ON_MEMORY, false},
    {"ratoon_store_backup ratoon_store_restore", call_backup, NULL, ON_ROCKSDB, false},
    {"ratoon_store_accept_loss", call_accept_loss, NULL, ON_ROCKSDB, false},
    {"ratoon_async_open ratoon_async_apply ratoon_async_dispatch ratoon_async_drain "
     "ratoon_async_close",
     call_async, NULL, ON_MEMORY, false},
};
enum { CALLS = sizeof calls / sizeof calls[0] };

/* ---- running out ---- */

static uint64_t next_n(kind k, uint64_t n)
{
    const bool slow = k != MEMORY;
    const bool all = getenv("RATOON_ALLOC_ALL") != NULL;
    return all || n < (slow ? SLOW_EACH_UNTIL : EACH_UNTIL) ? n + 1
                                                            : n + n / (slow ? SLOW_STEP : STEP);
}

static void check_whole(world *w, const call *c, uint64_t n)
{
    BUFFER(json);
    ratoon_error error = {0};
    size_t problems = 0;
    must(ratoon_verify(w->store, (ratoon_id){{0}}, &json, &problems, &error), &error);
    ck_assert_msg(problems == 0, "%s, %u: %s", c->covers, (unsigned)n, json.data);
    ratoon_buffer_free(&json);
}

static uint64_t feed_end(const world *w)
{
    uint64_t end = 0;
    ratoon_error error;
    must(ratoon_feed_end(w->store, &end, &error), &error);
    return end;
}

static void begin(world *w, kind k, const call *c)
{
    world_open(w, k);
    marks_known = false;
    marks_count = 0;
    if (c->call == call_documents) {
        ratoon_error error;
        must(call_documents(w, &error), &error);
    }
    marks_known = true;
    if (c->before != NULL) {
        c->before(w);
    }
}

/* What failed left nothing behind and says so. */
static void check_failed(world *w, const call *c, uint64_t n, ratoon_status status,
                         const ratoon_error *error, uint64_t end)
{
    ck_assert_msg(status == RATOON_ERR_NO_MEMORY, "%.40s, %u: %s: %s", c->covers, (unsigned)n,
                  ratoon_status_name(status), error->message);
    ck_assert_msg(error->code == status && error->message[0] != '\0', "%.40s, %u: no error",
                  c->covers, (unsigned)n);
    /* What goes one lineage after another may have gone in part; and a lineage is deleted once its
     * mark is there, what goes with it may follow later. */
    const bool by_parts = c->call == call_prune || c->call == call_import || c->call == call_delete;
    ck_assert_msg(feed_end(w) == end || by_parts, "%.40s, %u: refused, and appended", c->covers,
                  (unsigned)n);
    if (n % 16 == 0) {
        check_whole(w, c, n);
    }
}

/* What a process keeps for good (an algorithm that was fetched, compiled patterns) is made the
 * first time: held is what nobody may hold, told from the second time on. */
static void run_out(kind k, const call *c, bool persistent, bool first)
{
    const uint64_t mark = alloc_fault_mark();
    world w;
    uint64_t failed = 1, total = 0;
    begin(&w, k, c);
    for (uint64_t n = 1; failed > 0; n = next_n(k, n)) {
        ratoon_error error = {0};
        const uint64_t end = feed_end(&w);
        broken = NULL;
        marks_at = 0;
        alloc_fault_arm(n, persistent);
        const ratoon_status status = c->call(&w, &error);
        total = alloc_fault_disarm(&failed);
        ck_assert_msg(broken == NULL, "%.40s, %u: %s", c->covers, (unsigned)n, broken);
        if (status != RATOON_OK || failed == 0) {
            ck_assert_msg(failed > 0 || status == RATOON_OK, "%.40s, at last: %s: %s", c->covers,
                          ratoon_status_name(status), error.message);
        }
        if (status != RATOON_OK) {
            check_failed(&w, c, n, status, &error, end);
        } else {
            check_whole(&w, c, n);
        }
        if (failed > 0 && (status == RATOON_OK || feed_end(&w) != end)) { /* it may not go twice */
            world_close(&w);
            begin(&w, k, c);
        }
    }
    ck_assert_msg(!c->takes_none || total == 0, "%.40s: %u allocations", c->covers,
                  (unsigned)total);
    world_close(&w);
    if (!first && alloc_fault_held_since(mark) > 0) {
        alloc_fault_print_since(mark);
        ck_abort_msg("%.40s: blocks are left", c->covers);
    }
}

static void run_out_on(kind k, int i)
{
    if ((calls[i].on & 1u << k) != 0) {
        run_out(k, &calls[i], false, true);
        run_out(k, &calls[i], true, false);
        if (k == MEMORY || getenv("RATOON_ALLOC_ALL") != NULL) {
            run_out(k, &calls[i], false, false);
        }
    }
}

START_TEST(test_S06_no_memory_with_a_store_in_memory)
{
    run_out_on(MEMORY, _i);
}
END_TEST

START_TEST(test_S06_no_memory_with_a_store_on_disk)
{
    run_out_on(ROCKSDB, _i);
}
END_TEST

START_TEST(test_S06_no_memory_with_a_store_of_another_process)
{
    run_out_on(SOCKET, _i);
}
END_TEST

static bool covered(const char *name)
{
    for (size_t i = 0; i < CALLS; i++) {
        const size_t length = strlen(name);
        for (const char *at = calls[i].covers; (at = strstr(at, name)) != NULL; at += length) {
            if ((at == calls[i].covers || at[-1] == ' ') &&
                (at[length] == ' ' || at[length] == '\0')) {
                return true;
            }
        }
    }
    return false;
}

START_TEST(test_every_exported_function_is_called_without_memory)
{
    const char *source = getenv("SRC");
    ck_assert_ptr_nonnull(source);
    char *path = support_path_join(source, "tests/arch/exports.txt");
    char *names = support_read_file(path, NULL);
    size_t count = 0;
    for (char *rest = NULL, *name = strtok_r(names, "\n", &rest); name != NULL;
         name = strtok_r(NULL, "\n", &rest)) {
        ck_assert_msg(covered(name), "%s is exported, and not called here", name);
        count++;
    }
    ck_assert_uint_gt(count, 90);
    free(names);
    free(path);
}
END_TEST

static Suite *suite(void)
{
    Suite *all = suite_create("alloc");
    memset(big, '1', sizeof big);
    TCase *list = tcase_create("list");
    tcase_add_test(list, test_every_exported_function_is_called_without_memory);
    suite_add_tcase(all, list);
    /* First: the owners are forked, which a process that has opened a store must not do. */
    TCase *other = tcase_create("socket");
    tcase_set_timeout(other, 600);
    tcase_add_loop_test(other, test_S06_no_memory_with_a_store_of_another_process, 0, CALLS);
    suite_add_tcase(all, other);
    TCase *memory = tcase_create("memory");
    tcase_set_timeout(memory, 600);
    tcase_add_loop_test(memory, test_S06_no_memory_with_a_store_in_memory, 0, CALLS);
    suite_add_tcase(all, memory);
    TCase *disk = tcase_create("disk");
    tcase_set_timeout(disk, 600);
    tcase_add_loop_test(disk, test_S06_no_memory_with_a_store_on_disk, 0, CALLS);
    suite_add_tcase(all, disk);
    return all;
}

RATOON_TEST_MAIN(suite)

/* What simulated processes do: commands as a user gives them, on random pipelines, and programs
 * that use one handle from several threads. */
#include "tests/sim/sim.h"

#include "log/store_impl.h"
#include "tools/ratoon/execute.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIPELINES = 4, KEYS = 6, THREADS_FEW = 6, THREADS_MAX = 32 };

typedef enum kind { RUN, RETRY, RESUME, CANCEL, WATCH, LOOK, DELETE, STORM, VERIFY, LAST } kind;

typedef struct command {
    kind kind;
    ratoon_store *store;
    app app;
    unsigned pipeline, jobs, threads, number;
    ratoon_id run; /* that it is about; zero: none was there */
    char from[16], key[16], reason[64], until[16], subject[16];
    bool rerun, only, queue, no_exec, destructive;
    int32_t auto_retry;
    ratoon_items_mode items;
} command;

static char store_path[] = "/sim/store";
static ratoon_pipeline *pipelines[PIPELINES];
static unsigned active_max[PIPELINES];
static unsigned requests;

size_t sim_pipelines(void)
{
    return PIPELINES;
}

const ratoon_pipeline *sim_pipeline(size_t i)
{
    return pipelines[i];
}

unsigned sim_active_max(const ratoon_pipeline *p)
{
    for (size_t i = 0; i < PIPELINES; i++) {
        if (pipelines[i] == p) {
            return active_max[i];
        }
    }
    return 0;
}

/* ---- random pipelines ---- */

static void write_stage(FILE *f, unsigned i)
{
    fprintf(f, "  - name: s%u\n    run: [\"true\"]\n    needs: [", i);
    const char *comma = "";
    for (unsigned k = 0; k < i; k++) {
        if (sim_chance(i == 1 ? 600 : 350)) {
            fprintf(f, "%ss%u", comma, k);
            comma = ", ";
        }
    }
    fprintf(f, "]\n    grace: %ums\n", (unsigned)sim_between(5, 400));
    if (sim_chance(250)) {
        fprintf(f, "    foreach: things\n    jobs: %u\n", (unsigned)sim_between(1, 3));
    }
    if (sim_chance(400)) {
        fprintf(f, "    produces: [k_s%u]\n", i);
    }
    if (sim_chance(150)) {
        fprintf(f, "    allow_failure: true\n");
    }
    if (sim_chance(150)) {
        fprintf(f, "    commits: true\n");
    }
    if (sim_chance(300)) {
        fprintf(f, "    timeout: %ums\n", (unsigned)sim_between(20, 3000));
    }
    if (sim_chance(300)) {
        fprintf(f, "    heartbeat: %ums\n", (unsigned)sim_between(150, 2000));
    }
    if (sim_chance(500)) {
        const unsigned initial = (unsigned)sim_between(0, 1500);
        fprintf(f,
                "    retry: {attempts: %u, initial: %ums, factor: %u, max: %ums, jitter: 0.%u, "
                "classes: [%s]}\n",
                (unsigned)sim_between(1, 4), initial, (unsigned)sim_between(1, 3),
                initial + (unsigned)sim_below(4000), (unsigned)sim_below(10),
                sim_chance(500) ? "TRANSIENT, TIMEOUT" : "TRANSIENT, EXECUTION, OOM");
    }
    if (sim_chance(500)) {
        fprintf(f, "    adjust: {OOM: {size: {op: halve, min: 1}}}\n");
    }
}

static void make_pipeline(unsigned i)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    active_max[i] = sim_chance(300) ? (unsigned)sim_between(2, 3) : 1;
    fprintf(f,
            "pipeline: pl%u\nparams:\n"
            "  size: {type: int, default: 8, min: 1, max: 64, power_of_two: true}\n"
            "policy:\n  max_active_branches: %u\n  max_depth: %u\n",
            i, active_max[i], (unsigned)sim_between(1, 8));
    if (sim_chance(300)) {
        fprintf(f, "  scope: \"%s\"\n", sim_chance(500) ? "shared" : "other");
    }
    if (sim_chance(300)) {
        fprintf(f, "  auto_retry: {enabled: true, attempts: %u}\n", (unsigned)sim_between(1, 3));
    }
    if (sim_chance(400)) {
        fprintf(f, "  cascade: auto\n");
    }
    if (sim_chance(200)) {
        fprintf(f, "  timeout: %ums\n", (unsigned)sim_between(100, 6000));
    }
    fprintf(f, "stages:\n");
    const unsigned count = (unsigned)sim_between(1, 6);
    for (unsigned k = 0; k < count; k++) {
        write_stage(f, k);
    }
    (void)fclose(f);
    ratoon_error error;
    if (ratoon_pipeline_parse("sim.yaml", text, size, "/", &pipelines[i], &error) != RATOON_OK) {
        sim_fail("simulation", "%u:%u: %s\n%s", error.line, error.column, error.message, text);
    }
    sim_note("pipeline %u: %u stages", i, count);
    sim_hash(text, size);
    free(text);
}

void sim_commands_open(void)
{
    (void)mkdir(store_path, 0700);
    requests = 0;
    for (unsigned i = 0; i < PIPELINES; i++) {
        make_pipeline(i);
    }
}

void sim_commands_close(void)
{
    for (unsigned i = 0; i < PIPELINES; i++) {
        ratoon_pipeline_free(pipelines[i]);
        pipelines[i] = NULL;
    }
}

/* ---- ends ---- */

static void lock_falls(void *ctx)
{
    sim_proc *p = ctx;
    if (p->lock_fd >= 0) {
        close(p->lock_fd);
        p->lock_fd = -1;
        sim_note("the lock of process %d falls", p->pid);
    }
}

void sim_kill(sim_proc *p)
{
    if (p->dead || p->over) {
        return;
    }
    sim_note("process %d (%s) is killed", p->pid, p->what);
    p->dead = true;
    if (p->store != NULL && p->store->executor_fd >= 0) {
        p->lock_fd = p->store->executor_fd;
        p->store->executor_fd = -1;
    }
    sim_disk_died(p);
    sim_stages_died(p);
    if (sim_chance(300)) { /* what a process holds falls in any order */
        sim_after(sim_below(300 * SIM_MS), lock_falls, p);
    } else {
        lock_falls(p);
    }
}

void sim_unlock(sim_proc *p)
{
    if (!p->dead && !p->over && p->store != NULL && p->store->executor_fd >= 0) {
        sim_note("process %d loses its lock", p->pid);
        p->unlocked = true;
        sim_files_unlock(p->store->executor_fd);
    }
}

void sim_signal(sim_proc *p, int number)
{
    if (p->dead || p->over) {
        return;
    }
    sim_note("signal %d to process %d", number, p->pid);
    if (sim_loop_signal(p, number)) {
        return;
    }
    if (p->catches && p->caught == 0) {
        p->caught = number;
    } else {
        sim_kill(p);
    }
}

/* ---- what they do ---- */

static ratoon_status open_store(sim_proc *p, ratoon_store **out, ratoon_error *error)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    options.actor = "somebody";
    ratoon_status status = ratoon_store_open(store_path, &options, out, error);
    if (status == RATOON_OK) {
        p->store = *out;
    }
    return status;
}

static const ratoon_value things = {
    .key = "things", .data = "[\"a\",\"b\",\"c\"]", .size = 13, .media_type = NULL};

static int report(const char *what, ratoon_status status, const ratoon_error *error)
{
    if (sim_self()->dead) {
        return 1;
    }
    sim_note("%s: %s %s", what, ratoon_status_name(status), error->message);
    return 1;
}

static int do_run(command *c)
{
    ratoon_run_options o = RATOON_RUN_OPTIONS_INIT;
    ratoon_created made = {0};
    ratoon_error error = {0};
    o.pipeline = pipelines[c->pipeline];
    o.state = &things;
    o.state_count = 1;
    o.reason = c->reason;
    o.key = c->key[0] != '\0' ? c->key : NULL;
    o.subject = c->subject;
    o.until = c->until[0] != '\0' ? c->until : NULL;
    o.no_exec = c->no_exec;
    o.auto_retry = c->auto_retry;
    ratoon_status status = ratoon_run_create(c->store, &o, &made, &error);
    if (status != RATOON_OK) {
        return report("run", status, &error);
    }
    return made.epoch == 0 || made.repeated ? 0
                                            : execute_run(&c->app, made.run, made.epoch, c->jobs);
}

static ratoon_status create_retry(const command *c, const char *reason, const char *key,
                                  ratoon_created *made, ratoon_error *error)
{
    ratoon_retry_options o = RATOON_RETRY_OPTIONS_INIT;
    static const char *const items[] = {"a", "b"};
    o.parent = c->run;
    o.from = c->from[0] != '\0' ? c->from : NULL;
    o.rerun = c->rerun;
    o.only = c->only;
    o.queue = c->queue;
    o.no_exec = c->no_exec;
    o.destructive = c->destructive;
    o.items_mode = c->items;
    o.items_given = true;
    if (c->items == RATOON_ITEMS_LISTED) {
        o.items = items;
        o.items_count = 2;
    }
    o.reason = reason;
    o.key = key != NULL && key[0] != '\0' ? key : NULL;
    o.auto_retry = c->auto_retry;
    return ratoon_retry_create(c->store, &o, made, error);
}

static int do_retry(command *c)
{
    ratoon_created made = {0};
    ratoon_error error = {0};
    ratoon_status status = create_retry(c, c->reason, c->key, &made, &error);
    if (status != RATOON_OK) {
        return report("retry", status, &error);
    }
    if (made.repeated || c->no_exec) {
        return 0;
    }
    return made.epoch != 0 ? execute_run(&c->app, made.run, made.epoch, c->jobs)
                           : execute_when_free(&c->app, made.run, NULL, c->jobs);
}

static int do_resume(command *c)
{
    ratoon_start_options o = RATOON_START_OPTIONS_INIT;
    return execute_start(&c->app, c->run, &o, c->jobs);
}

static int do_cancel(command *c)
{
    ratoon_run_status status;
    ratoon_error error = {0};
    ratoon_status done = ratoon_run_cancel(c->store, c->run, c->reason, &status, &error);
    return done == RATOON_OK ? 0 : report("cancel", done, &error);
}

static int do_watch(command *c)
{
    ratoon_feed *feed = NULL;
    ratoon_error error = {0};
    const uint64_t until = sim_clock_ns() + sim_between(1, 30) * SIM_S;
    signals_catch();
    ratoon_status status =
        ratoon_feed_open(c->store, c->number % 2 == 0 ? 1 : sim_log_commits() + 1, &feed, &error);
    while (status == RATOON_OK && sim_clock_ns() < until && signals_caught() == 0) {
        ratoon_feed_item item;
        status = ratoon_feed_next(feed, 200, &item, &error);
        status = status == RATOON_ERR_TIMED_OUT ? RATOON_OK : status;
    }
    ratoon_feed_close(feed);
    return status == RATOON_OK ? 0 : report("watch", status, &error);
}

/* L09 */
static void check_order(ratoon_store *s, const ratoon_id *ids, size_t count)
{
    ratoon_run_info before = {0}, info;
    for (size_t i = 0; i < count && !sim_self()->dead; i++) {
        if (ratoon_run_get(s, ids[i], &info, NULL) != RATOON_OK) {
            continue;
        }
        if (before.created_at != 0 &&
            (info.created_at > before.created_at ||
             (info.created_at == before.created_at &&
              memcmp(info.id.bytes, before.id.bytes, sizeof info.id.bytes) >= 0))) {
            sim_fail("L09", "a list is out of order at its run %zu", i);
        }
        before = info;
    }
}

static int do_look(command *c)
{
    ratoon_list_options o = RATOON_LIST_OPTIONS_INIT;
    ratoon_id *ids = NULL;
    size_t count = 0;
    ratoon_stale *stale = NULL;
    ratoon_error error = {0};
    ratoon_status status = ratoon_run_list(c->store, &o, &ids, &count, &error);
    if (status == RATOON_OK) {
        check_order(c->store, ids, count);
        free(ids);
        status = ratoon_stale_list(c->store, &stale, &count, &error);
        free(stale);
    }
    return status == RATOON_OK ? 0 : report("look", status, &error);
}

static int do_delete(command *c)
{
    ratoon_deleted deleted;
    ratoon_freed freed;
    ratoon_error error = {0};
    ratoon_status status =
        ratoon_lineage_delete(c->store, c->run, c->rerun, &deleted, &freed, &error);
    return report("delete", status, &error);
}

typedef struct storm_thread {
    command *c;
    unsigned i;
} storm_thread;

static void storm_one(void *ctx)
{
    storm_thread *t = ctx;
    command *c = t->c;
    ratoon_created made = {0};
    ratoon_error error = {0};
    ratoon_run_status status;
    char reason[80];
    (void)snprintf(reason, sizeof reason, "%s.%u", c->reason, t->i);
    switch (sim_below(4)) {
    case 0:
        (void)!ratoon_run_cancel(c->store, c->run, reason, &status, &error);
        break;
    case 1: {
        ratoon_run_options o = RATOON_RUN_OPTIONS_INIT;
        o.pipeline = pipelines[c->pipeline];
        o.state = &things;
        o.state_count = 1;
        o.reason = reason;
        o.key = c->key[0] != '\0' ? c->key : NULL;
        (void)!ratoon_run_create(c->store, &o, &made, &error);
        break;
    }
    default:
        (void)!create_retry(c, reason, t->i % 2 == 0 ? c->key : NULL, &made, &error);
        break;
    }
}

/* Several threads of one program at once; whatever they start is left to whoever comes after. */
static int do_storm(command *c)
{
    storm_thread threads[THREADS_MAX];
    sim_fiber *fibers[THREADS_MAX];
    for (unsigned i = 0; i < c->threads; i++) {
        threads[i] = (storm_thread){c, i};
        fibers[i] = sim_thread(sim_self(), "storm", storm_one, &threads[i]);
    }
    for (unsigned i = 0; i < c->threads; i++) {
        sim_join(fibers[i]);
    }
    return 0;
}

static int do_verify(command *c)
{
    ratoon_buffer json = {0};
    size_t problems = 0;
    ratoon_error error = {0};
    ratoon_status status = ratoon_verify(c->store, (ratoon_id){{0}}, &json, &problems, &error);
    if (status == RATOON_OK && problems > 0 && !sim_self()->dead) {
        sim_fail("Q01", "verify finds %zu problems: %s", problems, json.data);
    }
    ratoon_buffer_free(&json);
    return status == RATOON_OK ? 0 : report("verify", status, &error);
}

/* R22: whatever executes something makes up for cascades that are missing, so that after it none is
 * due that could be made. */
static int do_last(command *c)
{
    ratoon_stale *items = NULL;
    size_t count = 0;
    ratoon_error error = {0};
    const int code = do_run(c);
    ratoon_status status = ratoon_stale_list(c->store, &items, &count, &error);
    for (size_t i = 0; status == RATOON_OK && i < count && !sim_self()->dead; i++) {
        ratoon_created made = {0};
        if (items[i].cascade &&
            ratoon_cascade_create(c->store, &items[i], &made, &error) == RATOON_OK &&
            !made.repeated) {
            sim_fail("R22", "%s of a run is stale after everything was made up for",
                     items[i].stage);
        }
    }
    free(items);
    return code;
}

static void command_main(sim_proc *p, void *ctx)
{
    static int (*const all[])(command *) = {do_run,  do_retry,  do_resume, do_cancel, do_watch,
                                            do_look, do_delete, do_storm,  do_verify, do_last};
    command *c = ctx;
    ratoon_error error = {0};
    ratoon_status status = open_store(p, &c->store, &error);
    if (status == RATOON_OK) {
        c->app = (app){.json = true,
                       .quiet = true,
                       .color = APP_COLOR_NEVER,
                       .store = c->store,
                       .store_path = store_path};
        p->exit_code = all[c->kind](c);
        ratoon_store_close(c->store);
        p->store = NULL;
    } else {
        p->exit_code = report("open", status, &error);
    }
    free(c);
}

/* ---- choosing ---- */

static ratoon_id any_run(bool active)
{
    ratoon_id found = {{0}};
    uint64_t seen = 0;
    for (size_t i = 0; i < sim_log_runs(); i++) {
        const sim_run r = sim_log_run(i);
        if ((!r.deleted || sim_chance(50)) &&
            (!active || ratoon_run_status_active(r.status) || r.status == RATOON_RUN_SUSPENDED ||
             sim_chance(100)) &&
            sim_below(++seen) == 0) {
            found = r.id;
        }
    }
    return found;
}

static command *command_new(kind k)
{
    command *c = calloc(1, sizeof *c);
    c->kind = k;
    c->number = ++requests;
    c->jobs = (unsigned)sim_between(1, 4);
    c->auto_retry = -1;
    (void)snprintf(c->reason, sizeof c->reason, "request %u", c->number);
    return c;
}

static void start(command *c)
{
    static const char *const names[] = {"run",  "retry",  "resume", "cancel", "watch",
                                        "look", "delete", "storm",  "verify", "last"};
    char what[48];
    (void)snprintf(what, sizeof what, "%s %u", names[c->kind], c->number);
    (void)sim_proc_start(what, command_main, c);
}

void sim_command_random(void)
{
    static const kind kinds[] = {RUN,    RUN,   RUN,   RUN,    RETRY,  RETRY,
                                 RETRY,  RETRY, RETRY, RESUME, RESUME, RESUME,
                                 CANCEL, WATCH, LOOK,  DELETE, STORM,  STORM};
    const kind k = sim_log_runs() == 0 ? RUN : kinds[sim_below(sizeof kinds / sizeof *kinds)];
    command *c = command_new(k);
    c->pipeline = (unsigned)sim_below(PIPELINES);
    c->run = any_run(k == RESUME || k == CANCEL || (k == STORM && sim_chance(300)));
    (void)snprintf(c->subject, sizeof c->subject, "sub%u", (unsigned)sim_below(4));
    if (sim_chance(250)) {
        (void)snprintf(c->key, sizeof c->key, "key%u", (unsigned)sim_below(KEYS));
    }
    if (sim_chance(600)) {
        (void)snprintf(c->from, sizeof c->from, "s%u", (unsigned)sim_below(4));
    }
    if (sim_chance(60)) {
        (void)snprintf(c->until, sizeof c->until, "s0");
    }
    c->rerun = sim_chance(500);
    c->only = sim_chance(80);
    c->queue = sim_chance(300);
    c->no_exec = sim_chance(120);
    c->destructive = sim_chance(100);
    c->items = sim_chance(400) ? (ratoon_items_mode)sim_below(4) : RATOON_ITEMS_MISSING;
    c->threads = (unsigned)sim_between(2, sim_chance(50) ? THREADS_MAX : THREADS_FEW);
    if (sim_chance(100)) {
        c->auto_retry = (int32_t)sim_below(3);
    }
    start(c);
}

void sim_command_watch(void)
{
    start(command_new(WATCH));
}

void sim_command_look(void)
{
    start(command_new(LOOK));
}

void sim_command_resume(ratoon_id run)
{
    command *c = command_new(RESUME);
    c->run = run;
    start(c);
}

sim_proc *sim_command_executor(ratoon_id *run)
{
    sim_proc *found = NULL;
    uint64_t seen = 0;
    for (sim_proc *p = sim_procs; p != NULL; p = p->next) {
        ratoon_id id;
        if (p->store != NULL && !p->dead && !p->over && !p->unlocked &&
            p->store->executor_fd >= 0 && sim_log_executed(p->store->executor, &id) &&
            sim_below(++seen) == 0) {
            found = p;
            *run = id;
        }
    }
    return found;
}

/* Everything that waits for somebody to go on with it. */
unsigned sim_command_resume_all(void)
{
    unsigned n = 0;
    for (size_t i = 0; i < sim_log_runs(); i++) {
        const sim_run r = sim_log_run(i);
        if (!r.deleted && (r.status == RATOON_RUN_SUSPENDED || r.status == RATOON_RUN_QUEUED)) {
            command *c = command_new(RESUME);
            c->run = r.id;
            start(c);
            n++;
        }
    }
    return n;
}

void sim_command_last(void)
{
    start(command_new(LAST));
}

void sim_command_verify(void)
{
    start(command_new(VERIFY));
}

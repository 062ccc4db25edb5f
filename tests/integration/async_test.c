/* Requests in flight, as an embedder uses them: through the public interface, on a store in memory,
 * one that this process owns, and one that another handle owns. */
#include "log/driver.h"
#include "log/store_impl.h"
#include "tests/support/role.h"
#include "tests/support/support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    STAGES = 64,
    THREADS = 3,
    EACH = 300,
    ROOM = 16,
    WAIT_MS = 20000,
};

static char *folder;
static ratoon_store *owner; /* of what `store` reaches through its socket */
static ratoon_store *store;
static ratoon_pipeline *chain; /* STAGES stages, each after the one before */
static ratoon_async *queue;

static void must(ratoon_status status, const ratoon_error *error)
{
    role_must(status == RATOON_OK, status == RATOON_OK ? "" : error->message);
}

/* ---- a driver that can be disturbed ---- */

static const ratoon__driver_ops *real_ops;
static ratoon__driver_ops hooked_ops;
static atomic_uint synced, unsynced; /* groups, by what the committer asked for */
static atomic_uint fail_groups;      /* so many fail */
static atomic_uint gate; /* so many callers must have asked before the next group goes on */
static atomic_uint asked;
static atomic_int intrude; /* its first commit is appended by somebody else */

static int all_asked(void *ctx)
{
    return atomic_load(&asked) >= *(unsigned *)ctx;
}

static ratoon_status hooked_append(ratoon__driver *d, ratoon__append *appends, size_t count,
                                   bool sync, ratoon_error *error)
{
    unsigned wanted = atomic_exchange(&gate, 0);
    if (wanted > 0) {
        role_must(support_wait_until(all_asked, &wanted, WAIT_MS), "everybody asks");
    }
    atomic_fetch_add(sync ? &synced : &unsynced, 1);
    unsigned left = atomic_load(&fail_groups);
    if (left > 0) {
        atomic_store(&fail_groups, left - 1);
        ratoon__memory_fail_append(d, 1, RATOON_ERR_IO);
    }
    /* Somebody else's commit gets in first: the same bytes as ours, so that all of it is known to
     * be sound, but for the number that is taken now. */
    if (atomic_load(&intrude) > 0 && atomic_fetch_sub(&intrude, 1) == 1) {
        ratoon__append theirs = appends[0];
        role_must(real_ops->append(d, &theirs, 1, sync, error) == RATOON_OK, "intruding");
    }
    return real_ops->append(d, appends, count, sync, error);
}

static int gate_is_reached(void *ctx)
{
    (void)ctx;
    return atomic_load(&gate) == 0;
}

/* Until a group has come to the gate. */
static void wait_for_gate(void)
{
    role_must(support_wait_until(gate_is_reached, NULL, WAIT_MS), "a group comes to the gate");
}

/* ---- stores ---- */

typedef enum kind { IN_MEMORY, OWNED, REACHED, KINDS } kind;

static ratoon_pipeline *parse_chain(void)
{
    char text[STAGES * 80 + 100];
    size_t size = (size_t)snprintf(text, sizeof text, "pipeline: chain\nstages:\n");
    for (int i = 0; i < STAGES; i++) {
        size +=
            (size_t)snprintf(text + size, sizeof text - size, "  - {name: s%d, run: [\"true\"]", i);
        if (i > 0) {
            size += (size_t)snprintf(text + size, sizeof text - size, ", needs: [s%d]", i - 1);
        }
        size += (size_t)snprintf(text + size, sizeof text - size, "}\n");
    }
    ratoon_pipeline *p = NULL;
    ratoon_error error;
    must(ratoon_pipeline_parse("chain.yaml", text, size, NULL, &p, &error), &error);
    return p;
}

static ratoon_store *open_at(const char *path, ratoon_durability durability)
{
    ratoon_store *s = NULL;
    ratoon_error error;
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    options.driver = path == NULL ? RATOON_DRIVER_MEMORY : RATOON_DRIVER_AUTO;
    options.durability = durability;
    options.interval_ms = 1000;
    if (path != NULL && access(path, F_OK) != 0) {
        must(ratoon_store_create(path, NULL, &error), &error);
    }
    must(ratoon_store_open(path, &options, &s, &error), &error);
    return s;
}

static void open_store(kind k, ratoon_durability durability)
{
    if (k == IN_MEMORY) {
        store = open_at(NULL, durability);
        ratoon__driver *d = ratoon__store_driver(store);
        real_ops = d->ops;
        hooked_ops = *real_ops;
        hooked_ops.append = hooked_append;
        d->ops = &hooked_ops;
        return;
    }
    folder = support_temp_dir("async_test");
    char *path = support_path_join(folder, "store");
    if (k == REACHED) {
        owner = open_at(path, durability);
    }
    store = open_at(path, durability);
    ck_assert(ratoon_store_is_owner(store) == (k == OWNED));
    free(path);
}

static void setup(void)
{
    chain = parse_chain();
    synced = unsynced = fail_groups = gate = asked = 0;
    intrude = 0;
}

static void close_store(void)
{
    ratoon_store_close(store);
    store = NULL;
    queue = NULL; /* went with it */
}

static void teardown(void)
{
    close_store();
    ratoon_store_close(owner);
    owner = NULL;
    ratoon_pipeline_free(chain);
    support_temp_dir_free(folder);
    folder = NULL;
}

static void open_queue(uint32_t in_flight_max, bool wait)
{
    ratoon_async_options options = RATOON_ASYNC_OPTIONS_INIT;
    ratoon_error error;
    options.in_flight_max = in_flight_max;
    options.wait = wait;
    must(ratoon_async_open(store, &options, &queue, &error), &error);
}

static ratoon_created create(void)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error;
    options.pipeline = chain;
    must(ratoon_run_create(store, &options, &created, &error), &error);
    return created;
}

static void drain(void)
{
    ratoon_error error;
    must(ratoon_async_drain(queue, &error), &error);
}

static void expect_sound(void)
{
    ratoon_buffer json = {0};
    ratoon_error error = {0};
    size_t problems = 99;
    must(ratoon_verify(store, (ratoon_id){{0}}, &json, &problems, &error), &error);
    ck_assert_msg(problems == 0, "%s", json.data);
    ratoon_buffer_free(&json);
}

static ratoon_stage_info stage_of(ratoon_id run, uint32_t stage)
{
    ratoon_stage_info info;
    ratoon_error error;
    must(ratoon_run_stage(store, run, stage, &info, &error), &error);
    return info;
}

/* ---- a request, and the order of answers ---- */

typedef struct request {
    ratoon_op op;
    char stage[16];
    atomic_uint calls;
    unsigned place; /* among the answers, from 0 */
    ratoon_status status;
    ratoon_error error;
} request;

static atomic_uint answers;

static void note(void *ctx, ratoon_status status, const ratoon_error *error)
{
    request *r = ctx;
    role_must((status == RATOON_OK) == (error == NULL), "an error exactly where there is one");
    r->status = status;
    if (error != NULL) {
        r->error = *error;
    }
    r->place = atomic_fetch_add(&answers, 1);
    atomic_fetch_add(&r->calls, 1);
}

static request *requests_new(size_t count)
{
    request *all = calloc(count, sizeof *all);
    role_must(all != NULL, "memory");
    answers = 0;
    return all;
}

static void start_op(request *r, unsigned stage)
{
    (void)snprintf(r->stage, sizeof r->stage, "s%u", stage);
    r->op = (ratoon_op){.kind = RATOON_OP_STAGE_START, .stage = r->stage};
}

static void end_op(request *r, unsigned stage)
{
    start_op(r, stage);
    r->op.kind = RATOON_OP_STAGE_END;
    r->op.attempt = 1;
    r->op.status = RATOON_STAGE_SUCCEEDED;
}

static ratoon_status submit(request *r, const ratoon_created *run)
{
    return ratoon_async_apply(queue, run->run, run->epoch, &r->op, 1, note, r, &r->error);
}

/* Starts and ends of all stages, submitted without waiting for anything: each is legal only after
 * the ones before. */
static request *submit_chain(const ratoon_created *run)
{
    request *all = requests_new(2 * (size_t)STAGES);
    for (unsigned i = 0; i < STAGES; i++) {
        start_op(&all[2 * i], i);
        end_op(&all[2 * i + 1], i);
    }
    for (unsigned i = 0; i < 2 * STAGES; i++) {
        must(submit(&all[i], run), &all[i].error);
    }
    return all;
}

static void expect_chain(request *all, const ratoon_created *run)
{
    for (unsigned i = 0; i < 2 * STAGES; i++) {
        ck_assert_uint_eq(all[i].calls, 1);
        ck_assert_msg(all[i].status == RATOON_OK, "%u: %s", i, all[i].error.message);
        ck_assert_uint_eq(all[i].place, i);
        if (i % 2 == 0) {
            ck_assert_uint_eq(all[i].op.attempt_out, 1);
        }
    }
    ratoon_run_status status;
    ratoon_error error;
    must(ratoon_run_finish(store, run->run, run->epoch, &status, &error), &error);
    ck_assert_int_eq(status, RATOON_RUN_SUCCEEDED);
    expect_sound();
}

START_TEST(test_L11_async_requests_of_one_run_keep_their_order)
{
    open_store((kind)_i, RATOON_DURABILITY_SYNC);
    open_queue(0, false);
    ratoon_created run = create();
    request *all = submit_chain(&run);
    drain();
    expect_chain(all, &run);
    free(all);
}
END_TEST

/* A group is decided again because another process appended: still in order. */
START_TEST(test_Q06_async_order_is_kept_when_decided_again)
{
    open_store(IN_MEMORY, RATOON_DURABILITY_SYNC);
    open_queue(0, false);
    ratoon_created run = create();
    request *all = requests_new(2 * (size_t)STAGES);
    for (unsigned i = 0; i < STAGES; i++) {
        start_op(&all[2 * i], i);
        end_op(&all[2 * i + 1], i);
    }
    gate = 2 * STAGES;
    intrude = 1;
    for (unsigned i = 0; i < 2 * STAGES; i++) {
        must(submit(&all[i], &run), &all[i].error);
        atomic_fetch_add(&asked, 1);
        wait_for_gate(); /* the first one's group is on its way, all others wait behind it */
    }
    drain();
    /* The intruder started the first stage; our start is then refused, all else goes on. */
    ck_assert_int_eq(all[0].status, RATOON_ERR_ILLEGAL_TRANSITION);
    for (unsigned i = 1; i < 2 * STAGES; i++) {
        ck_assert_msg(all[i].status == RATOON_OK, "%u: %s", i, all[i].error.message);
    }
    for (unsigned i = 0; i < 2 * STAGES; i++) {
        ck_assert_uint_eq(all[i].place, i);
    }
    expect_sound();
    free(all);
}
END_TEST

/* The same where a group can't take all that waits: what goes round again comes before the rest. */
START_TEST(test_Q06_async_order_is_kept_beyond_one_group)
{
    enum { MANY = RATOON__GROUP_MAX + 300 };
    open_store(IN_MEMORY, RATOON_DURABILITY_SYNC);
    open_queue(MANY, false);
    ratoon_created run = create();
    request *all = requests_new(MANY);
    gate = MANY;
    for (unsigned i = 0; i < MANY; i++) {
        start_op(&all[i], 0);
        if (i > 0) {
            all[i].op.kind = RATOON_OP_STAGE_PROGRESS;
            all[i].op.attempt = 1;
            all[i].op.done = i;
        }
        must(submit(&all[i], &run), &all[i].error);
        if (atomic_fetch_add(&asked, 1) == 0) {
            wait_for_gate();
        } else if (i == MANY - 2) {
            intrude = 2; /* not into the group at the gate, into the one after it */
        }
    }
    drain();
    ck_assert_int_eq(intrude, 0);
    for (unsigned i = 0; i < MANY; i++) {
        ck_assert_msg(all[i].status == RATOON_OK, "%u: %s", i, all[i].error.message);
        ck_assert_uint_eq(all[i].place, i);
    }
    expect_sound();
    free(all);
}
END_TEST

/* ---- refusals and failures ---- */

START_TEST(test_L03_async_refusal_says_what_it_says_elsewhere)
{
    request r[2] = {{.calls = 0}};
    ratoon_error direct = {0};
    open_store((kind)_i, RATOON_DURABILITY_SYNC);
    open_queue(0, false);
    ratoon_created run = create();
    end_op(&r[0], 5);
    end_op(&r[1], 5);
    must(submit(&r[0], &run), &r[0].error);
    drain();
    ratoon_status status = ratoon_run_apply(store, run.run, run.epoch, &r[1].op, 1, &direct);
    ck_assert_int_eq(status, RATOON_ERR_ILLEGAL_TRANSITION);
    ck_assert_int_eq(r[0].status, status);
    ck_assert_str_eq(r[0].error.message, direct.message);
    ck_assert_str_eq(r[0].error.stage, direct.stage);
    ck_assert(ratoon_id_equal(r[0].error.run, run.run));
}
END_TEST

START_TEST(test_L08_async_older_epoch_is_fenced)
{
    request r = {.calls = 0};
    open_store((kind)_i, RATOON_DURABILITY_SYNC);
    open_queue(0, false);
    ratoon_created run = create();
    run.epoch += 7;
    start_op(&r, 0);
    must(submit(&r, &run), &r.error);
    drain();
    ck_assert_int_eq(r.status, RATOON_ERR_FENCED);
    ck_assert_int_eq(stage_of(run.run, 0).status, RATOON_STAGE_PENDING);
}
END_TEST

static ratoon_status submit_to(ratoon_id run, ratoon_op *ops, size_t count, ratoon_done_fn done,
                               request *r)
{
    return ratoon_async_apply(queue, run, 1, ops, count, done, r, &r->error);
}

START_TEST(test_L03_async_submission_that_fails_makes_no_callback)
{
    request r = {.calls = 0};
    open_store(IN_MEMORY, RATOON_DURABILITY_SYNC);
    open_queue(1, false);
    ratoon_created run = create();
    start_op(&r, 0);
    ratoon_id nobody = {{1}};
    for (int i = 0; i < 3; i++) { /* nor does it use up a place */
        ck_assert_int_eq(submit_to(nobody, &r.op, 1, note, &r), RATOON_ERR_NOT_FOUND);
        ck_assert_int_eq(submit_to(run.run, NULL, 0, note, &r), RATOON_ERR_USAGE);
        ck_assert_int_eq(submit_to(run.run, &r.op, 1, NULL, &r), RATOON_ERR_USAGE);
    }
    drain();
    ck_assert_uint_eq(r.calls, 0);
    must(submit(&r, &run), &r.error);
    drain();
    ck_assert_uint_eq(r.calls, 1);
}
END_TEST

/* A group that could not be written: nothing of it is acknowledged, refusals that rest on it are
 * not told as such, and what comes later is judged without it. */
START_TEST(test_L11_async_failed_group_is_nowhere)
{
    enum { COUNT = 6 };
    request *r = requests_new(COUNT + 1);
    open_store(IN_MEMORY, RATOON_DURABILITY_SYNC);
    open_queue(0, false);
    ratoon_created run = create();
    start_op(&r[0], 0);
    end_op(&r[1], 0);
    start_op(&r[2], 1);
    end_op(&r[3], 9); /* refused, judged by what the ones before left */
    end_op(&r[4], 1);
    start_op(&r[5], 2);
    ratoon_created other = create();
    request blocker = {.calls = 0}; /* the group before: what is submitted meanwhile is one group */
    start_op(&blocker, 0);
    gate = COUNT;
    must(submit(&blocker, &other), &blocker.error);
    wait_for_gate();
    atomic_store(&fail_groups, 2);
    for (unsigned i = 0; i < COUNT; i++) {
        must(submit(&r[i], &run), &r[i].error);
    }
    atomic_store(&asked, COUNT);
    drain();
    ck_assert_int_eq(blocker.status, RATOON_ERR_IO);
    for (unsigned i = 0; i < COUNT; i++) {
        ck_assert_uint_eq(r[i].calls, 1);
        ck_assert_msg(r[i].status == RATOON_ERR_IO, "%u: %s", i, ratoon_status_name(r[i].status));
        ck_assert_str_ne(r[i].error.message, "");
    }
    ck_assert_int_eq(stage_of(run.run, 0).status, RATOON_STAGE_PENDING);
    start_op(&r[COUNT], 0);
    must(submit(&r[COUNT], &run), &r[COUNT].error);
    drain();
    ck_assert_int_eq(r[COUNT].status, RATOON_OK);
    expect_sound();
    free(r);
}
END_TEST

/* In the modes that don't sync, a failure is synced nevertheless before anyone is told. */
START_TEST(test_L06_async_failure_is_synced_in_every_mode)
{
    static const ratoon_failure why = {.error_class = RATOON_CLASS_EXECUTION, .message = "exit 3"};
    request r[2] = {{.calls = 0}};
    open_store(IN_MEMORY, RATOON_DURABILITY_INTERVAL);
    open_queue(0, false);
    ratoon_created run = create();
    start_op(&r[0], 0);
    must(submit(&r[0], &run), &r[0].error);
    drain();
    ck_assert_uint_eq(synced, 0);
    end_op(&r[1], 0);
    r[1].op.status = RATOON_STAGE_FAILED;
    r[1].op.failure = &why;
    must(submit(&r[1], &run), &r[1].error);
    drain();
    ck_assert_int_eq(r[1].status, RATOON_OK);
    ck_assert_uint_eq(synced, 1);
}
END_TEST

/* ---- how many ---- */

static void hold(bool on)
{
    ratoon__memory_hold(ratoon__store_driver(store), on);
}

START_TEST(test_S06_async_queue_refuses_more_than_its_limit)
{
    enum { MOST = 4 };
    request r[MOST + 1] = {{.calls = 0}};
    open_store(IN_MEMORY, RATOON_DURABILITY_SYNC);
    open_queue(MOST, false);
    ratoon_created run[MOST + 1];
    for (int i = 0; i <= MOST; i++) {
        run[i] = create();
        start_op(&r[i], 0);
    }
    hold(true);
    for (int i = 0; i < MOST; i++) {
        must(submit(&r[i], &run[i]), &r[i].error);
    }
    ck_assert_int_eq(submit(&r[MOST], &run[MOST]), RATOON_ERR_QUEUE_FULL);
    ck_assert_int_eq(r[MOST].error.code, RATOON_ERR_QUEUE_FULL);
    ck_assert_ptr_nonnull(strstr(r[MOST].error.message, "4"));
    hold(false);
    drain();
    ck_assert_uint_eq(r[MOST].calls, 0);
    must(submit(&r[MOST], &run[MOST]), &r[MOST].error);
    drain();
    for (int i = 0; i <= MOST; i++) {
        ck_assert_uint_eq(r[i].calls, 1);
        ck_assert_int_eq(r[i].status, RATOON_OK);
    }
}
END_TEST

typedef struct submitter {
    pthread_t thread;
    ratoon_created run;
    request *requests;
    atomic_uint submitted;
} submitter;

static submitter submitters[2 * THREADS];

/* At no time more have been submitted than were called back for and may be in flight. */
static void land(void *ctx, ratoon_status status, const ratoon_error *error)
{
    unsigned submitted = 0;
    for (int i = 0; i < THREADS; i++) {
        submitted += atomic_load(&submitters[i].submitted);
    }
    /* This one, and those before it whose places are not yet given back, count as in flight. */
    role_must(submitted <= atomic_load(&answers) + ROOM, "no more in flight than allowed");
    note(ctx, status, error);
}

/* Submits progress of a stage, waiting for room where there is none. */
static void *submit_many(void *ctx)
{
    submitter *s = ctx;
    for (unsigned i = 0; i < EACH; i++) {
        request *r = &s->requests[i];
        start_op(r, 0);
        r->op.kind = RATOON_OP_STAGE_PROGRESS;
        r->op.attempt = 1;
        r->op.done = i + 1;
        r->op.total = EACH;
        must(ratoon_async_apply(queue, s->run.run, s->run.epoch, &r->op, 1, land, r, &r->error),
             &r->error);
        unsigned now = atomic_load(&s->submitted) + 1;
        atomic_store(&s->submitted, now);
    }
    return NULL;
}

static void *change_many(void *ctx)
{
    submitter *s = ctx;
    for (unsigned i = 0; i < EACH / 4; i++) {
        ratoon_error error;
        must(ratoon_run_annotate(store, s->run.run, "waited for", &error), &error);
    }
    return NULL;
}

static void start_stage(const ratoon_created *run)
{
    ratoon_error error;
    uint32_t attempt;
    must(ratoon_stage_start(store, run->run, run->epoch, "s0", &attempt, &error), &error);
}

/* Threads that submit and threads that wait, at once, on the same runs and on others. */
START_TEST(test_S06_async_submission_waits_for_room)
{
    submitter *all = submitters;
    open_store((kind)_i, RATOON_DURABILITY_SYNC);
    open_queue(ROOM, true);
    for (int i = 0; i < 2 * THREADS; i++) {
        all[i].run = i < THREADS || i % 2 == 0 ? create() : all[i - THREADS].run;
        all[i].requests = requests_new(EACH);
        all[i].submitted = 0;
        if (i < THREADS) {
            start_stage(&all[i].run);
        }
    }
    for (int i = 0; i < 2 * THREADS; i++) {
        ck_assert_int_eq(
            pthread_create(&all[i].thread, NULL, i < THREADS ? submit_many : change_many, &all[i]),
            0);
    }
    for (int i = 0; i < 2 * THREADS; i++) {
        pthread_join(all[i].thread, NULL);
    }
    drain();
    for (int i = 0; i < THREADS; i++) {
        for (unsigned k = 0; k < EACH; k++) {
            ck_assert_uint_eq(all[i].requests[k].calls, 1);
            ck_assert_int_eq(all[i].requests[k].status, RATOON_OK);
            ck_assert(k == 0 || all[i].requests[k].place > all[i].requests[k - 1].place);
        }
    }
    expect_sound();
    for (int i = 0; i < 2 * THREADS; i++) {
        free(all[i].requests);
    }
}
END_TEST

/* ---- callbacks that do things ---- */

typedef struct relay {
    request requests[2 * STAGES];
    unsigned next;
    ratoon_created run;
    atomic_uint refused; /* submissions */
} relay;

static void relay_on(void *ctx, ratoon_status status, const ratoon_error *error)
{
    relay *y = ctx;
    note(&y->requests[y->next - 1], status, error);
    if (y->next < 2 * STAGES) {
        request *r = &y->requests[y->next++];
        status =
            ratoon_async_apply(queue, y->run.run, y->run.epoch, &r->op, 1, relay_on, y, &r->error);
        if (status != RATOON_OK) {
            role_must(status == RATOON_ERR_CLOSED, ratoon_status_name(status));
            atomic_fetch_add(&y->refused, 1);
            y->next--;
        }
    }
}

static relay *relay_new(void)
{
    relay *y = calloc(1, sizeof *y);
    role_must(y != NULL, "memory");
    answers = 0;
    y->run = create();
    for (unsigned i = 0; i < STAGES; i++) {
        start_op(&y->requests[2 * i], i);
        end_op(&y->requests[2 * i + 1], i);
    }
    return y;
}

static void relay_begin(relay *y)
{
    request *r = &y->requests[y->next++];
    must(ratoon_async_apply(queue, y->run.run, y->run.epoch, &r->op, 1, relay_on, y, &r->error),
         &r->error);
}

/* With one place only: that of the request that is called back for. */
START_TEST(test_L11_async_callback_submits_the_next)
{
    open_store((kind)_i, RATOON_DURABILITY_SYNC);
    open_queue(1, _i == OWNED);
    relay *y = relay_new();
    relay_begin(y);
    drain();
    ck_assert_uint_eq(y->next, 2 * STAGES);
    expect_chain(y->requests, &y->run);
    free(y);
}
END_TEST

static void try_all(void *ctx, ratoon_status status, const ratoon_error *error)
{
    request *r = ctx;
    ratoon_error why;
    ratoon_run_info info;
    ratoon_created *run = (ratoon_created *)(void *)(r + 1);
    role_must(ratoon_run_annotate(store, run->run, "no", &why) == RATOON_ERR_USAGE, "waiting");
    role_must(ratoon_async_drain(queue, &why) == RATOON_ERR_USAGE, "draining");
    role_must(ratoon_async_close(queue, &why) == RATOON_ERR_USAGE, "closing");
    role_must(ratoon_async_dispatch(queue) == 0, "dispatching");
    role_must(ratoon_run_get(store, run->run, &info, &why) == RATOON_OK, "reading");
    note(r, status, error);
}

START_TEST(test_L11_async_callback_is_refused_what_would_wait_for_itself)
{
    struct {
        request r;
        ratoon_created run;
    } both = {.r = {.calls = 0}};
    open_store((kind)_i, RATOON_DURABILITY_SYNC);
    open_queue(0, true);
    both.run = create();
    start_op(&both.r, 0);
    must(ratoon_async_apply(queue, both.run.run, both.run.epoch, &both.r.op, 1, try_all, &both.r,
                            &both.r.error),
         &both.r.error);
    drain();
    ck_assert_uint_eq(both.r.calls, 1);
    ck_assert_int_eq(both.r.status, RATOON_OK);
}
END_TEST

/* ---- dispatched by the caller ---- */

typedef struct bell {
    int pipe[2];
} bell;

static void ring(void *ctx)
{
    bell *b = ctx;
    role_must(write(b->pipe[1], "", 1) == 1, "ring");
}

static pthread_t dispatcher;

static void note_here(void *ctx, ratoon_status status, const ratoon_error *error)
{
    role_must(pthread_equal(pthread_self(), dispatcher), "called by who dispatches");
    note(ctx, status, error);
}

START_TEST(test_L11_async_callbacks_come_where_they_are_dispatched)
{
    bell b;
    ratoon_error error;
    ratoon_async_options options = RATOON_ASYNC_OPTIONS_INIT;
    open_store((kind)_i, RATOON_DURABILITY_SYNC);
    ck_assert_int_eq(pipe(b.pipe), 0);
    options.notify = ring;
    options.notify_ctx = &b;
    must(ratoon_async_open(store, &options, &queue, &error), &error);
    dispatcher = pthread_self();
    ratoon_created run = create();
    request *all = requests_new(2 * (size_t)STAGES);
    for (unsigned i = 0; i < STAGES; i++) {
        start_op(&all[2 * i], i);
        end_op(&all[2 * i + 1], i);
    }
    for (unsigned i = 0; i < 2 * STAGES; i++) {
        must(ratoon_async_apply(queue, run.run, run.epoch, &all[i].op, 1, note_here, &all[i],
                                &error),
             &error);
    }
    size_t seen = 0;
    while (seen < STAGES) { /* each time that it rings there is something */
        char byte;
        ck_assert_int_eq(read(b.pipe[0], &byte, 1), 1);
        size_t now = ratoon_async_dispatch(queue);
        ck_assert_uint_gt(now, 0);
        seen += now;
    }
    must(ratoon_async_close(queue, &error), &error); /* the rest */
    expect_chain(all, &run);
    free(all);
    close(b.pipe[0]);
    close(b.pipe[1]);
}
END_TEST

/* ---- closing ---- */

START_TEST(test_L11_async_closing_the_store_answers_everything)
{
    open_store((kind)(_i % KINDS), RATOON_DURABILITY_SYNC);
    open_queue(0, false);
    ratoon_created run = create();
    if (_i < KINDS) {
        request *all = submit_chain(&run);
        close_store();
        for (unsigned i = 0; i < 2 * STAGES; i++) {
            ck_assert_uint_eq(all[i].calls, 1);
            ck_assert_msg(all[i].status == RATOON_OK, "%u: %s", i, all[i].error.message);
        }
        free(all);
        return;
    }
    /* Callbacks that submit again are refused from some moment on. */
    relay *y = relay_new();
    relay_begin(y);
    close_store();
    ck_assert_uint_le(y->refused, 1);
    ck_assert_uint_eq(atomic_load(&answers), y->next);
    ck_assert(y->next == 2 * STAGES || y->refused == 1);
    for (unsigned i = 0; i < y->next; i++) {
        ck_assert_uint_eq(y->requests[i].calls, 1);
        ck_assert_int_eq(y->requests[i].status, RATOON_OK);
    }
    free(y);
}
END_TEST

static void *submit_one_more(void *ctx)
{
    submitter *s = ctx;
    request *r = &s->requests[0];
    start_op(r, 0);
    r->status = submit(r, &s->run);
    return NULL;
}

static int waits_for_room(void *ctx)
{
    return ratoon__async_waits_for_room(ctx);
}

static void *close_queue(void *ctx)
{
    ratoon_error error;
    must(ratoon_async_close(ctx, &error), &error);
    return NULL;
}

/* A thread that waits for room when its queue is closed is refused; what is in flight is not. */
START_TEST(test_L11_async_closing_ends_the_wait_for_room)
{
    pthread_t closer;
    submitter s;
    request first = {.calls = 0};
    open_store(IN_MEMORY, RATOON_DURABILITY_SYNC);
    open_queue(1, true);
    s.run = create();
    s.requests = requests_new(1);
    ratoon_created run = create();
    start_op(&first, 0);
    hold(true);
    must(submit(&first, &run), &first.error);
    ck_assert_int_eq(pthread_create(&s.thread, NULL, submit_one_more, &s), 0);
    ck_assert(support_wait_until(waits_for_room, queue, WAIT_MS));
    ck_assert_int_eq(pthread_create(&closer, NULL, close_queue, queue), 0);
    pthread_join(s.thread, NULL);
    ck_assert_int_eq(s.requests[0].status, RATOON_ERR_CLOSED);
    ck_assert_uint_eq(s.requests[0].calls, 0);
    ck_assert_uint_eq(first.calls, 0);
    hold(false);
    pthread_join(closer, NULL);
    ck_assert_uint_eq(first.calls, 1);
    ck_assert_int_eq(first.status, RATOON_OK);
    free(s.requests);
}
END_TEST

enum { DRAINERS = 8, CLOSINGS = 25 };

static void *drain_queue(void *ctx)
{
    ratoon_error error;
    must(ratoon_async_drain(ctx, &error), &error);
    return NULL;
}

static int all_wait(void *ctx)
{
    return ratoon__async_waiting(queue) == *(const uint32_t *)ctx;
}

/* Whoever is woken first by the last answer: those who drain are gone before who closes is. */
START_TEST(test_L11_async_closing_outlasts_those_who_drain)
{
    open_store(IN_MEMORY, RATOON_DURABILITY_SYNC);
    for (unsigned i = 0; i < CLOSINGS; i++) {
        pthread_t threads[DRAINERS + 1];
        request one = {.calls = 0};
        ratoon_created run = create();
        open_queue(0, false);
        start_op(&one, 0);
        hold(true);
        must(submit(&one, &run), &one.error);
        for (uint32_t k = 0; k <= DRAINERS; k++) {
            ck_assert_int_eq(
                pthread_create(&threads[k], NULL, k < DRAINERS ? drain_queue : close_queue, queue),
                0);
            const uint32_t waiting = k + 1;
            ck_assert(support_wait_until(all_wait, (void *)(uintptr_t)&waiting, WAIT_MS));
        }
        hold(false);
        for (uint32_t k = 0; k <= DRAINERS; k++) {
            pthread_join(threads[k], NULL);
        }
        ck_assert_uint_eq(one.calls, 1);
        ck_assert_int_eq(one.status, RATOON_OK);
    }
}
END_TEST

static Suite *async_suite(void)
{
    Suite *s = suite_create("async");
    TCase *t = tcase_create("async");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, test_L11_async_requests_of_one_run_keep_their_order, 0, KINDS);
    tcase_add_test(t, test_Q06_async_order_is_kept_when_decided_again);
    tcase_add_test(t, test_Q06_async_order_is_kept_beyond_one_group);
    tcase_add_loop_test(t, test_L03_async_refusal_says_what_it_says_elsewhere, 0, KINDS);
    tcase_add_loop_test(t, test_L08_async_older_epoch_is_fenced, 0, KINDS);
    tcase_add_test(t, test_L03_async_submission_that_fails_makes_no_callback);
    tcase_add_test(t, test_L11_async_failed_group_is_nowhere);
    tcase_add_test(t, test_L06_async_failure_is_synced_in_every_mode);
    tcase_add_test(t, test_S06_async_queue_refuses_more_than_its_limit);
    tcase_add_loop_test(t, test_S06_async_submission_waits_for_room, 0, KINDS);
    tcase_add_loop_test(t, test_L11_async_callback_submits_the_next, 0, KINDS);
    tcase_add_loop_test(t, test_L11_async_callback_is_refused_what_would_wait_for_itself, 0, KINDS);
    tcase_add_loop_test(t, test_L11_async_callbacks_come_where_they_are_dispatched, 0, KINDS);
    tcase_add_loop_test(t, test_L11_async_closing_the_store_answers_everything, 0, 2 * KINDS);
    tcase_add_test(t, test_L11_async_closing_ends_the_wait_for_room);
    tcase_add_test(t, test_L11_async_closing_outlasts_those_who_drain);
    suite_add_tcase(s, t);
    return s;
}
RATOON_TEST_MAIN(async_suite)

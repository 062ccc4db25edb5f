/* The committer, asked from many threads and disturbed on its way: others append in between, writes
 * fail, projections are behind. Whatever happens, what the cache serves is what the log says. */
#include "log/digest_many.h"
#include "log/driver.h"
#include "log/store_impl.h"
#include "tests/support/support.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WAIT_MS = 20000,
    THREADS = 6,
    STEPS_EACH = 250,
    RUNS_MAX = 4096,
    KEYS = 8,
    FAIL_EVERY = 40, /* of so many groups one fails */
};

static const char two_stages[] = "pipeline: two\n"
                                 "policy: {max_depth: 64}\n"
                                 "stages:\n"
                                 "  - {name: first, run: [\"true\"], produces: [a]}\n"
                                 "  - {name: second, run: [\"true\"]}\n";

static const char one_room[] = "pipeline: room\n"
                               "policy: {scope: room}\n"
                               "stages:\n"
                               "  - {name: first, run: [\"true\"]}\n"
                               "  - {name: second, run: [\"true\"]}\n";

static char *folder;
static ratoon_store *store;
static ratoon_pipeline *plain, *scoped;

/* ---- a driver whose appends can be disturbed ---- */

static const ratoon__driver_ops *real_ops;
static ratoon__driver_ops hooked_ops;
static atomic_uint gate;    /* the next group waits until so many are in it or queued behind it */
static atomic_uint intrude; /* before the next group of several, somebody appends so many commits */
static atomic_uint fail_every, groups;
static ratoon_id intruded;

static int queue_is_full(void *ctx)
{
    const unsigned *wanted = ctx;
    return ratoon__commit_waiting(store) >= *wanted;
}

static ratoon_status decide_note(ratoon__request *r, const ratoon__lineage *before,
                                 const ratoon__facts *facts, ratoon__decision *out,
                                 ratoon_error *error)
{
    (void)r;
    return ratoon__decide_annotate(before, intruded, "from elsewhere", facts, out, error);
}

static ratoon_status hooked_append(ratoon__driver *d, ratoon__append *appends, size_t count,
                                   bool sync, ratoon_error *error)
{
    unsigned wanted = atomic_exchange(&gate, 0);
    if (wanted > count) {
        wanted -= (unsigned)count;
        ck_assert(support_wait_until(queue_is_full, &wanted, WAIT_MS));
    }
    for (unsigned n = count > 1 ? atomic_exchange(&intrude, 0) : 0; n > 0; n--) {
        ratoon__arena arena = {0};
        ratoon__request r = {.lineage = intruded, .decide = decide_note, .arena = &arena};
        ck_assert_int_eq(ratoon__commit_direct(store, d, &r), RATOON_OK);
        ratoon__lineage_unref(r.after);
        ratoon__arena_free(&arena);
    }
    unsigned every = atomic_load(&fail_every);
    if (every > 0 && atomic_fetch_add(&groups, 1) % every == every - 1) {
        ratoon__memory_fail_append(d, 1, RATOON_ERR_IO);
    }
    return real_ops->append(d, appends, count, sync, error);
}

static void must(ratoon_status status, const ratoon_error *error)
{
    ck_assert_msg(status == RATOON_OK, "%s: %s", ratoon_status_name(status), error->message);
}

static ratoon_pipeline *parse(const char *text)
{
    ratoon_pipeline *p = NULL;
    ratoon_error error;
    must(ratoon_pipeline_parse("test.yaml", text, strlen(text), NULL, &p, &error), &error);
    return p;
}

static void setup(void)
{
    ratoon_error error;
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    options.driver = RATOON_DRIVER_MEMORY;
    must(ratoon_store_open(NULL, &options, &store, &error), &error);
    plain = parse(two_stages);
    scoped = parse(one_room);
    ratoon__driver *d = ratoon__store_driver(store);
    real_ops = d->ops;
    hooked_ops = *real_ops;
    hooked_ops.append = hooked_append;
    d->ops = &hooked_ops;
    gate = intrude = fail_every = groups = 0;
}

static ratoon_store *open_disk(void)
{
    ratoon_store *s = NULL;
    ratoon_error error;
    char *path = support_path_join(folder, "store");
    if (access(path, F_OK) != 0) {
        must(ratoon_store_create(path, NULL, &error), &error);
    }
    must(ratoon_store_open(path, NULL, &s, &error), &error);
    free(path);
    return s;
}

static void setup_disk(void)
{
    folder = support_temp_dir("committer_test");
    store = open_disk();
    plain = parse(two_stages);
    scoped = parse(one_room);
}

static void teardown(void)
{
    ratoon_store_close(store);
    ratoon_pipeline_free(plain);
    ratoon_pipeline_free(scoped);
    support_temp_dir_free(folder);
    store = NULL;
    folder = NULL;
}

static ratoon_created create(ratoon_store *s, bool no_exec)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error;
    options.pipeline = plain;
    options.no_exec = no_exec;
    must(ratoon_run_create(s, &options, &created, &error), &error);
    return created;
}

static ratoon_run_info info_of(ratoon_id run)
{
    ratoon_run_info info;
    ratoon_error error;
    must(ratoon_run_get(store, run, &info, &error), &error);
    return info;
}

/* The log holds no damage, and the cache what it says. */
static void expect_sound(const ratoon_id *runs, size_t count)
{
    ratoon_buffer json = {0};
    ratoon_error error = {0};
    size_t problems = 99;
    must(ratoon_verify(store, (ratoon_id){{0}}, &json, &problems, &error), &error);
    ck_assert_msg(problems == 0, "%s", json.data);
    ratoon_buffer_free(&json);
    for (size_t i = 0; i < count; i++) {
        ratoon__lineage *served = NULL;
        const ratoon__run *run = NULL;
        ratoon__buf what = {0};
        must(ratoon__store_run(store, runs[i], &served, &run, &error), &error);
        ratoon__lineage *folded = ratoon__lineage_new(served->id);
        must(ratoon__store_fold_from(store, &folded, 0, &error), &error);
        ck_assert_msg(ratoon__lineage_equal(folded, served, &what), "%s", what.data);
        ck_assert_mem_eq(folded->head_digest.bytes, served->head_digest.bytes, 32);
        ratoon__buf_free(&what);
        ratoon__lineage_unref(folded);
        ratoon__lineage_unref(served);
    }
}

/* ---- one group ---- */

typedef struct noter {
    pthread_t thread;
    ratoon_id run;
    ratoon_status status;
} noter;

static void *note(void *ctx)
{
    noter *n = ctx;
    n->status = ratoon_run_annotate(store, n->run, "here", NULL);
    return NULL;
}

/* Has `count` threads annotate the run; the last ones in one group. */
static void note_together(noter *noters, unsigned count, ratoon_id run)
{
    gate = count;
    for (unsigned i = 0; i < count; i++) {
        noters[i] = (noter){.run = run, .status = RATOON_ERR_IO};
        ck_assert_int_eq(pthread_create(&noters[i].thread, NULL, note, &noters[i]), 0);
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(noters[i].thread, NULL);
    }
}

static void expect_notes(ratoon_id run, uint64_t notes)
{
    ratoon__lineage *l = NULL;
    ratoon_error error;
    must(ratoon__store_lineage(store, run, &l, &error), &error);
    ck_assert_uint_eq(l->runs[0]->annotations, notes);
    ck_assert_uint_eq(l->head, 1 + notes);
    ratoon__lineage_unref(l);
}

typedef struct reporter {
    pthread_t thread;
    ratoon_created run;
    bool large; /* its commit, which is digested by who makes it */
    ratoon_status status;
} reporter;

static void *report(void *ctx)
{
    char large[3000];
    reporter *r = ctx;
    ratoon_op op = {.kind = RATOON_OP_STAGE_PROGRESS, .stage = "first", .attempt = 1, .done = 1};
    if (r->large) {
        memset(large, 'x', sizeof large - 1);
        large[sizeof large - 1] = '\0';
        op.text = large;
    }
    r->status = ratoon_run_apply(store, r->run.run, r->run.epoch, &op, 1, NULL);
    return NULL;
}

/* Of several lineages, some of them with several commits: the digests of a group's commits are made
 * together, or as they are needed, with lanes and without. */
START_TEST(test_Q01_committer_group_of_several_lineages)
{
    enum { LINEAGES = 9, REPORTERS = 13, ROUNDS = 5 };
    ratoon_created created[LINEAGES];
    ratoon_id runs[LINEAGES];
    (void)ratoon__sha256_many_set(_i == 0 ? 8 : 1);
    for (unsigned i = 0; i < LINEAGES; i++) {
        uint32_t attempt;
        ratoon_error error;
        created[i] = create(store, false);
        runs[i] = created[i].run;
        must(ratoon_stage_start(store, runs[i], created[i].epoch, "first", &attempt, &error),
             &error);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        reporter reporters[REPORTERS];
        gate = REPORTERS;
        for (unsigned i = 0; i < REPORTERS; i++) { /* two lineages have three */
            const unsigned of = i < LINEAGES ? i : (i - LINEAGES) / 2;
            reporters[i] =
                (reporter){.run = created[of], .large = i % 3 == 0, .status = RATOON_ERR_IO};
            ck_assert_int_eq(pthread_create(&reporters[i].thread, NULL, report, &reporters[i]), 0);
        }
        for (unsigned i = 0; i < REPORTERS; i++) {
            pthread_join(reporters[i].thread, NULL);
            ck_assert_int_eq(reporters[i].status, RATOON_OK);
        }
        expect_sound(runs, LINEAGES);
    }
    (void)ratoon__sha256_many_set(0);
}
END_TEST

/* Another process appends to the lineage what a group was decided without: nothing of the group may
 * go in behind it as it is. */
START_TEST(test_Q01_committer_group_behind_somebody_elses_commits)
{
    noter noters[6];
    ratoon_created run = create(store, false);
    intruded = run.run;
    intrude = (unsigned)_i;
    note_together(noters, 6, run.run);
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(noters[i].status, RATOON_OK);
    }
    expect_notes(run.run, 6 + (uint64_t)_i);
    expect_sound(&run.run, 1);
}
END_TEST

START_TEST(test_L11_committer_failed_group_is_nowhere)
{
    noter noters[5];
    ratoon_created run = create(store, false);
    fail_every = 2; /* the second group */
    groups = 0;
    note_together(noters, 5, run.run);
    fail_every = 0;
    unsigned good = 0;
    for (int i = 0; i < 5; i++) {
        ck_assert(noters[i].status == RATOON_OK || noters[i].status == RATOON_ERR_IO);
        good += noters[i].status == RATOON_OK;
    }
    ck_assert_uint_ge(good, 1); /* those of the first group, whoever got into it */
    expect_notes(run.run, good);
    expect_sound(&run.run, 1);
    ck_assert_int_eq(ratoon_run_annotate(store, run.run, "and on", NULL), RATOON_OK);
    expect_notes(run.run, good + 1);
}
END_TEST

/* ---- everything at once ---- */

typedef struct known_run {
    ratoon_id run;
    uint64_t epoch;
} known_run;

static pthread_mutex_t known_lock = PTHREAD_MUTEX_INITIALIZER;
static known_run known[RUNS_MAX];
static size_t known_count;
static ratoon_id by_key[KEYS]; /* what a request with that key made */

static void remember(const ratoon_created *c)
{
    pthread_mutex_lock(&known_lock);
    if (known_count < RUNS_MAX) {
        known[known_count++] = (known_run){c->run, c->epoch};
    }
    pthread_mutex_unlock(&known_lock);
}

/* One of the newest, so that threads meet. */
static bool pick(support_prng *prng, known_run *out)
{
    pthread_mutex_lock(&known_lock);
    bool any = known_count > 0;
    if (any) {
        size_t recent = known_count < 6 ? known_count : 6;
        *out = known[known_count - 1 - support_prng_below(prng, recent)];
    }
    pthread_mutex_unlock(&known_lock);
    return any;
}

static void check_key(unsigned key, const ratoon_created *c)
{
    pthread_mutex_lock(&known_lock);
    if (!ratoon_id_is_zero(by_key[key])) {
        ck_assert(ratoon_id_equal(by_key[key], c->run));
    }
    by_key[key] = c->run;
    pthread_mutex_unlock(&known_lock);
}

static void step_create(support_prng *prng)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    char key[16];
    unsigned which = (unsigned)support_prng_below(prng, KEYS);
    bool with_key = support_prng_below(prng, 2) == 0;
    snprintf(key, sizeof key, "key %u", which);
    options.pipeline = support_prng_below(prng, 3) == 0 && !with_key ? scoped : plain;
    options.no_exec = !with_key && support_prng_below(prng, 4) == 0;
    options.key = with_key ? key : NULL;
    ratoon_status status = ratoon_run_create(store, &options, &created, NULL);
    if (status == RATOON_OK) {
        if (with_key) {
            check_key(which, &created);
        }
        if (!created.repeated) {
            remember(&created);
        }
    } else {
        ck_assert_msg(status == RATOON_ERR_IO || status == RATOON_ERR_SCOPE_BUSY, "%s",
                      ratoon_status_name(status));
    }
}

static void step_stage(const known_run *r, const char *stage, bool good)
{
    uint32_t attempt = 0;
    if (ratoon_stage_start(store, r->run, r->epoch, stage, &attempt, NULL) != RATOON_OK) {
        return;
    }
    ratoon_status status;
    if (good) {
        ratoon_value value = {.key = "a", .data = "1", .size = 1};
        status = ratoon_stage_succeed(store, r->run, r->epoch, stage, attempt, &value, 1, NULL);
    } else {
        ratoon_failure failure = {.error_class = RATOON_CLASS_EXECUTION, .message = "exit 3"};
        status = ratoon_stage_fail(store, r->run, r->epoch, stage, attempt, &failure, NULL);
    }
    (void)status;
}

static void step_retry(const known_run *r, bool queue)
{
    ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
    ratoon_created created;
    options.parent = r->run;
    options.queue = queue;
    if (ratoon_retry_create(store, &options, &created, NULL) == RATOON_OK) {
        remember(&created);
    }
}

static void *steps(void *ctx)
{
    support_prng prng = support_prng_new(support_seed() + (uint64_t)(uintptr_t)ctx);
    for (int i = 0; i < STEPS_EACH; i++) {
        known_run r;
        ratoon_run_status status;
        ratoon_status ignored = RATOON_OK;
        uint64_t kind = support_prng_below(&prng, 10);
        if (kind == 0 || !pick(&prng, &r)) {
            step_create(&prng);
            continue;
        }
        switch (kind) {
        case 1:
            ignored = ratoon_run_cancel(store, r.run, "enough", &status, NULL);
            break;
        case 2:
            ignored = ratoon_run_start(store, r.run, NULL, &r.epoch, NULL);
            break;
        case 3:
        case 4:
            step_stage(&r, "first", kind == 3);
            break;
        case 5:
            step_stage(&r, "second", support_prng_below(&prng, 2) == 0);
            break;
        case 6:
            ignored = ratoon_run_finish(store, r.run, r.epoch, &status, NULL);
            break;
        case 7:
        case 8:
            step_retry(&r, kind == 8);
            break;
        default:
            ignored = ratoon_run_annotate(store, r.run, "seen", NULL);
            break;
        }
        (void)ignored;
    }
    return NULL;
}

/* R08, R10: of a lineage one run is running, of a scope one is active. */
static void expect_alone(void)
{
    unsigned in_room = 0;
    for (size_t i = 0; i < known_count; i++) {
        ratoon__lineage *l = NULL;
        const ratoon__run *run = NULL;
        ratoon_error error;
        must(ratoon__store_run(store, known[i].run, &l, &run, &error), &error);
        in_room += run->fixed->created.scope != NULL && ratoon_run_status_active(run->status);
        unsigned running = 0;
        for (uint32_t k = 0; k < l->runs_count; k++) {
            running += l->runs[k]->status == RATOON_RUN_RUNNING ||
                       l->runs[k]->status == RATOON_RUN_CANCELLING;
        }
        ck_assert_uint_le(running, 1);
        ratoon__lineage_unref(l);
    }
    ck_assert_uint_le(in_room, 1);
}

START_TEST(test_R08_committer_many_threads_and_failing_writes)
{
    pthread_t threads[THREADS];
    ratoon_id runs[RUNS_MAX];
    known_count = 0;
    memset(by_key, 0, sizeof by_key);
    fail_every = _i == 0 ? 0 : FAIL_EVERY;
    for (uintptr_t i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, steps, (void *)i), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    fail_every = 0;
    ck_assert_uint_gt(known_count, 10);
    for (size_t i = 0; i < known_count; i++) {
        runs[i] = known[i].run;
    }
    expect_alone();
    expect_sound(runs, known_count);
}
END_TEST

/* ---- projections that are behind ---- */

/* The owner knows the run as queued; somebody else started it since, and is gone. */
START_TEST(test_L08_recovery_looks_at_what_the_run_is_now)
{
    ratoon_error error;
    uint64_t epoch = 0;
    ratoon_created run = create(store, true);
    ratoon_store *other = open_disk();
    must(ratoon_run_start(other, run.run, NULL, &epoch, &error), &error);
    ck_assert_int_eq(close(other->executor_fd), 0); /* as if its process had died */
    other->executor_fd = -1;
    must(ratoon__store_recover(store, ratoon__store_executor(other), &error), &error);
    ck_assert_int_eq(info_of(run.run).status, RATOON_RUN_SUSPENDED);
    ratoon_store_close(other);
}
END_TEST

/* ---- the key of secrets ---- */

static const char with_secret[] = "pipeline: p\n"
                                  "params: {token: {type: string, secret: true}}\n"
                                  "stages: [{name: only, run: [\"true\"]}]\n";

/* Without Check's assertions, which write. */
static ratoon_status prepare_secret(ratoon_store *s, const ratoon_pipeline *p, ratoon_error *error)
{
    const ratoon_pair token = {.name = "token", .value = "hush hush"};
    const ratoon_pair *shown = NULL;
    const ratoon__param *hidden = NULL;
    size_t shown_count = 0, hidden_count = 0;
    ratoon__arena arena = {0};
    ratoon_status status = ratoon__prepare_params(s, &arena, p, &token, 1, &shown, &shown_count,
                                                  &hidden, &hidden_count, error);
    ratoon__arena_free(&arena);
    return status;
}

/* Whoever was making the key died over it: the next one makes it. */
START_TEST(test_E08_key_of_secrets_is_whole_or_not_there)
{
    ratoon_error error = {0};
    struct stat st;
    int ended = 0;
    ratoon_pipeline *p = parse(with_secret);
    pid_t maker = fork();
    if (maker == 0) {
        const struct rlimit nothing = {0, 0};
        (void)setrlimit(RLIMIT_FSIZE, &nothing); /* the first byte written is the end */
        (void)signal(SIGXFSZ, SIG_DFL);
        (void)prepare_secret(store, p, NULL);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(maker, &ended, 0), maker);
    ck_assert(WIFSIGNALED(ended) && WTERMSIG(ended) == SIGXFSZ);
    must(prepare_secret(store, p, &error), &error);
    ratoon_pipeline_free(p);
    char *path = support_path_join(ratoon_store_path(store), "secret.key");
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, 32 + 32); /* the key and its digest */
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    free(path);
}
END_TEST

START_TEST(test_E08_a_key_of_secrets_that_has_changed_is_found)
{
    ratoon_error error;
    ratoon_buffer report = {0};
    size_t problems = 0;
    size_t size = 0;
    ratoon_pipeline *p = parse(with_secret);
    must(prepare_secret(store, p, &error), &error);
    char *path = support_path_join(ratoon_store_path(store), "secret.key");
    char *bytes = support_read_file(path, &size);
    bytes[5] ^= 0x10;
    support_write_file(path, bytes, size);
    ratoon_store_close(store);
    store = open_disk();
    ck_assert_int_eq(prepare_secret(store, p, &error), RATOON_ERR_DAMAGED);
    must(ratoon_verify(store, (ratoon_id){{0}}, &report, &problems, &error), &error);
    ck_assert_uint_eq(problems, 1);
    ck_assert_ptr_nonnull(strstr(report.data, "secret.key"));
    ratoon_buffer_free(&report);
    support_write_file(path, bytes, 32); /* as older stores have it: nothing to compare with */
    must(prepare_secret(store, p, &error), &error);
    ratoon_pipeline_free(p);
    free(bytes);
    free(path);
}
END_TEST

/* ---- what is derived ---- */

static bool count_claim(void *ctx, const char *name, ratoon_id holder)
{
    unsigned *n = ctx;
    (void)name;
    (void)holder;
    (*n)++;
    return true;
}

static unsigned claims_like(const char *prefix)
{
    unsigned n = 0;
    ratoon_error error;
    ratoon__driver *d = ratoon__store_driver(store);
    must(d->ops->claims(d, prefix, "", count_claim, &n, &error), &error);
    return n;
}

/* Who consumes whose results is found by names that are derived, like all names. */
START_TEST(test_Q03_names_of_consumers_are_made_anew)
{
    ratoon_error error;
    ratoon_created consumed = create(store, true);
    ratoon_created consumer = create(store, false);
    uint32_t attempt = 0;
    must(ratoon_stage_start(store, consumer.run, consumer.epoch, "first", &attempt, &error),
         &error);
    ratoon_op op = {
        .kind = RATOON_OP_CONSUMES, .stage = "first", .attempt = attempt, .run = consumed.run};
    must(ratoon_run_apply(store, consumer.run, consumer.epoch, &op, 1, &error), &error);
    ck_assert_uint_eq(claims_like("consumed:"), 1);
    char *path = strdup(ratoon_store_path(store));
    ratoon_store_close(store);
    store = NULL;

    ratoon__driver_options options = {.durability = RATOON_DURABILITY_SYNC,
                                      .value_max = RATOON_VALUE_MAX_DEFAULT};
    ratoon__driver *d = NULL;
    must(ratoon__rocksdb_open(path, &options, &d, &error), &error);
    must(ratoon__rocksdb_forget_derived(d, &error), &error);
    d->ops->close(d);
    free(path);

    store = open_disk();
    ck_assert_uint_eq(claims_like("consumed:"), 1);
}
END_TEST

static Suite *committer_suite(void)
{
    Suite *s = suite_create("committer");
    TCase *t = tcase_create("groups");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, test_Q01_committer_group_of_several_lineages, 0, 2);
    tcase_add_loop_test(t, test_Q01_committer_group_behind_somebody_elses_commits, 1, 5);
    tcase_add_test(t, test_L11_committer_failed_group_is_nowhere);
    tcase_add_loop_test(t, test_R08_committer_many_threads_and_failing_writes, 0, 2);
    suite_add_tcase(s, t);
    t = tcase_create("disk");
    tcase_add_checked_fixture(t, setup_disk, teardown);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_L08_recovery_looks_at_what_the_run_is_now);
    tcase_add_test(t, test_E08_key_of_secrets_is_whole_or_not_there);
    tcase_add_test(t, test_E08_a_key_of_secrets_that_has_changed_is_found);
    tcase_add_test(t, test_Q03_names_of_consumers_are_made_anew);
    suite_add_tcase(s, t);
    return s;
}
RATOON_TEST_MAIN(committer_suite)

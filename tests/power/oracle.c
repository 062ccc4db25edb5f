#include "tests/power/oracle.h"

#include "log/codec.h"
#include "log/digest.h"
#include "log/store_impl.h"
#include "tests/power/orphans.h"
#include "tests/power/workload.h"
#include "tests/support/limit.h"
#include "tests/support/support.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_SECONDS_MAX = 120, TEXT_MAX = 4000 };

typedef struct look {
    const expect *e;
    const image_choice *c;
    const expect_store *s;
    char path[4096];
    ratoon_store *store;
    uint64_t required;
    uint64_t known_end; /* position of the last commit that is as recorded */
    uint64_t next;      /* position expected next */
    bool *deleted;      /* by position: its lineage is deleted in the image */
    bool new_begun;     /* commits of the recovery follow */
    int out;
} look;

static _Noreturn void say(const look *l, oracle_verdict verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static _Noreturn void say(const look *l, oracle_verdict verdict, const char *format, ...)
{
    char text[TEXT_MAX + 1];
    va_list list;
    text[0] = (char)verdict;
    va_start(list, format);
    const int size = vsnprintf(text + 1, sizeof text - 1, format, list);
    va_end(list);
    const size_t told = (size_t)size < sizeof text - 2 ? (size_t)size : sizeof text - 2;
    _exit(write(l->out, text, told + 1) == (ssize_t)told + 1 ? 0 : 1);
}

/* What must not be, unless the disk lied. */
#define FAIL(l, ...) say(l, (l)->c->lying != 0 ? ORACLE_REPORTED : ORACLE_FAILED, __VA_ARGS__)

/* ---- the feed ---- */

static bool is_known(const look *l, uint64_t position)
{
    return position < l->e->commits_count && l->e->commits[position].moment != 0;
}

static bool find_deleted(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                         const void *data, size_t size)
{
    look *l = ctx;
    ratoon__arena arena = {0};
    ratoon__commit commit;
    (void)number;
    l->next = position + 1;
    if (ratoon__commit_decode(data, size, &arena, &commit, NULL) != RATOON_OK) {
        FAIL(l, "%s: commit %llu can't be decoded", l->path, (unsigned long long)position);
    }
    const bool deletes = commit.events[0].type == RATOON__EVENT_LINEAGE_DELETED;
    for (uint64_t i = 1; deletes && i < l->e->commits_count && i < position; i++) {
        l->deleted[i] = l->deleted[i] || ratoon_id_equal(l->e->commits[i].lineage, lineage);
    }
    ratoon__arena_free(&arena);
    return true;
}

static bool compare_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                           const void *data, size_t size)
{
    look *l = ctx;
    const expect_commit *known = is_known(l, position) ? &l->e->commits[position] : NULL;
    ratoon_digest digest;
    char hex[65];
    if (ratoon__sha256(data, size, &digest) != RATOON_OK) {
        FAIL(l, "no digest");
    }
    ratoon__digest_format(&digest, hex);
    if (position < l->next) {
        FAIL(l, "%s: commit %llu comes twice", l->path, (unsigned long long)position);
    }
    for (uint64_t i = l->next; i < position; i++) {
        if (!l->new_begun && (i >= l->e->commits_count || !l->deleted[i])) {
            FAIL(l, "%s: commit %llu is missing and %llu is there", l->path, (unsigned long long)i,
                 (unsigned long long)position);
        }
    }
    l->next = position + 1;
    if (known != NULL && !l->new_begun && strcmp(known->digest, hex) == 0 &&
        ratoon_id_equal(known->lineage, lineage) && known->number == number) {
        l->known_end = position;
        return true;
    }
    /* What isn't known may only be what opening adds for runs that were running (L08). */
    ratoon__arena arena = {0};
    ratoon__commit commit;
    l->new_begun = true;
    if (ratoon__commit_decode(data, size, &arena, &commit, NULL) != RATOON_OK) {
        FAIL(l, "%s: commit %llu can't be decoded", l->path, (unsigned long long)position);
    }
    for (size_t i = 0; l->e->all_known && i < commit.events_count; i++) {
        const ratoon__event_type type = commit.events[i].type;
        if (type != RATOON__EVENT_STAGE_RETURNED && type != RATOON__EVENT_RUN_SUSPENDED &&
            type != RATOON__EVENT_RUN_ENDED) {
            FAIL(l, "%s: commit %llu is not as it was: a %s, number %llu", l->path,
                 (unsigned long long)position, ratoon__event_type_name(type),
                 (unsigned long long)number);
        }
    }
    ratoon__arena_free(&arena);
    return true;
}

static void walk(look *l, ratoon__commit_fn fn)
{
    ratoon_error error = {0};
    ratoon__driver *d = ratoon__store_driver(l->store);
    uint64_t end = 0;
    l->next = 1;
    if (d->ops->end(d, &end, &error) != RATOON_OK) {
        FAIL(l, "%s: %s", l->path, error.message);
    }
    while (l->next < end) {
        const uint64_t before = l->next;
        const ratoon_status status = d->ops->tail(d, l->next, 0, fn, l, &error);
        if (status == RATOON_ERR_TIMED_OUT || l->next == before) {
            break;
        }
        if (status != RATOON_OK) {
            FAIL(l, "%s: the feed can't be read: %s", l->path, error.message);
        }
    }
}

/* ---- the witness ---- */

static uint64_t witness_position(const char *path)
{
    uint8_t slots[8192];
    uint64_t best = 0;
    char *name = support_path_join(path, "witness");
    FILE *file = fopen(name, "rb");
    free(name);
    if (file != NULL && fread(slots, 1, sizeof slots, file) == sizeof slots) {
        uint64_t words[2][3];
        uint64_t newest = 0;
        for (size_t i = 0; i < 2; i++) {
            memcpy(words[i], slots + i * 4096, sizeof words[i]);
            if (memcmp(slots + i * 4096, "NRTWITN1", 8) == 0 && words[i][1] >= newest) {
                newest = words[i][1];
                best = words[i][2];
            }
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return best;
}

/* ---- a store ---- */

static void verify(look *l)
{
    ratoon_error error = {0};
    ratoon_buffer report = {0};
    size_t problems = 0;
    if (ratoon_verify(l->store, (ratoon_id){{0}}, &report, &problems, &error) != RATOON_OK) {
        FAIL(l, "%s: can't be verified: %s", l->path, error.message);
    }
    if (problems > 0) {
        FAIL(l, "%s: does not verify: %s", l->path, report.data);
    }
    ratoon_buffer_free(&report);
}

/* A request that is sent again with its key gives the run it gave before (R09): its claim and the
 * key of secrets are there. */
static void repeat_keys(look *l, const ratoon_pipeline *pipeline)
{
    for (size_t i = 0; i < l->e->keys_count; i++) {
        const expect_key *key = &l->e->keys[i];
        ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
        const ratoon_pair params[] = {{"name", key->name}, {"token", WORKLOAD_SECRET}};
        ratoon_error error = {0};
        ratoon_created run;
        uint64_t position = 0;
        for (uint64_t at = 1; at <= l->known_end && position == 0; at++) {
            position = ratoon_id_equal(l->e->commits[at].lineage, key->run) ? at : 0;
        }
        if (position == 0 || l->deleted[position]) {
            continue;
        }
        options.pipeline = pipeline;
        options.params = params;
        options.params_count = 2;
        options.key = key->name;
        const ratoon_status status = ratoon_run_create(l->store, &options, &run, &error);
        if (status != RATOON_OK) {
            FAIL(l, "%s: the request with key %s, sent again: %s", l->path, key->name,
                 error.message);
        }
        if (!run.repeated || !ratoon_id_equal(run.run, key->run)) {
            FAIL(l, "%s: the request with key %s, sent again, made another run", l->path,
                 key->name);
        }
    }
}

/* What was sealed is there, in every mode, and so is the seal (Q02). */
static void check_seals(look *l, const char *root, const char *image)
{
    for (size_t i = 0; l->s->copied == 0 && i < l->e->seals_count; i++) {
        char path[4096];
        ratoon_error error = {0};
        ratoon_buffer report = {0};
        size_t problems = 0;
        ratoon_verify_options options = RATOON_VERIFY_OPTIONS_INIT;
        if (l->e->seals[i].moment > l->c->moment) {
            continue;
        }
        (void)snprintf(path, sizeof path, "%s%s", image, l->e->seals[i].path + strlen(root));
        options.seal = path;
        if (ratoon_verify_with(l->store, &options, &report, &problems, &error) != RATOON_OK) {
            FAIL(l, "%s: can't be compared with its seal: %s", l->path, error.message);
        }
        if (problems > 0) {
            FAIL(l, "%s: is not what was sealed: %s", l->path, report.data);
        }
        ratoon_buffer_free(&report);
    }
}

/* It takes appends. */
static void append(look *l, const ratoon_pipeline *pipeline)
{
    ratoon_error error = {0};
    ratoon_created run;
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    const ratoon_pair params[] = {{"name", "after"}, {"token", "another one"}};
    options.pipeline = pipeline;
    options.params = params;
    options.params_count = 2;
    uint32_t attempt;
    char value[5000];
    memset(value, 'v', sizeof value);
    const ratoon_value output = {.key = "a", .data = value, .size = sizeof value};
    if (ratoon_run_create(l->store, &options, &run, &error) != RATOON_OK ||
        ratoon_stage_start(l->store, run.run, run.epoch, "a", &attempt, &error) != RATOON_OK ||
        ratoon_stage_succeed(l->store, run.run, run.epoch, "a", attempt, &output, 1, &error) !=
            RATOON_OK) {
        FAIL(l, "%s: takes no appends: %s", l->path, error.message);
    }
}

static void open_store(look *l)
{
    ratoon_error error = {0};
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    options.no_serve = true;
    options.wait_ms = 1;
    const ratoon_status status = ratoon_store_open(l->path, &options, &l->store, &error);
    if (status != RATOON_OK) {
        FAIL(l, "%s: can't be opened: %s: %s", l->path, ratoon_status_name(status), error.message);
    }
}

static void look_at(look *l, const char *root, const char *image, bool again)
{
    l->required = expect_position(l->e, l->s, l->c);
    if (access(l->path, F_OK) != 0) {
        if (l->s->made == 0 || l->s->made > l->c->moment) {
            return; /* nobody was told of it */
        }
        say(l, l->c->lying != 0 ? ORACLE_UNSEEN : ORACLE_FAILED, "%s: is not there", l->path);
    }
    const uint64_t witness = witness_position(l->path);
    open_store(l);
    l->deleted = power_alloc(l->e->commits_count + 1);
    walk(l, find_deleted);
    walk(l, compare_commit);
    verify(l);
    if (l->known_end < l->required) {
        const bool told = l->c->lying == 0 || witness > l->known_end;
        say(l, told ? ORACLE_FAILED : ORACLE_UNSEEN,
            "%s: ends at position %llu; %llu was acknowledged (witness %llu)", l->path,
            (unsigned long long)l->known_end, (unsigned long long)l->required,
            (unsigned long long)witness);
    }
    check_seals(l, root, image);
    const size_t orphans = l->s->copied == 0 ? orphans_count(l->store) : 0;
    if (orphans > 0) {
        FAIL(l, "%s: %zu values are left of what was deleted, and nothing tells", l->path, orphans);
    }
    ratoon_pipeline *pipeline = NULL;
    ratoon_error error = {0};
    if (ratoon_pipeline_parse("power.yaml", workload_pipeline, strlen(workload_pipeline), NULL,
                              &pipeline, &error) != RATOON_OK) {
        FAIL(l, "%s", error.message);
    }
    repeat_keys(l, pipeline);
    append(l, pipeline);
    ratoon_store_close(l->store);
    if (again) {
        open_store(l);
        verify(l);
        walk(l, find_deleted);
        ratoon_store_close(l->store);
    }
    ratoon_pipeline_free(pipeline);
    free(l->deleted);
}

static _Noreturn void child(const expect *e, const image_choice *c, const char *root,
                            const char *image, bool again, int out)
{
    look l = {.e = e, .c = c, .out = out};
    support_limit_life(LOOK_SECONDS_MAX);
    for (size_t i = 0; i < e->stores_count; i++) {
        if (e->stores[i].making > c->moment) {
            continue;
        }
        l = (look){.e = e, .c = c, .out = out, .s = &e->stores[i]};
        (void)snprintf(l.path, sizeof l.path, "%s%s", image, e->stores[i].path + strlen(root));
        look_at(&l, root, image, again);
    }
    say(&l, ORACLE_HOLDS, " ");
}

oracle_verdict oracle_look(const expect *e, const image_choice *c, const char *root,
                           const char *image, bool again, char *text, size_t text_size)
{
    int ends[2];
    char said[TEXT_MAX + 2];
    size_t size = 0;
    ssize_t got;
    int status = 0;
    if (pipe(ends) != 0) {
        power_fail("no pipe");
    }
    const pid_t pid = fork();
    if (pid < 0) {
        power_fail("can't fork");
    }
    if (pid == 0) {
        close(ends[0]);
        child(e, c, root, image, again, ends[1]);
    }
    close(ends[1]);
    while (size < sizeof said - 1 &&
           ((got = read(ends[0], said + size, sizeof said - 1 - size)) > 0 || errno == EINTR)) {
        size += got > 0 ? (size_t)got : 0;
        if (got <= 0 && errno != EINTR) {
            break;
        }
    }
    close(ends[0]);
    (void)waitpid(pid, &status, 0);
    said[size] = '\0';
    if (size == 0) {
        (void)snprintf(text, text_size, "the process that opened it ended by %s %d",
                       WIFSIGNALED(status) ? "signal" : "exit code",
                       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        return ORACLE_FAILED;
    }
    (void)snprintf(text, text_size, "%s", said + 1);
    return (oracle_verdict)said[0];
}

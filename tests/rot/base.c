/* The stores that are damaged: runs of all kinds, nothing left running, a lineage deleted. */
#include "tests/rot/rot.h"
#include "tests/support/small_buffers.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    RUNS = 5,
    NOTES = 60, /* annotations of each queued run */
    LARGE_RUNS = 1100,
    VALUE_SIZE = 1500,
    LARGE_VALUE_SIZE = 60000,
    PROGRESS = 70,     /* enough for a snapshot */
    ZEROS_LEFT = 4096, /* at the end of a log */
};

static const char pipeline_text[] = "pipeline: rot\n"
                                    "params:\n"
                                    "  token: {type: string, secret: true}\n"
                                    "stages:\n"
                                    "  - {name: one, run: [\"true\"], produces: [a]}\n"
                                    "  - {name: two, run: [\"true\"]}\n";

typedef struct maker {
    ratoon_store *store;
    ratoon_pipeline *pipeline;
    support_prng prng;
    size_t value_size;
    bool with_progress;
} maker;

const char *rot_kind_name(rot_kind kind)
{
    static const char *const names[] = {"log", "tables", "killed", "unsynced", "large"};
    return names[kind];
}

static void must(ratoon_status status, const ratoon_error *error)
{
    if (status != RATOON_OK) {
        fprintf(stderr, "making a store: %s: %s\n", ratoon_status_name(status), error->message);
        abort();
    }
}

static void execute(maker *m, ratoon_id run, uint64_t epoch, bool fails)
{
    char *bytes = malloc(m->value_size);
    ratoon_value value = {
        .key = "a", .data = bytes, .size = m->value_size, .media_type = "application/x-random"};
    ratoon_failure failure = {.error_class = RATOON_CLASS_OOM, .message = "out of memory"};
    uint32_t attempt;
    ratoon_error error;
    support_prng_fill(&m->prng, bytes, m->value_size);
    must(ratoon_stage_start(m->store, run, epoch, "one", &attempt, &error), &error);
    must(ratoon_stage_succeed(m->store, run, epoch, "one", attempt, &value, 1, &error), &error);
    must(ratoon_stage_start(m->store, run, epoch, "two", &attempt, &error), &error);
    for (uint64_t i = 0; m->with_progress && i < PROGRESS / 10; i++) {
        ratoon_op ops[10];
        for (uint64_t k = 0; k < 10; k++) {
            ops[k] = (ratoon_op){.kind = RATOON_OP_STAGE_PROGRESS,
                                 .stage = "two",
                                 .attempt = attempt,
                                 .done = 10 * i + k};
        }
        must(ratoon_run_apply(m->store, run, epoch, ops, 10, &error), &error);
    }
    ratoon_op end[2] = {{.kind = RATOON_OP_STAGE_END,
                         .stage = "two",
                         .attempt = attempt,
                         .status = fails ? RATOON_STAGE_FAILED : RATOON_STAGE_SUCCEEDED,
                         .failure = fails ? &failure : NULL},
                        {.kind = RATOON_OP_FINISH}};
    must(ratoon_run_apply(m->store, run, epoch, end, 2, &error), &error);
    free(bytes);
}

/* Output as the command would have captured it. */
static void capture(maker *m, ratoon_id run)
{
    char path[4096], folder[4096];
    ratoon_capture_path(ratoon_store_path(m->store), run, "one", 1, NULL, 1, path, sizeof path);
    snprintf(folder, sizeof folder, "%s", path);
    for (char *slash = folder + strlen(ratoon_store_path(m->store)) + 1;
         (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        (void)mkdir(folder, 0700);
        *slash = '/';
    }
    support_write_file(path, "line\n", 5);
}

static void make_run(maker *m, uint64_t i)
{
    const ratoon_pair token = {"token", "swordfish"};
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error;
    char key[32];
    snprintf(key, sizeof key, "key %u", (unsigned)i);
    options.pipeline = m->pipeline;
    options.subject = "subject";
    options.key = key;
    options.params = &token;
    options.params_count = 1;
    must(ratoon_run_create(m->store, &options, &created, &error), &error);
    const bool fails = i % 3 == 1;
    m->with_progress = i == 0;
    execute(m, created.run, created.epoch, fails);
    if (fails) {
        ratoon_retry_options retry = RATOON_RETRY_OPTIONS_INIT;
        ratoon_created branch;
        uint32_t attempt;
        ratoon_run_status status;
        retry.parent = created.run;
        must(ratoon_retry_create(m->store, &retry, &branch, &error), &error);
        must(ratoon_stage_start(m->store, branch.run, branch.epoch, "two", &attempt, &error),
             &error);
        must(ratoon_stage_succeed(m->store, branch.run, branch.epoch, "two", attempt, NULL, 0,
                                  &error),
             &error);
        must(ratoon_run_finish(m->store, branch.run, branch.epoch, &status, &error), &error);
    }
    if (i == 2) {
        ratoon_deleted deleted;
        ratoon_freed freed;
        must(ratoon_lineage_delete(m->store, created.run, true, &deleted, &freed, &error), &error);
    }
    if (i == 0) {
        capture(m, created.run);
    }
}

/* A run of which any beginning can be opened without anything being appended to it (L08). */
static void make_queued(maker *m, uint64_t i)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error;
    char text[64];
    const ratoon_pair token = {"token", "swordfish"};
    options.pipeline = m->pipeline;
    options.subject = "subject";
    options.params = &token;
    options.params_count = 1;
    options.no_exec = true;
    must(ratoon_run_create(m->store, &options, &created, &error), &error);
    for (uint64_t k = 0; k < NOTES; k++) {
        snprintf(text, sizeof text, "note %u of run %u", (unsigned)k, (unsigned)i);
        must(ratoon_run_annotate(m->store, created.run, text, &error), &error);
    }
}

static void make(const char *path, rot_kind kind, uint64_t seed)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_error error;
    maker m = {.prng = support_prng_new(seed), .value_size = VALUE_SIZE};
    support_small_buffers = kind == ROT_TABLES ? (size_t)64 << 10 : 0;
    options.no_serve = true;
    options.durability =
        kind == ROT_UNSYNCED || kind == ROT_LARGE ? RATOON_DURABILITY_NONE : RATOON_DURABILITY_SYNC;
    must(ratoon_store_create(path, &options, &error), &error);
    must(ratoon_store_open(path, &options, &m.store, &error), &error);
    must(ratoon_pipeline_parse("rot", pipeline_text, strlen(pipeline_text), NULL, &m.pipeline,
                               &error),
         &error);
    m.value_size = kind == ROT_LARGE ? LARGE_VALUE_SIZE : VALUE_SIZE;
    for (uint64_t i = 0; i < (kind == ROT_LARGE ? LARGE_RUNS : RUNS); i++) {
        if (kind == ROT_UNSYNCED) {
            make_queued(&m, i);
        } else {
            make_run(&m, i);
        }
        if (kind == ROT_TABLES && i == RUNS / 2) { /* so that its first part is in tables */
            ratoon_store_close(m.store);
            support_small_buffers = (size_t)4 << 10;
            must(ratoon_store_open(path, &options, &m.store, &error), &error);
        }
    }
    if (kind == ROT_KILLED || kind == ROT_UNSYNCED) {
        (void)kill(getpid(), SIGKILL);
    }
    ratoon_store_close(m.store);
    ratoon_pipeline_free(m.pipeline);
}

/* The log of a process that was killed is as long as the space allocated for it, 35 MiB, and all
 * but its beginning is zeros: of these a few are left. */
static void cut_zeros(const char *path)
{
    char *db = support_path_join(path, "db");
    DIR *folder = opendir(db);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot == NULL || strcmp(dot, ".log") != 0) {
            continue;
        }
        char *log = support_path_join(db, entry->d_name);
        size_t size;
        char *data = support_read_file(log, &size);
        size_t end = size;
        while (end > 0 && data[end - 1] == '\0') {
            end--;
        }
        if (end + ZEROS_LEFT < size && truncate(log, (off_t)(end + ZEROS_LEFT)) != 0) {
            abort();
        }
        free(data);
        free(log);
    }
    if (folder != NULL) {
        closedir(folder);
    }
    free(db);
}

void rot_make(const char *path, rot_kind kind, uint64_t seed)
{
    const pid_t pid = fork();
    if (pid == 0) {
        make(path, kind, seed);
        _exit(0);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid ||
        !(WIFEXITED(status) ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGKILL)) {
        fprintf(stderr, "making a store failed\n");
        abort();
    }
    cut_zeros(path);
}

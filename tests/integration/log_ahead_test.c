/* The log's file is written ahead of what is appended (log/rocksdb_env.cc): a process that is
 * killed leaves a file that ends with zeros, in which nothing is lost and which is no damage. */
#include "tests/support/role.h"
#include "tests/support/support.h"

#include <ratoon.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    RUNS = 12,
    NOTES = 40,          /* commits of a run between two outputs, of all sizes up to… */
    NOTE_MAX = 3000,     /* …this: together they pass the end of many pieces that are zeroed */
    OUTPUT_STEP = 13001, /* outputs are as long as a few of these, so small ones and large ones */
    ALLOCATED_MIN = 16 << 20, /* the size of a log that is open: half of what its commits may be */
    AHEAD_MIN = 128 << 10,    /* what is written for one note, if that much more than the note */
    LIMIT = 24 << 20,         /* of the size of files, where there is one */
};

/* What a process says of itself. */
typedef struct report {
    ratoon_id runs[RUNS];
    bool ahead; /* the log's file was once written to much further than what was appended needed */
} report;

static const char text[] = "pipeline: one\nstages:\n  - {name: first, run: [\"true\"]}\n";

static ratoon_store *open_store(const char *path)
{
    ratoon_store *store = NULL;
    ratoon_error error = {0};
    role_must(ratoon_store_open(path, NULL, &store, &error) == RATOON_OK, error.message);
    return store;
}

static void note(ratoon_store *store, ratoon_id run, uint32_t number)
{
    char words[NOTE_MAX + 1];
    ratoon_error error = {0};
    int size = snprintf(words, sizeof words, "<%u>", number);
    const size_t wanted = (size_t)number * 997 % NOTE_MAX;
    if (wanted > (size_t)size) {
        memset(words + size, 'n', wanted - (size_t)size);
        size = (int)wanted;
    }
    words[size] = '\0';
    role_must(ratoon_run_annotate(store, run, words, &error) == RATOON_OK, error.message);
}

static size_t output_size(uint32_t run)
{
    return (size_t)run * OUTPUT_STEP;
}

static char output_byte(uint32_t run, size_t i)
{
    return (char)('a' + (run + i * 7) % 26);
}

/* Calls with each of the log's files, open to be read. */
static void each_log(const char *path, void (*see)(void *ctx, int fd), void *ctx)
{
    char *db = support_path_join(path, "db");
    DIR *folder = opendir(db);
    const struct dirent *entry;
    MUST(folder != NULL);
    while ((entry = readdir(folder)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot != NULL && strcmp(dot, ".log") == 0) {
            const int fd = openat(dirfd(folder), entry->d_name, O_RDONLY | O_CLOEXEC);
            MUST(fd >= 0);
            see(ctx, fd);
            close(fd);
        }
    }
    closedir(folder);
    free(db);
}

static void add_size(void *ctx, int fd)
{
    struct stat file;
    MUST(fstat(fd, &file) == 0);
    *(off_t *)ctx += file.st_size;
}

static void add_written(void *ctx, int fd)
{
    const off_t hole = lseek(fd, 0, SEEK_HOLE);
    *(off_t *)ctx += hole > 0 ? hole : 0;
}

/* The sum of the sizes of the log's files, and how far they were written to. */
static off_t log_size(const char *path)
{
    off_t size = 0;
    each_log(path, add_size, &size);
    return size;
}

static off_t log_written(const char *path)
{
    off_t written = 0;
    each_log(path, add_written, &written);
    return written;
}

/* Whether space can be allocated here, and holes be told from what was written. */
static bool file_system_can(const char *folder)
{
    char *path = support_path_join(folder, "probe");
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const bool can = fd >= 0 && fallocate(fd, 0, 0, ALLOCATED_MIN) == 0 &&
                     pwrite(fd, "x", 1, 0) == 1 && fdatasync(fd) == 0 &&
                     lseek(fd, 0, SEEK_HOLE) < AHEAD_MIN;
    close(fd);
    (void)unlink(path);
    free(path);
    return can;
}

/* A run with notes, an output, and notes again. */
static void work(ratoon_store *store, ratoon_pipeline *pipeline, uint32_t number, report *out)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created run;
    ratoon_error error = {0};
    uint32_t attempt;
    const size_t size = output_size(number);
    char *bytes = malloc(size + 1);
    MUST(bytes != NULL);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = output_byte(number, i);
    }
    const ratoon_value value = {.key = "a", .data = bytes, .size = size};
    options.pipeline = pipeline;
    role_must(ratoon_run_create(store, &options, &run, &error) == RATOON_OK, error.message);
    role_must(ratoon_stage_start(store, run.run, run.epoch, "first", &attempt, &error) == RATOON_OK,
              error.message);
    for (uint32_t i = 0; i < NOTES; i++) {
        note(store, run.run, i);
    }
    role_must(ratoon_stage_succeed(store, run.run, run.epoch, "first", attempt, &value, 1,
                                   &error) == RATOON_OK,
              error.message);
    for (uint32_t i = NOTES; i < 2 * NOTES; i++) {
        const off_t before = log_written(ratoon_store_path(store));
        note(store, run.run, i);
        out->ahead = out->ahead || log_written(ratoon_store_path(store)) - before >= AHEAD_MIN;
    }
    out->runs[number] = run.run;
    free(bytes);
}

static void work_role(const char *path, const char *limited)
{
    ratoon_pipeline *pipeline = NULL;
    ratoon_error error = {0};
    report r = {.ahead = false};
    role_begin();
    if (*limited != '\0') {
        const struct rlimit limit = {LIMIT, LIMIT};
        MUST(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    }
    ratoon_store *store = open_store(path);
    role_must(ratoon_pipeline_parse("one", text, strlen(text), NULL, &pipeline, &error) ==
                  RATOON_OK,
              error.message);
    role_say_ready();
    for (uint32_t i = 0; i < RUNS; i++) {
        work(store, pipeline, i, &r);
    }
    MUST(write(STDOUT_FILENO, &r, sizeof r) == sizeof r);
    role_wait_for_end();
}

static void expect_whole(ratoon_store *store, ratoon_id run, uint32_t number)
{
    ratoon_buffer log = {0};
    ratoon_state *state = NULL;
    ratoon_state_entry entry;
    ratoon_error error = {0};
    uint32_t seen = 0;
    ck_assert_msg(ratoon_doc_log(store, run, false, &log, &error) == RATOON_OK, "%s",
                  error.message);
    for (const char *at = log.data; (at = strchr(at, '<')) != NULL; at++) {
        ck_assert_uint_eq(strtoul(at + 1, NULL, 10), seen++);
    }
    ck_assert_uint_eq(seen, 2 * NOTES);
    ratoon_buffer_free(&log);
    ck_assert_int_eq(ratoon_state_at(store, run, "end", &state, &error), RATOON_OK);
    ck_assert_uint_eq(ratoon_state_count(state), 1);
    ck_assert_int_eq(ratoon_state_get(state, 0, &entry, &error), RATOON_OK);
    ck_assert_uint_eq(entry.size, output_size(number));
    for (size_t i = 0; i < entry.size; i++) {
        ck_assert_msg(((const char *)entry.data)[i] == output_byte(number, i), "byte %zu", i);
    }
    ratoon_state_free(state);
}

static void expect_sound(ratoon_store *store)
{
    ratoon_buffer json = {0};
    ratoon_error error = {0};
    size_t problems = 99;
    ck_assert_msg(ratoon_verify(store, (ratoon_id){{0}}, &json, &problems, &error) == RATOON_OK,
                  "%s", error.message);
    ck_assert_msg(problems == 0, "%s", json.data);
    ratoon_buffer_free(&json);
}

/* _i: 1 where the size of files is limited. */
START_TEST(test_L06_a_log_that_is_written_ahead_keeps_all_of_a_killed_process)
{
    char *folder = support_temp_dir("log_ahead");
    char *path = support_path_join(folder, "store");
    report r;
    ck_assert_int_eq(ratoon_store_create(path, NULL, NULL), RATOON_OK);
    role_process p = role_start("work", path, _i == 1 ? "limited" : "");
    for (size_t have = 0; have < sizeof r;) {
        const ssize_t got = read(p.out, (char *)&r + have, sizeof r - have);
        ck_assert_int_gt(got, 0);
        have += (size_t)got;
    }
    kill(p.pid, SIGKILL);
    ck_assert_int_eq(role_join(&p), -SIGKILL);
    if (_i == 1) {
        ck_assert_int_lt(log_size(path), LIMIT);
        ck_assert(!r.ahead);
    } else if (file_system_can(folder)) {
        ck_assert_int_gt(log_size(path), ALLOCATED_MIN);
        ck_assert(r.ahead);
    }
    ratoon_store *store = open_store(path);
    for (uint32_t i = 0; i < RUNS; i++) {
        expect_whole(store, r.runs[i], i);
    }
    expect_sound(store);
    note(store, r.runs[0], 2 * NOTES);
    ratoon_store_close(store);
    ck_assert_int_lt(log_size(path), AHEAD_MIN); /* what is closed is cut to what was written */
    store = open_store(path);
    expect_sound(store);
    ratoon_store_close(store);
    support_temp_dir_free(folder);
    free(path);
}
END_TEST

static Suite *log_ahead_suite(void)
{
    Suite *s = suite_create("log_ahead");
    TCase *t = tcase_create("log_ahead");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, test_L06_a_log_that_is_written_ahead_keeps_all_of_a_killed_process, 0,
                        2);
    suite_add_tcase(s, t);
    return s;
}

int main(int argc, char **argv)
{
    if (argc > 2) {
        work_role(argv[2], argc > 3 ? argv[3] : "");
        return EXIT_FAILURE; /* it was to be killed */
    }
    return support_run_suite(log_ahead_suite());
}

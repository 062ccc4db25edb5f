/* What a store is after crashes and damage: everything that was acknowledged is there, or the store
 * says that it isn't. Writers that are killed run in a program of their own (this one, with
 * arguments), because a process that has opened a store can't fork. */
#include "log/witness.h"
#include "tests/support/driver_fixture.h"
#include "tests/support/support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { COMMITS = 200, LINEAGES = 3 };

static char *folder;
static char *store;

static void setup(void)
{
    folder = support_temp_dir("rocksdb_damage");
    store = support_path_join(folder, "store");
    fixture_create(store);
}

static void teardown(void)
{
    free(store);
    support_temp_dir_free(folder);
}

/* ---- the writer ---- */

/* Appends commits of a few hundred bytes in groups of one to three until it is killed or an append
 * fails, and writes each acknowledged position to standard output. Rows tell the run's progress. */
static int writer_main(const char *path, const char *mode, const char *file_size_max)
{
    const ratoon__driver_options options = {.durability = (ratoon_durability)atoi(mode),
                                            .interval_ms = 1};
    ratoon__driver *d = NULL;
    ratoon_error error = {0};
    if (ratoon__rocksdb_open(path, &options, &d, &error) != RATOON_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 2;
    }
    if (strcmp(file_size_max, "0") != 0) {
        const struct rlimit limit = {.rlim_cur = strtoul(file_size_max, NULL, 10),
                                     .rlim_max = RLIM_INFINITY};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    char bytes[300];
    memset(bytes, 'x', sizeof bytes);
    uint64_t heads[LINEAGES] = {0};
    for (unsigned round = 0;; round++) {
        ratoon__append group[LINEAGES] = {0};
        ratoon__run_row rows[LINEAGES];
        size_t count = 1 + round % LINEAGES;
        for (size_t i = 0; i < count; i++) {
            ratoon_id id = fixture_id((uint8_t)(i + 1));
            rows[i] = (ratoon__run_row){.run = id,
                                        .root = id,
                                        .created_at = 1,
                                        .status = RATOON_RUN_RUNNING,
                                        .subject = "s",
                                        .pipeline = "p"};
            group[i] = (ratoon__append){.lineage = id,
                                        .number = heads[i] + 1,
                                        .data = bytes,
                                        .size = sizeof bytes,
                                        .rows = &rows[i],
                                        .rows_count = 1};
        }
        ratoon_status status = d->ops->append(d, group, count, false, &error);
        if (status != RATOON_OK) {
            /* It takes nothing any more, but shows what it has acknowledged. */
            ratoon_error again = {0};
            uint64_t end = 0;
            fixture_seen seen = {0};
            bool right = d->ops->append(d, group, count, true, &again) == RATOON_ERR_READ_ONLY &&
                         group[0].status == RATOON_ERR_READ_ONLY &&
                         strstr(again.message, "read-only") != NULL &&
                         d->ops->end(d, &end, NULL) == RATOON_OK &&
                         d->ops->read(d, fixture_id(0), 0, false, false, fixture_see, &seen,
                                      NULL) == RATOON_OK &&
                         seen.count == end - 1;
            d->ops->close(d);
            return right ? 0 : 3;
        }
        for (size_t i = 0; i < count; i++) {
            heads[i]++;
        }
        uint64_t position = group[count - 1].position;
        if (write(STDOUT_FILENO, &position, sizeof position) != sizeof position) {
            return 4;
        }
    }
}

typedef struct writer {
    pid_t pid;
    int pipe;
} writer;

static writer writer_start(ratoon_durability mode, const char *file_size_max)
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    char mode_text[16];
    snprintf(mode_text, sizeof mode_text, "%d", (int)mode);
    char *const argv[] = {(char *)"writer", store, mode_text, (char *)file_size_max, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    writer w = {.pipe = ends[0]};
    ck_assert_int_eq(posix_spawn(&w.pid, "/proc/self/exe", &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    return w;
}

/* The last position it told of, after at least `commits` of them or its end. */
static uint64_t writer_read(const writer *w, uint64_t commits)
{
    uint64_t position = 0;
    uint64_t last = 0;
    while (last < commits && read(w->pipe, &position, sizeof position) == sizeof position) {
        last = position;
    }
    return last;
}

static uint64_t writer_kill(const writer *w, uint64_t commits)
{
    uint64_t before = writer_read(w, commits);
    kill(w->pid, SIGKILL);
    int status = 0;
    ck_assert_int_eq(waitpid(w->pid, &status, 0), w->pid);
    ck_assert(WIFSIGNALED(status));
    uint64_t last = writer_read(w, UINT64_MAX); /* what it had told of by then */
    close(w->pipe);
    return last > before ? last : before;
}

/* Whether the store is whole and has at least `acknowledged` commits; returns how many. */
static uint64_t check_whole(uint64_t acknowledged)
{
    ratoon__driver *d = fixture_open(store, RATOON_DURABILITY_SYNC);
    uint64_t end = 0;
    uint64_t derived = 0;
    fixture_seen feed = {0};
    fixture_seen all = {0};
    ck_assert_int_eq(d->ops->end(d, &end, NULL), RATOON_OK);
    ck_assert_uint_ge(end - 1, acknowledged);
    ck_assert_int_eq(d->ops->tail(d, 1, 0, fixture_see, &feed, NULL), RATOON_OK);
    ck_assert_int_eq(d->ops->read(d, fixture_id(0), 0, false, true, fixture_see, &all, NULL),
                     RATOON_OK);
    ck_assert_uint_eq(feed.count, end - 1);
    ck_assert_uint_eq(feed.last, end - 1);
    ck_assert_uint_eq(all.count, end - 1);
    uint64_t sum = 0;
    for (int i = 1; i <= LINEAGES; i++) {
        uint64_t head = 0;
        ck_assert_int_eq(d->ops->head(d, fixture_id((uint8_t)i), &head, NULL), RATOON_OK);
        sum += head;
    }
    ck_assert_uint_eq(sum, end - 1); /* no lineage has a hole */
    ck_assert_int_eq(ratoon__rocksdb_derived_position(d, &derived, NULL), RATOON_OK);
    ck_assert_uint_le(derived, end - 1);
    d->ops->close(d);
    return end - 1;
}

/* ---- crashes ---- */

START_TEST(test_L11_kill_9_loses_nothing_acknowledged)
{
    const ratoon_durability modes[] = {RATOON_DURABILITY_SYNC, RATOON_DURABILITY_INTERVAL,
                                       RATOON_DURABILITY_NONE};
    support_prng prng = support_prng_new(support_seed() + (uint64_t)_i);
    writer w = writer_start(modes[_i % 3], "0");
    uint64_t acknowledged = writer_kill(&w, 1 + support_prng_below(&prng, COMMITS));
    ck_assert_uint_gt(acknowledged, 0);
    uint64_t there = check_whole(acknowledged);
    ck_assert_uint_eq(check_whole(acknowledged), there);
    char *work = support_path_join(store, "opening");
    ck_assert_int_ne(access(work, F_OK), 0); /* nothing is left of the caution */
    free(work);
}
END_TEST

START_TEST(test_L11_failed_write_is_not_acknowledged_and_turns_read_only)
{
    writer w = writer_start(_i == 0 ? RATOON_DURABILITY_SYNC : RATOON_DURABILITY_NONE, "200000");
    uint64_t acknowledged = writer_read(&w, UINT64_MAX);
    int status = 0;
    ck_assert_int_eq(waitpid(w.pid, &status, 0), w.pid);
    close(w.pipe);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    ck_assert_uint_gt(acknowledged, 0);
    check_whole(acknowledged);
}
END_TEST

START_TEST(test_Q03_derived_rows_say_what_they_are_true_for_after_a_crash)
{
    writer w = writer_start(RATOON_DURABILITY_NONE, "0");
    writer_kill(&w, 3 * 4096);
    ratoon__driver *d = fixture_open(store, RATOON_DURABILITY_SYNC);
    uint64_t derived = 0;
    uint64_t end = 0;
    ck_assert_int_eq(d->ops->end(d, &end, NULL), RATOON_OK);
    ck_assert_int_eq(ratoon__rocksdb_derived_position(d, &derived, NULL), RATOON_OK);
    ck_assert_uint_gt(derived, 0);
    ck_assert_uint_lt(derived, end - 1);
    /* Appends before the rest was put don't make the gap look closed. */
    uint64_t head = 0;
    ck_assert_int_eq(d->ops->head(d, fixture_id(1), &head, NULL), RATOON_OK);
    ck_assert_int_eq(fixture_put(d, fixture_id(1), head + 1, "x"), RATOON_OK);
    uint64_t still = 0;
    ck_assert_int_eq(ratoon__rocksdb_derived_position(d, &still, NULL), RATOON_OK);
    ck_assert_uint_eq(still, derived);
    const ratoon__run_row row = {.run = fixture_id(9),
                                 .root = fixture_id(1),
                                 .created_at = 2,
                                 .status = RATOON_RUN_FAILED,
                                 .subject = "s",
                                 .pipeline = "p"};
    const ratoon__claim claims[] = {{.name = "scope:a", .run = fixture_id(9), .take = true},
                                    {.name = "scope:b", .run = fixture_id(9), .take = true},
                                    {.name = "scope:b", .run = fixture_id(8), .take = false},
                                    {.name = "scope:a", .run = fixture_id(9), .take = false}};
    ck_assert_int_eq(ratoon__rocksdb_put_derived(d, &row, 1, claims, 4, end - 1, NULL), RATOON_OK);
    for (int round = 0; round < 2; round++) {
        ratoon_id id;
        ck_assert_int_eq(ratoon__rocksdb_derived_position(d, &derived, NULL), RATOON_OK);
        ck_assert_uint_eq(derived, end);
        ck_assert_int_eq(d->ops->run_get(d, fixture_id(9), &id, NULL), RATOON_OK);
        ck_assert_int_eq(d->ops->claim_get(d, "scope:a", &id, NULL), RATOON_ERR_NOT_FOUND);
        ck_assert_int_eq(d->ops->claim_get(d, "scope:b", &id, NULL), RATOON_OK);
        fixture_list list = {0};
        const ratoon__list_query query = {.index = RATOON__INDEX_TIME, .limit = 9};
        ck_assert_int_eq(d->ops->list(d, &query, fixture_list_row, &list, NULL), RATOON_OK);
        ck_assert_str_eq(list.text, "09 03 02 01 ");
        d->ops->close(d);
        d = fixture_open(store, RATOON_DURABILITY_SYNC);
    }
    ck_assert_int_eq(ratoon__rocksdb_forget_derived(d, NULL), RATOON_OK);
    ratoon_id id;
    ck_assert_int_eq(ratoon__rocksdb_derived_position(d, &derived, NULL), RATOON_OK);
    ck_assert_uint_eq(derived, 0);
    ck_assert_int_eq(d->ops->run_get(d, fixture_id(9), &id, NULL), RATOON_ERR_NOT_FOUND);
    d->ops->close(d);
}
END_TEST

static uint64_t witnessed(void)
{
    ratoon__witness w = {.fd = -1};
    ck_assert_int_eq(ratoon__witness_open(&w, store, NULL), RATOON_OK);
    uint64_t position = w.position;
    ratoon__witness_close(&w);
    return position;
}

START_TEST(test_L06_what_asks_for_it_is_synced_in_every_mode_but_none)
{
    static const struct {
        ratoon_durability mode;
        uint64_t after_plain, after_failure;
    } cases[] = {{RATOON_DURABILITY_SYNC, 1, 2},
                 {RATOON_DURABILITY_INTERVAL, 0, 2},
                 {RATOON_DURABILITY_NONE, 0, 0}};
    const ratoon__driver_options options = {.durability = cases[_i].mode, .interval_ms = 3600000};
    ratoon__driver *d = NULL;
    ck_assert_int_eq(ratoon__rocksdb_open(store, &options, &d, NULL), RATOON_OK);
    ratoon__append a = {.lineage = fixture_id(1), .number = 1, .data = "x", .size = 1};
    ck_assert_int_eq(d->ops->append(d, &a, 1, false, NULL), RATOON_OK);
    ck_assert_uint_eq(witnessed(), cases[_i].after_plain);
    a.number = 2;
    ck_assert_int_eq(d->ops->append(d, &a, 1, true, NULL), RATOON_OK);
    ck_assert_uint_eq(witnessed(), cases[_i].after_failure);
    d->ops->close(d);
    ck_assert_uint_eq(witnessed(), 2); /* closing leaves everything on disk */
}
END_TEST

static int witness_moved(void *context)
{
    (void)context;
    return witnessed() == 1;
}

START_TEST(test_L11_interval_mode_syncs_by_the_clock)
{
    ratoon__driver *d = fixture_open(store, RATOON_DURABILITY_INTERVAL);
    ratoon__append a = {.lineage = fixture_id(1), .number = 1, .data = "x", .size = 1};
    ck_assert_int_eq(d->ops->append(d, &a, 1, false, NULL), RATOON_OK);
    ck_assert(support_wait_until(witness_moved, NULL, 60000));
    d->ops->close(d);
}
END_TEST

/* ---- damage ---- */

/* The largest file of db/ with that ending, which is the one that holds something. */
static char *largest(const char *ending)
{
    char *db = support_path_join(store, "db");
    char *found = NULL;
    off_t size = -1;
    DIR *entries = opendir(db);
    ck_assert_ptr_nonnull(entries);
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        const char *dot = strrchr(entry->d_name, '.');
        struct stat file;
        char *path = support_path_join(db, entry->d_name);
        if (dot != NULL && strcmp(dot, ending) == 0 && stat(path, &file) == 0 &&
            file.st_size > size) {
            size = file.st_size;
            free(found);
            found = path;
        } else {
            free(path);
        }
    }
    closedir(entries);
    free(db);
    ck_assert_ptr_nonnull(found);
    return found;
}

static off_t size_of(const char *path)
{
    struct stat file;
    ck_assert_int_eq(stat(path, &file), 0);
    return file.st_size;
}

static void flip(const char *path, off_t at)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    char byte;
    ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
    byte = (char)(byte ^ 0x40);
    ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

/* Puts COMMITS commits into the store, one a group. */
static void fill(void)
{
    ratoon__driver *d = fixture_open(store, RATOON_DURABILITY_NONE);
    char text[200];
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (uint64_t number = 1; number <= COMMITS; number++) {
        ck_assert_int_eq(fixture_put(d, fixture_id(1), number, text), RATOON_OK);
    }
    d->ops->close(d);
}

/* The store says that it is damaged, can be read, takes nothing, and says so again; returns how
 * many commits are there. */
static uint64_t check_damaged(const char *expected)
{
    uint64_t there = 0;
    for (int round = 0; round < 2; round++) {
        ratoon__driver *d = NULL;
        ratoon_error error = {0};
        const ratoon__driver_options options = {0};
        ck_assert_int_eq(ratoon__rocksdb_open(store, &options, &d, &error), RATOON_ERR_DAMAGED);
        ck_assert_ptr_nonnull(d);
        ck_assert_msg(strstr(error.message, expected) != NULL, "%s", error.message);
        uint64_t head = 0;
        fixture_seen seen = {0};
        ck_assert_int_eq(d->ops->head(d, fixture_id(1), &head, NULL), RATOON_OK);
        ck_assert_int_eq(d->ops->read(d, fixture_id(1), 0, true, true, fixture_see, &seen, NULL),
                         RATOON_OK);
        ck_assert_uint_eq(seen.count, head);
        ck_assert_int_eq(fixture_put(d, fixture_id(1), head + 1, "more"), RATOON_ERR_DAMAGED);
        ck_assert_int_eq(fixture_put(d, fixture_id(2), 1, "more"), RATOON_ERR_DAMAGED);
        there = head;
        d->ops->close(d);
    }
    return there;
}

static unsigned kept_folders(void)
{
    unsigned count = 0;
    DIR *entries = opendir(store);
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        count += strncmp(entry->d_name, "damaged-", 8) == 0;
    }
    closedir(entries);
    return count;
}

START_TEST(test_E04_truncated_log_is_reported_and_kept)
{
    fill();
    char *log = largest(".log");
    off_t size = size_of(log);
    ck_assert_int_eq(truncate(log, size / (_i + 2)), 0);
    uint64_t there = check_damaged("200 was acknowledged");
    ck_assert_uint_lt(there, COMMITS);
    ck_assert_uint_eq(kept_folders(), 1);
    /* Whoever accepts the loss goes on after what is there. */
    ratoon_error error = {0};
    ck_assert_int_eq(ratoon__rocksdb_accept_loss(store, NULL, &error), RATOON_OK);
    ratoon__driver *d = fixture_open(store, RATOON_DURABILITY_SYNC);
    ck_assert_int_eq(fixture_put(d, fixture_id(1), there + 1, "more"), RATOON_OK);
    d->ops->close(d);
    ck_assert_int_eq(ratoon__rocksdb_accept_loss(store, NULL, &error), RATOON_ERR_USAGE);
    free(log);
}
END_TEST

START_TEST(test_E04_missing_log_is_reported)
{
    fill();
    char *log = largest(".log");
    ck_assert_int_eq(unlink(log), 0);
    ck_assert_uint_eq(check_damaged("200 was acknowledged"), 0);
    free(log);
}
END_TEST

/* One flipped byte, anywhere in what is acknowledged: the store is whole or says that it is not. */
START_TEST(test_E04_flipped_byte_is_never_silent)
{
    fill();
    char *log = largest(".log");
    support_prng prng = support_prng_new(support_seed() + (uint64_t)_i);
    flip(log, (off_t)support_prng_below(&prng, (uint64_t)size_of(log)));
    free(log);
    ratoon__driver *d = NULL;
    const ratoon__driver_options options = {0};
    ratoon_status status = ratoon__rocksdb_open(store, &options, &d, NULL);
    if (status == RATOON_OK) {
        uint64_t head = 0;
        ck_assert_int_eq(d->ops->head(d, fixture_id(1), &head, NULL), RATOON_OK);
        ck_assert_uint_eq(head, COMMITS);
    } else {
        ck_assert_int_eq(status, RATOON_ERR_DAMAGED);
    }
    if (d != NULL) {
        d->ops->close(d);
    }
}
END_TEST

/* What a power cut leaves of a record that was not acknowledged: part of it, zeros, or rubbish. */
START_TEST(test_E04_torn_end_of_the_log_is_no_damage)
{
    fill();
    char *log = largest(".log");
    char rest[9000] = {0};
    support_prng prng = support_prng_new(support_seed());
    if (_i == 1) {
        support_prng_fill(&prng, rest, sizeof rest);
    } else if (_i == 2) {
        /* The beginning of the last record again, as far as a page goes, then zeros. */
        size_t size = 0;
        char *all = support_read_file(log, &size);
        memcpy(rest, all + size - 300, 150);
        free(all);
    }
    int fd = open(log, O_WRONLY | O_APPEND | O_CLOEXEC);
    ck_assert_int_eq(write(fd, rest, sizeof rest), sizeof rest);
    close(fd);
    free(log);
    ratoon__driver *d = fixture_open(store, RATOON_DURABILITY_SYNC);
    uint64_t head = 0;
    ck_assert_int_eq(d->ops->head(d, fixture_id(1), &head, NULL), RATOON_OK);
    ck_assert_uint_eq(head, COMMITS);
    ck_assert_int_eq(fixture_put(d, fixture_id(1), COMMITS + 1, "on"), RATOON_OK);
    d->ops->close(d);
    ck_assert_uint_eq(kept_folders(), 0);
}
END_TEST

START_TEST(test_E04_missing_or_garbled_witness_is_reported)
{
    fill();
    char *witness = support_path_join(store, "witness");
    if (_i == 0) {
        ck_assert_int_eq(unlink(witness), 0);
    } else {
        support_write_file(witness, "rubbish", 7);
    }
    ck_assert_uint_eq(check_damaged("witness"), COMMITS);
    ck_assert_int_eq(ratoon__rocksdb_accept_loss(store, NULL, NULL), RATOON_OK);
    ratoon__driver *d = fixture_open(store, RATOON_DURABILITY_SYNC);
    d->ops->close(d);
    free(witness);
}
END_TEST

START_TEST(test_E04_one_torn_slot_of_the_witness_is_no_damage)
{
    ratoon__driver *d = fixture_open(store, RATOON_DURABILITY_SYNC);
    for (uint64_t number = 1; number <= 5; number++) {
        ck_assert_int_eq(fixture_put(d, fixture_id(1), number, "x"), RATOON_OK);
    }
    d->ops->close(d);
    char *witness = support_path_join(store, "witness");
    flip(witness, _i == 0 ? 16 : 4096 + 16);
    ck_assert_uint_ge(witnessed(), 4);
    d = fixture_open(store, RATOON_DURABILITY_SYNC);
    ck_assert_int_eq(fixture_put(d, fixture_id(1), 6, "x"), RATOON_OK);
    d->ops->close(d);
    ck_assert_uint_eq(witnessed(), 6);
    free(witness);
}
END_TEST

START_TEST(test_E04_damaged_store_is_reported)
{
    static const struct {
        const char *name; /* in the store; NULL bytes: removed */
        const char *bytes;
        ratoon_status status;
        const char *message;
    } cases[] = {
        {"format", NULL, RATOON_ERR_DAMAGED, "format"},
        {"format", "", RATOON_ERR_DAMAGED, "format"},
        {"format", "ratoon store\nformat x\n", RATOON_ERR_DAMAGED, "format"},
        {"format", "ratoon store\nformat 2\n", RATOON_ERR_UNSUPPORTED, "format 2"},
        {"db", NULL, RATOON_ERR_DAMAGED, "db"},
        {"db/CURRENT", NULL, RATOON_ERR_DAMAGED, "db"},
        {"db/CURRENT", "rubbish", RATOON_ERR_DAMAGED, "open"},
        {"db/CURRENT", "MANIFEST-999999\n", RATOON_ERR_DAMAGED, "open"},
    };
    fill();
    char *path = support_path_join(store, cases[_i].name);
    support_remove(path);
    if (cases[_i].bytes != NULL) {
        support_write_file(path, cases[_i].bytes, strlen(cases[_i].bytes));
    }
    unsigned files = fixture_count_files(store);
    for (int round = 0; round < 2; round++) {
        ratoon__driver *d = NULL;
        ratoon_error error = {0};
        const ratoon__driver_options options = {0};
        ck_assert_int_eq(ratoon__rocksdb_open(store, &options, &d, &error), cases[_i].status);
        ck_assert_ptr_null(d);
        ck_assert_msg(strstr(error.message, cases[_i].message) != NULL, "%s", error.message);
    }
    ck_assert_uint_eq(fixture_count_files(store), files);
    ck_assert_int_eq(ratoon__rocksdb_create(store, NULL), RATOON_ERR_EXISTS);
    free(path);
}
END_TEST

/* A changed byte in a table file is found by reading, at the latest by the reading that verifies.
 */
START_TEST(test_Q01_verifying_read_finds_a_changed_byte)
{
    fill();
    ratoon__driver *d = fixture_open(store, RATOON_DURABILITY_SYNC); /* writes the tables */
    d->ops->close(d);
    char *table = largest(".sst");
    flip(table, size_of(table) / 4);
    const ratoon__driver_options options = {0};
    d = NULL;
    ratoon_status status = ratoon__rocksdb_open(store, &options, &d, NULL);
    if (d != NULL) {
        fixture_seen seen = {0};
        status = d->ops->read(d, fixture_id(0), 0, false, true, fixture_see, &seen, NULL);
        d->ops->close(d);
    }
    ck_assert_int_eq(status, RATOON_ERR_DAMAGED);
    free(table);
}
END_TEST

START_TEST(test_open_store_is_busy_for_other_processes_until_its_owner_is_gone)
{
    writer w = writer_start(RATOON_DURABILITY_NONE, "0");
    ck_assert_uint_ge(writer_read(&w, 10), 10);
    ratoon__driver *d = NULL;
    ratoon_error error = {0};
    const ratoon__driver_options options = {0};
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(ratoon__rocksdb_open(store, &options, &d, &error), RATOON_ERR_STORE_BUSY);
        char process[32];
        snprintf(process, sizeof process, "process %d ", (int)w.pid);
        ck_assert_msg(strstr(error.message, process) != NULL, "%s", error.message);
    }
    check_whole(writer_kill(&w, 100));
}
END_TEST

static TCase *add_case(Suite *s, const char *name)
{
    TCase *tc = tcase_create(name);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 240);
    suite_add_tcase(s, tc);
    return tc;
}

static Suite *suite(void)
{
    Suite *s = suite_create("rocksdb_damage");
    TCase *crash = add_case(s, "crash");
    tcase_add_loop_test(crash, test_L11_kill_9_loses_nothing_acknowledged, 0, 9);
    tcase_add_loop_test(crash, test_L11_failed_write_is_not_acknowledged_and_turns_read_only, 0, 2);
    tcase_add_test(crash, test_Q03_derived_rows_say_what_they_are_true_for_after_a_crash);
    tcase_add_loop_test(crash, test_L06_what_asks_for_it_is_synced_in_every_mode_but_none, 0, 3);
    tcase_add_test(crash, test_L11_interval_mode_syncs_by_the_clock);
    tcase_add_test(crash, test_open_store_is_busy_for_other_processes_until_its_owner_is_gone);
    TCase *damage = add_case(s, "damage");
    tcase_add_loop_test(damage, test_E04_truncated_log_is_reported_and_kept, 0, 3);
    tcase_add_test(damage, test_E04_missing_log_is_reported);
    tcase_add_loop_test(damage, test_E04_flipped_byte_is_never_silent, 0, 16);
    tcase_add_loop_test(damage, test_E04_torn_end_of_the_log_is_no_damage, 0, 3);
    tcase_add_loop_test(damage, test_E04_missing_or_garbled_witness_is_reported, 0, 2);
    tcase_add_loop_test(damage, test_E04_one_torn_slot_of_the_witness_is_no_damage, 0, 2);
    tcase_add_loop_test(damage, test_E04_damaged_store_is_reported, 0, 8);
    tcase_add_test(damage, test_Q01_verifying_read_finds_a_changed_byte);
    return s;
}

int main(int argc, char **argv)
{
    if (argc == 4) {
        return writer_main(argv[1], argv[2], argv[3]);
    }
    return support_run_suite(suite());
}

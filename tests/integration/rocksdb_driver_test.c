/* The RocksDB driver on its own: what it keeps, refuses, orders and shows. Damage and crashes have
 * a program of their own (rocksdb_damage_test.c). Commit bytes are opaque to it, so any will do. */
#include "tests/support/driver_fixture.h"
#include "tests/support/driver_suite.h"
#include "tests/support/support.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

static char *folder;
static char *store;
static ratoon__driver *d;

static void setup(void)
{
    folder = support_temp_dir("rocksdb_driver");
    store = support_path_join(folder, "store");
    fixture_create(store);
    d = fixture_open(store, RATOON_DURABILITY_SYNC);
}

static void teardown(void)
{
    if (d != NULL) {
        d->ops->close(d);
        d = NULL;
    }
    free(store);
    support_temp_dir_free(folder);
}

static void reopen(void)
{
    d->ops->close(d);
    d = fixture_open(store, RATOON_DURABILITY_SYNC);
}

/* ---- appending ---- */

START_TEST(test_L11_reopening_keeps_all_that_was_acknowledged)
{
    ratoon_digest digest = {{7, 8, 9}};
    char large[5000];
    memset(large, 'v', sizeof large);
    const ratoon__stored_value value = {.digest = digest, .data = large, .size = sizeof large};
    const ratoon__claim claim = {.name = "scope:a", .run = fixture_id(1), .take = true};
    const ratoon__run_row row = {.run = fixture_id(1),
                                 .root = fixture_id(1),
                                 .created_at = 5,
                                 .status = RATOON_RUN_RUNNING,
                                 .executor = fixture_id(77),
                                 .subject = "s",
                                 .pipeline = "p"};
    ratoon__append a = {.lineage = fixture_id(1),
                        .number = 1,
                        .data = "one",
                        .size = 3,
                        .values = &value,
                        .values_count = 1,
                        .claims = &claim,
                        .claims_count = 1,
                        .rows = &row,
                        .rows_count = 1};
    ck_assert_int_eq(fixture_append(d, &a), RATOON_OK);
    ck_assert_uint_eq(a.position, 1);
    ck_assert_int_eq(d->ops->snapshot_put(d, fixture_id(1), 1, "snap", 4, NULL), RATOON_OK);

    for (int round = 0; round < 3; round++) {
        uint64_t head = 0;
        uint64_t at = 0;
        uint64_t end = 0;
        ratoon_id id;
        ratoon_buffer bytes;
        ck_assert_int_eq(d->ops->head(d, fixture_id(1), &head, NULL), RATOON_OK);
        ck_assert_uint_eq(head, 1);
        ck_assert_int_eq(d->ops->end(d, &end, NULL), RATOON_OK);
        ck_assert_uint_eq(end, 2);
        ck_assert_int_eq(d->ops->value_get(d, &digest, &bytes, NULL), RATOON_OK);
        ck_assert_mem_eq(bytes.data, large, sizeof large);
        free(bytes.data);
        ck_assert_int_eq(d->ops->claim_get(d, "scope:a", &id, NULL), RATOON_OK);
        ck_assert(ratoon_id_equal(id, fixture_id(1)));
        ck_assert_int_eq(d->ops->run_get(d, fixture_id(1), &id, NULL), RATOON_OK);
        ck_assert(ratoon_id_equal(id, fixture_id(1)));
        ck_assert_int_eq(d->ops->snapshot_get(d, fixture_id(1), 9, &at, &bytes, NULL), RATOON_OK);
        ck_assert_uint_eq(at, 1);
        ck_assert_str_eq(bytes.data, "snap");
        free(bytes.data);
        fixture_seen seen = {0};
        ck_assert_int_eq(d->ops->read(d, fixture_id(1), 0, true, true, fixture_see, &seen, NULL),
                         RATOON_OK);
        ck_assert_str_eq(seen.text, "1:01.1=one ");
        reopen();
    }
}
END_TEST

START_TEST(test_append_conflicts_name_the_head)
{
    ratoon_id lineage = fixture_id(1);
    ck_assert_int_eq(fixture_put(d, lineage, 2, "early"), RATOON_ERR_CONFLICT);
    ck_assert_int_eq(fixture_put(d, lineage, 1, "one"), RATOON_OK);
    ratoon__append a = {.lineage = lineage, .number = 1, .data = "again", .size = 5};
    ck_assert_int_eq(fixture_append(d, &a), RATOON_ERR_CONFLICT);
    ck_assert_uint_eq(a.head, 1);
    ck_assert_int_eq(fixture_put(d, lineage, 2, "two"), RATOON_OK);
    reopen();
    ck_assert_int_eq(fixture_put(d, lineage, 2, "again"), RATOON_ERR_CONFLICT);
    ck_assert_int_eq(fixture_put(d, lineage, 3, "three"), RATOON_OK);
}
END_TEST

START_TEST(test_append_group_is_judged_one_by_one_in_order)
{
    const ratoon__claim take_1 = {.name = "key:k", .run = fixture_id(1), .take = true};
    const ratoon__claim take_2 = {.name = "key:k", .run = fixture_id(2), .take = true};
    const ratoon__claim drop_1 = {.name = "key:k", .run = fixture_id(1), .take = false};
    ratoon__append g[] = {
        {.lineage = fixture_id(1), .number = 1, .data = "a", .size = 1, .claims = &take_1},
        {.lineage = fixture_id(2), .number = 1, .data = "b", .size = 1, .claims = &take_2},
        {.lineage = fixture_id(1), .number = 3, .data = "c", .size = 1},
        {.lineage = fixture_id(1), .number = 2, .data = "d", .size = 1, .claims = &drop_1},
        {.lineage = fixture_id(2), .number = 1, .data = "e", .size = 1, .claims = &take_2},
    };
    for (size_t i = 0; i < 5; i++) {
        g[i].claims_count = g[i].claims != NULL;
    }
    ck_assert_int_eq(d->ops->append(d, g, 5, true, NULL), RATOON_OK);
    ck_assert_int_eq(g[0].status, RATOON_OK);
    ck_assert_int_eq(g[1].status, RATOON_ERR_CLAIMED);
    ck_assert(ratoon_id_equal(g[1].holder, fixture_id(1)));
    ck_assert_uint_eq(g[1].claim, 0);
    ck_assert_int_eq(g[2].status, RATOON_ERR_CONFLICT);
    ck_assert_uint_eq(g[2].head, 1);
    ck_assert_int_eq(g[3].status, RATOON_OK);
    ck_assert_int_eq(g[4].status, RATOON_OK);
    ck_assert_uint_eq(g[0].position, 1);
    ck_assert_uint_eq(g[3].position, 2);
    ck_assert_uint_eq(g[4].position, 3);
    fixture_seen seen = {0};
    ck_assert_int_eq(d->ops->tail(d, 1, 0, fixture_see, &seen, NULL), RATOON_OK);
    ck_assert_str_eq(seen.text, "1:01.1=a 2:01.2=d 3:02.1=e ");
}
END_TEST

START_TEST(test_claims_are_taken_kept_and_released)
{
    ratoon_id a = fixture_id(1);
    ratoon_id b = fixture_id(2);
    ratoon_id holder;
    ck_assert_int_eq(fixture_claim(d, a, 1, "scope:x", true), RATOON_OK);
    ck_assert_int_eq(fixture_claim(d, b, 1, "scope:x", true), RATOON_ERR_CLAIMED);
    /* Taking again what one has, and releasing what another has, change nothing. */
    ck_assert_int_eq(fixture_claim(d, a, 2, "scope:x", true), RATOON_OK);
    ck_assert_int_eq(fixture_claim(d, b, 1, "scope:x", false), RATOON_OK);
    reopen();
    ck_assert_int_eq(fixture_claim(d, b, 2, "scope:x", true), RATOON_ERR_CLAIMED);
    ck_assert_int_eq(fixture_claim(d, a, 3, "scope:x", false), RATOON_OK);
    ck_assert_int_eq(d->ops->claim_get(d, "scope:x", &holder, NULL), RATOON_ERR_NOT_FOUND);
    reopen();
    ck_assert_int_eq(d->ops->claim_get(d, "scope:x", &holder, NULL), RATOON_ERR_NOT_FOUND);
    ck_assert_int_eq(fixture_claim(d, b, 2, "scope:x", true), RATOON_OK);
    ck_assert_int_eq(d->ops->claim_get(d, "scope:x", &holder, NULL), RATOON_OK);
    ck_assert(ratoon_id_equal(holder, b));
}
END_TEST

START_TEST(test_S06_value_over_the_limit_is_refused_alone)
{
    d->ops->close(d);
    const ratoon__driver_options options = {.value_max = 100};
    ck_assert_int_eq(ratoon__rocksdb_open(store, &options, &d, NULL), RATOON_OK);
    char bytes[101] = {0};
    const ratoon__stored_value fits = {.digest = {{1}}, .data = bytes, .size = 100};
    const ratoon__stored_value over = {.digest = {{2}}, .data = bytes, .size = 101};
    ratoon__append g[] = {
        {.lineage = fixture_id(1), .number = 1, .data = "a", .size = 1, .values = &over},
        {.lineage = fixture_id(2), .number = 1, .data = "b", .size = 1, .values = &fits},
    };
    g[0].values_count = 1;
    g[1].values_count = 1;
    ck_assert_int_eq(d->ops->append(d, g, 2, true, NULL), RATOON_OK);
    ck_assert_int_eq(g[0].status, RATOON_ERR_LIMIT_EXCEEDED);
    ck_assert_int_eq(g[1].status, RATOON_OK);
    ratoon_buffer got;
    ck_assert_int_eq(d->ops->value_get(d, &over.digest, &got, NULL), RATOON_ERR_NOT_FOUND);
    ck_assert_int_eq(d->ops->value_get(d, &fits.digest, &got, NULL), RATOON_OK);
    ck_assert_uint_eq(got.size, 100);
    free(got.data);
}
END_TEST

static bool count_value(void *ctx, const ratoon_digest *digest, const void *data, size_t size)
{
    (void)digest;
    (void)data;
    (void)size;
    ++*(unsigned *)ctx;
    return true;
}

START_TEST(test_S05_a_value_is_stored_once)
{
    char bytes[3000] = {0};
    const ratoon__stored_value values[] = {
        {.digest = {{1}}, .data = bytes, .size = sizeof bytes},
        {.digest = {{2}}, .data = bytes, .size = 0},
        {.digest = {{1}}, .data = bytes, .size = sizeof bytes},
    };
    for (uint64_t number = 1; number <= 6; number++) {
        ratoon__append a = {.lineage = fixture_id(1),
                            .number = number,
                            .data = "a",
                            .size = 1,
                            .values = values,
                            .values_count = 3};
        ck_assert_int_eq(fixture_append(d, &a), RATOON_OK);
        if (number == 3) {
            reopen(); /* what is known to be there is forgotten, and looked up */
        }
    }
    unsigned count = 0;
    ck_assert_int_eq(d->ops->values(d, count_value, &count, NULL), RATOON_OK);
    ck_assert_uint_eq(count, 2);
    ratoon_buffer got;
    ck_assert_int_eq(d->ops->value_get(d, &values[1].digest, &got, NULL), RATOON_OK);
    ck_assert_uint_eq(got.size, 0);
    free(got.data);
}
END_TEST

/* ---- reading ---- */

START_TEST(test_read_gives_aligned_commits_in_key_order)
{
    for (uint64_t number = 1; number <= 3; number++) {
        for (uint8_t lineage = 3; lineage >= 1; lineage--) {
            char text[32];
            snprintf(text, sizeof text, "%d-%d", lineage, (int)number);
            ck_assert_int_eq(fixture_put(d, fixture_id(lineage), number, text), RATOON_OK);
        }
    }
    for (int round = 0; round < 2; round++) {
        for (int verify = 0; verify < 2; verify++) {
            fixture_seen all = {0};
            fixture_seen one = {0};
            fixture_seen from = {0};
            ck_assert_int_eq(
                d->ops->read(d, fixture_id(0), 0, false, verify == 1, fixture_see, &all, NULL),
                RATOON_OK);
            ck_assert_str_eq(all.text, "3:01.1=1-1 6:01.2=1-2 9:01.3=1-3 2:02.1=2-1 5:02.2=2-2 "
                                       "8:02.3=2-3 1:03.1=3-1 4:03.2=3-2 7:03.3=3-3 ");
            ck_assert_int_eq(
                d->ops->read(d, fixture_id(2), 2, true, verify == 1, fixture_see, &one, NULL),
                RATOON_OK);
            ck_assert_str_eq(one.text, "5:02.2=2-2 8:02.3=2-3 ");
            from.stop_after = 2;
            ck_assert_int_eq(
                d->ops->read(d, fixture_id(2), 3, false, verify == 1, fixture_see, &from, NULL),
                RATOON_OK);
            ck_assert_str_eq(from.text, "8:02.3=2-3 1:03.1=3-1 ");
            ck_assert(!all.misaligned && !one.misaligned && !from.misaligned);
        }
        reopen(); /* the same from files */
    }
    uint64_t head = 9;
    ck_assert_int_eq(d->ops->head(d, fixture_id(4), &head, NULL), RATOON_OK);
    ck_assert_uint_eq(head, 0);
    ck_assert_int_eq(d->ops->head(d, fixture_id(2), &head, NULL), RATOON_OK);
    ck_assert_uint_eq(head, 3);
}
END_TEST

START_TEST(test_Q06_tail_starts_at_any_position)
{
    for (uint64_t number = 1; number <= 9; number += 3) {
        ratoon__append g[] = {
            {.lineage = fixture_id(1), .number = number, .data = "a", .size = 1},
            {.lineage = fixture_id(1), .number = number + 1, .data = "b", .size = 1},
            {.lineage = fixture_id(1), .number = number + 2, .data = "c", .size = 1},
        };
        ck_assert_int_eq(d->ops->append(d, g, 3, true, NULL), RATOON_OK);
    }
    for (uint64_t from = 0; from <= 9; from++) {
        fixture_seen seen = {0};
        ck_assert_int_eq(d->ops->tail(d, from, 0, fixture_see, &seen, NULL), RATOON_OK);
        ck_assert_uint_eq(seen.count, from == 0 ? 9 : 10 - from);
        ck_assert_uint_eq(seen.first, from == 0 ? 1 : from);
        ck_assert_uint_eq(seen.last, 9);
    }
    fixture_seen seen = {.stop_after = 4};
    ck_assert_int_eq(d->ops->tail(d, 2, 0, fixture_see, &seen, NULL), RATOON_OK);
    ck_assert_uint_eq(seen.last, 5);
    ck_assert_int_eq(d->ops->tail(d, 10, 1, fixture_see, &seen, NULL), RATOON_ERR_TIMED_OUT);
}
END_TEST

typedef struct {
    uint8_t lineage;
    uint64_t commits;
} appender;

static void *append_many(void *argument)
{
    const appender *a = argument;
    for (uint64_t number = 1; number <= a->commits; number++) {
        const ratoon__run_row row = {.run = fixture_id(a->lineage),
                                     .root = fixture_id(a->lineage),
                                     .created_at = a->lineage,
                                     .status = RATOON_RUN_RUNNING,
                                     .subject = "s",
                                     .pipeline = "p"};
        ratoon__append one = {.lineage = fixture_id(a->lineage),
                              .number = number,
                              .data = "x",
                              .size = 1,
                              .rows = &row,
                              .rows_count = 1};
        ck_assert_int_eq(fixture_append(d, &one), RATOON_OK);
        /* Acknowledged is visible, to every way of looking. */
        uint64_t head = 0;
        uint64_t end = 0;
        ratoon_id root;
        fixture_seen seen = {0};
        ck_assert_int_eq(d->ops->head(d, one.lineage, &head, NULL), RATOON_OK);
        ck_assert_uint_eq(head, number);
        ck_assert_int_eq(d->ops->end(d, &end, NULL), RATOON_OK);
        ck_assert_uint_gt(end, one.position);
        ck_assert_int_eq(d->ops->run_get(d, one.lineage, &root, NULL), RATOON_OK);
        ck_assert_int_eq(
            d->ops->read(d, one.lineage, number, true, false, fixture_see, &seen, NULL), RATOON_OK);
        ck_assert_uint_eq(seen.count, 1);
    }
    return NULL;
}

typedef struct {
    uint64_t next;
    bool broken;
} follower;

static bool follow(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                   const void *data, size_t size)
{
    (void)lineage;
    (void)number;
    (void)data;
    (void)size;
    follower *f = ctx;
    f->broken |= position != f->next;
    f->next++;
    return true;
}

START_TEST(test_L11_Q06_threads_see_what_was_acknowledged_without_gap_or_repeat)
{
    enum { THREADS = 4, COMMITS = 200 };
    pthread_t threads[THREADS];
    appender work[THREADS];
    for (int i = 0; i < THREADS; i++) {
        work[i] = (appender){.lineage = (uint8_t)(i + 1), .commits = COMMITS};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, append_many, &work[i]), 0);
    }
    follower f = {.next = 1};
    fixture_list list = {0};
    const ratoon__list_query query = {.index = RATOON__INDEX_TIME, .limit = 1000};
    while (f.next <= THREADS * COMMITS && !f.broken) {
        ck_assert_int_eq(d->ops->tail(d, f.next, 60000, follow, &f, NULL), RATOON_OK);
        list.text[0] = '\0';
        ck_assert_int_eq(d->ops->list(d, &query, fixture_list_row, &list, NULL), RATOON_OK);
    }
    ck_assert(!f.broken);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    fixture_seen seen = {0};
    ck_assert_int_eq(d->ops->read(d, fixture_id(0), 0, false, true, fixture_see, &seen, NULL),
                     RATOON_OK);
    ck_assert_uint_eq(seen.count, THREADS * COMMITS);
}
END_TEST

/* docs/format.md says so. RocksDB writes down what it was told. */
START_TEST(test_tables_are_compressed_by_lz4)
{
    enum { FAMILIES = 4 };
    char *db = support_path_join(store, "db");
    DIR *entries = opendir(db);
    unsigned found = 0;
    ck_assert_ptr_nonnull(entries);
    for (const struct dirent *e; (e = readdir(entries)) != NULL;) {
        if (strncmp(e->d_name, "OPTIONS-", 8) != 0) {
            continue;
        }
        char *path = support_path_join(db, e->d_name);
        char *text = support_read_file(path, NULL);
        unsigned lines = 0;
        for (const char *at = text; (at = strstr(at, "\n  compression=kLZ4Compression\n")) != NULL;
             at++) {
            lines++;
        }
        ck_assert_uint_eq(lines, FAMILIES);
        found++;
        free(text);
        free(path);
    }
    ck_assert_uint_ge(found, 1);
    closedir(entries);
    free(db);
}
END_TEST

START_TEST(test_watch_is_told_of_each_acknowledged_group)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    uint64_t told = 0;
    d->ops->watch(d, fd);
    ck_assert_int_eq(fixture_put(d, fixture_id(1), 1, "a"), RATOON_OK);
    ck_assert_int_eq(fixture_put(d, fixture_id(1), 2, "b"), RATOON_OK);
    ck_assert_int_eq(fixture_put(d, fixture_id(1), 2, "refused"), RATOON_ERR_CONFLICT);
    ck_assert_int_eq(read(fd, &told, sizeof told), sizeof told);
    ck_assert_uint_eq(told, 2);
    d->ops->watch(d, -1);
    ck_assert_int_eq(fixture_put(d, fixture_id(1), 3, "c"), RATOON_OK);
    ck_assert_int_lt(read(fd, &told, sizeof told), 0);
    close(fd);
}
END_TEST

/* ---- lists ---- */

static void put_row(uint8_t run, uint64_t created, ratoon_run_status status, const char *subject,
                    const char *pipeline)
{
    uint64_t head = 0;
    ck_assert_int_eq(d->ops->head(d, fixture_id(run), &head, NULL), RATOON_OK);
    const ratoon__run_row row = {.run = fixture_id(run),
                                 .root = fixture_id(run),
                                 .created_at = created,
                                 .status = status,
                                 .subject = subject,
                                 .pipeline = pipeline};
    ratoon__append a = {.lineage = fixture_id(run),
                        .number = head + 1,
                        .data = "x",
                        .size = 1,
                        .rows = &row,
                        .rows_count = 1};
    ck_assert_int_eq(fixture_append(d, &a), RATOON_OK);
}

static const char *listed(ratoon__index index, const char *key, uint64_t before_time,
                          uint8_t before_id, uint32_t limit)
{
    static fixture_list list;
    list.text[0] = '\0';
    const ratoon__list_query query = {.index = index,
                                      .key = key,
                                      .from_id = fixture_id(before_id),
                                      .before_time = before_time,
                                      .before_id = fixture_id(before_id),
                                      .limit = limit};
    ck_assert_int_eq(d->ops->list(d, &query, fixture_list_row, &list, NULL), RATOON_OK);
    return list.text;
}

START_TEST(test_L09_lists_go_by_creation_time_then_id_descending)
{
    put_row(1, 100, RATOON_RUN_RUNNING, "a", "p");
    put_row(2, 300, RATOON_RUN_RUNNING, "ab", "p");
    put_row(3, 200, RATOON_RUN_QUEUED, "a", "pp");
    put_row(4, 200, RATOON_RUN_RUNNING, "", "p");
    put_row(5, 200, RATOON_RUN_RUNNING, "a", "p");
    for (int round = 0; round < 2; round++) {
        ck_assert_str_eq(listed(RATOON__INDEX_TIME, NULL, 0, 0, 1000), "02 05 04 03 01 ");
        ck_assert_str_eq(listed(RATOON__INDEX_TIME, NULL, 0, 0, 2), "02 05 ");
        ck_assert_str_eq(listed(RATOON__INDEX_TIME, NULL, 200, 5, 2), "04 03 ");
        ck_assert_str_eq(listed(RATOON__INDEX_TIME, NULL, 200, 3, 9), "01 ");
        ck_assert_str_eq(listed(RATOON__INDEX_STATUS, "running", 0, 0, 9), "02 05 04 01 ");
        ck_assert_str_eq(listed(RATOON__INDEX_STATUS, "failed", 0, 0, 9), "");
        ck_assert_str_eq(listed(RATOON__INDEX_SUBJECT, "a", 0, 0, 9), "05 03 01 ");
        ck_assert_str_eq(listed(RATOON__INDEX_SUBJECT, "a", 200, 5, 9), "03 01 ");
        ck_assert_str_eq(listed(RATOON__INDEX_SUBJECT, "ab", 0, 0, 9), "02 ");
        ck_assert_str_eq(listed(RATOON__INDEX_PIPELINE, "p", 0, 0, 9), "02 05 04 01 ");
        ck_assert_str_eq(listed(RATOON__INDEX_PIPELINE, "pp", 0, 0, 9), "03 ");
        ck_assert_str_eq(listed(RATOON__INDEX_ID, NULL, 0, 3, 9), "03 04 05 ");
        reopen();
    }
}
END_TEST

START_TEST(test_L11_a_changed_status_moves_at_once_in_lists)
{
    static const struct {
        ratoon_run_status status;
        const char *running, *failed;
    } steps[] = {{RATOON_RUN_RUNNING, "01 ", ""},
                 {RATOON_RUN_FAILED, "", "01 "},
                 {RATOON_RUN_RUNNING, "01 ", ""},
                 {RATOON_RUN_FAILED, "", "01 "}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        put_row(1, 100, steps[i].status, "s", "p");
        if (i == 2) {
            reopen();
        }
        ck_assert_str_eq(listed(RATOON__INDEX_STATUS, "running", 0, 0, 9), steps[i].running);
        ck_assert_str_eq(listed(RATOON__INDEX_STATUS, "failed", 0, 0, 9), steps[i].failed);
        ck_assert_str_eq(listed(RATOON__INDEX_TIME, NULL, 0, 0, 9), "01 ");
    }
}
END_TEST

static bool note_claim(void *ctx, const char *name, ratoon_id holder)
{
    fixture_list *list = ctx;
    size_t used = strlen(list->text);
    snprintf(list->text + used, sizeof list->text - used, "%s=%02x ", name, holder.bytes[0]);
    return strcmp(name, "key:stop") != 0;
}

START_TEST(test_claims_are_listed_by_prefix_and_name)
{
    static const char *const names[] = {"key:b", "key:", "scope:x", "key:ab", "key:stop", "key:a"};
    for (uint8_t i = 0; i < 6; i++) {
        ck_assert_int_eq(fixture_claim(d, fixture_id((uint8_t)(i + 1)), 1, names[i], true),
                         RATOON_OK);
    }
    static const struct {
        const char *prefix, *after, *expected;
    } cases[] = {
        {"key:", "", "key:=02 key:a=06 key:ab=04 key:b=01 key:stop=05 "},
        {"key:", "key:", "key:a=06 key:ab=04 key:b=01 key:stop=05 "},
        {"key:", "key:a", "key:ab=04 key:b=01 key:stop=05 "},
        {"key:", "key:aa", "key:ab=04 key:b=01 key:stop=05 "},
        {"key:a", "key:", "key:a=06 key:ab=04 "},
        {"key:", "zzz", ""},
        {"", "", "key:=02 key:a=06 key:ab=04 key:b=01 key:stop=05 "},
        {"scope:", "", "scope:x=03 "},
        {"none", "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_list list = {0};
        ck_assert_int_eq(
            d->ops->claims(d, cases[i].prefix, cases[i].after, note_claim, &list, NULL), RATOON_OK);
        ck_assert_str_eq(list.text, cases[i].expected);
    }
}
END_TEST

START_TEST(test_list_refuses_what_it_can_not_answer)
{
    fixture_list list = {0};
    ratoon__list_query query = {.index = RATOON__INDEX_STATUS, .key = "runing", .limit = 1};
    ck_assert_int_eq(d->ops->list(d, &query, fixture_list_row, &list, NULL), RATOON_ERR_USAGE);
    query = (ratoon__list_query){.index = RATOON__INDEX_TIME, .limit = 0};
    ck_assert_int_eq(d->ops->list(d, &query, fixture_list_row, &list, NULL), RATOON_ERR_USAGE);
    query.limit = 1001;
    ck_assert_int_eq(d->ops->list(d, &query, fixture_list_row, &list, NULL), RATOON_ERR_USAGE);
}
END_TEST

START_TEST(test_derived_rows_are_written_in_the_background_and_stay_findable)
{
    enum { RUNS = 10000 };
    d->ops->close(d);
    d = fixture_open(store, RATOON_DURABILITY_NONE);
    for (uint32_t i = 1; i <= RUNS; i++) {
        ratoon_id run = fixture_id(1);
        memcpy(run.bytes + 8, &i, sizeof i);
        const ratoon__run_row row = {.run = run,
                                     .root = fixture_id(9),
                                     .created_at = i,
                                     .status = RATOON_RUN_RUNNING,
                                     .subject = "s",
                                     .pipeline = "p"};
        ratoon__append a = {.lineage = fixture_id(9),
                            .number = i,
                            .data = "x",
                            .size = 1,
                            .rows = &row,
                            .rows_count = 1};
        ck_assert_int_eq(fixture_append(d, &a), RATOON_OK);
        ratoon_id root;
        uint32_t some = 1 + i / 2;
        memcpy(run.bytes + 8, &some, sizeof some);
        ck_assert_int_eq(d->ops->run_get(d, run, &root, NULL), RATOON_OK);
        ck_assert(ratoon_id_equal(root, fixture_id(9)));
    }
    uint64_t position = 0;
    ck_assert_int_eq(ratoon__rocksdb_derived_position(d, &position, NULL), RATOON_OK);
    ck_assert_uint_eq(position, RUNS);
}
END_TEST

/* ---- what is there and who has it ---- */

START_TEST(test_E04_opening_never_creates)
{
    ratoon__driver *other = NULL;
    ratoon_error error = {0};
    const ratoon__driver_options options = {0};
    char *path = support_path_join(folder, "nothing");
    ck_assert_int_eq(ratoon__rocksdb_open(path, &options, &other, &error), RATOON_ERR_NOT_FOUND);
    ck_assert_ptr_null(other);
    ck_assert_ptr_nonnull(strstr(error.message, path));
    struct stat there;
    ck_assert_int_ne(stat(path, &there), 0);
    free(path);
}
END_TEST

START_TEST(test_E04_creating_never_replaces)
{
    ratoon_error error = {0};
    char *file = support_path_join(folder, "file");
    char *empty = support_path_join(folder, "empty");
    char *slashes = NULL;
    ck_assert_int_gt(asprintf(&slashes, "%s//", store), 0);
    support_write_file(file, "x", 1);
    ck_assert_int_eq(mkdir(empty, S_IRWXU), 0);
    ck_assert_int_eq(fixture_put(d, fixture_id(1), 1, "kept"), RATOON_OK);
    ck_assert_int_eq(ratoon__rocksdb_create(file, &error), RATOON_ERR_EXISTS);
    ck_assert_int_eq(ratoon__rocksdb_create(empty, &error), RATOON_ERR_EXISTS);
    ck_assert_int_eq(ratoon__rocksdb_create(store, &error), RATOON_ERR_EXISTS);
    ck_assert_int_eq(ratoon__rocksdb_create(slashes, &error), RATOON_ERR_EXISTS);
    reopen();
    uint64_t head = 0;
    ck_assert_int_eq(d->ops->head(d, fixture_id(1), &head, NULL), RATOON_OK);
    ck_assert_uint_eq(head, 1);
    ck_assert_uint_eq(fixture_count_files(folder), 3); /* no half-made store beside them */
    free(slashes);
    free(empty);
    free(file);
}
END_TEST

START_TEST(test_open_store_is_busy_and_stays_so)
{
    const ratoon__driver_options options = {0};
    for (int i = 0; i < 3; i++) {
        ratoon__driver *other = NULL;
        ratoon_error error = {0};
        ck_assert_int_eq(ratoon__rocksdb_open(store, &options, &other, &error),
                         RATOON_ERR_STORE_BUSY);
        ck_assert_ptr_null(other);
        char process[32];
        snprintf(process, sizeof process, "process %d ", (int)getpid());
        ck_assert_ptr_nonnull(strstr(error.message, process));
    }
    ck_assert_int_eq(fixture_put(d, fixture_id(1), 1, "a"), RATOON_OK);
    reopen();
}
END_TEST

/* ---- what every driver must do ---- */

enum { SUITE_VALUE_MAX = 1 << 20 };

static ratoon__driver *suite_open_store(void)
{
    const ratoon__driver_options options = {.value_max = SUITE_VALUE_MAX};
    ratoon__driver *opened = NULL;
    ratoon_error error = {0};
    ck_assert_msg(ratoon__rocksdb_open(store, &options, &opened, &error) == RATOON_OK, "%s",
                  error.message);
    return opened;
}

static ratoon__driver *suite_open(void *ctx)
{
    (void)ctx;
    setup();
    d->ops->close(d);
    d = NULL;
    return suite_open_store();
}

static ratoon__driver *suite_reopen(void *ctx, ratoon__driver *driver)
{
    (void)ctx;
    driver->ops->close(driver);
    return suite_open_store();
}

static void suite_close(void *ctx, ratoon__driver *driver)
{
    (void)ctx;
    driver->ops->close(driver);
    teardown();
}

static const driver_suite_target suite_target = {
    .open = suite_open,
    .reopen = suite_reopen,
    .close = suite_close,
    .value_max = SUITE_VALUE_MAX,
};

static TCase *add_case(Suite *s, const char *name)
{
    TCase *tc = tcase_create(name);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    suite_add_tcase(s, tc);
    return tc;
}

static Suite *suite(void)
{
    Suite *s = suite_create("rocksdb_driver");
    TCase *append = add_case(s, "append");
    tcase_add_test(append, test_L11_reopening_keeps_all_that_was_acknowledged);
    tcase_add_test(append, test_append_conflicts_name_the_head);
    tcase_add_test(append, test_append_group_is_judged_one_by_one_in_order);
    tcase_add_test(append, test_claims_are_taken_kept_and_released);
    tcase_add_test(append, test_S06_value_over_the_limit_is_refused_alone);
    tcase_add_test(append, test_S05_a_value_is_stored_once);
    TCase *reading = add_case(s, "read");
    tcase_add_test(reading, test_read_gives_aligned_commits_in_key_order);
    tcase_add_test(reading, test_Q06_tail_starts_at_any_position);
    tcase_add_test(reading, test_L11_Q06_threads_see_what_was_acknowledged_without_gap_or_repeat);
    tcase_add_test(reading, test_tables_are_compressed_by_lz4);
    tcase_add_test(reading, test_watch_is_told_of_each_acknowledged_group);
    TCase *list = add_case(s, "list");
    tcase_add_test(list, test_L09_lists_go_by_creation_time_then_id_descending);
    tcase_add_test(list, test_L11_a_changed_status_moves_at_once_in_lists);
    tcase_add_test(list, test_claims_are_listed_by_prefix_and_name);
    tcase_add_test(list, test_list_refuses_what_it_can_not_answer);
    tcase_add_test(list, test_derived_rows_are_written_in_the_background_and_stay_findable);
    TCase *opening = add_case(s, "open");
    tcase_add_test(opening, test_E04_opening_never_creates);
    tcase_add_test(opening, test_E04_creating_never_replaces);
    tcase_add_test(opening, test_open_store_is_busy_and_stays_so);
    driver_suite_add(s, &suite_target);
    return s;
}

RATOON_TEST_MAIN(suite)

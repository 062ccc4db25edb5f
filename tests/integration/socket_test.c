/* Operations on a store that another process might own: through its socket. */
#include "tests/support/driver_suite.h"
#include "tests/support/served_store.h"
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

#define THREADS 4
#define APPENDS 100

/* ---- operations ---- */

START_TEST(test_L11_what_one_client_appended_all_see)
{
    served *s = served_new();
    ratoon__driver *a = served_client(s);
    ratoon__driver *b = served_client(s);
    ratoon__driver *drivers[] = {a, b, s->inner};
    for (uint64_t i = 0; i < 30; i++) {
        ck_assert_uint_eq(raw_append_next(drivers[i % 3], raw_id(1), 1, i), i + 1);
        for (size_t j = 0; j < 3; j++) {
            uint64_t head;
            ck_assert_int_eq(drivers[j]->ops->head(drivers[j], raw_id(1), &head, NULL), RATOON_OK);
            ck_assert_uint_eq(head, i + 1);
        }
    }
    a->ops->close(a);
    b->ops->close(b);
    served_free(s);
}
END_TEST

/* A commit of 1 MiB, so that a few fill a page. */
START_TEST(test_pages_of_large_commits)
{
    enum { COMMITS = 11, SIZE = 1 << 20 };
    served *s = served_new();
    ratoon__driver *d = served_client(s);
    char *data = calloc(1, SIZE);
    MUST(data != NULL);
    for (uint64_t i = 0; i < COMMITS; i++) {
        const raw_commit head = {raw_id(1), i + 1, 1, i};
        memcpy(data, &head, sizeof head);
        ratoon__append append = raw_append(&head);
        append.data = data;
        append.size = SIZE;
        ck_assert_int_eq(d->ops->append(d, &append, 1, true, NULL), RATOON_OK);
        ck_assert_int_eq(append.status, RATOON_OK);
    }
    raw_commits read = {0};
    raw_commits tail = {0};
    raw_commits part = {.stop_at = 6};
    ck_assert_int_eq(d->ops->read(d, raw_id(0), 1, false, false, raw_commits_collect, &read, NULL),
                     RATOON_OK);
    ck_assert_int_eq(d->ops->tail(d, 1, 0, raw_commits_collect, &tail, NULL), RATOON_OK);
    ck_assert_int_eq(d->ops->read(d, raw_id(1), 1, true, true, raw_commits_collect, &part, NULL),
                     RATOON_OK);
    ck_assert_uint_eq(read.count, COMMITS);
    ck_assert_uint_eq(tail.count, COMMITS);
    ck_assert_uint_eq(part.count, 6);
    for (uint64_t i = 0; i < COMMITS; i++) {
        ck_assert_uint_eq(read.commits[i].serial, i);
        ck_assert_uint_eq(tail.positions[i], i + 1);
    }
    raw_commits_free(&read);
    raw_commits_free(&tail);
    raw_commits_free(&part);
    free(data);
    d->ops->close(d);
    served_free(s);
}
END_TEST

typedef struct values_seen {
    size_t count, bytes;
    ratoon_digest last;
} values_seen;

static bool see_value(void *ctx, const ratoon_digest *digest, const void *data, size_t size)
{
    values_seen *v = ctx;
    MUST(v->count == 0 || memcmp(v->last.bytes, digest->bytes, sizeof digest->bytes) < 0);
    MUST(size > 0 && ((const uint8_t *)data)[size - 1] == digest->bytes[0]);
    v->last = *digest;
    v->count++;
    v->bytes += size;
    return true;
}

START_TEST(test_pages_of_large_values)
{
    enum { VALUES = 20, SIZE = 1 << 20 };
    served *s = served_new();
    ratoon__driver *d = served_client(s);
    ratoon__stored_value values[VALUES];
    for (size_t i = 0; i < VALUES; i++) {
        char *data = malloc(SIZE);
        MUST(data != NULL);
        memset(data, (int)(200 - i), SIZE);
        values[i] = (ratoon__stored_value){.data = data, .size = SIZE};
        memset(values[i].digest.bytes, (int)(200 - i), sizeof values[i].digest.bytes);
    }
    const raw_commit commit = {raw_id(1), 1, 1, 1};
    ratoon__append append = raw_append(&commit);
    append.values = values;
    append.values_count = VALUES;
    ck_assert_int_eq(d->ops->append(d, &append, 1, true, NULL), RATOON_OK);
    ck_assert_int_eq(append.status, RATOON_OK);
    values_seen seen = {0};
    ck_assert_int_eq(d->ops->values(d, see_value, &seen, NULL), RATOON_OK);
    ck_assert_uint_eq(seen.count, VALUES);
    ck_assert_uint_eq(seen.bytes, (size_t)VALUES * SIZE);
    ratoon_buffer buffer;
    ck_assert_int_eq(d->ops->value_get(d, &values[3].digest, &buffer, NULL), RATOON_OK);
    ck_assert_uint_eq(buffer.size, SIZE);
    ck_assert_mem_eq(buffer.data, values[3].data, SIZE);
    ratoon_buffer_free(&buffer);
    for (size_t i = 0; i < VALUES; i++) {
        free((void *)(uintptr_t)values[i].data);
    }
    d->ops->close(d);
    served_free(s);
}
END_TEST

/* ---- races ---- */

typedef struct racer {
    pthread_t thread;
    ratoon__driver *driver;
    uint64_t name;
    atomic_uint *won;
} racer;

static void *race_appends(void *argument)
{
    racer *r = argument;
    for (uint64_t i = 0; i < APPENDS; i++) {
        (void)raw_append_next(r->driver, raw_id(1), r->name, i);
    }
    return NULL;
}

/* Threads, two to a connection and some at the owner, append to one lineage. */
START_TEST(test_append_races_lose_nothing)
{
    served *s = served_new();
    ratoon__driver *clients[2] = {served_client(s), served_client(s)};
    racer racers[THREADS + 1];
    for (size_t i = 0; i <= THREADS; i++) {
        racers[i] = (racer){.driver = i == THREADS ? s->inner : clients[i / 2], .name = i};
        pthread_create(&racers[i].thread, NULL, race_appends, &racers[i]);
    }
    for (size_t i = 0; i <= THREADS; i++) {
        pthread_join(racers[i].thread, NULL);
    }
    raw_commits all = {0};
    ck_assert_int_eq(clients[0]->ops->read(clients[0], raw_id(1), 1, true, false,
                                           raw_commits_collect, &all, NULL),
                     RATOON_OK);
    ck_assert_uint_eq(all.count, (THREADS + 1) * APPENDS);
    for (uint64_t i = 0; i < all.count; i++) {
        ck_assert_uint_eq(all.commits[i].number, i + 1);
    }
    for (uint64_t i = 0; i < APPENDS; i++) {
        ck_assert_uint_eq(raw_commits_find(&all, i % THREADS, i), 1);
    }
    raw_commits_free(&all);
    clients[0]->ops->close(clients[0]);
    clients[1]->ops->close(clients[1]);
    served_free(s);
}
END_TEST

static void *race_branch(void *argument)
{
    racer *r = argument;
    for (uint64_t number = 1; number <= APPENDS; number++) {
        ratoon__append result;
        ratoon_status status =
            raw_append_one(r->driver, raw_id(1), number, r->name, number, &result);
        MUST(status == RATOON_OK || (status == RATOON_ERR_CONFLICT && result.head >= number));
        if (status == RATOON_OK) {
            atomic_fetch_add(r->won, 1);
        }
    }
    return NULL;
}

/* All want the same place, a hundred times over: each time one gets it, the others are refused. */
START_TEST(test_R08_of_requests_at_once_one_gets_the_place)
{
    served *s = served_new();
    ratoon__driver *clients[THREADS];
    racer racers[THREADS];
    atomic_uint won = 0;
    for (size_t i = 0; i < THREADS; i++) {
        clients[i] = served_client(s);
        racers[i] = (racer){.driver = clients[i], .name = i, .won = &won};
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_create(&racers[i].thread, NULL, race_branch, &racers[i]);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(racers[i].thread, NULL);
        clients[i]->ops->close(clients[i]);
    }
    ck_assert_uint_eq(won, APPENDS);
    uint64_t head;
    ck_assert_int_eq(s->inner->ops->head(s->inner, raw_id(1), &head, NULL), RATOON_OK);
    ck_assert_uint_eq(head, APPENDS);
    served_free(s);
}
END_TEST

static void *race_claim(void *argument)
{
    racer *r = argument;
    const raw_commit commit = {raw_id((uint32_t)r->name), 1, r->name, 0};
    const ratoon__claim claim = {.name = "key:k", .run = raw_id((uint32_t)r->name), .take = true};
    ratoon__append append = raw_append(&commit);
    append.claims = &claim;
    append.claims_count = 1;
    MUST(r->driver->ops->append(r->driver, &append, 1, true, NULL) == RATOON_OK);
    MUST(append.status == RATOON_OK || append.status == RATOON_ERR_CLAIMED);
    if (append.status == RATOON_OK) {
        atomic_fetch_add(r->won, 1);
    } else {
        ratoon_id holder;
        MUST(r->driver->ops->claim_get(r->driver, "key:k", &holder, NULL) == RATOON_OK);
        MUST(ratoon_id_equal(holder, append.holder));
    }
    return NULL;
}

START_TEST(test_R09_one_of_many_takes_a_name)
{
    served *s = served_new();
    ratoon__driver *clients[THREADS];
    racer racers[THREADS];
    atomic_uint won = 0;
    for (size_t i = 0; i < THREADS; i++) {
        clients[i] = served_client(s);
        racers[i] = (racer){.driver = clients[i], .name = i + 1, .won = &won};
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_create(&racers[i].thread, NULL, race_claim, &racers[i]);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(racers[i].thread, NULL);
        clients[i]->ops->close(clients[i]);
    }
    ck_assert_uint_eq(won, 1);
    served_free(s);
}
END_TEST

/* ---- the feed ---- */

/* Waiting readers hold up nobody on their connection, and are woken by a commit of whomever. */
START_TEST(test_Q06_readers_that_wait_are_woken)
{
    served *s = served_new();
    ratoon__driver *client = served_client(s);
    ratoon__driver *other = served_client(s);
    served_reader readers[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        readers[i] =
            (served_reader){.driver = i == 0 ? other : client, .timeout_ms = SERVED_WAIT_MS};
        served_reader_start(&readers[i]);
    }
    uint64_t end;
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(client->ops->end(client, &end, NULL), RATOON_OK);
    }
    ck_assert_uint_eq(end, 1);
    (void)raw_append_next(_i == 0 ? s->inner : client, raw_id(1), 1, 1);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(readers[i].thread, NULL);
        ck_assert_int_eq(readers[i].status, RATOON_OK);
        ck_assert_uint_eq(readers[i].seen.count, 1);
        ck_assert_uint_lt(readers[i].took_ms, SERVED_WAIT_MS);
        raw_commits_free(&readers[i].seen);
    }
    client->ops->close(client);
    other->ops->close(other);
    served_free(s);
}
END_TEST

START_TEST(test_tail_times_out_in_time)
{
    served *s = served_new();
    ratoon__driver *client = served_client(s);
    const uint32_t timeouts_ms[] = {0, 1, 100};
    for (size_t i = 0; i < 3; i++) {
        served_reader r = {.driver = client, .timeout_ms = timeouts_ms[i]};
        (void)served_read(&r);
        ck_assert_int_eq(r.status, RATOON_ERR_TIMED_OUT);
        ck_assert_uint_ge(r.took_ms + 1, timeouts_ms[i]);
        ck_assert_uint_lt(r.took_ms, timeouts_ms[i] + 1000);
    }
    client->ops->close(client);
    served_free(s);
}
END_TEST

/* ---- the contract of every driver ---- */

static served *suite_store;

static ratoon__driver *suite_open(void *ctx)
{
    (void)ctx;
    suite_store = served_new();
    return served_client(suite_store);
}

static void suite_close(void *ctx, ratoon__driver *d)
{
    (void)ctx;
    d->ops->close(d);
    served_free(suite_store);
}

static const driver_suite_target suite_target = {.open = suite_open, .close = suite_close};

static Suite *socket_suite(void)
{
    Suite *suite = suite_create("socket");
    TCase *tcase = tcase_create("operations");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_L11_what_one_client_appended_all_see);
    tcase_add_test(tcase, test_pages_of_large_commits);
    tcase_add_test(tcase, test_pages_of_large_values);
    tcase_add_test(tcase, test_append_races_lose_nothing);
    tcase_add_test(tcase, test_R08_of_requests_at_once_one_gets_the_place);
    tcase_add_test(tcase, test_R09_one_of_many_takes_a_name);
    tcase_add_loop_test(tcase, test_Q06_readers_that_wait_are_woken, 0, 2);
    tcase_add_test(tcase, test_tail_times_out_in_time);
    suite_add_tcase(suite, tcase);
    driver_suite_add(suite, &suite_target);
    return suite;
}

RATOON_TEST_MAIN(socket_suite)

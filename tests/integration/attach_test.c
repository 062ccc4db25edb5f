/* Attaching to a store while its owners come and go. Other processes are this program again,
 * started with a role: a forked child could not use RocksDB. */
#include "log/attach.h"
#include "log/monotonic.h"
#include "tests/support/driver_suite.h"
#include "tests/support/raw_commits.h"
#include "tests/support/role.h"
#include "tests/support/support.h"

#include <glob.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 20000
#define APPENDS 200

static const ratoon__driver_options options;

/* ---- hooks ---- */

typedef struct hooks_seen {
    atomic_uint owner, disconnect;
} hooks_seen;

static ratoon_status see_owner(void *ctx, ratoon__driver *owned, ratoon_error *error)
{
    uint64_t end;
    ratoon_status status = owned->ops->end(owned, &end, error);
    atomic_fetch_add(&((hooks_seen *)ctx)->owner, 1);
    return status;
}

static void see_disconnect(void *ctx, ratoon__driver *owned)
{
    uint64_t end;
    MUST(owned->ops->end(owned, &end, NULL) == RATOON_OK);
    atomic_fetch_add(&((hooks_seen *)ctx)->disconnect, 1);
}

static ratoon__driver *attach(const char *path, bool no_serve, hooks_seen *seen)
{
    const ratoon__attach_hooks hooks = {see_owner, see_disconnect, seen};
    ratoon__driver *d = NULL;
    ratoon_error error = {0};
    ratoon_status status =
        ratoon__attach(path, &options, no_serve, WAIT_MS, seen != NULL ? &hooks : NULL, &d, &error);
    if (status != RATOON_OK) {
        fprintf(stderr, "attach: %s: %s\n", ratoon_status_name(status), error.message);
        abort();
    }
    return d;
}

static char *new_store(char **folder)
{
    *folder = support_temp_dir("attach");
    char *path = support_path_join(*folder, "store");
    ratoon_error error = {0};
    ratoon_status status = ratoon__rocksdb_create(path, &error);
    if (status != RATOON_OK) {
        fprintf(stderr, "create: %s\n", error.message);
        abort();
    }
    return path;
}

/* ---- roles of other processes ---- */

/* Owner, that serves or not. */
static int role_own(const char *path, bool no_serve)
{
    ratoon__driver *d = attach(path, no_serve, NULL);
    role_say_ready();
    role_wait_for_end();
    d->ops->close(d);
    return EXIT_SUCCESS;
}

/* Owner that kills itself when the first append comes: before it is stored, or after, unanswered.
 */
static ratoon__driver *deadly_inner;
static bool deadly_after;
static ratoon_status deadly_append(ratoon__driver *d, ratoon__append *appends, size_t count,
                                   bool sync, ratoon_error *error)
{
    (void)d;
    if (deadly_after) {
        (void)!deadly_inner->ops->append(deadly_inner, appends, count, sync, error);
    }
    raise(SIGKILL);
    abort();
}

static ratoon_status deadly_end(ratoon__driver *d, uint64_t *end, ratoon_error *error)
{
    (void)d;
    return deadly_inner->ops->end(deadly_inner, end, error);
}

static int role_die(const char *path, bool after)
{
    static const ratoon__driver_ops ops = {.append = deadly_append, .end = deadly_end};
    static ratoon__driver deadly = {.ops = &ops};
    ratoon__server *server;
    deadly_after = after;
    MUST(ratoon__rocksdb_open(path, &options, &deadly_inner, NULL) == RATOON_OK);
    MUST(ratoon__server_start(&deadly, path, NULL, NULL, &server, NULL) == RATOON_OK);
    role_say_ready();
    role_wait_for_end();
    return EXIT_FAILURE;
}

/* Client that appends to lineage 1 as a writer of its own. */
static int role_append(const char *path, uint64_t writer)
{
    ratoon__driver *d = attach(path, false, NULL);
    role_say_ready();
    for (uint64_t i = 0; i < APPENDS; i++) {
        (void)raw_append_next(d, raw_id(1), writer, i);
    }
    /* Whoever owns it meanwhile stays until the others are done. */
    role_say_done();
    role_wait_for_end();
    d->ops->close(d);
    return EXIT_SUCCESS;
}

static int run_role(const char *role, const char *path, const char *argument)
{
    role_begin();
    return strcmp(role, "own") == 0      ? role_own(path, false)
           : strcmp(role, "hold") == 0   ? role_own(path, true)
           : strcmp(role, "die") == 0    ? role_die(path, strcmp(argument, "after") == 0)
           : strcmp(role, "append") == 0 ? role_append(path, strtoull(argument, NULL, 10))
                                         : EXIT_FAILURE;
}

/* ---- tests ---- */

START_TEST(test_attach_first_owns_second_is_client)
{
    char *folder;
    char *path = new_store(&folder);
    hooks_seen a = {0};
    hooks_seen b = {0};
    ratoon__driver *owner = attach(path, false, &a);
    ratoon__driver *client = attach(path, false, &b);
    ck_assert(ratoon__attach_is_owner(owner));
    ck_assert(!ratoon__attach_is_owner(client));
    ck_assert_uint_eq(raw_append_next(client, raw_id(1), 1, 1), 1);
    ck_assert_uint_eq(raw_append_next(owner, raw_id(1), 1, 2), 2);
    raw_commits seen = {0};
    ck_assert_int_eq(
        client->ops->read(client, raw_id(1), 1, true, false, raw_commits_collect, &seen, NULL),
        RATOON_OK);
    ck_assert_uint_eq(seen.count, 2);
    raw_commits_free(&seen);
    ck_assert_uint_eq(a.owner, 1);
    ck_assert_uint_eq(b.owner, 0);
    client->ops->close(client);
    uint64_t until = ratoon__monotonic_ms() + WAIT_MS;
    while (atomic_load(&a.disconnect) == 0 && ratoon__monotonic_ms() < until) {
        ratoon__sleep_ms(1);
    }
    ck_assert_uint_eq(a.disconnect, 1);
    owner->ops->close(owner);
    support_temp_dir_free(folder);
    free(path);
}
END_TEST

START_TEST(test_attach_goes_on_when_owner_closes)
{
    char *folder;
    char *path = new_store(&folder);
    hooks_seen seen = {0};
    ratoon__driver *owner = attach(path, false, NULL);
    ratoon__driver *client = attach(path, false, &seen);
    (void)raw_append_next(client, raw_id(1), 1, 1);
    owner->ops->close(owner);
    ck_assert_uint_eq(raw_append_next(client, raw_id(1), 1, 2), 2);
    ck_assert(ratoon__attach_is_owner(client));
    ck_assert_uint_eq(seen.owner, 1);
    owner = attach(path, false, NULL); /* the other way round */
    ck_assert(!ratoon__attach_is_owner(owner));
    ck_assert_uint_eq(raw_append_next(owner, raw_id(1), 1, 3), 3);
    owner->ops->close(owner);
    client->ops->close(client);
    support_temp_dir_free(folder);
    free(path);
}
END_TEST

START_TEST(test_attach_no_store_is_not_found)
{
    char *folder = support_temp_dir("attach");
    char *path = support_path_join(folder, "store");
    ratoon__driver *d = NULL;
    ck_assert_int_eq(ratoon__attach(path, &options, false, WAIT_MS, NULL, &d, NULL),
                     RATOON_ERR_NOT_FOUND);
    ck_assert_ptr_null(d);
    support_temp_dir_free(folder);
    free(path);
}
END_TEST

/* The log that holds what was acknowledged is gone: whoever opens the store hears of it, every
 * time, and may read what is left. It isn't served, as its readers would not hear of it. */
START_TEST(test_E04_damaged_store_is_readable_and_not_served)
{
    char *folder;
    char *path = new_store(&folder);
    ratoon__driver *d = attach(path, false, NULL);
    (void)raw_append_next(d, raw_id(1), 1, 1);
    d->ops->close(d);
    char *pattern = support_path_join(path, "db/*.log");
    glob_t logs;
    ck_assert_int_eq(glob(pattern, 0, NULL, &logs), 0);
    for (size_t i = 0; i < logs.gl_pathc; i++) {
        ck_assert_int_eq(unlink(logs.gl_pathv[i]), 0);
    }
    globfree(&logs);
    free(pattern);
    hooks_seen seen = {0};
    const ratoon__attach_hooks hooks = {see_owner, see_disconnect, &seen};
    d = NULL;
    ck_assert_int_eq(ratoon__attach(path, &options, false, WAIT_MS, &hooks, &d, NULL),
                     RATOON_ERR_DAMAGED);
    ck_assert_ptr_nonnull(d);
    ck_assert_uint_eq(seen.owner, 0);
    uint64_t head;
    ck_assert_int_eq(d->ops->head(d, raw_id(1), &head, NULL), RATOON_OK);
    ck_assert_uint_eq(head, 0);
    ratoon__driver *other = NULL;
    ck_assert_int_eq(ratoon__attach(path, &options, false, 50, NULL, &other, NULL),
                     RATOON_ERR_STORE_BUSY);
    ck_assert_ptr_null(other);
    d->ops->close(d);
    support_temp_dir_free(folder);
    free(path);
}
END_TEST

/* A process holds the store: without serving it, or stopped while it does. */
START_TEST(test_attach_busy_names_process)
{
    char *folder;
    char *path = new_store(&folder);
    role_process holder = role_start(_i == 0 ? "hold" : "own", path, "");
    if (_i == 1) {
        kill(holder.pid, SIGSTOP);
        int status;
        ck_assert_int_eq(waitpid(holder.pid, &status, WUNTRACED), holder.pid);
    }
    ratoon__driver *d = NULL;
    ratoon_error error = {0};
    uint64_t before = ratoon__monotonic_ms();
    ck_assert_int_eq(ratoon__attach(path, &options, false, 150, NULL, &d, &error),
                     RATOON_ERR_STORE_BUSY);
    ck_assert_uint_ge(ratoon__monotonic_ms() - before, 150);
    ck_assert_ptr_null(d);
    char pid[32];
    (void)snprintf(pid, sizeof pid, "process %d (", (int)holder.pid);
    ck_assert_msg(strstr(error.message, pid) != NULL, "%s", error.message);
    ck_assert_ptr_nonnull(strstr(error.message, _i == 0 ? "(test hold" : "(test own"));
    if (_i == 1) {
        kill(holder.pid, SIGCONT);
    }
    ck_assert_int_eq(role_join(&holder), EXIT_SUCCESS);
    d = attach(path, false, NULL);
    ck_assert(ratoon__attach_is_owner(d));
    d->ops->close(d);
    support_temp_dir_free(folder);
    free(path);
}
END_TEST

/* The owner dies with an append in its hands: the caller hears OK, once it is there once. */
START_TEST(test_L11_append_whose_answer_was_lost_is_there_once)
{
    char *folder;
    char *path = new_store(&folder);
    hooks_seen hooks = {0};
    role_process owner = role_start("die", path, _i == 0 ? "before" : "after");
    ratoon__driver *d = attach(path, false, &hooks);
    const raw_commit commits[] = {
        {raw_id(1), 1, 7, 0}, {raw_id(1), 2, 7, 1}, {raw_id(2), 1, 7, 2}, {raw_id(2), 3, 7, 3}};
    ratoon__append appends[4];
    for (size_t i = 0; i < 4; i++) {
        appends[i] = raw_append(&commits[i]);
    }
    ck_assert_int_eq(d->ops->append(d, appends, 4, true, NULL), RATOON_OK);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(appends[i].status, RATOON_OK);
        ck_assert_uint_eq(appends[i].position, i + 1);
    }
    ck_assert_int_eq(appends[3].status, RATOON_ERR_CONFLICT);
    ck_assert_uint_eq(appends[3].head, 1);
    ck_assert(ratoon__attach_is_owner(d));
    ck_assert_uint_eq(hooks.owner, 1);
    ck_assert_int_eq(role_join(&owner), -SIGKILL);
    uint64_t end;
    ck_assert_int_eq(d->ops->end(d, &end, NULL), RATOON_OK);
    ck_assert_uint_eq(end, 4);
    d->ops->close(d);
    support_temp_dir_free(folder);
    free(path);
}
END_TEST

typedef struct feed {
    ratoon__driver *driver;
    raw_commits seen;
    atomic_uint_fast64_t last; /* position seen */
    atomic_bool enough;
} feed;

static void *read_feed(void *argument)
{
    feed *f = argument;
    uint64_t next = 1;
    while (!atomic_load(&f->enough)) {
        ratoon_status status =
            f->driver->ops->tail(f->driver, next, 50, raw_commits_collect, &f->seen, NULL);
        MUST(status == RATOON_OK || status == RATOON_ERR_TIMED_OUT);
        if (f->seen.count > 0) {
            next = f->seen.positions[f->seen.count - 1] + 1;
            atomic_store(&f->last, next - 1);
        }
    }
    return NULL;
}

typedef struct writer {
    ratoon__driver *driver;
    uint64_t name;
    atomic_uint *written;
} writer;

static void *write_commits(void *argument)
{
    writer *w = argument;
    for (uint64_t i = 0; i < APPENDS; i++) {
        (void)raw_append_next(w->driver, raw_id(1), w->name, i);
        atomic_fetch_add(w->written, 1);
    }
    return NULL;
}

/* Threads and another process append to one lineage; the owner is killed among it. */
START_TEST(test_Q06_feed_has_no_gap_over_owner_change)
{
    char *folder;
    char *path = new_store(&folder);
    role_process owner = role_start("own", path, "");
    role_process other = role_start("append", path, "9");
    ratoon__driver *d = attach(path, false, NULL);
    feed f = {.driver = d};
    atomic_uint written = 0;
    writer writers[2] = {{d, 1, &written}, {d, 2, &written}};
    pthread_t threads[3];
    pthread_create(&threads[2], NULL, read_feed, &f);
    for (size_t i = 0; i < 2; i++) {
        pthread_create(&threads[i], NULL, write_commits, &writers[i]);
    }
    while (atomic_load(&written) < APPENDS / 2) {
        ratoon__sleep_ms(1);
    }
    kill(owner.pid, SIGKILL);
    ck_assert_int_eq(role_join(&owner), -SIGKILL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    role_wait_done(&other);
    ck_assert_int_eq(role_join(&other),
                     EXIT_SUCCESS); /* it may have owned the store: changes again */

    uint64_t end;
    ck_assert_int_eq(d->ops->end(d, &end, NULL), RATOON_OK);
    ck_assert_uint_eq(end, 3 * APPENDS + 1);
    (void)raw_append_next(d, raw_id(2), 3, 0); /* the last one that the feed must see */
    uint64_t until = ratoon__monotonic_ms() + WAIT_MS;
    while (atomic_load(&f.last) < end && ratoon__monotonic_ms() < until) {
        ratoon__sleep_ms(1);
    }
    atomic_store(&f.enough, true);
    pthread_join(threads[2], NULL);
    ck_assert_uint_eq(f.seen.count, end);
    for (size_t i = 0; i < f.seen.count; i++) {
        ck_assert_uint_eq(f.seen.positions[i], i + 1);
    }
    for (uint64_t i = 0; i < APPENDS; i++) {
        ck_assert_uint_eq(raw_commits_find(&f.seen, 1, i), 1);
        ck_assert_uint_eq(raw_commits_find(&f.seen, 2, i), 1);
        ck_assert_uint_eq(raw_commits_find(&f.seen, 9, i), 1);
    }
    raw_commits_free(&f.seen);
    d->ops->close(d);
    support_temp_dir_free(folder);
    free(path);
}
END_TEST

/* ---- the contract of every driver, for a client of an owner in the same process ---- */

static struct {
    char *folder, *path;
    ratoon__driver *owner;
} suite_store;

static ratoon__driver *suite_attach(void)
{
    suite_store.owner = attach(suite_store.path, false, NULL);
    ratoon__driver *client = attach(suite_store.path, false, NULL);
    ck_assert(!ratoon__attach_is_owner(client));
    return client;
}

static ratoon__driver *suite_open(void *ctx)
{
    (void)ctx;
    suite_store.path = new_store(&suite_store.folder);
    return suite_attach();
}

static ratoon__driver *suite_reopen(void *ctx, ratoon__driver *d)
{
    (void)ctx;
    d->ops->close(d);
    suite_store.owner->ops->close(suite_store.owner);
    return suite_attach();
}

static void suite_close(void *ctx, ratoon__driver *d)
{
    (void)ctx;
    d->ops->close(d);
    suite_store.owner->ops->close(suite_store.owner);
    support_temp_dir_free(suite_store.folder);
    free(suite_store.path);
}

static const driver_suite_target suite_target = {
    .open = suite_open, .reopen = suite_reopen, .close = suite_close};

static Suite *attach_suite(void)
{
    Suite *suite = suite_create("attach");
    TCase *attaching = tcase_create("attach");
    tcase_set_timeout(attaching, 120);
    tcase_add_test(attaching, test_attach_first_owns_second_is_client);
    tcase_add_test(attaching, test_attach_goes_on_when_owner_closes);
    tcase_add_test(attaching, test_attach_no_store_is_not_found);
    tcase_add_test(attaching, test_E04_damaged_store_is_readable_and_not_served);
    tcase_add_loop_test(attaching, test_attach_busy_names_process, 0, 2);
    tcase_add_loop_test(attaching, test_L11_append_whose_answer_was_lost_is_there_once, 0, 2);
    tcase_add_test(attaching, test_Q06_feed_has_no_gap_over_owner_change);
    suite_add_tcase(suite, attaching);
    driver_suite_add(suite, &suite_target);
    return suite;
}

int main(int argc, char **argv)
{
    return argc > 3 ? run_role(argv[1], argv[2], argv[3]) : support_run_suite(attach_suite());
}

/* Executor locks: who holds one, and that the end of its holder is noticed. */
#include "log/attach.h"
#include "log/monotonic.h"
#include "tests/support/raw_commits.h"
#include "tests/support/role.h"
#include "tests/support/support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 20000

static const ratoon__driver_options options;

typedef struct hooks_seen {
    const char *path;
    atomic_uint disconnect;
    atomic_uint gone; /* disconnections at which executor 1 was gone */
} hooks_seen;

static void see_disconnect(void *ctx, ratoon__driver *owned)
{
    (void)owned;
    hooks_seen *seen = ctx;
    if (ratoon__executor_is_gone(seen->path, raw_id(1))) {
        atomic_fetch_add(&seen->gone, 1);
    }
    atomic_fetch_add(&seen->disconnect, 1);
}

static ratoon__driver *attach(const char *path, hooks_seen *seen)
{
    const ratoon__attach_hooks hooks = {.on_disconnect = see_disconnect, .ctx = seen};
    ratoon__driver *d = NULL;
    MUST(ratoon__attach(path, &options, false, WAIT_MS, &hooks, &d, NULL) == RATOON_OK);
    return d;
}

/* Client that holds the lock of executor 1, behind many descriptors that are closed before it. */
static int run_role(const char *path)
{
    role_begin();
    (void)attach(path, NULL);
    for (int i = 0; i < 200; i++) {
        MUST(open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0);
    }
    int fd;
    MUST(ratoon__executor_lock(path, raw_id(1), &fd, NULL) == RATOON_OK);
    role_say_ready();
    role_wait_for_end();
    return EXIT_FAILURE;
}

START_TEST(test_L08_executor_is_gone_exactly_when_its_lock_is_free)
{
    char *folder = support_temp_dir("attach");
    ck_assert(ratoon__executor_is_gone(folder, raw_id(1)));
    int fd;
    ck_assert_int_eq(ratoon__executor_lock(folder, raw_id(1), &fd, NULL), RATOON_OK);
    ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    ck_assert(!ratoon__executor_is_gone(folder, raw_id(1)));
    ck_assert(ratoon__executor_is_gone(folder, raw_id(2)));
    int second = -1;
    ratoon_error error = {0};
    ck_assert_int_eq(ratoon__executor_lock(folder, raw_id(1), &second, &error), RATOON_ERR_EXISTS);
    ck_assert_int_eq(second, -1);
    close(fd); /* as when the process dies: the file stays */
    ck_assert(ratoon__executor_is_gone(folder, raw_id(1)));
    ck_assert_int_eq(ratoon__executor_lock(folder, raw_id(1), &fd, NULL), RATOON_OK);
    ck_assert(!ratoon__executor_is_gone(folder, raw_id(1)));
    ratoon__executor_unlock(folder, raw_id(1), fd);
    ck_assert(ratoon__executor_is_gone(folder, raw_id(1)));
    support_temp_dir_free(folder);
}
END_TEST

/* An owner hears of a client that was killed by its connection; its lock may fall a little later.
 */
START_TEST(test_L08_dead_executor_is_found_when_it_disconnects)
{
    enum { KILLS = 20 };
    char *folder = support_temp_dir("executor");
    char *path = support_path_join(folder, "store");
    ck_assert_int_eq(ratoon__rocksdb_create(path, NULL), RATOON_OK);
    hooks_seen seen = {.path = path};
    ratoon__driver *owner = attach(path, &seen);
    for (unsigned i = 1; i <= KILLS; i++) {
        role_process executor = role_start("execute", path, "");
        ck_assert(!ratoon__executor_is_gone(path, raw_id(1)));
        kill(executor.pid, SIGKILL);
        uint64_t until = ratoon__monotonic_ms() + WAIT_MS;
        while (atomic_load(&seen.disconnect) < i && ratoon__monotonic_ms() < until) {
            ratoon__sleep_ms(1);
        }
        ck_assert_uint_eq(seen.disconnect, i);
        ck_assert_uint_eq(seen.gone, i);
        ck_assert_int_eq(role_join(&executor), -SIGKILL);
    }
    owner->ops->close(owner);
    support_temp_dir_free(folder);
    free(path);
}
END_TEST

static Suite *executor_lock_suite(void)
{
    Suite *suite = suite_create("executor_lock");
    TCase *tcase = tcase_create("executor_lock");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, test_L08_executor_is_gone_exactly_when_its_lock_is_free);
    tcase_add_test(tcase, test_L08_dead_executor_is_found_when_it_disconnects);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(int argc, char **argv)
{
    return argc > 3 ? run_role(argv[2]) : support_run_suite(executor_lock_suite());
}

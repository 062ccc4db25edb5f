/* Limits of the harnesses: a process that was stopped is not one that hangs. */
#include "tests/support/limit.h"

#include "tests/support/support.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(test_limit_is_over_when_its_time_has_passed)
{
    support_limit limit = support_limit_new(3000, 50);
    ck_assert(!support_limit_over(&limit, 50));
    ck_assert(!support_limit_over(&limit, 1000));
    ck_assert(!support_limit_over(&limit, 2000));
    ck_assert(!support_limit_over(&limit, 3000));
    ck_assert(!support_limit_over(&limit, 3049));
    ck_assert(support_limit_over(&limit, 3050));
    ck_assert(support_limit_over(&limit, 3050));
    ck_assert(support_limit_over(&limit, 9999));
}
END_TEST

START_TEST(test_limit_leaves_out_the_time_for_which_nobody_could_look)
{
    support_limit limit = support_limit_new(3000, 0);
    ck_assert(!support_limit_over(&limit, 1000));
    ck_assert(!support_limit_over(&limit, 341000)); /* stopped for more than five minutes */
    ck_assert(!support_limit_over(&limit, 341999));
    ck_assert(support_limit_over(&limit, 342000));
}
END_TEST

START_TEST(test_limit_of_a_life_ends_who_hangs)
{
    int status = 0;
    const pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        (void)close(STDERR_FILENO);
        support_limit_life(1);
        for (;;) {
            (void)pause();
        }
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGALRM);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("limit");
    TCase *tc = tcase_create("limit");
    tcase_add_test(tc, test_limit_is_over_when_its_time_has_passed);
    tcase_add_test(tc, test_limit_leaves_out_the_time_for_which_nobody_could_look);
    tcase_add_test(tc, test_limit_of_a_life_ends_who_hangs);
    suite_add_tcase(s, tc);
    return s;
}

RATOON_TEST_MAIN(suite)

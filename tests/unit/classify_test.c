/* Classes of failures (A01): the stage's rules come first, then what is known by default. */
#include "core/mem.h"
#include "tests/support/support.h"

#include <ratoon.h>
#include <stdlib.h>
#include <string.h>

static ratoon_class by_default(int exit_code, int signal, const char *text)
{
    return ratoon_failure_classify(NULL, 0, exit_code, signal, text, strlen(text));
}

typedef struct expectation {
    int exit_code, signal;
    const char *text;
    ratoon_class error_class;
} expectation;

static void check(const expectation *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const ratoon_class got = by_default(all[i].exit_code, all[i].signal, all[i].text);
        ck_assert_msg(got == all[i].error_class, "exit %d, signal %d, \"%s\": %s, not %s",
                      all[i].exit_code, all[i].signal, all[i].text, ratoon_class_name(got),
                      ratoon_class_name(all[i].error_class));
    }
}
#define CHECK(list) check(list, sizeof list / sizeof list[0])

START_TEST(test_A01_out_of_memory_messages)
{
    static const expectation all[] = {
        {1, -1, "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB",
         RATOON_CLASS_OOM},
        {1, -1, "RuntimeError: CUDA error: out of memory", RATOON_CLASS_OOM},
        {1, -1, "java.lang.OutOfMemoryError: Java heap space", RATOON_CLASS_OOM},
        {1, -1, "Traceback\nMemoryError\n", RATOON_CLASS_OOM},
        {-1, 6, "terminate called after throwing an instance of 'std::bad_alloc'",
         RATOON_CLASS_OOM},
        {1, -1, "fork: Cannot allocate memory", RATOON_CLASS_OOM},
        {137, -1, "Out of memory: Killed process 4711 (python3)", RATOON_CLASS_OOM},
        {1, -1, "Memory cgroup: Killed process 12, oom_score_adj 0", RATOON_CLASS_OOM},
        {137, -1, "slurmstepd: error: Detected 1 oom event", RATOON_CLASS_OOM},
        {-1, 9, "container OOM", RATOON_CLASS_OOM},
        {1, -1, "a room with a view, 1 oom event", RATOON_CLASS_EXECUTION},
        {-1, 9, "the zoom failed", RATOON_CLASS_EXECUTION},
    };
    CHECK(all);
}
END_TEST

START_TEST(test_A01_a_kill_alone_is_no_out_of_memory)
{
    static const expectation all[] = {
        {-1, 9, "", RATOON_CLASS_EXECUTION},
        {137, -1, "", RATOON_CLASS_EXECUTION},
        {-1, 11, "", RATOON_CLASS_EXECUTION},
        {-1, 15, "bye", RATOON_CLASS_EXECUTION},
    };
    CHECK(all);
}
END_TEST

START_TEST(test_A01_connection_errors_are_transient)
{
    static const expectation all[] = {
        {1, -1, "connect to db port 5432 failed: Connection refused", RATOON_CLASS_TRANSIENT},
        {1, -1, "ConnectionResetError: [Errno 104] Connection reset by peer",
         RATOON_CLASS_TRANSIENT},
        {1, -1, "ssh: connect to host x port 22: Connection timed out", RATOON_CLASS_TRANSIENT},
        {1, -1, "Temporary failure in name resolution", RATOON_CLASS_TRANSIENT},
        {1, -1, "Error: connect ECONNREFUSED 127.0.0.1:80", RATOON_CLASS_TRANSIENT},
        {1, -1, "429 Too Many Requests", RATOON_CLASS_TRANSIENT},
        {1, -1, "HTTP/1.1 503 Service Unavailable", RATOON_CLASS_TRANSIENT},
        {22, -1, "curl: (22) The requested URL returned error: 503", RATOON_CLASS_TRANSIENT},
        {1, -1, "processed 503 documents", RATOON_CLASS_EXECUTION},
    };
    CHECK(all);
}
END_TEST

START_TEST(test_A01_timeouts)
{
    static const expectation all[] = {
        {124, -1, "", RATOON_CLASS_TIMEOUT},
        {1, -1, "subprocess.TimeoutExpired: Command 'x' timed out after 3 seconds",
         RATOON_CLASS_TIMEOUT},
        {1, -1, "context deadline exceeded", RATOON_CLASS_TIMEOUT},
        {1, -1, "Read timed out.", RATOON_CLASS_TIMEOUT},
    };
    CHECK(all);
}
END_TEST

START_TEST(test_A01_what_is_left)
{
    static const expectation all[] = {
        {75, -1, "", RATOON_CLASS_TRANSIENT}, {75, -1, "MemoryError", RATOON_CLASS_TRANSIENT},
        {1, -1, "", RATOON_CLASS_EXECUTION},  {3, -1, "KeyError", RATOON_CLASS_EXECUTION},
        {-1, -1, "", RATOON_CLASS_UNKNOWN},   {0, -1, "fine", RATOON_CLASS_UNKNOWN},
    };
    CHECK(all);
    ck_assert_int_eq(ratoon_failure_classify(NULL, 0, 1, -1, NULL, 0), RATOON_CLASS_EXECUTION);
}
END_TEST

START_TEST(test_A01_text_is_any_bytes_and_its_end_counts)
{
    enum { SIZE = 200000 };
    static const char message[] = "CUDA out of memory";
    char *text = malloc(SIZE);
    ck_assert_ptr_nonnull(text);
    memset(text, 0xff, SIZE);
    memcpy(text + SIZE - 30, message, sizeof message - 1);
    ck_assert_int_eq(ratoon_failure_classify(NULL, 0, 1, -1, text, SIZE), RATOON_CLASS_OOM);
    memset(text + SIZE - 30, 0, 30);
    memcpy(text, message, sizeof message - 1);
    ck_assert_int_eq(ratoon_failure_classify(NULL, 0, 1, -1, text, SIZE), RATOON_CLASS_EXECUTION);
    free(text);
}
END_TEST

static const char rules[] = "pipeline: p\n"
                            "stages:\n"
                            "- name: a\n"
                            "  run: [x]\n"
                            "  errors:\n"
                            "  - {match: '^quota (exceeded|used up)$', class: TRANSIENT}\n"
                            "  - {exit: 3, class: VALIDATION}\n"
                            "  - {exit: 4, match: disk, class: OOM}\n"
                            "  - {signal: SIGUSR1, class: CANCELLED}\n"
                            "  - {exit: 75, class: EXECUTION}\n"
                            "  - {match: '(a+)+$', class: OOM}\n"
                            "- {name: b, run: [x]}\n";

static ratoon_class by_rules(const ratoon_pipeline *p, uint32_t stage, int exit_code, int signal,
                             const char *text)
{
    return ratoon_failure_classify(p, stage, exit_code, signal, text, strlen(text));
}

static ratoon_pipeline *parse(const char *text)
{
    ratoon_pipeline *p = NULL;
    ratoon_error error;
    ck_assert_msg(ratoon_pipeline_parse("p", text, strlen(text), NULL, &p, &error) == RATOON_OK,
                  "%s", error.message);
    return p;
}

START_TEST(test_A01_rules_of_the_stage_come_first)
{
    ratoon_pipeline *p = parse(rules);
    ck_assert_int_eq(by_rules(p, 0, 1, -1, "x\nquota used up\ny"), RATOON_CLASS_TRANSIENT);
    ck_assert_int_eq(by_rules(p, 0, 1, -1, "no quota used up"), RATOON_CLASS_EXECUTION);
    ck_assert_int_eq(by_rules(p, 0, 3, -1, "MemoryError"), RATOON_CLASS_VALIDATION);
    ck_assert_int_eq(by_rules(p, 0, 4, -1, "disk"), RATOON_CLASS_OOM);
    ck_assert_int_eq(by_rules(p, 0, 4, -1, ""), RATOON_CLASS_EXECUTION);
    ck_assert_int_eq(by_rules(p, 0, 5, -1, "disk"), RATOON_CLASS_EXECUTION);
    ck_assert_int_eq(by_rules(p, 0, -1, 10, ""), RATOON_CLASS_CANCELLED);
    ck_assert_int_eq(by_rules(p, 0, 75, -1, ""), RATOON_CLASS_EXECUTION);
    ck_assert_int_eq(by_rules(p, 1, 3, -1, ""), RATOON_CLASS_EXECUTION);
    ck_assert_int_eq(by_rules(p, 1, 75, -1, ""), RATOON_CLASS_TRANSIENT);
    ck_assert_int_eq(by_rules(p, 99, 75, -1, ""), RATOON_CLASS_TRANSIENT);
    ratoon_pipeline_free(p);
}
END_TEST

START_TEST(test_A01_patterns_without_end_are_bounded)
{
    ratoon_pipeline *p = parse(rules);
    char text[4001];
    memset(text, 'a', sizeof text - 2);
    text[sizeof text - 2] = 'b';
    text[sizeof text - 1] = '\0';
    ck_assert_int_eq(by_rules(p, 0, 1, -1, text), RATOON_CLASS_EXECUTION);
    ratoon_pipeline_free(p);
}
END_TEST

START_TEST(test_A01_more_patterns_than_are_kept)
{
    ratoon__buf b = {0};
    ratoon__buf_str(&b, "pipeline: p\nstages:\n- name: a\n  run: [x]\n  errors:\n");
    for (uint32_t i = 0; i < 400; i++) {
        ratoon__buf_format(&b, "  - {match: 'code <%u>', class: %s}\n", i,
                           i % 2 ? "TRANSIENT" : "VALIDATION");
    }
    ratoon_pipeline *p = parse(b.data);
    ratoon__buf_free(&b);
    for (int round = 0; round < 2; round++) {
        ck_assert_int_eq(by_rules(p, 0, 1, -1, "code <399>"), RATOON_CLASS_TRANSIENT);
        ck_assert_int_eq(by_rules(p, 0, 1, -1, "code <0>"), RATOON_CLASS_VALIDATION);
    }
    ratoon_pipeline_free(p);
}
END_TEST

static Suite *classify_suite(void)
{
    Suite *s = suite_create("classify");
    TCase *t = tcase_create("classify");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_A01_out_of_memory_messages);
    tcase_add_test(t, test_A01_a_kill_alone_is_no_out_of_memory);
    tcase_add_test(t, test_A01_connection_errors_are_transient);
    tcase_add_test(t, test_A01_timeouts);
    tcase_add_test(t, test_A01_what_is_left);
    tcase_add_test(t, test_A01_text_is_any_bytes_and_its_end_counts);
    tcase_add_test(t, test_A01_rules_of_the_stage_come_first);
    tcase_add_test(t, test_A01_patterns_without_end_are_bounded);
    tcase_add_test(t, test_A01_more_patterns_than_are_kept);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(classify_suite)

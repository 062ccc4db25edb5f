/* Captured output and its paths (E07). */
#include "tests/support/support.h"
#include "tools/runner/capture.h"
#include "tools/runner/files.h"
#include "tools/runner/lock.h"
#include "tools/runner/runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT 4000

/* Captures `size` bytes of the pattern in writes of `chunk` and compares the file. */
static void check_capture(const char *folder, size_t size, size_t chunk)
{
    char *path = support_path_join(folder, "deep/er/file");
    char *text = malloc(size + 1);
    for (size_t i = 0; i < size; i++) {
        text[i] = (char)('a' + i % 26);
    }
    runner__capture *capture = runner__capture_new(path, LIMIT, false);
    for (size_t i = 0; i < size; i += chunk) {
        runner__capture_add(capture, text + i, size - i < chunk ? size - i : chunk);
    }
    runner__capture_result result = runner__capture_end(capture, true);
    ck_assert_int_eq(result.error, 0);
    size_t got;
    char *file = support_read_file(path, &got);
    ck_assert_uint_eq(got, result.size);
    ck_assert_uint_le(got, LIMIT);
    if (result.dropped == 0) {
        ck_assert_uint_eq(got, size);
        ck_assert_int_eq(memcmp(file, text, size), 0);
    } else {
        const char *mark = strstr(file, "\n[ratoon: ");
        ck_assert_ptr_nonnull(mark);
        ck_assert_uint_eq(strtoull(mark + 10, NULL, 10), result.dropped);
        size_t head = (size_t)(mark - file);
        const char *tail = strchr(mark + 1, '\n') + 1;
        size_t tail_size = got - (size_t)(tail - file);
        ck_assert_uint_eq(head, LIMIT / 2);
        ck_assert_uint_eq(head + tail_size + result.dropped, size);
        ck_assert_int_eq(memcmp(file, text, head), 0);
        ck_assert_int_eq(memcmp(tail, text + size - tail_size, tail_size), 0);
    }
    uint64_t digested;
    ratoon_digest digest;
    ck_assert_int_eq(runner__file_digest(path, &digested, &digest), 0);
    ck_assert_int_eq(memcmp(&digest, &result.digest, sizeof(digest)), 0);
    free(file);
    free(text);
    free(path);
}

START_TEST(test_E07_a_capture_keeps_both_ends)
{
    char *folder = support_temp_dir("capture");
    static const size_t sizes[] = {0,          1,     LIMIT / 2, LIMIT / 2 + 1, LIMIT - 96,
                                   LIMIT - 95, LIMIT, LIMIT + 1, 3 * LIMIT,     10 * LIMIT + 7};
    static const size_t chunks[] = {1, 7, 1000, 65536};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (size_t k = 0; k < sizeof(chunks) / sizeof(chunks[0]); k++) {
            check_capture(folder, sizes[i], chunks[k]);
        }
    }
    support_temp_dir_free(folder);
}
END_TEST

START_TEST(test_E07_a_lazy_capture_makes_no_empty_file)
{
    char *folder = support_temp_dir("capture");
    char *path = support_path_join(folder, "file");
    runner__capture_result result =
        runner__capture_end(runner__capture_new(path, LIMIT, true), false);
    ck_assert_uint_eq(result.size, 0);
    ck_assert_int_ne(access(path, F_OK), 0);
    free(path);
    support_temp_dir_free(folder);
}
END_TEST

START_TEST(test_E07_a_capture_that_fails_is_counted)
{
    runner__capture *capture = runner__capture_new("/proc/nowhere/file", LIMIT, false);
    runner__capture_add(capture, "hello", 5);
    runner__capture_result result = runner__capture_end(capture, false);
    ck_assert_int_ne(result.error, 0);
    ck_assert_uint_eq(result.dropped, 5);
}
END_TEST

START_TEST(test_E07_capture_paths_stay_in_their_folder)
{
    ratoon_id run = {{1}};
    char path[4096];
    ratoon_capture_path("/s", run, "extract", 3, NULL, 1, path, sizeof(path));
    ck_assert_str_eq(path, "/s/output/01000000-0000-0000-0000-000000000000/extract/3.out");
    ratoon_capture_path("/s", run, "../..", 1, "../x/y", 2, path, sizeof(path));
    ck_assert_ptr_null(strstr(path, "/../"));
    char name[256];
    memset(name, '/', 255);
    name[255] = '\0';
    ratoon_capture_path("/s", run, name, 1, NULL, 1, path, sizeof(path));
    ck_assert_uint_lt(strlen(path), 300);
}
END_TEST

START_TEST(test_L08_a_stage_lock_is_free_when_its_last_holder_is_gone)
{
    char *folder = support_temp_dir("lock");
    char *path = support_path_join(folder, "lock");
    ck_assert(runner__lock_free(path));
    int first = runner__lock_shared(path);
    int second = runner__lock_shared(path);
    ck_assert_int_ge(first, 0);
    ck_assert_int_ge(second, 0);
    ck_assert(!runner__lock_free(path));
    close(first);
    ck_assert(!runner__lock_free(path));
    close(second);
    ck_assert(runner__lock_free(path));
    ck_assert_int_ne(access(path, F_OK), 0);
    free(path);
    support_temp_dir_free(folder);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("runner_capture");
    TCase *capture = tcase_create("capture");
    tcase_add_test(capture, test_E07_a_capture_keeps_both_ends);
    tcase_add_test(capture, test_E07_a_lazy_capture_makes_no_empty_file);
    tcase_add_test(capture, test_E07_a_capture_that_fails_is_counted);
    tcase_add_test(capture, test_E07_capture_paths_stay_in_their_folder);
    tcase_add_test(capture, test_L08_a_stage_lock_is_free_when_its_last_holder_is_gone);
    suite_add_tcase(s, capture);
    return s;
}

RATOON_TEST_MAIN(suite)

/* Memory, text, ids, numbers, names of the closed sets. */
#include "core/id.h"
#include "core/number.h"
#include "core/text.h"
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

START_TEST(test_mem_arena_gives_zeroed_aligned_memory)
{
    ratoon__arena a = {0};
    for (size_t size = 0; size < 3000; size += 7) {
        unsigned char *memory = ratoon__arena_alloc(&a, size);
        ck_assert_ptr_nonnull(memory);
        ck_assert_uint_eq((uintptr_t)memory % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++) {
            ck_assert_uint_eq(memory[i], 0);
        }
        memset(memory, 0xff, size);
    }
    ck_assert_ptr_nonnull(ratoon__arena_alloc(&a, 1 << 20));
    ck_assert_ptr_ne(ratoon__arena_alloc(&a, 0), ratoon__arena_alloc(&a, 0));
    ck_assert_ptr_null(ratoon__arena_strdup(&a, NULL));
    ck_assert(!a.failed);
    ck_assert_ptr_null(ratoon__arena_alloc(&a, SIZE_MAX));
    ck_assert(a.failed);
    ratoon__arena_free(&a);
    ck_assert(!a.failed);
}
END_TEST

/* Room on the stack comes first, whatever stood in it, and is neither freed nor outgrown. */
START_TEST(test_mem_arena_begins_with_what_it_is_lent)
{
    max_align_t room[512 / sizeof(max_align_t)];
    ratoon__arena a = {0};
    for (int round = 0; round < 3; round++) {
        memset(room, 0xa5, sizeof room);
        ratoon__arena_lend(&a, room, sizeof room);
        const uint8_t *first = ratoon__arena_alloc(&a, 100);
        ck_assert(first > (uint8_t *)room && first + 100 <= (uint8_t *)room + sizeof room);
        for (size_t i = 0; i < 100; i++) {
            ck_assert_uint_eq(first[i], 0);
        }
        const uint8_t *large = ratoon__arena_alloc(&a, sizeof room);
        ck_assert(large + sizeof room <= (uint8_t *)room || large >= (uint8_t *)room + sizeof room);
        ratoon__arena_reset(&a);
        ck_assert_ptr_nonnull(ratoon__arena_alloc(&a, 3 * sizeof room));
        ck_assert(!a.failed);
        ratoon__arena_free(&a);
    }
}
END_TEST

START_TEST(test_mem_format)
{
    ratoon__buf b = {0};
    const ratoon_id id = {{0x01, 0x8f, 0xff}};
    ratoon__buf_format(&b, "%s|%s|%u|%d|%U|%I|%%", "text", (const char *)NULL, UINT32_MAX, -7,
                       UINT64_MAX, &id);
    ck_assert_str_eq(b.data, "text|(none)|4294967295|-7|18446744073709551615|"
                             "018fff00-0000-0000-0000-000000000000|%");
    ratoon__buf_free(&b);
}
END_TEST

START_TEST(test_mem_error_message_is_cut_between_characters)
{
    static char text[8192];
    static ratoon_error error;
    for (size_t i = 0; i + 2 < sizeof text; i += 2) {
        text[i] = '\xC3'; /* é */
        text[i + 1] = '\xA9';
    }
    error.line = 7;
    ck_assert_int_eq(ratoon__fail(&error, RATOON_ERR_IO, "x%s", text), RATOON_ERR_IO);
    const size_t length = strlen(error.message);
    ck_assert_uint_ge(length, sizeof error.message - 4);
    ck_assert_uint_eq((length - 1) % 2, 0);
    ck_assert_uint_eq(error.line, 0);
    /* An error may be told about itself. */
    (void)ratoon__fail(&error, RATOON_ERR_IO, "short");
    (void)ratoon__fail(&error, RATOON_ERR_DAMAGED, "again: %s", error.message);
    ck_assert_str_eq(error.message, "again: short");
    ck_assert_int_eq(ratoon__fail(NULL, RATOON_ERR_IO, "nobody listens"), RATOON_ERR_IO);
}
END_TEST

START_TEST(test_id_goes_through_text)
{
    const char *text = "01932f5e-7c8a-7b3c-9d4e-5f6071829304";
    ratoon_id id;
    char again[RATOON_ID_TEXT];
    ck_assert_int_eq(ratoon_id_parse(text, &id), RATOON_OK);
    ratoon_id_format(id, again);
    ck_assert_str_eq(again, text);
    ck_assert_int_eq(ratoon_id_parse("01932F5E-7C8A-7B3C-9D4E-5F6071829304", &id), RATOON_OK);
    const char *const bad[] = {"", "01932f5e", "01932f5e-7c8a-7b3c-9d4e-5f60718293040",
                               "01932f5e-7c8a-7b3c-9d4e-5f607182930g",
                               "01932f5e77c8a-7b3c-9d4e-5f6071829304"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(ratoon_id_parse(bad[i], &id), RATOON_ERR_USAGE);
    }
    ck_assert(ratoon_id_equal(id, id));
    ck_assert(!ratoon_id_is_zero(id));
}
END_TEST

START_TEST(test_id_ascends_whatever_the_clock_does)
{
    ratoon__id_state state = {0};
    support_prng random = support_prng_new(support_seed());
    ratoon_id last = {{0}};
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t bytes[10];
        support_prng_fill(&random, bytes, sizeof bytes);
        /* A clock that stands still for long, and sometimes goes back. */
        const uint64_t now_us = 1700000000000000 + (uint64_t)(i / 9000) * 1000 - (i % 3) * 5000;
        const ratoon_id id = ratoon__id_next(&state, now_us, bytes);
        ck_assert_int_gt(ratoon__id_compare(id, last), 0);
        ck_assert_uint_eq(id.bytes[6] >> 4, 7);
        ck_assert_uint_eq(id.bytes[8] >> 6, 2);
        last = id;
    }
}
END_TEST

START_TEST(test_L01_run_statuses_are_a_closed_set)
{
#define X(name, value, text)                                                                       \
    ck_assert_str_eq(ratoon_run_status_name(RATOON_RUN_##name), text);                             \
    ck_assert_int_eq(ratoon_run_status_parse(text), RATOON_RUN_##name);
    RATOON_RUN_STATUS_LIST(X)
#undef X
    ck_assert_int_eq(ratoon_run_status_parse("succeded"), 0);
    ck_assert_int_eq(ratoon_run_status_parse("SUCCEEDED"), 0);
    ck_assert_int_eq(ratoon_run_status_parse(NULL), 0);
    ck_assert(ratoon_run_status_active(RATOON_RUN_CANCELLING));
    ck_assert(!ratoon_run_status_active(RATOON_RUN_SUSPENDED));
    ck_assert(!ratoon_run_status_terminal(RATOON_RUN_SUSPENDED));
    ck_assert(ratoon_run_status_terminal(RATOON_RUN_CANCELLED));
}
END_TEST

START_TEST(test_L02_stage_statuses_are_a_closed_set)
{
#define X(name, value, text)                                                                       \
    ck_assert_str_eq(ratoon_stage_status_name(RATOON_STAGE_##name), text);                         \
    ck_assert_int_eq(ratoon_stage_status_parse(text), RATOON_STAGE_##name);
    RATOON_STAGE_STATUS_LIST(X)
#undef X
    ck_assert_int_eq(ratoon_stage_status_parse("queued"), 0);
    ck_assert(ratoon_stage_status_done(RATOON_STAGE_SKIPPED));
    ck_assert(ratoon_stage_status_done(RATOON_STAGE_REUSED));
    ck_assert(!ratoon_stage_status_done(RATOON_STAGE_FAILED));
    ck_assert(!ratoon_stage_status_done(RATOON_STAGE_PENDING));
}
END_TEST

START_TEST(test_A01_classes_are_a_closed_set)
{
#define X(name, value)                                                                             \
    ck_assert_str_eq(ratoon_class_name(RATOON_CLASS_##name), #name);                               \
    ck_assert_int_eq(ratoon_class_parse(#name), RATOON_CLASS_##name);
    RATOON_CLASS_LIST(X)
#undef X
    ck_assert_str_eq(ratoon_class_name(RATOON_CLASS_NONE), "");
    ck_assert_int_eq(ratoon_class_parse("oom"), RATOON_CLASS_NONE);
    ck_assert_str_eq(ratoon_status_name(RATOON_ERR_DEPTH_LIMIT), "DEPTH_LIMIT");
    ck_assert_int_eq(ratoon_status_exit_code(RATOON_ERR_NOT_FOUND), 3);
    ck_assert_int_eq(ratoon_status_exit_code(RATOON_ERR_FENCED), 4);
    ck_assert_str_eq(ratoon_status_name((ratoon_status)999), "UNKNOWN");
}
END_TEST

START_TEST(test_number_shortest_text_parses_to_the_same)
{
    support_prng random = support_prng_new(support_seed());
    char text[RATOON__NUMBER_TEXT];
    double back = 0;
    for (unsigned i = 0; i < 20000; i++) {
        const double value = ((double)support_prng_below(&random, 2000000000) - 1e9) / 1000;
        ratoon__number_format(value, text);
        ck_assert_uint_lt(strlen(text), 13);
        ck_assert(ratoon__number_parse(text, &back));
        ck_assert(back == value);
        ck_assert(strtod(text, NULL) == value);
    }
    const double edges[] = {0, 1, 10, 0.1, 9.99, 1e21, 1e-7, 5e-300, 1.7e300, 123456789012345.0};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        ratoon__number_format(edges[i], text);
        const double read = strtod(text, NULL);
        ck_assert(read >= edges[i] * (1 - 1e-14) && read <= edges[i] * (1 + 1e-14));
    }
}
END_TEST

START_TEST(test_text_is_shared)
{
    bool failed = false;
    const char *a = ratoon__text_new("shared", &failed);
    const char *b = ratoon__shared_ref(a);
    ck_assert_ptr_eq(a, b);
    ratoon__shared_unref(a);
    ck_assert_str_eq(b, "shared");
    ck_assert(ratoon__text_set(&b, "other"));
    ck_assert_str_eq(b, "other");
    ck_assert(ratoon__text_set(&b, NULL));
    ck_assert_ptr_null(b);
    ck_assert(!failed);
}
END_TEST

static Suite *suite(void)
{
    Suite *all = suite_create("basics");
    TCase *basics = tcase_create("basics");
    tcase_add_test(basics, test_mem_arena_gives_zeroed_aligned_memory);
    tcase_add_test(basics, test_mem_arena_begins_with_what_it_is_lent);
    tcase_add_test(basics, test_mem_format);
    tcase_add_test(basics, test_mem_error_message_is_cut_between_characters);
    tcase_add_test(basics, test_id_goes_through_text);
    tcase_add_test(basics, test_id_ascends_whatever_the_clock_does);
    tcase_add_test(basics, test_L01_run_statuses_are_a_closed_set);
    tcase_add_test(basics, test_L02_stage_statuses_are_a_closed_set);
    tcase_add_test(basics, test_A01_classes_are_a_closed_set);
    tcase_add_test(basics, test_number_shortest_text_parses_to_the_same);
    tcase_add_test(basics, test_text_is_shared);
    suite_add_tcase(all, basics);
    return all;
}

RATOON_TEST_MAIN(suite)

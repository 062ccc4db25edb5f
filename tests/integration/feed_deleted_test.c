/* A reader of the feed that has read ahead what is deleted before it gets there. */
#include "tests/support/support.h"

#include <ratoon.h>
#include <stdio.h>
#include <string.h>

enum { DEFINITIONS = 300 }; /* more than a store keeps in memory */

static ratoon_store *store;

static void must(ratoon_status status, const ratoon_error *error)
{
    ck_assert_msg(status == RATOON_OK, "%s: %s", ratoon_status_name(status), error->message);
}

static ratoon_id run_of(int pipeline)
{
    char text[128];
    ratoon_error error = {0};
    ratoon_pipeline *p = NULL;
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    const int size = snprintf(
        text, sizeof text, "pipeline: p%d\nstages:\n  - {name: only, run: [\"true\"]}\n", pipeline);
    must(ratoon_pipeline_parse("p", text, (size_t)size, NULL, &p, &error), &error);
    options.pipeline = p;
    options.no_exec = true;
    must(ratoon_run_create(store, &options, &created, &error), &error);
    ratoon_pipeline_free(p);
    return created.run;
}

START_TEST(test_R20_feed_passes_over_what_was_deleted_after_it_was_read_ahead)
{
    ratoon_error error = {0};
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_feed *feed = NULL;
    ratoon_feed_item item;
    ratoon_run_status status;
    ratoon_deleted deleted;
    ratoon_freed freed;
    options.driver = RATOON_DRIVER_MEMORY;
    must(ratoon_store_open(NULL, &options, &store, &error), &error);
    (void)run_of(0);
    const ratoon_id gone = run_of(1);
    must(ratoon_feed_open(store, 1, &feed, &error), &error);
    must(ratoon_feed_next(feed, 0, &item, &error), &error);
    ck_assert_uint_eq(item.position, 1); /* and what is at 2 was read with it */
    for (int i = 2; i < DEFINITIONS; i++) {
        (void)run_of(i);
    }
    must(ratoon_run_cancel(store, gone, NULL, &status, &error), &error);
    must(ratoon_lineage_delete(store, gone, false, &deleted, &freed, &error), &error);
    uint64_t seen = 0, last = 0;
    while (ratoon_feed_next(feed, 0, &item, &error) == RATOON_OK) {
        ck_assert_msg(last != 0 || item.position == 3, "%u", (unsigned)item.position);
        last = item.position;
        seen++;
    }
    ck_assert_int_eq(error.code, RATOON_ERR_TIMED_OUT);
    ck_assert_uint_eq(seen, DEFINITIONS - 2 + 1); /* the others, and the mark */
    ratoon_feed_close(feed);
    ratoon_store_close(store);
}
END_TEST

static Suite *feed_deleted_suite(void)
{
    Suite *s = suite_create("feed_deleted");
    TCase *t = tcase_create("feed");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_R20_feed_passes_over_what_was_deleted_after_it_was_read_ahead);
    suite_add_tcase(s, t);
    return s;
}
RATOON_TEST_MAIN(feed_deleted_suite)

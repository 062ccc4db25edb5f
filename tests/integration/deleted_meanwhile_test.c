/* A lineage is deleted between the look at its commits and the look at the definition that they
 * were made with: it is gone, and not damaged. */
#include "log/store_impl.h"
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

static const char text[] = "pipeline: p\nstages:\n  - {name: first, run: [\"true\"]}\n";

static ratoon_store *store;
static ratoon_created run;
static const ratoon__driver_ops *real_ops;
static unsigned looks; /* for definitions; the first one finds the lineage deleted */

static ratoon_store *open_store(const char *path)
{
    ratoon_store *s = NULL;
    ratoon_error error;
    ck_assert_msg(ratoon_store_open(path, NULL, &s, &error) == RATOON_OK, "%s", error.message);
    return s;
}

static ratoon_status hooked_value_get(ratoon__driver *d, const ratoon_digest *digest,
                                      ratoon_buffer *out, ratoon_error *error)
{
    ratoon_error why;
    if (looks++ == 0) {
        ck_assert_msg(ratoon_lineage_delete(store, run.run, true, NULL, NULL, &why) == RATOON_OK,
                      "%s", why.message);
    }
    return real_ops->value_get(d, digest, out, error);
}

START_TEST(test_R20_lineage_that_is_deleted_while_it_is_read_is_not_damaged)
{
    char *folder = support_temp_dir("deleted_meanwhile");
    char *path = support_path_join(folder, "store");
    ratoon_run_options o = RATOON_RUN_OPTIONS_INIT;
    ratoon_pipeline *pipeline = NULL;
    ratoon_run_info info;
    ratoon_error error = {0};
    ck_assert_int_eq(ratoon_store_create(path, NULL, NULL), RATOON_OK);
    ck_assert_int_eq(ratoon_pipeline_parse("p", text, strlen(text), NULL, &pipeline, &error),
                     RATOON_OK);
    store = open_store(path);
    o.pipeline = pipeline;
    ck_assert_int_eq(ratoon_run_create(store, &o, &run, &error), RATOON_OK);
    ck_assert_int_eq(ratoon_run_cancel(store, run.run, NULL, NULL, &error), RATOON_OK);
    ratoon_run_status status;
    ck_assert_int_eq(ratoon_run_finish(store, run.run, run.epoch, &status, &error), RATOON_OK);
    ratoon_store_close(store);
    store = open_store(path); /* nothing of it is in memory now */
    ratoon__driver *d = ratoon__store_driver(store);
    real_ops = d->ops;
    ratoon__driver_ops hooked = *real_ops;
    hooked.value_get = hooked_value_get;
    d->ops = &hooked;
    const ratoon_status got = ratoon_run_get(store, run.run, &info, &error);
    ck_assert_uint_gt(looks, 0);
    ck_assert_msg(got == RATOON_ERR_NOT_FOUND, "%s: %s", ratoon_status_name(got), error.message);
    d->ops = real_ops;
    ratoon_store_close(store);
    ratoon_pipeline_free(pipeline);
    support_temp_dir_free(folder);
    free(path);
}
END_TEST

static Suite *deleted_meanwhile_suite(void)
{
    Suite *s = suite_create("deleted_meanwhile");
    TCase *t = tcase_create("deleted_meanwhile");
    tcase_add_test(t, test_R20_lineage_that_is_deleted_while_it_is_read_is_not_damaged);
    suite_add_tcase(s, t);
    return s;
}
RATOON_TEST_MAIN(deleted_meanwhile_suite)

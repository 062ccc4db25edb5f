#include "tests/support/memory_store.h"

#include <check.h>

void support_must(ratoon_status status, const ratoon_error *error)
{
    ck_assert_msg(status == RATOON_OK, "%s: %s", ratoon_status_name(status), error->message);
}

ratoon_store *support_memory_store(void)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_store *store = NULL;
    ratoon_error error;
    options.driver = RATOON_DRIVER_MEMORY;
    support_must(ratoon_store_open(NULL, &options, &store, &error), &error);
    return store;
}

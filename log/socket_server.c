/* Serves a store that this process owns to others. */
#include "log/driver.h"

ratoon_status ratoon__server_start(ratoon__driver *d, const char *store_path,
                                   void (*on_disconnect)(void *ctx), void *ctx,
                                   ratoon__server **out, ratoon_error *error)
{
    (void)d;
    (void)store_path;
    (void)on_disconnect;
    (void)ctx;
    (void)error;
    *out = NULL;
    return RATOON_OK;
}

void ratoon__server_stop(ratoon__server *s)
{
    (void)s;
}

/* The client of a store that another process owns. */
#include "log/socket_client.h"

ratoon_status ratoon__socket_connect(const char *store_path, uint32_t timeout_ms,
                                     ratoon__driver **out, ratoon_error *error)
{
    (void)timeout_ms;
    (void)out;
    return ratoon__fail(error, RATOON_ERR_NOT_FOUND, "nobody serves the store %s", store_path);
}

ratoon_status ratoon__socket_open(const char *store_path, const ratoon__driver_options *options,
                                  ratoon__driver **out, ratoon_error *error)
{
    (void)options;
    return ratoon__socket_connect(store_path, 0, out, error);
}

bool ratoon__socket_is_lost(const ratoon__driver *d)
{
    (void)d;
    return false;
}

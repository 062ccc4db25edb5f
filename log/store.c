/* Opening and closing a store, and what a handle knows of itself. */
#include "log/store_impl.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static ratoon_status options_check(const ratoon_store_options *in, ratoon_store_options *out,
                                   ratoon_error *error)
{
    ratoon_store_options defaults = RATOON_STORE_OPTIONS_INIT;
    *out = in ? *in : defaults;
    if (out->struct_size != sizeof(ratoon_store_options)) {
        return ratoon__fail(error, RATOON_ERR_USAGE,
                            "store options have size %U; this library expects %U, set by "
                            "RATOON_STORE_OPTIONS_INIT",
                            (uint64_t)out->struct_size, (uint64_t)sizeof(ratoon_store_options));
    }
    if (out->durability > RATOON_DURABILITY_NONE || out->driver > RATOON_DRIVER_MEMORY) {
        return ratoon__fail(error, RATOON_ERR_USAGE, "unknown durability or driver");
    }
    if (out->max_depth > RATOON_DEPTH_MAX) {
        return ratoon__fail(error, RATOON_ERR_USAGE, "max_depth is %u; at most %u is allowed",
                            out->max_depth, (uint32_t)RATOON_DEPTH_MAX);
    }
    if (out->value_max == 0) {
        out->value_max = RATOON_VALUE_MAX_DEFAULT;
    }
    return RATOON_OK;
}

ratoon_status ratoon_store_create(const char *path, const ratoon_store_options *options,
                                  ratoon_error *error)
{
    ratoon_store_options checked;
    ratoon_status status = options_check(options, &checked, error);
    if (status != RATOON_OK) {
        return status;
    }
    if (path == NULL || path[0] == '\0') {
        return ratoon__fail(error, RATOON_ERR_USAGE, "a store needs a path");
    }
    return ratoon__rocksdb_create(path, error);
}

/* Who asks: what the caller says, else the user's name, else the number. */
static char *actor_name(const char *given)
{
    char text[64];
    if (given != NULL) {
        return strdup(given);
    }
    struct passwd entry, *found = NULL;
    char buffer[4096];
    if (getpwuid_r(getuid(), &entry, buffer, sizeof buffer, &found) == 0 && found != NULL) {
        return strdup(found->pw_name);
    }
    snprintf(text, sizeof text, "uid %u", (unsigned)getuid());
    return strdup(text);
}

static ratoon_store *handle_new(const char *path, const ratoon_store_options *options)
{
    ratoon_store *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    s->options = *options;
    s->executor_fd = -1;
    s->actor = actor_name(options->actor);
    (void)ratoon__commit_queue_init(&s->queue); /* without memory it has no encoder */
    s->roots = calloc(RATOON__CACHED_ROOTS, sizeof *s->roots);
    s->cache_capacity = RATOON__CACHED_LINEAGES * 2;
    s->cache = calloc(s->cache_capacity, sizeof *s->cache);
    char writer[128];
    snprintf(writer, sizeof writer, "ratoon %d.%d.%d", RATOON_VERSION_MAJOR, RATOON_VERSION_MINOR,
             RATOON_VERSION_PATCH);
    s->writer = strdup(writer);
    const bool in_memory = options->driver == RATOON_DRIVER_MEMORY;
    s->path = in_memory ? NULL : realpath(path, NULL);
    if (s->path == NULL) {
        s->path = strdup(in_memory ? "" : path); /* the driver will say what is wrong with it */
    }
    pthread_mutex_init(&s->ids_lock, NULL);
    pthread_mutex_init(&s->secret_lock, NULL);
    pthread_mutex_init(&s->service_lock, NULL);
    pthread_mutex_init(&s->past.lock, NULL);
    pthread_mutex_init(&s->cache_lock, NULL);
    pthread_mutex_init(&s->definitions_lock, NULL);
    return s;
}

static void handle_free(ratoon_store *s)
{
    ratoon__projections_free(s);
    ratoon__past_forget(s, NULL);
    ratoon__definitions_free(s);
    ratoon__commit_queue_free(&s->queue);
    pthread_mutex_destroy(&s->ids_lock);
    pthread_mutex_destroy(&s->secret_lock);
    pthread_mutex_destroy(&s->service_lock);
    pthread_mutex_destroy(&s->past.lock);
    pthread_mutex_destroy(&s->cache_lock);
    pthread_mutex_destroy(&s->definitions_lock);
    free(s->roots);
    free(s->actor);
    free(s->writer);
    free(s->path);
    free(s);
}

ratoon_status ratoon_store_open(const char *path, const ratoon_store_options *options,
                                ratoon_store **out, ratoon_error *error)
{
    if (out == NULL) {
        return ratoon__no_place("out", error);
    }
    ratoon_store_options checked;
    ratoon_status status = options_check(options, &checked, error);
    if (status != RATOON_OK) {
        return status;
    }
    if (checked.driver != RATOON_DRIVER_MEMORY && (path == NULL || path[0] == '\0')) {
        return ratoon__fail(error, RATOON_ERR_USAGE, "a store needs a path");
    }
    ratoon_store *s = handle_new(path, &checked);
    if (s == NULL || s->queue.encoder == NULL || s->roots == NULL || s->cache == NULL ||
        s->path == NULL || s->actor == NULL || s->writer == NULL) {
        if (s != NULL) {
            handle_free(s);
        }
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory opening a store");
    }
    s->executor = ratoon__store_new_id(s);
    ratoon__driver_options driver_options = {.durability = checked.durability,
                                             .interval_ms = checked.interval_ms,
                                             .value_max = checked.value_max};
    if (checked.driver == RATOON_DRIVER_MEMORY) {
        status = ratoon__memory_open(&driver_options, &s->driver, error);
    } else {
        ratoon__attach_hooks hooks = {
            .on_owner = ratoon__on_owner, .on_disconnect = ratoon__on_disconnect, .ctx = s};
        s->attached = true;
        status = ratoon__attach(s->path, &driver_options, checked.no_serve, checked.wait_ms, &hooks,
                                &s->driver, error);
    }
    if (status != RATOON_OK && !(status == RATOON_ERR_DAMAGED && s->driver != NULL)) {
        handle_free(s);
        return status;
    }
    *out = s;
    return status; /* DAMAGED with a handle: it can be read, not written */
}

void ratoon_store_close(ratoon_store *store)
{
    if (store == NULL) {
        return;
    }
    ratoon__async_close_all(store);
    if (store->executor_fd >= 0 || store->options.driver == RATOON_DRIVER_MEMORY) {
        /* What this handle still executes ends here; whoever looks later would find the same. */
        (void)ratoon__recover_runs(store, store->driver, store->executor, NULL);
    }
    if (store->executor_fd >= 0) {
        ratoon__executor_unlock(store->path, store->executor, store->executor_fd);
        store->executor_fd = -1; /* the number may be another's while the driver closes */
    }
    store->driver->ops->close(store->driver);
    handle_free(store);
}

const char *ratoon_store_path(const ratoon_store *store)
{
    return store->path;
}

bool ratoon_store_is_owner(const ratoon_store *store)
{
    return !store->attached || ratoon__attach_is_owner(store->driver);
}

uint64_t ratoon_store_now(ratoon_store *store)
{
    if (store->options.clock_us != NULL) {
        return store->options.clock_us(store->options.clock_ctx);
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

ratoon_id ratoon__store_new_id(ratoon_store *s)
{
    pthread_mutex_lock(&s->ids_lock);
    if (s->random_left == 0) {
        if (ratoon__random(s->random, sizeof s->random) != RATOON_OK) {
            abort(); /* no randomness: ids would not be unique, which nothing above could repair */
        }
        s->random_left = RATOON__IDS_RANDOM;
    }
    ratoon_id id = ratoon__id_next(&s->ids, ratoon_store_now(s), s->random[--s->random_left]);
    pthread_mutex_unlock(&s->ids_lock);
    return id;
}

ratoon_status ratoon__store_be_executor(ratoon_store *s, ratoon_error *error)
{
    if (s->options.driver == RATOON_DRIVER_MEMORY) {
        return RATOON_OK;
    }
    ratoon_status status = RATOON_OK;
    pthread_mutex_lock(&s->ids_lock);
    if (s->executor_fd < 0) {
        status = ratoon__executor_lock(s->path, s->executor, &s->executor_fd, error);
    }
    pthread_mutex_unlock(&s->ids_lock);
    return status;
}

ratoon__driver *ratoon__store_driver(ratoon_store *s)
{
    return s->driver;
}

uint32_t ratoon__store_max_depth(const ratoon_store *s)
{
    return s->options.max_depth;
}

ratoon_id ratoon__store_executor(const ratoon_store *s)
{
    return s->executor;
}

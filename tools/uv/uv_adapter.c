#include <ratoon/uv.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 250 /* how long the thread may take to notice that it is to end */

typedef enum slot_state {
    SLOT_EMPTY, /* the thread reads */
    SLOT_FULL,  /* the loop is to hand the item out */
    SLOT_ENDED, /* the thread is about to end */
} slot_state;

struct ratoon_uv_feed {
    uv_async_t async;
    uv_thread_t thread;
    ratoon_feed *feed;
    ratoon_uv_feed_cb cb;
    void *data;
    ratoon_uv_feed_stopped_cb stopped;
    void *stopped_data;

    uv_mutex_t mutex; /* of what follows */
    uv_cond_t handed_out;
    slot_state slot;
    bool stopping;
    bool failed;
    ratoon_feed_item item;
    ratoon_error error;
};

/* Gives the slot to the loop and waits until it is empty again; false when it is time to end. */
static bool hand_over(ratoon_uv_feed *f, slot_state state)
{
    uv_mutex_lock(&f->mutex);
    f->slot = state;
    (void)uv_async_send(&f->async);
    while (f->slot == SLOT_FULL && !f->stopping) {
        uv_cond_wait(&f->handed_out, &f->mutex);
    }
    bool go_on = !f->stopping;
    uv_mutex_unlock(&f->mutex);
    return go_on;
}

static bool stopping(ratoon_uv_feed *f)
{
    uv_mutex_lock(&f->mutex);
    bool result = f->stopping;
    uv_mutex_unlock(&f->mutex);
    return result;
}

static void follow(void *argument)
{
    ratoon_uv_feed *f = argument;
    while (!stopping(f)) {
        ratoon_error error = {0};
        ratoon_feed_item item;
        ratoon_status status = ratoon_feed_next(f->feed, WAIT_MS, &item, &error);
        if (status == RATOON_ERR_TIMED_OUT) {
            continue;
        }
        f->failed = status != RATOON_OK;
        if (f->failed) {
            f->error = error;
        } else {
            f->item = item;
        }
        if (!hand_over(f, SLOT_FULL) || f->failed) {
            break;
        }
    }
    (void)hand_over(f, SLOT_ENDED);
}

static void on_closed(uv_handle_t *handle)
{
    ratoon_uv_feed *f = handle->data;
    ratoon_uv_feed_stopped_cb callback = f->stopped;
    void *data = f->stopped_data;
    uv_mutex_destroy(&f->mutex);
    uv_cond_destroy(&f->handed_out);
    free(f);
    if (callback != NULL) {
        callback(data);
    }
}

static void on_async(uv_async_t *async)
{
    ratoon_uv_feed *f = async->data;
    uv_mutex_lock(&f->mutex);
    bool hand_out = f->slot == SLOT_FULL && !f->stopping;
    uv_mutex_unlock(&f->mutex);
    if (hand_out) {
        f->cb(f, f->failed ? NULL : &f->item, f->failed ? &f->error : NULL, f->data);
        uv_mutex_lock(&f->mutex);
        if (f->slot == SLOT_FULL) {
            f->slot = SLOT_EMPTY;
        }
        uv_cond_signal(&f->handed_out);
        uv_mutex_unlock(&f->mutex);
    }
    uv_mutex_lock(&f->mutex);
    bool end = f->slot == SLOT_ENDED && f->stopping;
    uv_mutex_unlock(&f->mutex);
    if (end && !uv_is_closing((uv_handle_t *)async)) {
        (void)uv_thread_join(&f->thread);
        ratoon_feed_close(f->feed);
        uv_close((uv_handle_t *)async, on_closed);
    }
}

ratoon_status ratoon_uv_feed_start(uv_loop_t *loop, ratoon_store *store, uint64_t from,
                                   ratoon_uv_feed_cb cb, void *data, ratoon_uv_feed **out,
                                   ratoon_error *error)
{
    if (out == NULL) {
        return ratoon_feed_open(store, from, NULL, error); /* which refuses it */
    }
    ratoon_uv_feed *f = calloc(1, sizeof(*f));
    if (f == NULL) {
        return RATOON_ERR_NO_MEMORY;
    }
    f->cb = cb;
    f->data = data;
    ratoon_status status = ratoon_feed_open(store, from, &f->feed, error);
    if (status != RATOON_OK) {
        free(f);
        return status;
    }
    if (uv_mutex_init(&f->mutex) != 0) {
        goto no_mutex;
    }
    if (uv_cond_init(&f->handed_out) != 0) {
        goto no_cond;
    }
    if (uv_async_init(loop, &f->async, on_async) != 0) {
        goto no_async;
    }
    f->async.data = f;
    if (uv_thread_create(&f->thread, follow, f) != 0) {
        /* The handle can only be freed when the loop has closed it. */
        ratoon_feed_close(f->feed);
        uv_close((uv_handle_t *)&f->async, on_closed);
        return RATOON_ERR_NO_MEMORY;
    }
    *out = f;
    return RATOON_OK;

no_async:
    uv_cond_destroy(&f->handed_out);
no_cond:
    uv_mutex_destroy(&f->mutex);
no_mutex:
    ratoon_feed_close(f->feed);
    free(f);
    return RATOON_ERR_NO_MEMORY;
}

void ratoon_uv_feed_stop(ratoon_uv_feed *feed, ratoon_uv_feed_stopped_cb stopped, void *data)
{
    uv_mutex_lock(&feed->mutex);
    feed->stopped = stopped;
    feed->stopped_data = data;
    feed->stopping = true;
    uv_cond_signal(&feed->handed_out);
    uv_mutex_unlock(&feed->mutex);
    (void)uv_async_send(&feed->async);
}

#include <ratoon/uv.h>
#include <stdlib.h>

struct ratoon_uv_queue {
    uv_async_t async;
    ratoon_async *queue;
    uint64_t in_flight; /* the loop's own count: submitted and not yet dispatched */
    bool stopping;
    ratoon_uv_stopped_cb stopped;
    void *stopped_data;
};

/* In whatever thread commits. */
static void notify(void *ctx)
{
    ratoon_uv_queue *q = ctx;
    (void)uv_async_send(&q->async);
}

static void on_closed(uv_handle_t *handle)
{
    ratoon_uv_queue *q = handle->data;
    ratoon_uv_stopped_cb callback = q->stopped;
    void *data = q->stopped_data;
    free(q);
    if (callback != NULL) {
        callback(data);
    }
}

/* Requests keep the loop alive, and so does what is left to do when it is to end. */
static void hold_loop(ratoon_uv_queue *q)
{
    if (q->in_flight > 0 || q->stopping) {
        uv_ref((uv_handle_t *)&q->async);
    } else {
        uv_unref((uv_handle_t *)&q->async);
    }
}

static void on_answers(uv_async_t *async)
{
    ratoon_uv_queue *q = async->data;
    q->in_flight -= ratoon_async_dispatch(q->queue);
    hold_loop(q);
    if (!q->stopping || q->in_flight > 0 || uv_is_closing((uv_handle_t *)async)) {
        return;
    }
    /* Nothing is in flight: this waits at most for a thread that is about to notify. */
    if (ratoon_async_close(q->queue, NULL) == RATOON_OK) {
        uv_close((uv_handle_t *)async, on_closed);
    }
}

ratoon_status ratoon_uv_queue_start(uv_loop_t *loop, ratoon_store *store, uint32_t in_flight_max,
                                    ratoon_uv_queue **out, ratoon_error *error)
{
    if (out == NULL) {
        return ratoon_async_open(store, NULL, NULL, error); /* which refuses it */
    }
    ratoon_uv_queue *q = calloc(1, sizeof *q);
    if (q == NULL) {
        return RATOON_ERR_NO_MEMORY;
    }
    if (uv_async_init(loop, &q->async, on_answers) != 0) {
        free(q);
        return RATOON_ERR_NO_MEMORY;
    }
    q->async.data = q;
    ratoon_async_options options = RATOON_ASYNC_OPTIONS_INIT;
    options.in_flight_max = in_flight_max;
    options.notify = notify;
    options.notify_ctx = q;
    ratoon_status status = ratoon_async_open(store, &options, &q->queue, error);
    if (status != RATOON_OK) {
        /* The handle can only be freed when the loop has closed it. */
        uv_close((uv_handle_t *)&q->async, on_closed);
        return status;
    }
    hold_loop(q);
    *out = q;
    return RATOON_OK;
}

ratoon_status ratoon_uv_apply(ratoon_uv_queue *queue, ratoon_id run, uint64_t epoch, ratoon_op *ops,
                              size_t ops_count, ratoon_done_fn done, void *ctx, ratoon_error *error)
{
    if (queue->stopping) {
        if (error != NULL) {
            *error = (ratoon_error){.code = RATOON_ERR_CLOSED,
                                    .message = "the queue of requests is being stopped"};
        }
        return RATOON_ERR_CLOSED;
    }
    ratoon_status status =
        ratoon_async_apply(queue->queue, run, epoch, ops, ops_count, done, ctx, error);
    if (status == RATOON_OK) {
        queue->in_flight++;
        hold_loop(queue);
    }
    return status;
}

void ratoon_uv_queue_stop(ratoon_uv_queue *queue, ratoon_uv_stopped_cb stopped, void *data)
{
    queue->stopped = stopped;
    queue->stopped_data = data;
    queue->stopping = true;
    hold_loop(queue);
    (void)uv_async_send(&queue->async); /* it ends in a later turn, never in this call */
}

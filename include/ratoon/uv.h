/* ratoon on a libuv loop. Link with libratoon_uv, libratoon and libuv.
 *
 * A store's functions may wait for the disk. On a loop, changes are submitted instead, and called
 * back for in the loop's thread; and commits of whomever are told as they happen (Q06). What is
 * left (creating runs, reading) a program with a loop calls directly, or from uv_queue_work(). */
#ifndef RATOON_UV_H
#define RATOON_UV_H

#include <ratoon.h>
#include <uv.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Something was stopped: it is not there any more. In the loop's thread. */
typedef void (*ratoon_uv_stopped_cb)(void *data);

/* ------------------------------------------------------------------ changes */

/* Requests in flight (ratoon_async in ratoon.h) of one loop. All functions are to be called in the
 * loop's thread, and are; none waits. */
typedef struct ratoon_uv_queue ratoon_uv_queue;

/* Starts one. in_flight_max: as in ratoon_async_options. It keeps the loop alive while requests are
 * in flight. *out: the caller's until ratoon_uv_queue_stop(); `loop` and `store` must outlive it.
 * USAGE, NO_MEMORY, IO (no thread). Since 0.1. */
RATOON_MUST_USE ratoon_status ratoon_uv_queue_start(uv_loop_t *loop, ratoon_store *store,
                                                    uint32_t in_flight_max, ratoon_uv_queue **out,
                                                    ratoon_error *error);

/* Submits what ratoon_run_apply() does. `done` is called once, in a later turn of the loop, when
 * the change is as durable as the store's mode says, or refused; `ops` and what it points to stay
 * the caller's and unchanged until then. Requests to one run are decided and called back for in
 * their order. A callback may call anything, this too, and ratoon_uv_queue_stop(). QUEUE_FULL,
 * CLOSED (it was stopped), and what else ratoon_async_apply() returns: then without a callback.
 * Since 0.1. */
RATOON_MUST_USE ratoon_status ratoon_uv_apply(ratoon_uv_queue *queue, ratoon_id run, uint64_t epoch,
                                              ratoon_op *ops, size_t ops_count, ratoon_done_fn done,
                                              void *ctx, ratoon_error *error);

/* Ends it: what is in flight is carried out and called back for, then `stopped` (may be NULL) is
 * called. Until then the loop must run and the store stay open. *queue is not the caller's any
 * more. Since 0.1. */
void ratoon_uv_queue_stop(ratoon_uv_queue *queue, ratoon_uv_stopped_cb stopped, void *data);

/* ------------------------------------------------------------------ the feed */

typedef struct ratoon_uv_feed ratoon_uv_feed;

/* Called in the loop's thread, once for each commit, in the feed's order, without a gap or a
 * repeat. `item` is lent for the call. Where the feed can't go on, it is called one last time with
 * item NULL and *error saying why (else error is NULL); the feed is still to be stopped then.
 * It may call ratoon_uv_feed_stop(). */
typedef void (*ratoon_uv_feed_cb)(ratoon_uv_feed *feed, const ratoon_feed_item *item,
                                  const ratoon_error *error, void *data);
typedef ratoon_uv_stopped_cb ratoon_uv_feed_stopped_cb;

/* Follows the store's feed from position `from` (1 is the first commit; ratoon_feed_end() gives
 * where the future begins) in a thread of its own, and calls `cb` in the loop's thread. The thread
 * waits until the callback has returned before it reads on, so a slow loop holds up nothing but its
 * own feed. The handle keeps the loop alive.
 * *out: the caller's until ratoon_uv_feed_stop(). To be called in the loop's thread; `loop` and
 * `store` must outlive the feed.
 * NO_MEMORY, and what ratoon_feed_open() returns. Since 0.1. */
RATOON_MUST_USE ratoon_status ratoon_uv_feed_start(uv_loop_t *loop, ratoon_store *store,
                                                   uint64_t from, ratoon_uv_feed_cb cb, void *data,
                                                   ratoon_uv_feed **out, ratoon_error *error);

/* Ends it: `cb` is not called any more, *feed is not the caller's any more. `stopped` (may be NULL)
 * is called in the loop's thread when the thread has ended, at the latest a quarter of a second
 * later; until then the loop must run and the store must stay open. Since 0.1. */
void ratoon_uv_feed_stop(ratoon_uv_feed *feed, ratoon_uv_feed_stopped_cb stopped, void *data);

#ifdef __cplusplus
}
#endif
#endif

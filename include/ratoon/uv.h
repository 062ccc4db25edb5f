/* ratoon on a libuv loop. Link with libratoon_uv, libratoon and libuv.
 *
 * A store's functions may wait for the disk, so a program with a loop usually calls them from
 * uv_queue_work(). What can't be had that way is to be told of commits as they happen: that is what
 * this adapter adds (Q06). */
#ifndef RATOON_UV_H
#define RATOON_UV_H

#include <ratoon.h>
#include <uv.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ratoon_uv_feed ratoon_uv_feed;

/* Called in the loop's thread, once for each commit, in the feed's order, without a gap or a
 * repeat. `item` is lent for the call. Where the feed can't go on, it is called one last time with
 * item NULL and *error saying why (else error is NULL); the feed is still to be stopped then.
 * It may call ratoon_uv_feed_stop(). */
typedef void (*ratoon_uv_feed_cb)(ratoon_uv_feed *feed, const ratoon_feed_item *item,
                                  const ratoon_error *error, void *data);
typedef void (*ratoon_uv_feed_stopped_cb)(void *data);

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

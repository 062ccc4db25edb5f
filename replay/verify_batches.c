/* Reading a store for its verification takes about as long as all that is looked at in what was
 * read. So of a large one the two are done by two threads: who reads hands full batches to a
 * helper. Either waits for the other only until half of all batches are its own, or both would be
 * woken for each. */
#include "replay/verify_batches.h"

#include "log/thread.h"

#include <stdlib.h>

enum {
    HELPED_FROM = 64, /* batches, of which a second thread is worth its start */
    HALF = RATOON__BATCHES / 2,
};

ratoon_status ratoon__batches_begin(ratoon__batches *b, ratoon__batch_fn fn, void *ctx)
{
    *b = (ratoon__batches){.fn = fn, .ctx = ctx};
    b->all = calloc(RATOON__BATCHES, sizeof *b->all);
    if (b->all == NULL) {
        return RATOON_ERR_NO_MEMORY;
    }
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    b->alone = !ratoon__two_processors();
    return RATOON_OK;
}

/* Has the next batch verified, and empties it. */
static bool next_do(ratoon__batches *b)
{
    ratoon__batch *batch = &b->all[b->done % RATOON__BATCHES];
    const bool more = b->fn(b->ctx, batch);
    batch->count = 0;
    batch->bytes.size = 0;
    return more;
}

/* ---- the helper ---- */

static void *help(void *ctx)
{
    ratoon__batches *b = ctx;
    pthread_mutex_lock(&b->lock);
    for (;;) {
        while (b->filled - b->done < HALF && !b->ended) {
            pthread_cond_wait(&b->changed, &b->lock);
        }
        while (b->filled > b->done && !b->stopped) {
            pthread_mutex_unlock(&b->lock);
            const bool more = next_do(b); /* of what is filled only this thread knows `done` */
            pthread_mutex_lock(&b->lock);
            b->done++;
            b->stopped = !more;
            if (b->stopped || b->filled - b->done == HALF) {
                pthread_cond_signal(&b->changed);
            }
        }
        if (b->ended || b->stopped) {
            break;
        }
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* Nothing more comes into the batch that is filled. True: the next one is empty. */
static bool hand_over(ratoon__batches *b, bool last)
{
    if (b->filled == HELPED_FROM && !last && !b->alone) {
        b->helped = ratoon__thread_start(&b->helper, help, b) == 0; /* if not, it is done here */
    }
    if (!b->helped) {
        b->filled++;
        b->stopped = !next_do(b);
        b->done++;
        return !b->stopped;
    }
    pthread_mutex_lock(&b->lock);
    b->filled++;
    if (b->filled - b->done == HALF) {
        pthread_cond_signal(&b->changed);
    }
    if (b->filled - b->done == RATOON__BATCHES) {
        while (b->filled - b->done > HALF && !b->stopped) {
            pthread_cond_wait(&b->changed, &b->lock);
        }
    }
    const bool go_on = !b->stopped;
    pthread_mutex_unlock(&b->lock);
    return go_on;
}

/* ---- who reads ---- */

bool ratoon__batches_add(ratoon__batches *b, const ratoon__taken *commit, const void *data)
{
    static const char padding[8];
    ratoon__batch *batch = &b->all[b->filled % RATOON__BATCHES];
    ratoon__taken *t = &batch->commits[batch->count++];
    *t = *commit;
    t->at = batch->bytes.size;
    ratoon__buf_add(&batch->bytes, data, t->size);
    ratoon__buf_add(&batch->bytes, padding, (8 - t->size % 8) % 8);
    b->failed = batch->bytes.failed;
    if (b->failed) {
        batch->count = 0;
        return false;
    }
    return (batch->count < RATOON__BATCH_COMMITS && batch->bytes.size < RATOON__BATCH_BYTES) ||
           hand_over(b, false);
}

ratoon_status ratoon__batches_end(ratoon__batches *b)
{
    if (b->all[b->filled % RATOON__BATCHES].count > 0) {
        (void)hand_over(b, true); /* nothing is done with it where no more is wanted */
    }
    if (b->helped) {
        pthread_mutex_lock(&b->lock);
        b->ended = true;
        pthread_cond_signal(&b->changed);
        pthread_mutex_unlock(&b->lock);
        pthread_join(b->helper, NULL);
    }
    for (size_t i = 0; i < RATOON__BATCHES; i++) {
        ratoon__buf_free(&b->all[i].bytes);
    }
    free(b->all);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
    return b->failed ? RATOON_ERR_NO_MEMORY : RATOON_OK;
}

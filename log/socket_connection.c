#include "log/socket_connection.h"

#include "log/monotonic.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_SIZE ((size_t)64 << 10)
#define WRITE_POLL_MS 50 /* then a writer looks whether it has to read as well */

/* A thread that waits for an answer. */
typedef struct waiter {
    uint64_t id;
    ratoon__buf *answer;
    bool done;
    pthread_cond_t wake; /* done, lost, or its turn to read */
    struct waiter *next;
} waiter;

struct ratoon__connection {
    int fd;
    pthread_mutex_t write_lock; /* held while a frame is sent */

    pthread_mutex_t lock; /* guards what follows */
    bool lost;
    bool reading; /* one thread has the reader's role, and with it `in` */
    uint64_t last_id;
    waiter *waiters;
    ratoon__buf in; /* frames, the last one maybe in part */
};

ratoon_status ratoon__connection_open(int fd, ratoon__connection **out, ratoon_error *error)
{
    ratoon__connection *c = calloc(1, sizeof *c);
    if (c == NULL) {
        close(fd);
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory for a connection");
    }
    c->fd = fd;
    ratoon__buf_reserve(&c->in, 2 * RECEIVE_SIZE); /* so that it takes in small answers for sure */
    if (c->in.failed) {
        close(fd);
        free(c);
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory for a connection");
    }
    pthread_mutex_init(&c->write_lock, NULL);
    pthread_mutex_init(&c->lock, NULL);
    *out = c;
    return RATOON_OK;
}

void ratoon__connection_close(ratoon__connection *c)
{
    close(c->fd);
    pthread_mutex_destroy(&c->lock);
    pthread_mutex_destroy(&c->write_lock);
    ratoon__buf_free(&c->in);
    free(c);
}

/* ---- the state of the connection, under lock ---- */

static void lose(ratoon__connection *c)
{
    c->lost = true;
    (void)shutdown(c->fd, SHUT_RDWR); /* wakes whoever polls */
    for (waiter *w = c->waiters; w != NULL; w = w->next) {
        pthread_cond_signal(&w->wake);
    }
}

/* Lets one of those that wait read, unless somebody does. */
static void pass_role(ratoon__connection *c)
{
    for (waiter *w = c->waiters; w != NULL && !c->reading; w = w->next) {
        if (!w->done) {
            pthread_cond_signal(&w->wake);
            return;
        }
    }
}

static void hand_out(ratoon__connection *c, uint64_t id, const void *frame, size_t size)
{
    for (waiter *w = c->waiters; w != NULL; w = w->next) {
        if (w->id == id && !w->done) {
            ratoon__buf_add(w->answer, frame, size);
            w->done = true;
            pthread_cond_signal(&w->wake);
            return;
        }
    }
    /* Of a request that was given up. */
}

static ratoon_status fail_lost(ratoon_error *error)
{
    ratoon_status status = ratoon__fail(
        error, RATOON_ERR_STORE_BUSY, "the connection to the process that owns the store is lost");
    if (error != NULL) {
        error->backend_code = ECONNRESET;
    }
    return status;
}

ratoon_status ratoon__connection_break(ratoon__connection *c, ratoon_error *error)
{
    pthread_mutex_lock(&c->lock);
    lose(c);
    pthread_mutex_unlock(&c->lock);
    return fail_lost(error);
}

bool ratoon__connection_is_lost(ratoon__connection *c)
{
    pthread_mutex_lock(&c->lock);
    bool lost = c->lost;
    pthread_mutex_unlock(&c->lock);
    return lost;
}

/* ---- reading; with the reader's role, without lock ---- */

/* Hands out the whole frames that have come. False: that's not the protocol. */
static bool split_frames(ratoon__connection *c)
{
    size_t at = 0;
    ratoon__frame_head head;
    while (c->in.size - at >= RATOON__FRAME_HEAD_SIZE) {
        if (!ratoon__frame_head_get(c->in.data + at, &head)) {
            return false;
        }
        if (c->in.size - at < head.size) {
            break;
        }
        pthread_mutex_lock(&c->lock);
        hand_out(c, head.id, c->in.data + at, head.size);
        pthread_mutex_unlock(&c->lock);
        at += head.size;
    }
    if (at > 0) {
        c->in.size -= at;
        memmove(c->in.data, c->in.data + at, c->in.size);
    }
    return true;
}

/* Takes in what has arrived. False: the connection is lost. */
static bool take_in(ratoon__connection *c)
{
    char bytes[RECEIVE_SIZE];
    ssize_t got = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got > 0) {
        ratoon__buf_add(&c->in, bytes, (size_t)got);
        return !c->in.failed && split_frames(c);
    }
    return got < 0 && (errno == EAGAIN || errno == EINTR);
}

static int poll_left_ms(uint64_t deadline_ms)
{
    if (deadline_ms == RATOON__NO_DEADLINE) {
        return -1;
    }
    uint64_t now = ratoon__monotonic_ms();
    uint64_t left = deadline_ms > now ? deadline_ms - now : 0;
    return left < INT32_MAX ? (int)left : INT32_MAX;
}

/* One step in the reader's role: waits and takes in. Under lock, which is released meanwhile. */
static void read_step(ratoon__connection *c, short other_events, int timeout_ms)
{
    c->reading = true;
    pthread_mutex_unlock(&c->lock);
    struct pollfd pollfd = {.fd = c->fd, .events = (short)(POLLIN | other_events)};
    bool good = true;
    if (poll(&pollfd, 1, timeout_ms) > 0 && (pollfd.revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
        good = take_in(c);
    }
    pthread_mutex_lock(&c->lock);
    c->reading = false;
    if (!good) {
        lose(c);
    }
}

/* ---- asking ---- */

/* Sends a frame whole. An owner whose answers nobody reads may not read either: whoever can't write
 * reads, unless another thread does. */
static void send_frame(ratoon__connection *c, const ratoon__buf *frame)
{
    pthread_mutex_lock(&c->write_lock);
    for (size_t sent = 0; sent < frame->size;) {
        ssize_t n =
            send(c->fd, frame->data + sent, frame->size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0) {
            sent += (size_t)n;
            continue;
        }
        if (errno == EINTR) {
            continue;
        }
        bool blocked = errno == EAGAIN;
        pthread_mutex_lock(&c->lock);
        if (!blocked) {
            lose(c);
        } else if (!c->reading) {
            read_step(c, POLLOUT, WRITE_POLL_MS);
            pass_role(c);
        } else {
            pthread_mutex_unlock(&c->lock);
            (void)poll(&(struct pollfd){.fd = c->fd, .events = POLLOUT}, 1, WRITE_POLL_MS);
            pthread_mutex_lock(&c->lock);
        }
        bool lost = c->lost;
        pthread_mutex_unlock(&c->lock);
        if (lost) {
            break;
        }
    }
    pthread_mutex_unlock(&c->write_lock);
}

static bool wait_turn(ratoon__connection *c, waiter *w, uint64_t deadline_ms)
{
    if (deadline_ms == RATOON__NO_DEADLINE) {
        pthread_cond_wait(&w->wake, &c->lock);
        return true;
    }
    const struct timespec until = {
        .tv_sec = (time_t)(deadline_ms / 1000),
        .tv_nsec = (long)(deadline_ms % 1000) * 1000000L,
    };
    return pthread_cond_timedwait(&w->wake, &c->lock, &until) != ETIMEDOUT;
}

/* Until the answer is there, the connection lost or the time up. Under lock. */
static void await(ratoon__connection *c, waiter *w, uint64_t deadline_ms)
{
    bool in_time = true;
    while (!w->done && !c->lost && in_time) {
        if (c->reading) {
            in_time = wait_turn(c, w, deadline_ms);
        } else {
            int left = poll_left_ms(deadline_ms);
            read_step(c, 0, left);
            in_time = left != 0;
        }
    }
}

static void waiter_init(waiter *w)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static void unlist(ratoon__connection *c, const waiter *w)
{
    waiter **at = &c->waiters;
    while (*at != NULL && *at != w) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = w->next;
    }
}

ratoon_status ratoon__connection_call(ratoon__connection *c, ratoon__buf *request,
                                      uint64_t deadline_ms, ratoon__buf *answer,
                                      ratoon_error *error)
{
    waiter w = {.answer = answer};
    waiter_init(&w);
    pthread_mutex_lock(&c->lock);
    w.id = ++c->last_id;
    w.next = c->waiters;
    // cppcheck-suppress autoVariables ; taken off the list before this function returns
    c->waiters = &w;
    pthread_mutex_unlock(&c->lock);

    ratoon__frame_id_set(request->data, w.id);
    send_frame(c, request);

    pthread_mutex_lock(&c->lock);
    await(c, &w, deadline_ms);
    unlist(c, &w);
    pass_role(c);
    bool lost = c->lost;
    pthread_mutex_unlock(&c->lock);
    pthread_cond_destroy(&w.wake);

    if (w.done) {
        return answer->failed ? ratoon__fail(error, RATOON_ERR_NO_MEMORY,
                                             "out of memory for the answer of the store's owner")
                              : RATOON_OK;
    }
    return lost ? fail_lost(error)
                : ratoon__fail(error, RATOON_ERR_TIMED_OUT,
                               "the process that owns the store did not answer in time");
}

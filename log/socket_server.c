/* Serves a store that this process owns to others: one thread that polls the listening socket, the
 * clients and the driver's announcements. In each turn it takes what has arrived, gives the appends
 * of all clients to the driver as one group, answers the rest page by page, and sends what the
 * clients take. A client that doesn't read its answers isn't asked for further requests; it holds
 * up nobody else. */
#include "log/monotonic.h"
#include "log/socket_address.h"
#include "log/socket_clients.h"
#include "log/thread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_MAX 512
#define ACCEPT_PAUSE_MS 100 /* after descriptors ran out */
#define UNWATCHED_MS 20     /* how often the feed of a driver without announcements is looked at */
#define LAST_ANSWERS_MS 1000

struct ratoon__server {
    ratoon__driver *driver;
    void (*on_disconnect)(void *ctx);
    void *ctx;
    ratoon__listener listener;
    int wake;  /* eventfd: stop */
    int watch; /* eventfd: the driver has acknowledged a group; only while readers wait */
    pthread_t thread;
    atomic_bool stopping;

    /* the thread's own */
    ratoon__client *clients[CLIENTS_MAX];
    size_t count;
    bool watching;
    uint64_t accept_after_ms;
};

enum { SLOT_WAKE, SLOT_WATCH, SLOT_LISTENER, SLOT_CLIENTS };

static void drop_gone(ratoon__server *s)
{
    for (size_t i = 0; i < s->count;) {
        ratoon__client *client = s->clients[i];
        if (!client->gone) {
            i++;
            continue;
        }
        s->clients[i] = s->clients[--s->count];
        bool known = client->greeted;
        ratoon__client_free(client);
        if (known && s->on_disconnect != NULL) {
            s->on_disconnect(s->ctx);
        }
    }
}

static void accept_clients(ratoon__server *s)
{
    while (s->count < CLIENTS_MAX) {
        int fd = accept4(s->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EINTR || errno == ECONNABORTED) {
                continue;
            }
            if (errno != EAGAIN) {
                s->accept_after_ms = ratoon__monotonic_ms() + ACCEPT_PAUSE_MS;
            }
            return;
        }
        ratoon__client *client = ratoon__socket_peer_trusted(fd) ? ratoon__client_new(fd) : NULL;
        if (client == NULL) {
            close(fd);
            continue;
        }
        s->clients[s->count++] = client;
    }
}

/* Executes what has arrived, appends first: others wait for them to be synced. */
static void execute(ratoon__server *s)
{
    for (size_t i = 0; i < s->count; i++) {
        ratoon__client_scan(s->clients[i]);
    }
    ratoon__clients_append(s->driver, s->clients, s->count);
    for (size_t i = 0; i < s->count; i++) {
        ratoon__client_execute(s->clients[i], s->driver);
    }
}

/* Whether requests have arrived that no turn got to yet. */
static bool work_left(const ratoon__server *s)
{
    bool left = false;
    for (size_t i = 0; i < s->count; i++) {
        left |= ratoon__client_has_work(s->clients[i]);
    }
    return left;
}

/* Has each group announced, or none any more: nobody else pays for readers that aren't there. */
static void watch(ratoon__server *s, bool on)
{
    if (s->watching != on && s->driver->ops->watch != NULL) {
        s->driver->ops->watch(s->driver, on ? s->watch : -1);
    }
    s->watching = on;
}

static void answer_tails(ratoon__server *s)
{
    bool any = false;
    for (size_t i = 0; i < s->count; i++) {
        any |= s->clients[i]->parked_count > 0;
    }
    watch(s, any); /* before the look at the end: what comes after it is announced */
    uint64_t end;
    if (any && s->driver->ops->end(s->driver, &end, NULL) == RATOON_OK) {
        uint64_t now = ratoon__monotonic_ms();
        for (size_t i = 0; i < s->count; i++) {
            ratoon__client_answer_tails(s->clients[i], s->driver, end, now);
        }
    }
}

static int poll_timeout(const ratoon__server *s, uint64_t now)
{
    uint64_t until = UINT64_MAX;
    if (s->accept_after_ms > now) {
        until = s->accept_after_ms;
    }
    for (size_t i = 0; i < s->count; i++) {
        uint64_t deadline = ratoon__client_deadline(s->clients[i]);
        until = deadline < until ? deadline : until;
        if (s->driver->ops->watch == NULL && deadline != UINT64_MAX && now + UNWATCHED_MS < until) {
            until = now + UNWATCHED_MS;
        }
    }
    if (work_left(s) || until <= now) {
        return 0;
    }
    return until == UINT64_MAX ? -1 : until - now < INT32_MAX ? (int)(until - now) : INT32_MAX;
}

static void drain(int eventfd)
{
    uint64_t value;
    ssize_t got = read(eventfd, &value, sizeof value);
    (void)got; /* only that it isn't readable any more matters */
}

/* Waits for something to happen and takes in what has arrived. */
static void receive(ratoon__server *s)
{
    struct pollfd fds[SLOT_CLIENTS + CLIENTS_MAX];
    uint64_t now = ratoon__monotonic_ms();
    bool accepting = s->count < CLIENTS_MAX && s->accept_after_ms <= now;
    fds[SLOT_WAKE] = (struct pollfd){.fd = s->wake, .events = POLLIN};
    fds[SLOT_WATCH] = (struct pollfd){.fd = s->watch, .events = POLLIN};
    fds[SLOT_LISTENER] = (struct pollfd){.fd = accepting ? s->listener.fd : -1, .events = POLLIN};
    for (size_t i = 0; i < s->count; i++) {
        fds[SLOT_CLIENTS + i] = (struct pollfd){
            .fd = s->clients[i]->fd, .events = ratoon__client_poll_events(s->clients[i])};
    }
    size_t polled = s->count;
    if (poll(fds, SLOT_CLIENTS + polled, poll_timeout(s, now)) <= 0) {
        return;
    }
    for (size_t i = 0; i < polled; i++) {
        if ((fds[SLOT_CLIENTS + i].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
            ratoon__client_receive(s->clients[i]);
        }
    }
    if ((fds[SLOT_WATCH].revents & POLLIN) != 0) {
        drain(s->watch);
    }
    if ((fds[SLOT_LISTENER].revents & POLLIN) != 0) {
        accept_clients(s);
    }
}

static bool send_all(ratoon__server *s)
{
    bool left = false;
    for (size_t i = 0; i < s->count; i++) {
        left |= ratoon__client_send(s->clients[i]);
    }
    return left;
}

/* Nobody new is let in; what has arrived is executed, and the answers are sent as far as the
 * clients take them in a time. */
static void finish(ratoon__server *s)
{
    ratoon__socket_unlisten(&s->listener);
    for (size_t i = 0; i < s->count; i++) {
        ratoon__client_receive(s->clients[i]);
    }
    uint64_t until = ratoon__monotonic_ms() + LAST_ANSWERS_MS;
    bool left = true;
    while (left && ratoon__monotonic_ms() < until) {
        execute(s);
        left = send_all(s);
        if (work_left(s)) {
            left = true;
        } else if (left) {
            ratoon__sleep_ms(1);
        }
    }
    while (s->count > 0) {
        ratoon__client_free(s->clients[--s->count]);
    }
}

static void *serve(void *argument)
{
    ratoon__server *s = argument;
    while (!atomic_load(&s->stopping)) {
        receive(s);
        execute(s);
        answer_tails(s);
        (void)send_all(s);
        drop_gone(s);
    }
    finish(s);
    return NULL;
}

static void server_free(ratoon__server *s)
{
    if (s->wake >= 0) {
        close(s->wake);
    }
    if (s->watch >= 0) {
        close(s->watch);
    }
    free(s);
}

ratoon_status ratoon__server_start(ratoon__driver *d, const char *store_path,
                                   void (*on_disconnect)(void *ctx), void *ctx,
                                   ratoon__server **out, ratoon_error *error)
{
    ratoon__server *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory serving %s", store_path);
    }
    s->driver = d;
    s->on_disconnect = on_disconnect;
    s->ctx = ctx;
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->watch = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake < 0 || s->watch < 0) {
        server_free(s);
        return ratoon__fail(error, RATOON_ERR_IO, "no descriptors left to serve %s", store_path);
    }
    ratoon_status status = ratoon__socket_listen(store_path, &s->listener, error);
    if (status != RATOON_OK) {
        server_free(s);
        return status;
    }
    if (ratoon__thread_start(&s->thread, serve, s) != 0) {
        ratoon__socket_unlisten(&s->listener);
        server_free(s);
        return ratoon__fail(error, RATOON_ERR_IO, "can't start a thread to serve %s", store_path);
    }
    *out = s;
    return RATOON_OK;
}

void ratoon__server_stop(ratoon__server *s)
{
    atomic_store(&s->stopping, true);
    const uint64_t one = 1;
    ssize_t written = write(s->wake, &one, sizeof one);
    (void)written; /* it fails only where it is readable already */
    pthread_join(s->thread, NULL);
    watch(s, false);
    server_free(s);
}

#include "log/socket_clients.h"

#include "log/monotonic.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_SIZE ((size_t)64 << 10)
#define RECEIVE_TURN_MAX ((size_t)4 << 20) /* taken from one client in a turn */
#define BACKLOG_MAX ((size_t)8 << 20)      /* unsent answers; beyond it nothing is executed */
#define READS_TURN_MAX 4 /* requests other than appends, of one client in a turn */
#define GROUP_APPENDS_MAX ((size_t)4096)
#define GROUP_PARTS_MAX ((size_t)256)
#define IDLE_CAPACITY_MAX ((size_t)1 << 20) /* an empty buffer larger than that is given back */

ratoon__client *ratoon__client_new(int fd)
{
    ratoon__client *c = calloc(1, sizeof *c);
    if (c != NULL) {
        c->fd = fd;
    }
    return c;
}

void ratoon__client_free(ratoon__client *c)
{
    close(c->fd);
    ratoon__buf_free(&c->in);
    ratoon__buf_free(&c->out);
    free(c);
}

/* ---- bytes in and out ---- */

static bool backlogged(const ratoon__client *c)
{
    return c->out.size - c->sent >= BACKLOG_MAX;
}

/* Takes the first `size` bytes out of a buffer. */
static void consume(ratoon__buf *buf, size_t size)
{
    buf->size -= size;
    if (size > 0 && buf->size > 0) {
        memmove(buf->data, buf->data + size, buf->size);
    } else if (buf->size == 0 && buf->capacity > IDLE_CAPACITY_MAX) {
        ratoon__buf_free(buf);
        *buf = (ratoon__buf){0};
    }
}

short ratoon__client_poll_events(const ratoon__client *c)
{
    int events = backlogged(c) ? 0 : POLLIN;
    if (c->out.size > c->sent) {
        events |= POLLOUT;
    }
    return (short)events;
}

void ratoon__client_receive(ratoon__client *c)
{
    char bytes[RECEIVE_SIZE];
    for (size_t taken = 0; taken < RECEIVE_TURN_MAX;) {
        ssize_t got = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (got > 0) {
            ratoon__buf_add(&c->in, bytes, (size_t)got);
            taken += (size_t)got;
        } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            c->gone = true; /* what it has sent whole is still executed */
            return;
        } else if (errno == EAGAIN) {
            return;
        }
        if (c->in.failed) {
            c->gone = true;
            return;
        }
    }
}

bool ratoon__client_send(ratoon__client *c)
{
    while (c->sent < c->out.size && !c->gone) {
        ssize_t sent =
            send(c->fd, c->out.data + c->sent, c->out.size - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) {
            c->sent += (size_t)sent;
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            c->gone = true;
        }
    }
    bool left = c->sent < c->out.size && !c->gone;
    if (!left || c->sent >= BACKLOG_MAX) {
        consume(&c->out, c->sent);
        c->sent = 0;
    }
    return left;
}

/* ---- requests ---- */

void ratoon__client_scan(ratoon__client *c)
{
    c->scanned = 0;
    unsigned reads = 0;
    ratoon__frame_head head;
    while (!backlogged(c) && c->in.size - c->scanned >= RATOON__FRAME_HEAD_SIZE) {
        if (!ratoon__frame_head_get(c->in.data + c->scanned, &head) ||
            (!c->greeted && head.op != RATOON__FRAME_HELLO)) {
            c->gone = true;
            return;
        }
        if (c->in.size - c->scanned < head.size ||
            (head.op != RATOON__FRAME_APPEND && ++reads > READS_TURN_MAX)) {
            return;
        }
        c->scanned += head.size;
        if (!c->greeted) {
            return; /* first its greeting is looked at */
        }
    }
}

static void park(ratoon__client *c, ratoon__driver *d, const ratoon__frame_head *head,
                 const void *frame)
{
    ratoon__frame_reader fields = ratoon__frame_fields(frame, head->size);
    uint64_t from = ratoon__frame_get_u64(&fields);
    uint32_t timeout_ms = (uint32_t)ratoon__frame_get_range(&fields, 0, UINT32_MAX);
    bool served = false;
    if (!ratoon__frame_done(&fields) || !ratoon__serve_tail(d, head->id, from, &c->out, &served)) {
        c->gone = true;
        return;
    }
    if (served) {
        return;
    }
    if (c->parked_count == RATOON__PARKED_MAX) {
        ratoon_error error;
        ratoon_status status = ratoon__fail(&error, RATOON_ERR_LIMIT_EXCEEDED,
                                            "more than %d readers of one process wait for commits",
                                            RATOON__PARKED_MAX);
        c->gone |= !ratoon__serve_error(head, status, &error, &c->out);
        return;
    }
    c->parked[c->parked_count++] = (ratoon__parked){
        .id = head->id, .from = from, .deadline_ms = ratoon__monotonic_ms() + timeout_ms};
}

void ratoon__client_execute(ratoon__client *c, ratoon__driver *d)
{
    ratoon__frame_head head;
    for (size_t at = 0; at < c->scanned && ratoon__frame_head_get(c->in.data + at, &head);
         at += head.size) {
        const void *frame = c->in.data + at;
        if (head.op == RATOON__FRAME_TAIL) {
            park(c, d, &head, frame);
        } else if (head.op != RATOON__FRAME_APPEND && !ratoon__serve(d, &head, frame, &c->out)) {
            c->gone = true;
        }
        c->greeted |= !c->gone;
    }
    consume(&c->in, c->scanned);
    c->scanned = 0;
}

bool ratoon__client_has_work(const ratoon__client *c)
{
    ratoon__frame_head head;
    return !c->gone && !backlogged(c) && c->in.size >= RATOON__FRAME_HEAD_SIZE &&
           (!ratoon__frame_head_get(c->in.data, &head) || head.size <= c->in.size);
}

/* ---- readers that wait ---- */

void ratoon__client_answer_tails(ratoon__client *c, ratoon__driver *d, uint64_t end, uint64_t now)
{
    for (size_t i = 0; i < c->parked_count && !c->gone && !backlogged(c);) {
        ratoon__parked *p = &c->parked[i];
        bool answered = false;
        if (p->from < end) {
            c->gone = !ratoon__serve_tail(d, p->id, p->from, &c->out, &answered);
        }
        if (!answered && p->deadline_ms <= now) {
            const ratoon__frame_head head = {.op = RATOON__FRAME_TAIL, .id = p->id};
            ratoon_error error;
            ratoon_status status =
                ratoon__fail(&error, RATOON_ERR_TIMED_OUT, "no commit at position %U yet", p->from);
            c->gone |= !ratoon__serve_error(&head, status, &error, &c->out);
            answered = true;
        }
        if (answered) {
            *p = c->parked[--c->parked_count];
        } else {
            i++;
        }
    }
}

uint64_t ratoon__client_deadline(const ratoon__client *c)
{
    uint64_t deadline = UINT64_MAX;
    for (size_t i = 0; i < c->parked_count && !backlogged(c); i++) {
        deadline = c->parked[i].deadline_ms < deadline ? c->parked[i].deadline_ms : deadline;
    }
    return deadline;
}

/* ---- appends of all clients as one group ---- */

typedef struct part { /* one request's share of the group */
    ratoon__client *client;
    ratoon__frame_head head;
    ratoon__append *appends;
    size_t count;
} part;

typedef struct group {
    ratoon__driver *driver;
    ratoon__arena arena;
    part parts[GROUP_PARTS_MAX];
    size_t parts_count;
    size_t appends_count;
    bool sync;
} group;

static ratoon_status append_parts(group *g, ratoon_error *error)
{
    ratoon__append *all = g->parts[0].appends;
    if (g->parts_count > 1) {
        all = ratoon__arena_alloc(&g->arena, g->appends_count * sizeof *all);
        if (all == NULL) {
            return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory appending a group");
        }
    }
    size_t at = 0;
    for (size_t i = 0; g->parts_count > 1 && i < g->parts_count; i++) {
        memcpy(all + at, g->parts[i].appends, g->parts[i].count * sizeof *all);
        g->parts[i].appends = all + at;
        at += g->parts[i].count;
    }
    return g->driver->ops->append(g->driver, all, g->appends_count, g->sync, error);
}

static void group_flush(group *g)
{
    if (g->parts_count > 0) {
        ratoon_error error = {0};
        ratoon_status status = g->appends_count > 0 ? append_parts(g, &error) : RATOON_OK;
        for (size_t i = 0; i < g->parts_count; i++) {
            part *p = &g->parts[i];
            bool answered;
            if (status != RATOON_OK) {
                answered = ratoon__serve_error(&p->head, status, &error, &p->client->out);
            } else {
                ratoon__frame_writer w = ratoon__frame_begin(&p->client->out, RATOON__FRAME_APPEND,
                                                             RATOON_OK, p->head.id);
                ratoon__frame_put_results(&w, p->appends, p->count);
                answered = ratoon__frame_finish(&w, NULL) == RATOON_OK;
            }
            p->client->gone |= !answered;
        }
    }
    ratoon__arena_free(&g->arena);
    g->parts_count = 0;
    g->appends_count = 0;
    g->sync = false;
}

static void group_add(group *g, ratoon__client *c, const ratoon__frame_head *head,
                      const void *frame)
{
    part p = {.client = c, .head = *head};
    bool sync;
    ratoon__frame_reader fields = ratoon__frame_fields(frame, head->size);
    ratoon__frame_get_group(&fields, &g->arena, &p.appends, &p.count, &sync);
    if (!ratoon__frame_done(&fields)) {
        c->gone = true;
        return;
    }
    g->parts[g->parts_count++] = p;
    g->appends_count += p.count;
    g->sync |= sync;
    if (g->parts_count == GROUP_PARTS_MAX || g->appends_count >= GROUP_APPENDS_MAX) {
        group_flush(g);
    }
}

void ratoon__clients_append(ratoon__driver *d, ratoon__client *const *clients, size_t count)
{
    group g;
    g.driver = d;
    g.arena = (ratoon__arena){0};
    g.parts_count = 0;
    g.appends_count = 0;
    g.sync = false;
    for (size_t i = 0; i < count; i++) {
        ratoon__client *c = clients[i];
        ratoon__frame_head head;
        for (size_t at = 0; at < c->scanned && ratoon__frame_head_get(c->in.data + at, &head);
             at += head.size) {
            if (head.op == RATOON__FRAME_APPEND) {
                group_add(&g, c, &head, c->in.data + at);
            }
        }
    }
    group_flush(&g);
}

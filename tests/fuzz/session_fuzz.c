/* Reaches both ends of the socket protocol over several frames. The first byte says which: the
 * owner's, ratoon__client_receive(), _scan(), _execute(), _answer_tails() and _send() with
 * ratoon__clients_append(), for two clients that send what the input says; or a client's,
 * ratoon__socket_greet() and every operation of the driver, from an owner that answers what the
 * input says. */
#include "log/socket_client.h"
#include "log/socket_clients.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS = 2, STEPS_MAX = 64, ASKED_MAX = 64, BYTES_MAX = 96, CONNECT_MS = 60000 };

static ratoon_id id_of(uint8_t first)
{
    return (ratoon_id){{first, 1}};
}

static ratoon_digest digest_of(uint8_t first)
{
    return (ratoon_digest){{first, 1}};
}

static ratoon__driver *memory(void)
{
    ratoon__driver *d = NULL;
    const ratoon__driver_options options = {.value_max = 1000};
    must(ratoon__memory_open(&options, &d, NULL) == RATOON_OK);
    return d;
}

/* ---- requests ---- */

/* One that a client makes. */
static void put_request(ratoon__buf *buf, fuzz_input *in, ratoon__frame_op op, uint64_t id)
{
    static const char *const texts[] = {"", "a", "b", "running", "scope:a"};
    ratoon__frame_writer w = ratoon__frame_begin(buf, op, RATOON_OK, id);
    const uint8_t byte = fuzz_byte(in);
    const ratoon_id lineage = id_of(byte % 4);
    const uint64_t number = byte >> 4;
    const char *text = texts[byte % 5];
    const uint8_t value[40] = {byte};
    const ratoon_digest digest = digest_of(byte % 4);
    const ratoon__claim claim = {.name = text, .run = lineage, .take = (byte & 64) != 0};
    const ratoon__stored_value stored = {digest, value, byte % 40};
    const ratoon__run_row row = {.run = lineage,
                                 .root = lineage,
                                 .created_at = number,
                                 .status = RATOON_RUN_RUNNING,
                                 .subject = text,
                                 .pipeline = text};
    const ratoon__append append = {.lineage = lineage,
                                   .number = number,
                                   .data = value,
                                   .size = byte % 40,
                                   .values = &stored,
                                   .values_count = byte % 2,
                                   .claims = &claim,
                                   .claims_count = byte % 3 == 0,
                                   .rows = &row,
                                   .rows_count = byte % 5 == 0,
                                   .erase = byte > 240};
    const ratoon__append appends[2] = {append, append};
    const ratoon__list_query query = {
        .index = (ratoon__index)(1 + byte % 5), .key = text, .limit = byte};
    switch (op) {
    case RATOON__FRAME_HELLO:
        ratoon__frame_put_u64(&w, RATOON__FRAME_MAGIC);
        ratoon__frame_put_u64(&w, RATOON__FRAME_VERSION + (byte > 250));
        break;
    case RATOON__FRAME_APPEND:
        ratoon__frame_put_group(&w, appends, byte % 3, (byte & 8) != 0);
        break;
    case RATOON__FRAME_HEAD:
    case RATOON__FRAME_RUN_GET:
        ratoon__frame_put_id(&w, lineage);
        break;
    case RATOON__FRAME_READ:
        ratoon__frame_put_id(&w, lineage);
        ratoon__frame_put_u64(&w, number);
        ratoon__frame_put_u64(&w, byte & 1);
        ratoon__frame_put_u64(&w, byte >> 1 & 1);
        break;
    case RATOON__FRAME_TAIL:
        ratoon__frame_put_u64(&w, number);
        ratoon__frame_put_u64(&w, byte);
        break;
    case RATOON__FRAME_VALUE_GET:
    case RATOON__FRAME_VALUES:
        ratoon__frame_put_digest(&w, &digest);
        break;
    case RATOON__FRAME_LIST:
        ratoon__frame_put_query(&w, &query);
        break;
    case RATOON__FRAME_CLAIM_GET:
        ratoon__frame_put_text(&w, text);
        break;
    case RATOON__FRAME_CLAIMS:
        ratoon__frame_put_text(&w, text);
        ratoon__frame_put_text(&w, "");
        break;
    case RATOON__FRAME_SNAPSHOT_PUT:
        ratoon__frame_put_id(&w, lineage);
        ratoon__frame_put_u64(&w, number);
        ratoon__frame_put_bytes(&w, value, byte % 40);
        break;
    case RATOON__FRAME_SNAPSHOT_GET:
    case RATOON__FRAME_HEADS:
        ratoon__frame_put_id(&w, lineage);
        ratoon__frame_put_u64(&w, number);
        break;
    case RATOON__FRAME_SWEEP:
        ratoon__frame_put_u64(&w, number);
        ratoon__frame_put_bytes(&w, &digest, sizeof digest);
        break;
    case RATOON__FRAME_CHECKPOINT:
        ratoon__frame_put_text(&w, "/nonexistent/checkpoint");
        break;
    default:
        break;
    }
    must(ratoon__frame_finish(&w, NULL) == RATOON_OK);
}

static ratoon__frame_op take_op(fuzz_input *in)
{
    return (ratoon__frame_op)(1 + fuzz_below(in, RATOON__FRAME_OP_END - 1));
}

/* ---- the owner's end ---- */

typedef struct peer { /* what one client has sent and got */
    ratoon__client *client;
    int fd;
    bool good;      /* sent nothing but requests so far */
    bool said_bye;  /* sends no more */
    uint64_t asked; /* requests sent, ids from 1 */
    ratoon__frame_op ops[ASKED_MAX + 1];
    bool answered[ASKED_MAX + 1];
    ratoon__buf in;
} peer;

static void peer_open(peer *p)
{
    int fds[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    *p = (peer){.fd = fds[0], .good = true, .client = ratoon__client_new(fds[1])};
    must(p->client != NULL);
}

static void peer_send(peer *p, const void *data, size_t size)
{
    if (size > 0 && p->client != NULL && !p->said_bye) {
        must(send(p->fd, data, size, MSG_NOSIGNAL) == (ssize_t)size);
    }
}

/* Every answer is a whole frame, and one that was asked for, once. */
static void peer_take(peer *p)
{
    char bytes[1 << 14];
    ssize_t got;
    while ((got = recv(p->fd, bytes, sizeof bytes, 0)) > 0) {
        ratoon__buf_add(&p->in, bytes, (size_t)got);
    }
    size_t at = 0;
    ratoon__frame_head head;
    while (p->in.size - at >= RATOON__FRAME_HEAD_SIZE) {
        must(ratoon__frame_head_get(p->in.data + at, &head));
        if (p->in.size - at < head.size) {
            break;
        }
        if (p->good) {
            must(head.id >= 1 && head.id <= p->asked && head.op == p->ops[head.id]);
            must(!p->answered[head.id]);
            p->answered[head.id] = true;
            if (head.status != RATOON_OK) {
                ratoon_error error;
                ratoon__frame_reader r = ratoon__frame_fields(p->in.data + at, head.size);
                ratoon__frame_get_error(&r, head.status, &error);
                must(ratoon__frame_done(&r) && error.message[0] != '\0');
            }
        }
        at += head.size;
    }
    p->in.size -= at;
    if (at > 0 && p->in.size > 0) {
        memmove(p->in.data, p->in.data + at, p->in.size);
    }
}

/* What the owner's thread does in a turn. */
static void turn(peer *peers, ratoon__driver *d, bool late)
{
    ratoon__client *clients[CLIENTS] = {NULL};
    size_t count = 0;
    uint64_t end = 0;
    for (size_t i = 0; i < CLIENTS; i++) {
        if (peers[i].client != NULL) {
            clients[count++] = peers[i].client;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if ((ratoon__client_poll_events(clients[i]) & 1) != 0) {
            ratoon__client_receive(clients[i]);
        }
    }
    for (size_t i = 0; i < count; i++) {
        ratoon__client_scan(clients[i]);
    }
    ratoon__clients_append(d, clients, count);
    for (size_t i = 0; i < count; i++) {
        ratoon__client_execute(clients[i], d);
    }
    must(d->ops->end(d, &end, NULL) == RATOON_OK);
    for (size_t i = 0; i < count; i++) {
        ratoon__client_answer_tails(clients[i], d, end, late ? UINT64_MAX : 0);
        must(late ? ratoon__client_deadline(clients[i]) == UINT64_MAX || clients[i]->gone : true);
        (void)ratoon__client_send(clients[i]);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        peer *p = &peers[i];
        peer_take(p);
        if (p->client != NULL && p->client->gone) {
            must(!p->good || p->said_bye || !p->client->greeted);
            ratoon__client_free(p->client);
            p->client = NULL;
        }
    }
}

static void ask(peer *p, fuzz_input *in, ratoon__frame_op op)
{
    ratoon__buf frame = {0};
    if (p->asked < ASKED_MAX) {
        p->ops[++p->asked] = op;
        put_request(&frame, in, op, p->asked);
        peer_send(p, frame.data, frame.size);
        ratoon__buf_free(&frame);
    }
}

static void step(peer *p, fuzz_input *in)
{
    ratoon__buf frame = {0};
    switch (fuzz_below(in, 8)) {
    case 0: { /* any bytes */
        size_t size = fuzz_below(in, BYTES_MAX);
        const void *bytes = fuzz_bytes(in, &size);
        peer_send(p, bytes, size);
        p->good = p->good && size == 0;
        break;
    }
    case 1: { /* a request with a flaw, or a part of one */
        put_request(&frame, in, take_op(in), 1000);
        const size_t at = fuzz_byte(in);
        if (at < frame.size) {
            frame.data[at] = (char)((uint8_t)frame.data[at] ^ fuzz_byte(in));
        } else if (frame.size > 0) {
            frame.size -= fuzz_byte(in) % frame.size;
        }
        peer_send(p, frame.data, frame.size);
        p->good = false;
        break;
    }
    case 2:
        (void)shutdown(p->fd, SHUT_WR);
        p->said_bye = true;
        break;
    default:
        ask(p, in, take_op(in));
        break;
    }
    ratoon__buf_free(&frame);
}

/* Whoever sends requests, and nothing else, gets an answer to each, whatever another one does. */
static void check_owner(fuzz_input *in)
{
    peer peers[CLIENTS];
    ratoon__driver *d = memory();
    for (size_t i = 0; i < CLIENTS; i++) {
        peer_open(&peers[i]);
        if (fuzz_below(in, 8) != 0) {
            ask(&peers[i], &(fuzz_input){0}, RATOON__FRAME_HELLO);
        }
    }
    for (unsigned i = 0; i < STEPS_MAX && in->left > 0; i++) {
        const uint8_t what = fuzz_byte(in);
        step(&peers[what % CLIENTS], in);
        if ((what & 0x30) == 0) {
            turn(peers, d, (what & 0x40) != 0);
        }
    }
    for (unsigned i = 0; i < ASKED_MAX + 2; i++) { /* a few requests of a client in each */
        turn(peers, d, true);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        peer *p = &peers[i];
        if (p->client != NULL && p->good) {
            for (uint64_t n = 1; n <= p->asked; n++) {
                must(p->answered[n]);
            }
            must(p->in.size == 0);
        }
        if (p->client != NULL) {
            ratoon__client_free(p->client);
        }
        close(p->fd);
        ratoon__buf_free(&p->in);
    }
    d->ops->close(d);
}

/* ---- a client's end ---- */

typedef struct owner {
    int fd;
    fuzz_input in; /* how it answers */
    ratoon__driver *driver;
    bool honest; /* every answer so far was the driver's */
} owner;

static bool receive_whole(int fd, void *data, size_t size)
{
    /* To receive nothing waits for something. */
    return size == 0 || recv(fd, data, size, MSG_WAITALL) == (ssize_t)size;
}

/* The answer that is right; nothing where a reader would have to wait. */
static void put_answer(owner *o, const ratoon__frame_head *head, const void *frame,
                       ratoon__buf *out)
{
    ratoon__driver *d = o->driver;
    if (head->op == RATOON__FRAME_APPEND) {
        ratoon__arena arena = {0};
        ratoon__append *appends;
        size_t count;
        bool sync;
        ratoon_error error = {0};
        ratoon__frame_reader r = ratoon__frame_fields(frame, head->size);
        ratoon__frame_get_group(&r, &arena, &appends, &count, &sync);
        must(ratoon__frame_done(&r));
        const ratoon_status status = d->ops->append(d, appends, count, sync, &error);
        if (status == RATOON_OK) {
            ratoon__frame_writer w = ratoon__frame_begin(out, head->op, RATOON_OK, head->id);
            ratoon__frame_put_results(&w, appends, count);
            must(ratoon__frame_finish(&w, NULL) == RATOON_OK);
        } else {
            must(ratoon__serve_error(head, status, &error, out));
        }
        ratoon__arena_free(&arena);
    } else if (head->op == RATOON__FRAME_TAIL) {
        ratoon__frame_reader r = ratoon__frame_fields(frame, head->size);
        const uint64_t from = ratoon__frame_get_u64(&r);
        bool served = false;
        must(ratoon__serve_tail(d, head->id, from, out, &served));
        if (!served) {
            ratoon_error error;
            const ratoon_status status =
                ratoon__fail(&error, RATOON_ERR_TIMED_OUT, "nothing there");
            must(ratoon__serve_error(head, status, &error, out));
        }
    } else {
        must(ratoon__serve(d, head, frame, out)); /* a client's requests are understood */
    }
}

/* Bends an answer. False: the connection ends behind it. */
static bool bend(owner *o, const ratoon__frame_head *head, ratoon__buf *out)
{
    fuzz_input *in = &o->in;
    switch (fuzz_below(in, 8)) {
    case 0: /* a flaw in a field; the frame stays one */
        if (out->size > RATOON__FRAME_HEAD_SIZE) {
            const size_t at =
                RATOON__FRAME_HEAD_SIZE + fuzz_byte(in) % (out->size - RATOON__FRAME_HEAD_SIZE);
            out->data[at] = (char)((uint8_t)out->data[at] ^ fuzz_byte(in));
        }
        return true;
    case 1: { /* other fields altogether */
        size_t size = fuzz_below(in, BYTES_MAX);
        const void *bytes = fuzz_bytes(in, &size);
        ratoon__frame_writer w;
        out->size = 0;
        w = ratoon__frame_begin(out, head->op, (ratoon_status)fuzz_below(in, 33), head->id);
        ratoon__buf_add(out, bytes, size & ~(size_t)7);
        must(ratoon__frame_finish(&w, NULL) == RATOON_OK);
        return true;
    }
    case 2: { /* the answer twice */
        char *copy = fuzz_copy(out->data, out->size);
        ratoon__buf_add(out, copy, out->size);
        free(copy);
        return true;
    }
    case 3: { /* one that nobody asked for before it */
        ratoon__buf both = {0};
        ratoon__frame_writer w =
            ratoon__frame_begin(&both, head->op, RATOON_OK, head->id + 1 + fuzz_byte(in));
        must(ratoon__frame_finish(&w, NULL) == RATOON_OK);
        ratoon__buf_add(&both, out->data, out->size);
        ratoon__buf_free(out);
        *out = both;
        return true;
    }
    case 4: /* another operation's */
        out->data[4] = (char)(1 + fuzz_below(in, RATOON__FRAME_OP_END - 1));
        return true;
    case 5: /* a part */
        out->size -= 1 + fuzz_byte(in) % (out->size - 1);
        return false;
    case 6: { /* any bytes */
        size_t size = fuzz_below(in, BYTES_MAX);
        const void *bytes = fuzz_bytes(in, &size);
        out->size = 0;
        ratoon__buf_add(out, bytes, size);
        return false;
    }
    default: /* a flaw in the head */
        out->data[fuzz_byte(in) % RATOON__FRAME_HEAD_SIZE] = (char)fuzz_byte(in);
        return false;
    }
}

static void *own(void *argument)
{
    owner *o = argument;
    uint64_t head_bytes[2];
    ratoon__frame_head head;
    bool go_on = true;
    while (go_on && receive_whole(o->fd, head_bytes, sizeof head_bytes)) {
        must(ratoon__frame_head_get(head_bytes, &head) && head.status == RATOON_OK);
        uint8_t *frame = malloc(head.size);
        ratoon__buf out = {0};
        must(frame != NULL);
        memcpy(frame, head_bytes, sizeof head_bytes);
        must(receive_whole(o->fd, frame + sizeof head_bytes, head.size - sizeof head_bytes));
        put_answer(o, &head, frame, &out);
        if (o->in.left > 0 && fuzz_below(&o->in, 3) == 0) {
            __atomic_store_n(&o->honest, false, __ATOMIC_SEQ_CST);
            go_on = bend(o, &head, &out);
        }
        for (size_t sent = 0; sent < out.size;) {
            const ssize_t n = send(o->fd, out.data + sent, out.size - sent, MSG_NOSIGNAL);
            if (n <= 0) {
                break;
            }
            sent += (size_t)n;
        }
        ratoon__buf_free(&out);
        free(frame);
    }
    (void)shutdown(o->fd, SHUT_RDWR);
    return NULL;
}

static bool see_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                       const void *data, size_t size)
{
    uint64_t *sum = ctx;
    must(size == 0 || (uintptr_t)data % 8 == 0);
    *sum += position + lineage.bytes[0] + number;
    for (size_t i = 0; i < size; i++) {
        *sum += ((const uint8_t *)data)[i];
    }
    return true;
}

static bool see_row(void *ctx, const ratoon__run_row *row)
{
    *(uint64_t *)ctx += strlen(row->subject) + strlen(row->pipeline) + (uint64_t)row->status;
    return true;
}

static bool see_value(void *ctx, const ratoon_digest *digest, const void *data, size_t size)
{
    uint64_t *sum = ctx;
    *sum += digest->bytes[0];
    for (size_t i = 0; i < size; i++) {
        *sum += ((const uint8_t *)data)[i];
    }
    return true;
}

static bool see_claim(void *ctx, const char *name, ratoon_id holder)
{
    *(uint64_t *)ctx += strlen(name) + holder.bytes[0];
    return true;
}

static bool see_head(void *ctx, ratoon_id lineage, uint64_t number, const ratoon_digest *digest)
{
    *(uint64_t *)ctx += number + lineage.bytes[0] + digest->bytes[0];
    return true;
}

/* One operation through a driver; what it gave as a number. */
static ratoon_status operate(ratoon__driver *d, ratoon__frame_op op, uint8_t byte, uint64_t *sum,
                             ratoon_error *error)
{
    const ratoon_id lineage = id_of(byte % 4);
    const ratoon_digest digest = digest_of(byte % 4);
    const uint64_t number = byte >> 4;
    const uint8_t bytes[8] = {byte};
    const ratoon__stored_value stored = {digest, bytes, sizeof bytes};
    const ratoon__claim claim = {.name = "a", .run = lineage, .take = true};
    const ratoon__list_query query = {
        .index = (ratoon__index)(1 + byte % 5), .key = "running", .limit = byte};
    ratoon_buffer buffer = {0};
    ratoon_id id = {{0}};
    uint64_t count = 0;
    ratoon_status status = RATOON_OK;
    *sum = 0;
    switch (op) {
    case RATOON__FRAME_APPEND: {
        ratoon__append appends[2] = {{.lineage = lineage,
                                      .number = number,
                                      .data = bytes,
                                      .size = sizeof bytes,
                                      .values = &stored,
                                      .values_count = 1,
                                      .claims = &claim,
                                      .claims_count = byte & 1}};
        appends[1] = appends[0];
        appends[1].number++;
        appends[1].rests_on = 1;
        status = d->ops->append(d, appends, 1 + byte % 2, true, error);
        for (size_t i = 0; status == RATOON_OK && i < 1u + byte % 2; i++) {
            *sum += (uint64_t)appends[i].status;
        }
        return status;
    }
    case RATOON__FRAME_HEAD:
        return d->ops->head(d, lineage, sum, error);
    case RATOON__FRAME_READ:
        return d->ops->read(d, lineage, number, (byte & 4) != 0, (byte & 8) != 0, see_commit, sum,
                            error);
    case RATOON__FRAME_TAIL:
        return d->ops->tail(d, number, 0, see_commit, sum, error);
    case RATOON__FRAME_END:
        return d->ops->end(d, sum, error);
    case RATOON__FRAME_VALUE_GET:
        status = d->ops->value_get(d, &digest, &buffer, error);
        *sum = buffer.size;
        break;
    case RATOON__FRAME_VALUES:
        return d->ops->values(d, see_value, sum, error);
    case RATOON__FRAME_RUN_GET:
        return d->ops->run_get(d, lineage, &id, error);
    case RATOON__FRAME_LIST:
        return d->ops->list(d, &query, see_row, sum, error);
    case RATOON__FRAME_CLAIM_GET:
        status = d->ops->claim_get(d, "a", &id, error);
        *sum = id.bytes[0];
        return status;
    case RATOON__FRAME_CLAIMS:
        return d->ops->claims(d, "", "", see_claim, sum, error);
    case RATOON__FRAME_SNAPSHOT_PUT:
        return d->ops->snapshot_put(d, lineage, number, bytes, sizeof bytes, error);
    case RATOON__FRAME_SNAPSHOT_GET:
        status = d->ops->snapshot_get(d, lineage, number, sum, &buffer, error);
        break;
    case RATOON__FRAME_HEADS:
        return d->ops->heads(d, lineage, number, see_head, sum, error);
    case RATOON__FRAME_SWEEP:
        status = d->ops->sweep(d, &digest, 1, number, &count, sum, error);
        must(status == RATOON_OK || count == 0);
        return status;
    default:
        return RATOON_OK;
    }
    must(status == RATOON_OK || buffer.data == NULL);
    ratoon_buffer_free(&buffer);
    return status;
}

/* What the client makes of answers: never more than an error, and from an honest owner the same as
 * the driver behind it. Once the connection is lost it stays so. */
static void check_client(fuzz_input *in)
{
    int fds[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    size_t ops = fuzz_byte(in) % 24;
    const uint8_t *script = fuzz_bytes(in, &ops);
    owner o = {.fd = fds[1], .in = *in, .driver = memory(), .honest = true};
    ratoon__driver *model = memory(), *d = NULL;
    pthread_t thread;
    must(pthread_create(&thread, NULL, own, &o) == 0);
    ratoon_error error = {0};
    const ratoon_status greeted = ratoon__socket_greet(fds[0], CONNECT_MS, &d, &error);
    must(greeted == RATOON_OK ? d != NULL : error.message[0] != '\0');
    bool honest = __atomic_load_n(&o.honest, __ATOMIC_SEQ_CST);
    must(!honest || greeted == RATOON_OK);
    for (size_t i = 0; i + 1 < ops && d != NULL; i += 2) {
        const ratoon__frame_op op = (ratoon__frame_op)(1 + script[i] % (RATOON__FRAME_OP_END - 1));
        const bool lost = ratoon__socket_is_lost(d);
        uint64_t sum = 0, truth = 0;
        memset(&error, 0, sizeof error);
        const ratoon_status status = operate(d, op, script[i + 1], &sum, &error);
        must((int)status >= 0 && (int)status <= RATOON_ERR_AMBIGUOUS);
        if (lost && op != RATOON__FRAME_HELLO && op != RATOON__FRAME_CHECKPOINT &&
            error.code != RATOON_ERR_USAGE) {
            must(status == RATOON_ERR_STORE_BUSY && error.backend_code == ECONNRESET);
        }
        honest = __atomic_load_n(&o.honest, __ATOMIC_SEQ_CST);
        if (honest) {
            must(operate(model, op, script[i + 1], &truth, NULL) == status && sum == truth);
        }
    }
    if (d != NULL) {
        d->ops->close(d);
    }
    must(pthread_join(thread, NULL) == 0);
    close(fds[1]);
    model->ops->close(model);
    o.driver->ops->close(o.driver);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, size};
    if (fuzz_byte(&in) % 2 == 0) {
        check_owner(&in);
    } else {
        check_client(&in);
    }
    return 0;
}

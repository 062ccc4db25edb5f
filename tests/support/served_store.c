#include "tests/support/served_store.h"

#include "log/monotonic.h"
#include "log/socket_frame.h"
#include "tests/support/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const ratoon__driver_options options;

static void count_disconnect(void *ctx)
{
    atomic_fetch_add(&((served *)ctx)->disconnects, 1);
}

void served_start(served *s)
{
    ratoon_error error = {0};
    ratoon_status status =
        ratoon__server_start(s->inner, s->folder, count_disconnect, s, &s->server, &error);
    role_must(status == RATOON_OK, error.message);
}

served *served_new(void)
{
    served *s = calloc(1, sizeof *s);
    MUST(s != NULL);
    s->folder = support_temp_dir("socket");
    MUST(ratoon__memory_open(&options, &s->inner, NULL) == RATOON_OK);
    served_start(s);
    return s;
}

void served_free(served *s)
{
    ratoon__server_stop(s->server);
    s->inner->ops->close(s->inner);
    support_temp_dir_free(s->folder);
    free(s);
}

ratoon__driver *served_client(const served *s)
{
    ratoon__driver *d = NULL;
    ratoon_error error = {0};
    ratoon_status status = ratoon__socket_open(s->folder, &options, &d, &error);
    role_must(status == RATOON_OK, error.message);
    return d;
}

static void say_hello(int fd)
{
    ratoon__buf frame = {0};
    ratoon__frame_writer w = ratoon__frame_begin(&frame, RATOON__FRAME_HELLO, RATOON_OK, 1);
    ratoon__frame_put_u64(&w, RATOON__FRAME_MAGIC);
    ratoon__frame_put_u64(&w, RATOON__FRAME_VERSION);
    MUST(ratoon__frame_finish(&w, NULL) == RATOON_OK);
    MUST(send(fd, frame.data, frame.size, MSG_NOSIGNAL) == (ssize_t)frame.size);
    char answer[RATOON__FRAME_HEAD_SIZE + 8];
    MUST(recv(fd, answer, sizeof answer, MSG_WAITALL) == sizeof answer);
    ratoon__buf_free(&frame);
}

int served_raw_client(const served *s, bool greet)
{
    int folder = open(s->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/socket", folder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    close(folder);
    if (greet) {
        say_hello(fd);
    }
    return fd;
}

void served_check(const served *s)
{
    ratoon__driver *d = served_client(s);
    uint64_t end;
    MUST(d->ops->end(d, &end, NULL) == RATOON_OK);
    d->ops->close(d);
}

void *served_read(void *reader)
{
    served_reader *r = reader;
    uint64_t start = ratoon__monotonic_ms();
    atomic_store(&r->started, true);
    r->status =
        r->driver->ops->tail(r->driver, 1, r->timeout_ms, raw_commits_collect, &r->seen, NULL);
    r->took_ms = ratoon__monotonic_ms() - start;
    return NULL;
}

void served_reader_start(served_reader *r)
{
    MUST(pthread_create(&r->thread, NULL, served_read, r) == 0);
    while (!atomic_load(&r->started)) {
        ratoon__sleep_ms(1);
    }
}

#include "tools/runner/process.h"

#include "tools/runner/spawner.h"
#include "tools/runner/supervise.h"
#include "tools/runner/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define DRAIN_MS 500 /* how long output is waited for once no descendant is left */

struct runner__process {
    uv_pipe_t out, err, control;
    uv_timer_t timer; /* grace; then drain */
    unsigned open;    /* handles that are to be closed before on_end */
    bool exited, ending;
    unsigned streams; /* still to reach their end */
    char report[256]; /* of the supervisor, lines */
    size_t report_size;
    uint64_t grace_ms;
    runner__process_end end;
    bool reported; /* else the supervisor was ended from outside */
    bool terminating;
    void (*on_output)(void *ctx, int stream, const char *data, size_t size);
    void (*on_end)(void *ctx, const runner__process_end *end);
    void *ctx;
};

static _Thread_local char read_buffer[65536]; /* used within one callback only */

static void on_closed(uv_handle_t *handle)
{
    runner__process *p = handle->data;
    if (--p->open > 0) {
        return;
    }
    if (!p->reported) {
        p->end.lost = true;
        p->end.signal = SIGKILL; /* the only signal it can't hold off */
    }
    if (p->on_end != NULL) {
        p->on_end(p->ctx, &p->end);
    }
    free(p);
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle)) {
        uv_close(handle, on_closed);
    }
}

static void close_all(runner__process *p)
{
    p->ending = true;
    close_handle((uv_handle_t *)&p->out);
    close_handle((uv_handle_t *)&p->err);
    close_handle((uv_handle_t *)&p->control);
    close_handle((uv_handle_t *)&p->timer);
}

static void end_if_done(runner__process *p)
{
    if (p->exited && p->streams == 0 && !p->ending) {
        close_all(p);
    }
}

static void on_drained(uv_timer_t *timer)
{
    runner__process *p = timer->data;
    p->streams = 0; /* whoever holds them open is none of ours */
    end_if_done(p);
}

/* Lines "X STEP ERRNO" and "W STATUS". */
static void parse_report(runner__process *p)
{
    char *line = p->report;
    char *newline;
    while ((newline = strchr(line, '\n')) != NULL) {
        char *rest = line + 1;
        int first = (int)strtol(rest, &rest, 10);
        int second = (int)strtol(rest, NULL, 10);
        p->reported = true;
        if (*line == 'X') {
            p->end.step = first;
            p->end.error = second;
        } else {
            p->end.exit_code = WIFEXITED(first) ? WEXITSTATUS(first) : -1;
            p->end.signal = WIFSIGNALED(first) ? WTERMSIG(first) : -1;
        }
        line = newline + 1;
    }
    p->report_size = strlen(line);
    memmove(p->report, line, p->report_size + 1);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)handle;
    (void)suggested;
    *buffer = uv_buf_init(read_buffer, sizeof(read_buffer));
}

static void stream_ended(runner__process *p, uv_stream_t *stream)
{
    (void)uv_read_stop(stream);
    if (p->streams > 0) {
        p->streams--;
    }
    if (stream ==
        (uv_stream_t *)&p->control) { /* the supervisor has ended: no descendant is left */
        p->exited = true;
        if (p->streams > 0) {
            (void)uv_timer_start(&p->timer, on_drained, DRAIN_MS, 0);
        }
    }
    end_if_done(p);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    runner__process *p = stream->data;
    if (size < 0) {
        stream_ended(p, stream);
        return;
    }
    if (stream == (uv_stream_t *)&p->control) {
        size_t room = sizeof(p->report) - 1 - p->report_size;
        size_t part = (size_t)size < room ? (size_t)size : room;
        memcpy(p->report + p->report_size, buffer->base, part);
        p->report_size += part;
        p->report[p->report_size] = '\0';
        parse_report(p);
    } else if (size > 0) {
        p->on_output(p->ctx, stream == (uv_stream_t *)&p->out ? 1 : 2, buffer->base, (size_t)size);
    }
}

static void order(runner__process *p, char byte)
{
    uv_os_fd_t fd;
    if (!p->exited && !p->ending && uv_fileno((uv_handle_t *)&p->control, &fd) == 0) {
        (void)!send(fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

static void on_grace_over(uv_timer_t *timer)
{
    order(timer->data, 'K');
}

void runner__process_terminate(runner__process *p)
{
    if (p->terminating || p->exited) {
        return;
    }
    p->terminating = true;
    order(p, 'T');
    (void)uv_timer_start(&p->timer, on_grace_over, p->grace_ms, 0);
}

void runner__process_kill(runner__process *p)
{
    p->terminating = true;
    order(p, 'K');
}

static void close_fds(int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

/* Our ends: 0 output, 1 errors, 2 control; the supervisor's: 3, 4, 5. */
static int make_channels(int fds[6], bool inherit_output)
{
    for (size_t i = 0; i < 6; i++) {
        fds[i] = -1;
    }
    for (size_t i = 0; i < 2; i++) {
        uv_file pair[2];
        int failed = inherit_output ? 0 : uv_pipe(pair, UV_NONBLOCK_PIPE, 0);
        if (failed != 0) {
            return failed;
        }
        fds[i] = inherit_output ? -1 : pair[0];
        fds[i + 3] = inherit_output ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0) : pair[1];
    }
    uv_os_sock_t sockets[2];
    int failed = uv_socketpair(SOCK_STREAM, 0, sockets, UV_NONBLOCK_PIPE, 0);
    if (failed == 0) {
        fds[2] = sockets[0];
        fds[5] = sockets[1];
    }
    return failed;
}

static void open_stream(runner__process *p, uv_pipe_t *pipe, int fd)
{
    if (fd < 0) {
        return;
    }
    if (uv_pipe_open(pipe, fd) != 0) {
        close(fd);
        return;
    }
    if (uv_read_start((uv_stream_t *)pipe, on_alloc, on_read) == 0) {
        p->streams++;
    }
}

int runner__process_start(uv_loop_t *loop, const runner__process_spec *spec, runner__process **out)
{
    int fds[6];
    int failed = make_channels(fds, spec->inherit_output);
    if (failed != 0) {
        close_fds(fds, 6);
        return failed;
    }
    runner__process *p = runner__alloc(sizeof(*p));
    p->on_output = spec->on_output;
    p->ctx = spec->ctx;
    p->grace_ms = spec->grace_ms;
    p->end = (runner__process_end){.exit_code = -1, .signal = -1};
    (void)uv_pipe_init(loop, &p->out, 0);
    (void)uv_pipe_init(loop, &p->err, 0);
    (void)uv_pipe_init(loop, &p->control, 0);
    (void)uv_timer_init(loop, &p->timer);
    failed = runner__spawner_request(spec->spawner, spec, fds + 3);
    p->out.data = p;
    p->err.data = p;
    p->control.data = p;
    p->timer.data = p;
    p->open = 4;
    close_fds(fds + 3, 3);
    if (failed != 0) {
        close_fds(fds, 3);
        close_all(p);
        return failed;
    }
    open_stream(p, &p->out, fds[0]);
    open_stream(p, &p->err, fds[1]);
    open_stream(p, &p->control, fds[2]);
    p->on_end = spec->on_end;
    *out = p;
    return 0;
}

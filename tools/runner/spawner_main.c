/* The spawner itself: a process that forks supervisors (supervise.h). */
#include "log/points.h"
#include "tools/runner/runner.h"
#include "tools/runner/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool receive(void *data, size_t size)
{
    char *p = data;
    while (size > 0) {
        ssize_t n = read(RUNNER__CONTROL_FD, p, size);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return false;
        }
        p += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* The header and the descriptors that come with it. */
static bool receive_header(runner__request *header, int fds[RUNNER__REQUEST_FDS])
{
    union {
        char bytes[CMSG_SPACE(RUNNER__REQUEST_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {.iov_base = header, .iov_len = sizeof(*header)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    ssize_t n;
    do {
        n = recvmsg(RUNNER__CONTROL_FD, &message, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    struct cmsghdr *attached = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (attached == NULL || attached->cmsg_type != SCM_RIGHTS ||
        attached->cmsg_len != CMSG_LEN(RUNNER__REQUEST_FDS * sizeof(int))) {
        return false;
    }
    memcpy(fds, CMSG_DATA(attached), RUNNER__REQUEST_FDS * sizeof(int));
    return receive((char *)header + n, sizeof(*header) - (size_t)n) &&
           header->size <= RUNNER__REQUEST_MAX;
}

/* `count` strings from *p on; NULL where they do not fit. */
static char **take_strings(char **p, const char *end, uint32_t count)
{
    char **out = calloc((size_t)count + 1, sizeof(char *));
    for (uint32_t i = 0; out != NULL && i < count; i++) {
        size_t left = (size_t)(end - *p);
        size_t size = strnlen(*p, left);
        if (size == left) {
            free(out);
            return NULL;
        }
        out[i] = *p;
        *p += size + 1;
    }
    return out;
}

/* In the forked child. */
static _Noreturn void become_supervisor(const runner__request *header, char *text, const int *fds)
{
    char *p = text;
    const char *end = text + header->size;
    char **paths = take_strings(&p, end, 2);
    char **argv = paths == NULL ? NULL : take_strings(&p, end, header->argc);
    char **env = argv == NULL ? NULL : take_strings(&p, end, header->envc);
    /* Whatever numbers they have, none is below 4: those are taken here. */
    if (env == NULL || header->argc == 0 || dup2(fds[0], STDOUT_FILENO) < 0 ||
        dup2(fds[1], STDERR_FILENO) < 0 || dup2(fds[2], RUNNER__CONTROL_FD) < 0) {
        _exit(1);
    }
    (void)close_range(RUNNER__CONTROL_FD + 1, ~0U, 0);
    environ = env;
    runner__supervise(paths[0], header->grace_ms, paths[1], argv);
}

static bool serve(void)
{
    runner__request header;
    int fds[RUNNER__REQUEST_FDS];
    if (!receive_header(&header, fds)) {
        return false;
    }
    char *text = malloc(header.size + (size_t)1);
    bool ok = text != NULL && receive(text, header.size);
    pid_t child = ok ? fork() : 0;
    if (ok && child == 0) {
        become_supervisor(&header, text, fds);
    }
    ratoon__at(RATOON__POINT_SPAWNER_FORKED);
    if (child < 0) {
        char line[32];
        int size = snprintf(line, sizeof(line), "X %d %d\n", RUNNER__STEP_SETUP, errno);
        (void)!send(fds[2], line, (size_t)size, MSG_NOSIGNAL);
    }
    for (size_t i = 0; i < RUNNER__REQUEST_FDS; i++) {
        close(fds[i]);
    }
    free(text);
    return ok;
}

int runner_supervisor_main(int argc, char **argv)
{
    (void)argv;
    if (argc != 2 || fcntl(RUNNER__CONTROL_FD, F_GETFD) < 0) {
        fputs("ratoon: USAGE: __supervise is for the command's own use\n", stderr);
        return 2;
    }
    (void)close_range(RUNNER__CONTROL_FD + 1, ~0U, 0);
    (void)setsid();                 /* a key pressed in the terminal is the executor's to handle */
    (void)signal(SIGCHLD, SIG_IGN); /* supervisors are nobody's to wait for */
    while (serve()) {
    }
    _exit(0);
}

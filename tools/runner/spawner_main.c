/* The spawner itself: a process that forks supervisors (supervise.h). It is a child subreaper: what
 * a supervisor leaves that is killed itself comes to it, and is killed too. */
#include "log/points.h"
#include "tools/runner/descendants.h"
#include "tools/runner/runner.h"
#include "tools/runner/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ORPHANS_EVERY_MS 5

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

/* ---- supervisors ---- */

typedef struct spawner {
    pid_t *supervisors;
    size_t count, capacity;
    int signals;
    bool orphans; /* a supervisor didn't end by itself */
} spawner;

static bool make_room(spawner *s)
{
    if (s->count < s->capacity) {
        return true;
    }
    const size_t capacity = s->capacity == 0 ? 64 : 2 * s->capacity;
    pid_t *supervisors = reallocarray(s->supervisors, capacity, sizeof *supervisors);
    if (supervisors == NULL) {
        return false;
    }
    s->supervisors = supervisors;
    s->capacity = capacity;
    return true;
}

static void reap(spawner *s)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
    }
    int status = 0;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (size_t i = 0; i < s->count; i++) {
            if (s->supervisors[i] == pid) {
                s->supervisors[i] = s->supervisors[--s->count];
                s->orphans = s->orphans || WIFSIGNALED(status);
                break;
            }
        }
    }
    if (s->orphans) {
        s->orphans = runner__children_kill(s->supervisors, s->count);
    }
}

/* Waits for a request or the end of a supervisor, and not for long where orphans are left; true: a
 * request, or the end of the socket. control: -1 when it has ended. */
static bool wait_request(const spawner *s, int control)
{
    struct pollfd polled[2] = {{.fd = s->signals, .events = POLLIN},
                               {.fd = control, .events = POLLIN}};
    return poll(polled, 2, s->orphans ? ORPHANS_EVERY_MS : -1) > 0 && polled[1].revents != 0;
}

static bool serve(spawner *s)
{
    runner__request header;
    int fds[RUNNER__REQUEST_FDS];
    if (!receive_header(&header, fds)) {
        return false;
    }
    char *text = malloc(header.size + (size_t)1);
    bool ok = make_room(s) && text != NULL && receive(text, header.size);
    pid_t child = ok ? fork() : 0;
    if (ok && child == 0) {
        become_supervisor(&header, text, fds);
    }
    ratoon__at(RATOON__POINT_SPAWNER_FORKED);
    if (ok && child > 0) {
        s->supervisors[s->count++] = child;
    }
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
    (void)setsid(); /* a key pressed in the terminal is the executor's to handle */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void)signal(SIGCHLD, SIG_DFL);
    sigset_t ended;
    (void)sigemptyset(&ended);
    (void)sigaddset(&ended, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &ended, NULL);
    spawner s = {.signals = signalfd(-1, &ended, SFD_CLOEXEC | SFD_NONBLOCK)};
    bool open = s.signals >= 0;
    while (open || s.count > 0 || s.orphans) { /* the socket's end is the executor's */
        const bool request = wait_request(&s, open ? RUNNER__CONTROL_FD : -1);
        reap(&s);
        open = open && (!request || serve(&s));
    }
    free(s.supervisors);
    _exit(s.signals < 0 ? 1 : 0);
}

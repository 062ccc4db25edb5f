#include "tools/runner/spawner.h"

#include "tools/runner/supervise.h"
#include "tools/runner/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEND_MAX_S 20 /* a spawner that takes nothing for so long is replaced */

struct runner__spawner {
    char *self;
    int socket; /* -1: not started */
    pid_t pid;
};

runner__spawner *runner__spawner_new(const char *self)
{
    runner__spawner *s = runner__alloc(sizeof(*s));
    s->self = runner__strdup(self);
    s->socket = -1;
    return s;
}

static void stop(runner__spawner *s)
{
    if (s->socket < 0) {
        return;
    }
    close(s->socket);
    s->socket = -1;
    (void)kill(s->pid, SIGKILL); /* it holds nothing that could be lost */
    while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

static int start(runner__spawner *s)
{
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
        return -errno;
    }
    if (sockets[1] <= RUNNER__CONTROL_FD) { /* it must outlast the making of the standard streams */
        int moved = fcntl(sockets[1], F_DUPFD_CLOEXEC, RUNNER__CONTROL_FD + 1);
        close(sockets[1]);
        sockets[1] = moved;
    }
    struct timeval longest = {.tv_sec = SEND_MAX_S};
    (void)setsockopt(sockets[0], SOL_SOCKET, SO_SNDTIMEO, &longest, sizeof(longest));
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawnattr_init(&attributes);
    for (int fd = 0; fd < 3; fd++) {
        (void)posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
    }
    (void)posix_spawn_file_actions_adddup2(&actions, sockets[1], RUNNER__CONTROL_FD);
    sigset_t all;
    sigset_t none;
    (void)sigfillset(&all);
    (void)sigemptyset(&none);
    (void)posix_spawnattr_setsigdefault(&attributes, &all);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    char name[] = "ratoon";
    char mode[] = "__supervise";
    char *argv[] = {name, mode, NULL};
    int failed = posix_spawn(&s->pid, s->self, &actions, &attributes, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    close(sockets[1]);
    if (failed != 0) {
        close(sockets[0]);
        return -failed;
    }
    s->socket = sockets[0];
    return 0;
}

/* Everything of the request but its descriptors. */
static void pack(const runner__process_spec *spec, runner__text *out)
{
    runner__request header = {.grace_ms = spec->grace_ms};
    runner__text_add(out, &header, sizeof(header));
    runner__text_add(out, spec->lock_path, strlen(spec->lock_path) + 1);
    runner__text_add(out, spec->cwd, strlen(spec->cwd) + 1);
    for (; spec->argv[header.argc] != NULL; header.argc++) {
        runner__text_add(out, spec->argv[header.argc], strlen(spec->argv[header.argc]) + 1);
    }
    for (; spec->env[header.envc] != NULL; header.envc++) {
        runner__text_add(out, spec->env[header.envc], strlen(spec->env[header.envc]) + 1);
    }
    header.size = (uint32_t)(out->size - sizeof(header));
    memcpy(out->data, &header, sizeof(header));
}

static int send_request(int socket, const runner__text *text, const int fds[3])
{
    union { /* aligned as a control message */
        char bytes[CMSG_SPACE(RUNNER__REQUEST_FDS * sizeof(int))];
        struct cmsghdr align;
    } control = {.bytes = {0}};
    size_t sent = 0;
    while (sent < text->size) {
        struct iovec part = {.iov_base = text->data + sent, .iov_len = text->size - sent};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        if (sent == 0) {
            message.msg_control = control.bytes;
            message.msg_controllen = sizeof(control.bytes);
            struct cmsghdr *attached = CMSG_FIRSTHDR(&message);
            attached->cmsg_level = SOL_SOCKET;
            attached->cmsg_type = SCM_RIGHTS;
            attached->cmsg_len = CMSG_LEN(RUNNER__REQUEST_FDS * sizeof(int));
            memcpy(CMSG_DATA(attached), fds, RUNNER__REQUEST_FDS * sizeof(int));
        }
        ssize_t n = sendmsg(socket, &message, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        sent += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int runner__spawner_request(runner__spawner *s, const runner__process_spec *spec, const int fds[3])
{
    runner__text text = {0};
    pack(spec, &text);
    int failed = text.size > RUNNER__REQUEST_MAX ? -E2BIG : -EPIPE;
    for (int attempt = 0; attempt < 2 && failed != 0 && failed != -E2BIG; attempt++) {
        failed = s->socket >= 0 ? 0 : start(s);
        if (failed == 0) {
            failed = send_request(s->socket, &text, fds);
        }
        if (failed != 0) {
            stop(s);
        }
    }
    runner__text_free(&text);
    return failed;
}

void runner__spawner_free(runner__spawner *s)
{
    stop(s);
    free(s->self);
    free(s);
}

/* valgrind_client SOCKET PIDS [ARGUMENT…]: the command, as the server behind SOCKET executes it.
 * Its process is added to the file PIDS. */
#include "tests/valgrind/warm/warm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static volatile sig_atomic_t child;

static void pass_on(int sig)
{
    const int before = errno;
    if (child > 0) {
        (void)kill((pid_t)child, sig);
    }
    errno = before;
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || strlen(path) >= sizeof address.sun_path) {
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path));
    return connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? fd : -1;
}

static uint32_t count_words(char **words, uint32_t *bytes)
{
    uint32_t count = 0;
    for (; words[count] != NULL; count++) {
        *bytes += (uint32_t)strlen(words[count]) + 1;
    }
    return count;
}

static bool send_words(int fd, char **words)
{
    bool good = true;
    for (; good && *words != NULL; words++) {
        good = warm_write(fd, *words, (uint32_t)strlen(*words) + 1);
    }
    return good;
}

static bool send_request(int fd, char **arguments)
{
    warm_request request = {0};
    const int folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    const int files[WARM_FILES] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, folder};
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof files)];
    } control;
    struct iovec part = {&request, sizeof request};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    memset(&control, 0, sizeof control);
    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    control.head.cmsg_len = CMSG_LEN(sizeof files);
    memcpy(CMSG_DATA(&control.head), files, sizeof files);
    request.arguments = count_words(arguments, &request.bytes);
    request.environment = count_words(environ, &request.bytes);
    request.umask = umask(0);
    return sendmsg(fd, &message, 0) == (ssize_t)sizeof request && send_words(fd, arguments) &&
           send_words(fd, environ);
}

/* The same end as the child's. */
static int end_as(int status)
{
    if (WIFSIGNALED(status)) {
        const struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(WTERMSIG(status), SIG_DFL);
        (void)raise(WTERMSIG(status));
    }
    return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
    static const int passed[] = {SIGHUP,  SIGINT,  SIGQUIT,  SIGTERM,
                                 SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT};
    struct sigaction action = {.sa_handler = pass_on};
    sigset_t all, before;
    int32_t number = 0, status = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: valgrind_client SOCKET PIDS [ARGUMENT...]\n");
        return 2;
    }
    static char name[] = "ratoon";
    const int fd = connect_to(argv[1]);
    FILE *pids = fopen(argv[2], "ae");
    argv[2] = name;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, &before);
    for (size_t i = 0; i < sizeof passed / sizeof passed[0]; i++) {
        (void)sigaction(passed[i], &action, NULL);
    }
    if (fd < 0 || !send_request(fd, argv + 2) || !warm_read(fd, &number, sizeof number)) {
        fprintf(stderr, "the command under valgrind can't be reached\n");
        return 98;
    }
    child = number;
    if (pids != NULL) {
        fprintf(pids, "%d\n", (int)number);
        (void)fclose(pids);
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (!warm_read(fd, &status, sizeof status)) {
        fprintf(stderr, "the command under valgrind is gone\n");
        return 98;
    }
    return end_as(status);
}

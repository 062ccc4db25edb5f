/* valgrind_server --serve SOCKET: warms up in the working folder, whose store `store` has a run of
 * the pipeline p.yaml; then becomes the command for each client. Without --serve: the command, so
 * that supervisors, which the command starts from its own program, are what they should be. */
#include "tests/valgrind/warm/warm.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <rocksdb/c.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { COMMANDS_MAX = 64, LOOK_MS = 5, ENDING_MAX = 3000 };

int ratoon_main(int argc, char **argv); /* tools/ratoon/main.c */

extern char **environ;

typedef struct running {
    int fd;
    pid_t pid; /* 0: the place is free */
} running;

static running commands[COMMANDS_MAX];
static int listener = -1;

static void die(const char *what)
{
    perror(what);
    exit(97);
}

/* ---- warming up ---- */

static void warm_with(char **words)
{
    int count = 0;
    while (words[count] != NULL) {
        count++;
    }
    (void)ratoon_main(count, words);
}

/* A thread that RocksDB has started would not be there in a child, and waited for. */
static int threads_count(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    for (const struct dirent *e; folder != NULL && (e = readdir(folder)) != NULL;) {
        count += e->d_name[0] != '.';
    }
    (void)closedir(folder);
    return count;
}

/* Opening a store brings them back. */
static void end_threads(void)
{
    const struct timespec while_ending = {.tv_nsec = 10000000};
    rocksdb_env_t *env = rocksdb_create_default_env();
    rocksdb_env_set_background_threads(env, 0);
    rocksdb_env_set_high_priority_background_threads(env, 0);
    for (int i = 0; i < ENDING_MAX && threads_count() > 1; i++) {
        (void)nanosleep(&while_ending, NULL);
    }
    rocksdb_env_destroy(env);
    if (threads_count() != 1) {
        fprintf(stderr, "threads are left after warming up\n");
        exit(97);
    }
}

/* Only questions: a store that is read opens no file for writing beside its own, and starts no
 * process. */
static void warm_up(void)
{
    static char name[] = "ratoon", option[] = "--store", store[] = "store", json[] = "--json";
    static char *const words[][3] = {{"check", "p.yaml"}, {"list"},         {"show", "@last"},
                                     {"tree", "@last"},   {"log", "@last"}, {"state", "@last"},
                                     {"stats"},           {"verify"},       {"nonsense"}};
    const int output = dup(STDOUT_FILENO);
    const int error = dup(STDERR_FILENO);
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (output < 0 || error < 0 || null < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0) {
        die("warming up");
    }
    for (size_t i = 0; i < 2 * sizeof words / sizeof words[0]; i++) {
        char *const *some = words[i / 2];
        char *all[] = {name, option, store, some[0], some[1], i % 2 == 0 ? NULL : json, NULL};
        if (some[1] == NULL) {
            all[4] = all[5];
            all[5] = NULL;
        }
        warm_with(all);
    }
    (void)dup2(output, 1);
    (void)dup2(error, 2);
    (void)close(output);
    (void)close(error);
    (void)close(null);
    end_threads();
}

/* ---- one command ---- */

static char **words_take(char **at, const char *end, uint32_t count)
{
    char **words = calloc(count + 1, sizeof *words);
    for (uint32_t i = 0; words != NULL && i < count && *at < end; i++) {
        words[i] = *at;
        *at += strlen(*at) + 1;
    }
    return words;
}

static bool receive(int fd, warm_request *request, int files[WARM_FILES])
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int) * WARM_FILES)];
    } control;
    struct iovec part = {request, sizeof *request};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    memset(&control, 0, sizeof control);
    if (recvmsg(fd, &message, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof *request ||
        control.head.cmsg_len != CMSG_LEN(sizeof(int) * WARM_FILES)) {
        return false;
    }
    memcpy(files, CMSG_DATA(&control.head), sizeof(int) * WARM_FILES);
    return request->bytes <= WARM_BYTES_MAX && request->arguments > 0 &&
           request->arguments + request->environment <= WARM_WORDS_MAX;
}

static void become(const warm_request *request, char *bytes, const int files[WARM_FILES])
{
    char *at = bytes;
    char **arguments = words_take(&at, bytes + request->bytes, request->arguments);
    environ = words_take(&at, bytes + request->bytes, request->environment);
    if (arguments == NULL || environ == NULL || fchdir(files[3]) != 0) {
        die("becoming the command");
    }
    for (int i = 0; i < 3; i++) {
        if (dup2(files[i], i) < 0) {
            die("becoming the command");
        }
    }
    for (int i = 0; i < WARM_FILES; i++) {
        (void)close(files[i]);
    }
    (void)close(listener);
    for (size_t i = 0; i < COMMANDS_MAX; i++) {
        if (commands[i].pid != 0) {
            (void)close(commands[i].fd);
        }
    }
    (void)signal(SIGPIPE, SIG_DFL);
    (void)umask((mode_t)request->umask);
    const int code = ratoon_main((int)request->arguments, arguments);
    free(arguments);
    free(environ);
    environ = NULL;
    free(bytes);
    exit(code);
}

static void begin(void)
{
    warm_request request;
    int files[WARM_FILES] = {-1, -1, -1, -1};
    size_t place = 0;
    const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    while (place < COMMANDS_MAX && commands[place].pid != 0) {
        place++;
    }
    char *bytes = NULL;
    if (fd >= 0 && place < COMMANDS_MAX && receive(fd, &request, files) &&
        (bytes = malloc(request.bytes + 1)) != NULL && warm_read(fd, bytes, request.bytes)) {
        bytes[request.bytes] = '\0';
        const pid_t pid = fork();
        if (pid == 0) {
            (void)close(fd);
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            become(&request, bytes, files);
        }
        const int32_t number = pid;
        if (pid > 0 && warm_write(fd, &number, sizeof number)) {
            commands[place] = (running){fd, pid};
        }
    }
    free(bytes);
    for (int i = 0; i < WARM_FILES; i++) {
        (void)close(files[i]);
    }
    if (fd >= 0 && (place == COMMANDS_MAX || commands[place].fd != fd)) {
        (void)close(fd);
    }
}

static void ended(pid_t pid, int status)
{
    for (size_t i = 0; i < COMMANDS_MAX; i++) {
        if (commands[i].pid == pid) {
            const int32_t word = status;
            (void)warm_write(commands[i].fd, &word, sizeof word);
            (void)close(commands[i].fd);
            commands[i] = (running){-1, 0};
        }
    }
}

static void serve(void)
{
    for (;;) {
        struct pollfd all[COMMANDS_MAX + 1] = {{.fd = listener, .events = POLLIN}};
        int status = 0;
        for (size_t i = 0; i < COMMANDS_MAX; i++) {
            all[i + 1].fd = commands[i].pid != 0 ? commands[i].fd : -1;
            all[i + 1].events = POLLIN;
        }
        (void)poll(all, COMMANDS_MAX + 1, LOOK_MS);
        for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
            ended(pid, status);
        }
        for (size_t i = 0; i < COMMANDS_MAX; i++) { /* whose client was killed */
            if (all[i + 1].revents != 0 && commands[i].pid != 0 &&
                commands[i].fd == all[i + 1].fd) {
                (void)kill(commands[i].pid, SIGKILL);
            }
        }
        if (all[0].revents != 0) {
            begin();
        }
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (argc != 3 || strcmp(argv[1], "--serve") != 0) {
        return ratoon_main(argc, argv);
    }
    if (strlen(argv[2]) + sizeof ".new" > sizeof address.sun_path) {
        fprintf(stderr, "the name of the socket is too long\n");
        return 97;
    }
    snprintf(address.sun_path, sizeof address.sun_path, "%s.new", argv[2]);
    warm_up();
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, COMMANDS_MAX) != 0 || rename(address.sun_path, argv[2]) != 0) {
        die("the socket");
    }
    serve();
}

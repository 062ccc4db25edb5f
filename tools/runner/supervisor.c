/* The supervisor: a small process between the executor and a stage's command (E06).
 *
 * Descriptor 3 is a socket to the executor. Its end, whatever caused it, means that the executor is
 * gone: everything below is killed. From the executor come the bytes 'T' (SIGTERM to the command's
 * process group) and 'K' (SIGKILL to everything). To the executor go lines: "X STEP ERRNO" where
 * the command could not be executed, "W STATUS" with its wait status. The process exits, and with
 * it the lock on LOCK, when no descendant is left: it is a child subreaper, so none can hide. */
#include "log/points.h"
#include "tools/runner/descendants.h"
#include "tools/runner/lock.h"
#include "tools/runner/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINGER_MS 500   /* what is left behind may end by itself for so long */
#define KILL_EVERY_MS 5 /* between two rounds of killing */

typedef struct supervisor {
    int signals;
    pid_t command;
    bool command_ended, killing, executor_gone;
    bool terminated; /* the descendants left behind were asked to end */
    uint64_t grace_ms;
    uint64_t deadline_ms; /* of the present phase after the command's end */
} supervisor;

static uint64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void report(const char *format, int a, int b)
{
    char line[64];
    int size = snprintf(line, sizeof(line), format, a, b);
    (void)!send(RUNNER__CONTROL_FD, line, (size_t)size, MSG_NOSIGNAL);
}

static bool executor_alive(void)
{
    struct pollfd p = {.fd = RUNNER__CONTROL_FD, .events = POLLIN};
    if (poll(&p, 1, 0) <= 0) {
        return true;
    }
    char byte;
    ssize_t n = recv(RUNNER__CONTROL_FD, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* All of them, those too that the C library keeps for itself and posix_spawn left ignored: hence
 * the system call, for which zeros are the default action. */
static void reset_signals(void)
{
    static const unsigned long defaults[16];
    for (int s = 1; s < NSIG; s++) {
        (void)syscall(SYS_rt_sigaction, s, defaults, NULL, (size_t)8);
    }
}

/* A command to be executed. */
typedef struct execution {
    const char *cwd;
    char **argv;
    pid_t parent;
    int step, error; /* what could not be done, where something couldn't */
} execution;

/* In the child, which shares our memory until the command takes its place. We wait for that, with
 * all signals blocked, which stay so in the child until no handler of ours is left in it. */
static int execute(void *argument)
{
    execution *e = argument;
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    reset_signals();
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (getppid() == e->parent) {
        e->step = RUNNER__STEP_CHDIR;
        if (chdir(e->cwd) == 0) {
            e->step = RUNNER__STEP_EXEC;
            (void)execvp(e->argv[0], e->argv);
        }
        e->error = errno;
    }
    _exit(127);
}

/* A stack for the child: room for the arguments twice, which a script without `#!` takes. */
static size_t stack_size(char **argv)
{
    const size_t unit = 64u << 10;
    size_t size = 4 * unit;
    for (; *argv != NULL; argv++) {
        size += 2 * sizeof *argv;
    }
    return (size + unit - 1) / unit * unit;
}

static bool not_started(int step, int error)
{
    report("X %d %d\n", step, error);
    return false;
}

/* Starts the command; false, and reported, where it could not be executed. A fork copies what is
 * mapped, which takes longer than many a command. */
static bool start(supervisor *s, const char *cwd, char **argv)
{
    execution e = {.cwd = cwd, .argv = argv, .parent = getpid()};
    const size_t size = stack_size(argv);
    char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) {
        return not_started(RUNNER__STEP_SETUP, errno);
    }
    s->command = clone(execute, stack + size, CLONE_VM | CLONE_VFORK | SIGCHLD, &e);
    const int refused = errno;
    (void)munmap(stack, size);
    if (s->command < 0) {
        return not_started(RUNNER__STEP_SETUP, refused);
    }
    if (e.error != 0) {
        (void)waitpid(s->command, NULL, 0);
        return not_started(e.step, e.error);
    }
    /* Its output is its own: these would keep the pipes open. */
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; null >= 0 && fd < 3; fd++) {
        (void)dup2(null, fd);
    }
    return true;
}

/* Collects what has ended; false when no child is left. */
static bool reap(supervisor *s)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid == 0) {
            return true;
        }
        if (pid < 0) {
            if (errno == EINTR) {
                continue;
            }
            return false;
        }
        if (pid == s->command) {
            ratoon__at(RATOON__POINT_SUPERVISE_ENDED);
            s->command_ended = true;
            s->deadline_ms = now_ms() + (s->terminated ? s->grace_ms : LINGER_MS);
            report("W %d\n", status, 0);
            ratoon__at(RATOON__POINT_SUPERVISE_REPORTED);
        }
    }
}

static void terminate(supervisor *s)
{
    s->terminated = true;
    if (s->command_ended) {
        runner__descendants_signal(SIGTERM);
        return;
    }
    (void)kill(-s->command, SIGTERM);
    (void)kill(-s->command, SIGCONT);
}

static void take_orders(supervisor *s)
{
    char bytes[16];
    ssize_t n = recv(RUNNER__CONTROL_FD, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        s->executor_gone = true;
        s->killing = true;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (bytes[i] == 'K') {
            s->killing = true;
        } else if (bytes[i] == 'T') {
            terminate(s);
        }
    }
}

static void take_signals(supervisor *s)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo != SIGCHLD) {
            terminate(s);
        }
    }
}

/* After the command's end: what it left behind may end, is asked to, is killed. */
static void next_phase(supervisor *s)
{
    if (!s->command_ended || s->killing || now_ms() < s->deadline_ms) {
        return;
    }
    if (s->terminated) {
        s->killing = true;
        return;
    }
    terminate(s);
    s->deadline_ms = now_ms() + s->grace_ms;
}

static int wait_ms(const supervisor *s)
{
    if (s->killing) {
        return KILL_EVERY_MS;
    }
    if (!s->command_ended) {
        return -1;
    }
    uint64_t now = now_ms();
    uint64_t left = s->deadline_ms > now ? s->deadline_ms - now : 0;
    return left > 60000 ? 60000 : (int)left;
}

static void supervise(supervisor *s)
{
    while (reap(s)) {
        next_phase(s);
        if (s->killing) {
            (void)kill(-s->command, SIGKILL);
            runner__descendants_signal(SIGKILL);
        }
        struct pollfd polled[2] = {
            {.fd = s->signals, .events = POLLIN},
            {.fd = s->executor_gone ? -1 : RUNNER__CONTROL_FD, .events = POLLIN},
        };
        if (poll(polled, 2, wait_ms(s)) <= 0) {
            continue;
        }
        if (polled[1].revents != 0) {
            take_orders(s);
        }
        if (polled[0].revents != 0) {
            take_signals(s);
        }
    }
}

_Noreturn void runner__supervise(const char *lock_path, uint64_t grace_ms, const char *cwd,
                                 char **argv)
{
    supervisor s = {.grace_ms = grace_ms};
    (void)prctl(PR_SET_NAME, "ratoon:stage");
    (void)fcntl(RUNNER__CONTROL_FD, F_SETFD, FD_CLOEXEC);
    (void)setsid();
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigset_t all;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    (void)signal(SIGCHLD, SIG_DFL);
    sigset_t taken;
    (void)sigemptyset(&taken);
    (void)sigaddset(&taken, SIGCHLD);
    (void)sigaddset(&taken, SIGTERM);
    (void)sigaddset(&taken, SIGINT);
    (void)sigaddset(&taken, SIGHUP);
    s.signals = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
    int lock = runner__lock_shared(lock_path);
    if (s.signals < 0 || lock < 0) {
        report("X %d %d\n", RUNNER__STEP_SETUP, errno);
        _exit(1);
    }
    /* First the lock, then this look: whoever found the lock free before came after an executor
     * that is gone already. */
    ratoon__at(RATOON__POINT_SUPERVISE_LOCKED);
    if (executor_alive() && start(&s, cwd, argv)) {
        ratoon__at(RATOON__POINT_SUPERVISE_STARTED);
        supervise(&s);
    }
    _exit(0);
}

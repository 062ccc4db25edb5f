#include "tests/support/role.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

void role_must(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "not so: %s\n", what);
        abort();
    }
}

static void expect(const role_process *p, char what)
{
    char said = 0;
    MUST(read(p->out, &said, 1) == 1);
    MUST(said == what);
}

role_process role_start(const char *role, const char *path, const char *argument)
{
    int out[2];
    int in[2];
    MUST(pipe2(out, O_CLOEXEC) == 0);
    MUST(pipe2(in, O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    MUST(posix_spawn_file_actions_init(&actions) == 0);
    MUST(posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO) == 0);
    MUST(posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO) == 0);
    char *argv[] = {"test", (char *)(uintptr_t)role, (char *)(uintptr_t)path,
                    (char *)(uintptr_t)argument, NULL};
    role_process p = {.out = out[0], .in = in[1]};
    MUST(posix_spawn(&p.pid, "/proc/self/exe", &actions, NULL, argv, environ) == 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    close(in[0]);
    expect(&p, 'r');
    return p;
}

void role_wait_done(role_process *p)
{
    expect(p, 'd');
}

int role_join(role_process *p)
{
    close(p->in);
    close(p->out);
    int status;
    MUST(waitpid(p->pid, &status, 0) == p->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void role_begin(void)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
}

void role_say_ready(void)
{
    MUST(write(STDOUT_FILENO, "r", 1) == 1);
}

void role_say_done(void)
{
    MUST(write(STDOUT_FILENO, "d", 1) == 1);
}

void role_wait_for_end(void)
{
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
}

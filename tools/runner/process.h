/* One command under its supervisor, on a libuv loop. */
#ifndef RATOON_TOOLS_RUNNER_PROCESS_H
#define RATOON_TOOLS_RUNNER_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

typedef struct runner__process runner__process;

typedef struct runner__process_end {
    int step, error; /* enum runner__step and errno where it was not executed, else 0 */
    int exit_code;   /* -1: ended by a signal */
    int signal;      /* -1: exited */
    bool lost;       /* the supervisor was ended from outside: `signal` is its own, or exit_code */
} runner__process_end;

typedef struct runner__process_spec { /* strings are lent for the call */
    struct runner__spawner *spawner;
    const char *lock_path, *cwd;
    uint64_t grace_ms;
    char *const *argv;
    char *const *env;
    bool inherit_output; /* both streams go to our standard error, on_output is not called */
    void (*on_output)(void *ctx, int stream, const char *data, size_t size);
    /* Once, when no descendant is left and the output is at its end. The process is gone then. */
    void (*on_end)(void *ctx, const runner__process_end *end);
    void *ctx;
} runner__process_spec;

/* 0, or a libuv error; then on_end is not called. */
int runner__process_start(uv_loop_t *loop, const runner__process_spec *spec, runner__process **out);
/* SIGTERM to the process group, after the grace time SIGKILL to every descendant. */
void runner__process_terminate(runner__process *process);
void runner__process_kill(runner__process *process); /* SIGKILL to every descendant, now */

#endif

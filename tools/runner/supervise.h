/* What the executor, the spawner and the supervisors agree on.
 *
 * The spawner is this executable once more, started as `ratoon __supervise` with one end of a
 * stream socket as descriptor 3. It forks a supervisor for every request that comes in: much
 * cheaper than starting a program for each, and unlike a fork of the executor it is a copy of a
 * process that never opened a store. It ends with the socket.
 *
 * A request is a header, with the supervisor's standard output, standard error and control socket
 * attached to its first byte (SCM_RIGHTS), then `size` bytes of strings with their NULs: path of
 * the lock, working folder, argv[argc], env[envc]. */
#ifndef RATOON_TOOLS_RUNNER_SUPERVISE_H
#define RATOON_TOOLS_RUNNER_SUPERVISE_H

#include <stdint.h>

#define RUNNER__CONTROL_FD 3
#define RUNNER__REQUEST_FDS 3
#define RUNNER__REQUEST_MAX (16u << 20) /* more than execve takes */

typedef struct runner__request {
    uint32_t size, argc, envc, reserved;
    uint64_t grace_ms;
} runner__request;

enum runner__step { /* in which executing the command failed */
                    RUNNER__STEP_SETUP = 1,
                    RUNNER__STEP_CHDIR = 2,
                    RUNNER__STEP_EXEC = 3,
};

/* In the forked supervisor, with everything in its place: 0 to 2 are the command's streams,
 * RUNNER__CONTROL_FD its control socket, `environ` the command's. Does not return. */
_Noreturn void runner__supervise(const char *lock_path, uint64_t grace_ms, const char *cwd,
                                 char **argv);

#endif

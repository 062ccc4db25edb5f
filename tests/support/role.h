/* Other processes of a test are its own program again, started with a role: a forked child could
 * not use RocksDB. Such a program's main() begins with if (argc > 1) return the_role(argv[1],
 * argv[2], argv[3]);
 */
#ifndef RATOON_TESTS_ROLE_H
#define RATOON_TESTS_ROLE_H

#include <stdbool.h>
#include <sys/types.h>

typedef struct role_process {
    pid_t pid;
    int out; /* its standard output */
    int in;  /* its standard input */
} role_process;

/* Starts it and waits until it says that it is ready. Neither argument may be NULL. */
role_process role_start(const char *role, const char *path, const char *argument);
/* Waits until it says that it is done. */
void role_wait_done(role_process *p);
/* Ends its standard input and waits for it: its exit status, or -signal. */
int role_join(role_process *p);

/* For the process itself. */
void role_begin(void); /* it ends when the test does */
void role_say_ready(void);
void role_say_done(void);
void role_wait_for_end(void); /* of its standard input */

/* Aborts: where Check's assertions can't be used, in other processes and threads. */
void role_must(bool holds, const char *what);
#define MUST(condition) role_must(condition, #condition)

#endif

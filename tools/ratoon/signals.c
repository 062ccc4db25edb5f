/* Signals of the command itself, outside of executing stages; and a standard output that ends. */
#include "tools/ratoon/app.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    if (caught != 0) {
        _exit(EXIT_INTERRUPTED);
    }
    caught = number;
}

static void on_pipe(int number)
{
    (void)number;
}

void signals_catch(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

int signals_caught(void)
{
    return caught;
}

void signals_no_sigpipe(void)
{
    /* A handler, not SIG_IGN: exec gives what we start the default action back. */
    struct sigaction action = {.sa_handler = on_pipe, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGPIPE, &action, NULL);
}

bool output_alive(void)
{
    return fflush(stdout) == 0 && ferror(stdout) == 0;
}

/* `shell`: all that a stage would get, in the user's shell. */
#include "tools/ratoon/command.h"
#include "tools/runner/runner.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void become(const runner_context *context, char *const *argv)
{
    const char *folder = runner_context_cwd(context);
    if (chdir(folder) != 0) {
        fprintf(stderr, "ratoon: can't enter %s: %s\n", folder, strerror(errno));
        _exit(EXIT_IO);
    }
    execvpe(argv[0], argv, runner_context_env(context));
    fprintf(stderr, "ratoon: can't execute %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static int execute(const app *a, const runner_context *context, char *const *argv)
{
    fflush(NULL);
    const pid_t child = fork();
    if (child < 0) {
        return app_error(a, RATOON_ERR_IO, NULL, "can't start a process: %s", strerror(errno));
    }
    if (child == 0) {
        become(context, argv);
    }
    /* Ctrl-C is for the shell. */
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int command_shell(app *a, const args *in)
{
    ratoon_id run;
    runner_context *context = NULL;
    ratoon_error error = {0};
    int code = app_open_store(a);
    if (code < 0) {
        code = app_find_run(a, args_at(in, 0), &run);
    }
    if (code >= 0) {
        return code;
    }
    error.code =
        runner_context_new(a->store, run, args_at(in, 1), args_get(in, "item"), &context, &error);
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    const size_t words = args_count(in) - 2;
    char **argv = calloc(words + 2, sizeof *argv);
    const char *shell = getenv("SHELL");
    if (argv == NULL) {
        abort();
    }
    argv[0] = (char *)(uintptr_t)(shell != NULL && *shell != '\0' ? shell : "/bin/sh");
    for (size_t i = 0; i < words; i++) {
        argv[i] = (char *)(uintptr_t)args_at(in, i + 2);
    }
    if (words == 0) {
        app_note(a, "this is what %s would get; nothing is recorded. `exit` leaves",
                 args_at(in, 1));
    }
    /* Others may use the store meanwhile, the shell's own commands among them. */
    app_close_store(a);
    code = execute(a, context, argv);
    runner_context_free(context);
    free(argv);
    return code;
}

/* ratoon: the command. */
#include "tools/ratoon/command.h"
#include "tools/runner/runner.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What could not be written to standard output is an error, but for a reader that has gone. */
static int end_output(const app *a, int code)
{
    errno = 0;
    if (fflush(stdout) == 0 && ferror(stdout) == 0) {
        return code;
    }
    if (errno != EPIPE && errno != 0 && code == EXIT_DONE) {
        return app_error(a, RATOON_ERR_IO, NULL, "standard output: %s", strerror(errno));
    }
    return code;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "__supervise") == 0) {
        return runner_supervisor_main(argc, argv);
    }
    signals_no_sigpipe();
    (void)setvbuf(stderr, NULL, _IOLBF, BUFSIZ); /* others may write to it: whole lines */
    (void)setlocale(LC_CTYPE, "");
    app a = {.wait_ms = 5000};
    args *in = NULL;
    int code = args_read(&a, argc, argv, &in);
    if (code < 0) {
        const command *c = args_command(in);
        if (args_has(in, "help") && c->execute != command_help) {
            help_command(c, stdout);
            code = EXIT_DONE;
        } else {
            code = c->execute(&a, in);
        }
    }
    app_close_store(&a);
    if (a.damaged && code == EXIT_DONE) {
        code = EXIT_DAMAGED;
    }
    code = end_output(&a, code);
    args_free(in);
    free(a.store_path);
    free(a.damage);
    return code;
}

/* What a failed attempt or item says: class, message, detail (A02). */
#ifndef RATOON_TOOLS_RUNNER_FAILURE_H
#define RATOON_TOOLS_RUNNER_FAILURE_H

#include "tools/runner/facts.h"
#include "tools/runner/process.h"

#define RUNNER__STDERR_TAIL 8192

typedef struct runner__failure { /* zero-initialise; class NONE: no failure */
    ratoon_class error_class;
    runner__text message;
    runner__text detail;
} runner__failure;
void runner__failure_free(runner__failure *f);
/* Replaces what is there. */
void runner__failure_set(runner__failure *f, ratoon_class error_class, const char *message);
void runner__failure_copy(runner__failure *to, const runner__failure *from);
ratoon_failure runner__failure_public(const runner__failure *f); /* points into f */

/* "signal 9 (SIGKILL)", "exit 3". Appends. */
void runner__exit_text(int exit_code, int signal_number, runner__text *out);

/* Of a command that did not exit with 0. stderr_tail: masked, as captured. */
void runner__failure_of_exit(const runner__facts *facts, uint32_t stage,
                             const runner__process_end *end, const char *command, const char *cwd,
                             runner__slice stderr_tail, runner__failure *out);
/* The end of stderr as valid UTF-8. Appends. */
void runner__stderr_detail(runner__slice stderr_tail, runner__text *out);

#endif

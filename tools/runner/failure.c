#include "tools/runner/failure.h"

#include "tools/runner/supervise.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_SHOWN 300 /* bytes of the last line of stderr in a message */
#define EXIT_TEMPFAIL 75   /* as in sysexits.h: try again later */
#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND 127

void runner__failure_free(runner__failure *f)
{
    runner__text_free(&f->message);
    runner__text_free(&f->detail);
    f->error_class = RATOON_CLASS_NONE;
}

void runner__failure_set(runner__failure *f, ratoon_class error_class, const char *message)
{
    f->error_class = error_class;
    runner__text_clear(&f->message);
    runner__text_utf8(&f->message, message, strlen(message));
}

void runner__failure_copy(runner__failure *to, const runner__failure *from)
{
    runner__failure_free(to);
    to->error_class = from->error_class;
    runner__text_add(&to->message, from->message.data, from->message.size);
    runner__text_add(&to->detail, from->detail.data, from->detail.size);
}

ratoon_failure runner__failure_public(const runner__failure *f)
{
    return (ratoon_failure){.error_class = f->error_class,
                            .message = f->message.data != NULL ? f->message.data : "",
                            .detail = f->detail.size > 0 ? f->detail.data : NULL};
}

void runner__exit_text(int exit_code, int signal_number, runner__text *out)
{
    if (signal_number <= 0) {
        runner__text_format(out, "exit %d", exit_code);
        return;
    }
    const char *name = sigabbrev_np(signal_number);
    if (name != NULL) {
        runner__text_format(out, "signal %d (SIG%s)", signal_number, name);
    } else {
        runner__text_format(out, "signal %d", signal_number);
    }
}

/* The last line that says something. */
static runner__slice last_line(runner__slice text)
{
    while (text.size > 0 && strchr(" \t\r\n", text.data[text.size - 1]) != NULL &&
           text.data[text.size - 1] != '\0') {
        text.size--;
    }
    const char *newline = text.size > 0 ? memrchr(text.data, '\n', text.size) : NULL;
    if (newline != NULL) {
        text.size -= (size_t)(newline + 1 - text.data);
        text.data = newline + 1;
    }
    return text;
}

void runner__stderr_detail(runner__slice tail, runner__text *out)
{
    /* The cut may have gone through a character. */
    size_t skip = 0;
    if (tail.size >= RUNNER__STDERR_TAIL) {
        while (skip < 3 && skip < tail.size && ((unsigned char)tail.data[skip] & 0xc0) == 0x80) {
            skip++;
        }
    }
    runner__text_utf8(out, tail.data + skip, tail.size - skip);
}

static void not_executed(const runner__process_end *end, const char *command, const char *cwd,
                         runner__text *out)
{
    if (end->step == RUNNER__STEP_CHDIR) {
        runner__text_format(out, "exit %d: can't enter the folder '%s': ", EXIT_NOT_EXECUTABLE,
                            cwd);
        runner__text_str(out, end->error == ENOENT    ? "not found"
                              : end->error == EACCES  ? "permission denied"
                              : end->error == ENOTDIR ? "not a folder"
                                                      : strerror(end->error));
        return;
    }
    if (end->step == RUNNER__STEP_SETUP) {
        runner__text_format(out, "exit %d: can't start a process: %s", EXIT_NOT_EXECUTABLE,
                            strerror(end->error));
        return;
    }
    runner__text_format(out, "exit %d: can't execute '%s': ",
                        end->error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE, command);
    if (end->error == ENOENT && strchr(command, '/') == NULL) {
        runner__text_str(out, "not found in PATH");
    } else if (end->error == ENOENT && access(command, F_OK) == 0) {
        runner__text_str(out, "its interpreter (the line after #!) is not found");
    } else if (end->error == ENOENT) {
        runner__text_str(out, "not found");
    } else if (end->error == EACCES) {
        runner__text_str(out, "permission denied");
    } else if (end->error == ENOEXEC) {
        runner__text_str(out, "neither a program nor a script with a #! line");
    } else {
        runner__text_str(out, strerror(end->error));
    }
}

void runner__failure_of_exit(const runner__facts *facts, uint32_t stage,
                             const runner__process_end *end, const char *command, const char *cwd,
                             runner__slice stderr_tail, runner__failure *out)
{
    runner__failure_free(out);
    int exit_code = end->exit_code;
    if (end->step != 0) {
        not_executed(end, command, cwd, &out->message);
        exit_code = end->step == RUNNER__STEP_EXEC && end->error == ENOENT ? EXIT_NOT_FOUND
                                                                           : EXIT_NOT_EXECUTABLE;
        out->error_class = ratoon_failure_classify(facts->pipeline, stage, exit_code, -1,
                                                   out->message.data, out->message.size);
        return;
    }
    runner__exit_text(exit_code, end->signal, &out->message);
    if (end->lost) {
        runner__text_str(&out->message, " of the process that supervised it");
    }
    runner__slice line = last_line(stderr_tail);
    if (line.size > 0) {
        runner__text_str(&out->message, ": ");
        runner__text_utf8(&out->message, line.data,
                          line.size < LINE_MAX_SHOWN ? line.size : LINE_MAX_SHOWN);
    }
    runner__stderr_detail(stderr_tail, &out->detail);
    out->error_class = ratoon_failure_classify(facts->pipeline, stage, exit_code,
                                               end->signal > 0 ? end->signal : -1, stderr_tail.data,
                                               stderr_tail.size);
    if (exit_code == EXIT_TEMPFAIL) {
        /* The protocol's own meaning, unless the stage's rules name the code. */
        const ratoon_stage_def *def = ratoon_pipeline_stage(facts->pipeline, stage);
        bool named = false;
        for (size_t i = 0; i < def->errors_count; i++) {
            named =
                named || def->errors[i].exit_code == EXIT_TEMPFAIL || def->errors[i].match != NULL;
        }
        if (!named) {
            out->error_class = RATOON_CLASS_TRANSIENT;
        }
    }
}

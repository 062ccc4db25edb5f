/* What an ended process amounts to: success with outputs, or a failure (A01, A02, E07, E08). */
#include "tools/runner/executor.h"
#include "tools/runner/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RAW_MAX 4096 /* bytes of broken output that a failure's detail quotes */

static void duration_text(uint64_t ms, runner__text *out)
{
    if (ms % 3600000 == 0) {
        runner__text_format(out, "%llu h", (unsigned long long)ms / 3600000);
    } else if (ms % 60000 == 0) {
        runner__text_format(out, "%llu min", (unsigned long long)ms / 60000);
    } else if (ms % 1000 == 0) {
        runner__text_format(out, "%llu s", (unsigned long long)ms / 1000);
    } else {
        runner__text_format(out, "%llu ms", (unsigned long long)ms);
    }
}

/* It was ended, whatever it exited with. */
static void judge_stopped(runner__task *task, const runner__process_end *end, runner__slice tail)
{
    const runner__attempt *a = task->attempt;
    runner__text message = {0};
    if (end->step != 0) {
        runner__text_str(&message, "not executed");
    } else {
        runner__exit_text(end->exit_code, end->signal, &message);
    }
    ratoon_class error_class = RATOON_CLASS_TIMEOUT;
    switch (task->stop) {
    case RUNNER__STOP_HEARTBEAT:
        runner__text_str(&message, ": time-out: no event for ");
        duration_text(a->def->heartbeat_ms, &message);
        break;
    case RUNNER__STOP_TIMEOUT:
        runner__text_str(&message, ": time-out of the stage after ");
        duration_text(a->def->timeout_ms, &message);
        break;
    case RUNNER__STOP_RUN_TIMEOUT:
        runner__text_str(&message, ": time-out of the run after ");
        duration_text(ratoon_pipeline_timeout_ms(a->x->facts.pipeline), &message);
        break;
    case RUNNER__STOP_INTERRUPT:
        error_class = RATOON_CLASS_INTERRUPTED;
        runner__text_str(&message, ": interrupted");
        break;
    case RUNNER__STOP_CANCEL:
        error_class = RATOON_CLASS_CANCELLED;
        runner__text_str(&message, ": cancelled");
        break;
    case RUNNER__STOP_NONE:
    case RUNNER__STOP_ABORT:
        error_class = RATOON_CLASS_INTERRUPTED;
        runner__text_str(&message, ": stopped");
        break;
    }
    runner__failure_set(&task->failure, error_class, message.data);
    runner__stderr_detail(tail, &task->failure.detail);
    runner__text_free(&message);
}

static void capture_masked(void *ctx, const char *data, size_t size)
{
    runner__capture_add(ctx, data, size);
}

/* What broke the protocol is kept whole with what the stage wrote to stderr. */
static void capture_raw(runner__task *task, runner__slice raw)
{
    const runner__text *message = &task->failure.message;
    runner__capture_add(
        task->err, task->tail.size > 0 ? "\nratoon: " : "ratoon: ", task->tail.size > 0 ? 9 : 8);
    runner__capture_add(task->err, message->data, message->size);
    runner__capture_add(task->err, "\n", 1);
    runner__mask_stream stream = {.mask = &task->attempt->x->facts.mask};
    runner__mask_feed(&stream, raw.data, raw.size, true, capture_masked, task->err);
    runner__mask_stream_free(&stream);
    runner__capture_add(task->err, "\n", raw.size > 0 ? 1 : 0);
}

/* A broken promise of the protocol; raw: what was found, quoted in the detail. */
static void judge_broken(runner__task *task, const char *what, runner__slice raw,
                         runner__slice tail)
{
    runner__failure *f = &task->failure;
    const runner__mask *mask = &task->attempt->x->facts.mask;
    runner__failure_free(f);
    f->error_class = RATOON_CLASS_VALIDATION;
    runner__text message = {0};
    runner__mask_text(mask, what, strlen(what), &message);
    runner__text_utf8(&f->message, message.data, message.size);
    runner__text_free(&message);
    capture_raw(task, raw);
    if (raw.size > 0) {
        /* Masked before it is cut, so that no part of a secret stays at the cut. */
        runner__text quoted = {0};
        if (raw.size > RAW_MAX) {
            runner__mask_begin(mask, raw.data, RAW_MAX, &quoted);
        } else {
            runner__mask_text(mask, raw.data, raw.size, &quoted);
        }
        runner__text_utf8(&f->detail, quoted.data, quoted.size < RAW_MAX ? quoted.size : RAW_MAX);
        if (raw.size > RAW_MAX) {
            runner__text_format(&f->detail, "\n[%zu bytes more]", raw.size - RAW_MAX);
        }
        runner__text_free(&quoted);
    }
    if (tail.size > 0) {
        runner__text_str(&f->detail, f->detail.size > 0 ? "\n--- stderr ---\n" : "");
        runner__stderr_detail(tail, &f->detail);
    }
}

typedef struct mapped { /* a file in memory */
    int fd;
    void *data;
    size_t size;
} mapped;

static int map_file(const char *path, mapped *out)
{
    *out = (mapped){.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    struct stat info;
    if (out->fd < 0) {
        return errno;
    }
    if (fstat(out->fd, &info) != 0) {
        return errno;
    }
    if (!S_ISREG(info.st_mode)) {
        return EINVAL;
    }
    if (info.st_size > RUNNER__OUTPUT_FILE_MAX) {
        return EFBIG;
    }
    out->size = (size_t)info.st_size;
    if (out->size > 0) {
        out->data = mmap(NULL, out->size, PROT_READ, MAP_PRIVATE, out->fd, 0);
        if (out->data == MAP_FAILED) {
            out->data = NULL;
            return errno;
        }
    }
    return 0;
}

static void unmap(mapped *m)
{
    if (m->data != NULL) {
        (void)munmap(m->data, m->size);
    }
    if (m->fd >= 0) {
        close(m->fd);
    }
}

static void judge_output(runner__task *task, runner__slice tail)
{
    const runner__attempt *a = task->attempt;
    char *path = runner__path_resolve(task->folder, "output");
    mapped file;
    int failed = map_file(path, &file);
    free(path);
    runner__text error = {0};
    runner__text_str(&error, "RATOON_OUTPUT: ");
    if (failed == EFBIG) {
        runner__text_format(&error,
                            "LIMIT_EXCEEDED: the file is larger than %u bytes, the limit of all "
                            "values together",
                            RUNNER__OUTPUT_FILE_MAX);
        judge_broken(task, error.data, (runner__slice){"", 0}, tail);
    } else if (failed != 0) {
        runner__text_format(&error, "the file can't be read: %s", strerror(failed));
        judge_broken(task, error.data, (runner__slice){"", 0}, tail);
    } else {
        runner__slice text = {file.size > 0 ? file.data : "", file.size};
        if (!runner__output_parse(text, a->cwd, &a->x->facts.mask, &task->outputs, &error)) {
            judge_broken(task, error.data, text, tail);
        }
    }
    unmap(&file);
    runner__text_free(&error);
}

/* The output of an item: what it wrote, else what it reported of itself. */
static void take_item_output(runner__task *task)
{
    const runner__attempt *a = task->attempt;
    if (task->outputs.count == 0 && task->reported_output.size > 0) {
        runner__text_add(&task->item_output, task->reported_output.data,
                         task->reported_output.size);
        return;
    }
    runner__outputs_json(&task->outputs, &task->item_output);
    /* Taken whole under a single key, {"file": PATH} stands for a file too (S10). */
    if (a->def->produces_count == 1 && task->outputs.count == 1 &&
        strcmp(task->outputs.items[0].key, "file") == 0 &&
        strcmp(a->def->produces_keys[0], "file") != 0) {
        runner__text file = {0};
        runner__text error = {0};
        bool is_file;
        runner__slice whole = {task->item_output.data, task->item_output.size};
        if (!runner__output_file(whole, a->cwd, &file, &is_file, &error)) {
            runner__failure_set(&task->failure, RATOON_CLASS_VALIDATION, error.data);
        } else if (is_file) {
            runner__text_free(&task->item_output);
            task->item_output = file;
            file = (runner__text){0};
        }
        runner__text_free(&file);
        runner__text_free(&error);
    }
}

static void judge_exit_0(runner__task *task, runner__slice tail)
{
    if (task->events.broken.size > 0) {
        judge_broken(task, task->events.broken.data,
                     (runner__slice){task->events.raw.data, task->events.raw.size}, tail);
        return;
    }
    judge_output(task, tail);
    if (task->item == NULL || task->failure.error_class != RATOON_CLASS_NONE) {
        return;
    }
    if (task->reported_failed) {
        const char *why = task->reported_error.size > 0 ? task->reported_error.data : "failed";
        ratoon_class error_class = ratoon_failure_classify(
            task->attempt->x->facts.pipeline, task->attempt->stage, -1, -1, why, strlen(why));
        runner__failure_set(&task->failure, error_class, why);
        runner__stderr_detail(tail, &task->failure.detail);
        return;
    }
    take_item_output(task);
}

void runner__task_judge(runner__task *task, const runner__process_end *end)
{
    const runner__attempt *a = task->attempt;
    runner__text tail_text = {0};
    runner__tail_text(&task->tail, &tail_text);
    runner__slice tail = {tail_text.data, tail_text.size};
    if (task->stop != RUNNER__STOP_NONE) {
        judge_stopped(task, end, tail);
    } else if (end->step != 0 || end->exit_code != 0 || end->lost) {
        runner__failure_of_exit(&a->x->facts, a->stage, end, a->argv[0], a->cwd, tail,
                                &task->failure);
        if (end->step == 0 && task->reported_failed && task->reported_error.size > 0) {
            runner__text_format(&task->failure.message, " (%s)", task->reported_error.data);
        }
    } else {
        judge_exit_0(task, tail);
    }
    runner__text_free(&tail_text);
}

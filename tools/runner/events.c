#include "tools/runner/events.h"

#include "tools/runner/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_MAX (4u << 20) /* bytes at a time: one stage can't hold up the others */
#define RAW_MAX 2048        /* bytes kept of a line that broke the protocol */
#define UNKNOWN_SHOWN_MAX ((size_t)80)

void runner__line_free(runner__line *line)
{
    free(line->item);
    free(line->text);
    *line = (runner__line){0};
}

static bool expect_text(runner__slice value, const char *name, char **out, runner__text *error)
{
    *out = runner__json_strdup(value);
    if (*out == NULL) {
        runner__text_format(error, "'%s' must be a string", name);
        return false;
    }
    return true;
}

static bool parse_progress(runner__slice object, runner__line *out, runner__text *error)
{
    if (runner__json_kind(object) != '{') {
        runner__text_str(error, "'progress' must be an object");
        return false;
    }
    runner__slice value;
    if (runner__json_member(object, "done", &value) && !runner__json_count(value, &out->done)) {
        runner__text_str(error, "'done' must be a number");
        return false;
    }
    if (runner__json_member(object, "total", &value) && !runner__json_count(value, &out->total)) {
        runner__text_str(error, "'total' must be a number");
        return false;
    }
    return !runner__json_member(object, "message", &value) || runner__json_kind(value) == 'n' ||
           expect_text(value, "message", &out->text, error);
}

static bool parse_item(runner__slice object, runner__line *out, runner__text *error)
{
    runner__slice value;
    if (!runner__json_member(object, "item", &value) ||
        !expect_text(value, "item", &out->item, error)) {
        return false;
    }
    size_t size = strlen(out->item);
    if (size == 0 || size > RATOON_ITEM_KEY_MAX) {
        runner__text_format(error, "an item's key has 1 to %d bytes, this one %zu",
                            RATOON_ITEM_KEY_MAX, size);
        return false;
    }
    if (!runner__json_member(object, "status", &value)) {
        runner__text_str(error, "an item needs a 'status': done, failed or committed");
        return false;
    }
    out->failed = runner__json_equals(value, "failed");
    out->committed = runner__json_equals(value, "committed");
    if (!out->failed && !out->committed && !runner__json_equals(value, "done")) {
        runner__text_str(error, "an item's 'status' is done, failed or committed");
        return false;
    }
    if (runner__json_member(object, "output", &value)) {
        out->value = value;
    }
    return !runner__json_member(object, "error", &value) || runner__json_kind(value) == 'n' ||
           expect_text(value, "error", &out->text, error);
}

static bool parse_single(runner__slice key, runner__slice value, runner__line *out,
                         runner__text *error)
{
    if (runner__json_equals(key, "progress")) {
        out->kind = RUNNER__LINE_PROGRESS;
        return parse_progress(value, out, error);
    }
    if (runner__json_equals(key, "output")) {
        out->kind = RUNNER__LINE_OUTPUT;
        out->value = value;
        if (runner__json_kind(value) != '{') {
            runner__text_str(error, "'output' must be an object");
            return false;
        }
        return true;
    }
    static const struct {
        const char *name;
        runner__line_kind kind;
    } texts[] = {{"degraded", RUNNER__LINE_DEGRADED},
                 {"consumes", RUNNER__LINE_CONSUMES},
                 {"external_ref", RUNNER__LINE_EXTERNAL_REF}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (runner__json_equals(key, texts[i].name)) {
            out->kind = texts[i].kind;
            return expect_text(value, texts[i].name, &out->text, error);
        }
    }
    /* Whole or not at all: what is cut can't be masked any more (E08). */
    if (key.size > UNKNOWN_SHOWN_MAX) {
        runner__text_format(error, "unknown event with a name of %zu bytes", key.size);
    } else {
        runner__text_str(error, "unknown event ");
        runner__text_utf8(error, key.data, key.size);
    }
    return false;
}

bool runner__line_parse(runner__slice text, runner__line *out, runner__text *error)
{
    *out = (runner__line){0};
    const char *reason;
    size_t at;
    if (!runner__json_check(text, &reason, &at)) {
        runner__text_format(error, "not valid JSON at character %zu: %s", at + 1, reason);
        return false;
    }
    if (runner__json_kind(text) != '{') {
        runner__text_str(error, "expected a JSON object");
        return false;
    }
    runner__slice key = {0};
    runner__slice value = {0};
    bool ok;
    if (runner__json_member(text, "item", &value)) {
        out->kind = RUNNER__LINE_ITEM;
        ok = parse_item(text, out, error);
    } else {
        runner__json_iter iter = runner__json_iterate(text);
        size_t members = 0;
        runner__slice k;
        runner__slice v;
        while (runner__json_next(&iter, &k, &v)) {
            key = k;
            value = v;
            members++;
        }
        if (members == 1) {
            ok = parse_single(key, value, out, error);
        } else {
            runner__text_format(error, "expected one event, found %zu", members);
            ok = false;
        }
    }
    if (!ok) {
        runner__line_free(out);
    }
    return ok;
}

bool runner__events_open(runner__events *events, const char *path, const runner__mask *mask)
{
    *events = (runner__events){.mask = mask, .fd = open(path, O_RDONLY | O_CLOEXEC)};
    return events->fd >= 0;
}

void runner__events_close(runner__events *events)
{
    if (events->fd >= 0) {
        close(events->fd);
    }
    runner__text_free(&events->partial);
    runner__text_free(&events->broken);
    runner__text_free(&events->raw);
    *events = (runner__events){.fd = -1};
}

void runner__events_refuse(runner__events *events, const char *why)
{
    if (events->broken.size == 0) {
        runner__text_format(&events->broken, "RATOON_EVENTS line %llu: %s",
                            (unsigned long long)events->line, why);
    }
}

static void keep_raw(runner__events *events, runner__slice line)
{
    if (events->raw.size > 0) {
        return;
    }
    const size_t size = line.size < RAW_MAX ? line.size : RAW_MAX;
    if (events->mask == NULL) {
        runner__text_add(&events->raw, line.data, size);
    } else {
        runner__mask_begin(events->mask, line.data, size, &events->raw);
    }
}

static void hand_out(runner__events *events, runner__slice text, runner__line_fn *fn, void *ctx)
{
    events->line++;
    size_t i = 0;
    while (i < text.size && (text.data[i] == ' ' || text.data[i] == '\t' || text.data[i] == '\r')) {
        i++;
    }
    if (i == text.size) {
        return;
    }
    runner__line line;
    runner__text error = {0};
    if (runner__line_parse(text, &line, &error)) {
        bool good = events->broken.size == 0;
        fn(ctx, &line);
        runner__line_free(&line);
        if (good && events->broken.size > 0) {
            keep_raw(events, text);
        }
    } else {
        runner__events_refuse(events, error.data);
        keep_raw(events, text);
    }
    runner__text_free(&error);
}

static void take(runner__events *events, const char *data, size_t size, runner__line_fn *fn,
                 void *ctx)
{
    while (size > 0) {
        const char *newline = memchr(data, '\n', size);
        size_t part = newline != NULL ? (size_t)(newline - data) : size;
        if (newline != NULL && events->partial.size == 0) {
            hand_out(events, (runner__slice){data, part}, fn, ctx);
        } else {
            size_t room = RUNNER__EVENT_LINE_MAX + 1 - events->partial.size;
            runner__text_add(&events->partial, data, part < room ? part : room);
            if (events->partial.size > RUNNER__EVENT_LINE_MAX && events->broken.size == 0) {
                runner__text_format(
                    &events->broken,
                    "RATOON_EVENTS line %llu: LIMIT_EXCEEDED: a line has more than %u bytes",
                    (unsigned long long)events->line + 1, RUNNER__EVENT_LINE_MAX);
            }
            if (newline != NULL) {
                hand_out(events, (runner__slice){events->partial.data, events->partial.size}, fn,
                         ctx);
                runner__text_free(&events->partial);
            }
        }
        size_t used = newline != NULL ? part + 1 : part;
        data += used;
        size -= used;
    }
}

/* Whether there is something to read. A stage that writes with ">" instead of ">>" starts the file
 * over. */
static bool grown(runner__events *events)
{
    struct stat info;
    if (fstat(events->fd, &info) != 0) {
        return false;
    }
    if ((uint64_t)info.st_size < events->offset) {
        events->offset = 0;
        runner__text_free(&events->partial);
    }
    return (uint64_t)info.st_size > events->offset;
}

bool runner__events_read(runner__events *events, bool last, runner__line_fn *fn, void *ctx)
{
    if (events->fd < 0) {
        return false;
    }
    enum { CHUNK = 1 << 16 };
    char *buffer = NULL;
    uint64_t got = 0;
    while ((last || got < READ_MAX) && grown(events)) {
        if (buffer == NULL) {
            buffer = runner__alloc(CHUNK);
        }
        ssize_t n = pread(events->fd, buffer, CHUNK, (off_t)events->offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        events->offset += (uint64_t)n;
        got += (uint64_t)n;
        take(events, buffer, (size_t)n, fn, ctx);
    }
    free(buffer);
    if (last && events->partial.size > 0) {
        hand_out(events, (runner__slice){events->partial.data, events->partial.size}, fn, ctx);
        runner__text_free(&events->partial);
    }
    return got > 0;
}

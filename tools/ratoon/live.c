/* What is seen while a run executes. On a terminal: a line for each stage that ended, and below
 * them the running ones, redrawn. Elsewhere: a line for each start and end. All on stderr. */
#include "tools/ratoon/execute.h"
#include "tools/ratoon/follow.h"
#include "tools/ratoon/text.h"
#include "tools/runner/runner.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define RUNNING_SHOWN 12      /* stages in the redrawn part */
#define FAILED_ITEMS_SHOWN 10 /* failed items of a stage that are told one by one */

typedef struct live_stage {
    const char *name;
    ratoon_stage_status status;
    uint64_t started_ms;
    uint64_t done, total;
    uint32_t failed_items;
    uint32_t attempt;
    char *message; /* of its progress */
} live_stage;

struct live {
    const app *a;
    bool silent;   /* --quiet: only warnings */
    bool terminal; /* redraw */
    bool colored;
    ratoon_pipeline *pipeline; /* lends the names */
    live_stage *stages;
    size_t count, drawn; /* drawn: lines of the redrawn part that are on the screen */
    uint64_t began_ms, tick;
};

static live_stage *find(live *l, const char *name)
{
    const int32_t i = name != NULL ? ratoon_pipeline_stage_find(l->pipeline, name) : -1;
    return i >= 0 ? &l->stages[i] : NULL;
}

live *live_open(const app *a, ratoon_id run)
{
    live *l = calloc(1, sizeof *l);
    if (l == NULL) {
        abort();
    }
    l->a = a;
    l->silent = a->quiet;
    l->terminal = !a->quiet && !a->json && text_terminal_width(STDERR_FILENO) > 0 &&
                  (getenv("TERM") == NULL || strcmp(getenv("TERM"), "dumb") != 0);
    l->colored = text_colored(a, stderr);
    l->began_ms = monotonic_ms();
    if (ratoon_run_pipeline(a->store, run, &l->pipeline, NULL) == RATOON_OK) {
        l->count = ratoon_pipeline_stage_count(l->pipeline);
        l->stages = calloc(l->count + 1, sizeof *l->stages);
        for (size_t i = 0; l->stages != NULL && i < l->count; i++) {
            ratoon_stage_info info = {0};
            l->stages[i].name = ratoon_pipeline_stage(l->pipeline, i)->name;
            l->stages[i].status = RATOON_STAGE_PENDING;
            if (ratoon_run_stage(a->store, run, (uint32_t)i, &info, NULL) == RATOON_OK) {
                l->stages[i].status = info.status;
            }
        }
    }
    if (l->stages == NULL) {
        l->silent = true;
    }
    return l;
}

/* ---- the redrawn part ---- */

static void erase(live *l)
{
    if (l->drawn > 0) {
        fprintf(stderr, "\x1b[%zuA\r\x1b[J", l->drawn);
        l->drawn = 0;
    }
}

/* Writes at most `columns` columns of a text. */
static void put_cut(const char *text, size_t columns)
{
    size_t used = 0, i = 0;
    while (text[i] != '\0') {
        const size_t length = text_character(text + i, strlen(text + i));
        char one[8] = "";
        memcpy(one, text + i, length > 0 ? length : 1);
        const size_t width = text_width(one);
        if (used + width > columns) {
            break;
        }
        used += width;
        i += length > 0 ? length : 1;
    }
    fwrite(text, 1, i, stderr);
}

static void draw_line(live *l, size_t width, text_style style, const char *mark, const char *text)
{
    char *shown = text_escape(text);
    fprintf(stderr, "%s%s%s ", text_style_on(l->colored, style), mark, text_style_off(l->colored));
    put_cut(shown, width > 3 ? width - 3 : 1);
    fputc('\n', stderr);
    free(shown);
    l->drawn++;
}

static const char *spinner(uint64_t tick)
{
    static const char *const frames[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
    static const char *const ascii[] = {"|", "/", "-", "\\"};
    return text_utf8() ? frames[tick % 10] : ascii[tick % 4];
}

static char *running_text(const live_stage *s, uint64_t now_ms)
{
    char duration[TEXT_DURATION_MAX], counts[64] = "", attempt[32] = "";
    if (s->total > 0) {
        snprintf(counts, sizeof counts, "  %" PRIu64 "/%" PRIu64, s->done, s->total);
    } else if (s->done > 0) {
        snprintf(counts, sizeof counts, "  %" PRIu64, s->done);
    }
    if (s->attempt > 1) {
        snprintf(attempt, sizeof attempt, "  attempt %u", s->attempt);
    }
    return text_format("%s  %s%s%s%s%s", s->name,
                       text_duration((now_ms - s->started_ms) / 1000 * 1000000, duration), counts,
                       attempt, s->message != NULL ? "  " : "",
                       s->message != NULL ? s->message : "");
}

static void draw(live *l)
{
    const size_t width = text_terminal_width(STDERR_FILENO);
    const uint64_t now = monotonic_ms();
    size_t running = 0, done = 0, shown = 0;
    if (!l->terminal || width == 0) {
        return;
    }
    struct winsize size;
    const size_t rows = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 3
                            ? (size_t)size.ws_row - 2
                            : 1;
    for (size_t i = 0; i < l->count; i++) {
        running += l->stages[i].status == RATOON_STAGE_RUNNING;
        done += ratoon_stage_status_done(l->stages[i].status);
    }
    for (size_t i = 0; i < l->count && shown < RUNNING_SHOWN && shown < rows; i++) {
        if (l->stages[i].status == RATOON_STAGE_RUNNING) {
            char *text = running_text(&l->stages[i], now);
            draw_line(l, width, STYLE_CYAN, spinner(l->tick), text);
            free(text);
            shown++;
        }
    }
    char duration[TEXT_DURATION_MAX];
    char *text = text_format("%zu of %zu stages done, %zu running, %s", done, l->count, running,
                             text_duration((now - l->began_ms) / 1000 * 1000000, duration));
    draw_line(l, width, STYLE_DIM, " ", text);
    free(text);
    fflush(stderr);
}

/* ---- lines that stay ---- */

static void put_line(live *l, const char *status, const char *stage, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void put_line(live *l, const char *status, const char *stage, const char *format, ...)
{
    char *text = NULL;
    va_list list;
    va_start(list, format);
    const int length = vasprintf(&text, format, list);
    va_end(list);
    if (length < 0) {
        abort();
    }
    erase(l);
    fprintf(stderr, "%s%s%s ", text_style_on(l->colored, text_status_style(status)),
            text_status_mark(status), text_style_off(l->colored));
    if (stage != NULL) {
        text_put_string(stderr, stage);
        fputs(": ", stderr);
    }
    char *shown = text_escape(text);
    const size_t width = l->terminal ? text_terminal_width(STDERR_FILENO) : 0;
    const size_t used = (stage != NULL ? text_width(stage) + 2 : 0) + 3;
    if (width > used + 20) { /* the whole text is in `ratoon show` */
        put_cut(shown, width - used);
    } else {
        fputs(shown, stderr);
    }
    fputc('\n', stderr);
    free(shown);
    free(text);
    draw(l);
}

static void stage_ended(live *l, live_stage *s, const runner_event *e)
{
    const char *status = ratoon_stage_status_name(e->status);
    const bool good = ratoon_stage_status_done(e->status);
    char duration[TEXT_DURATION_MAX], items[96] = "";
    s->status = e->status;
    if (e->total > 0) { /* progress is told at intervals: the last of it comes with the end */
        s->done = e->done;
        s->total = e->total;
    }
    if (s->total > 0 && s->failed_items > 0) {
        snprintf(items, sizeof items, " (%" PRIu64 " of %" PRIu64 " items, %u failed)", s->done,
                 s->total, s->failed_items);
    } else if (s->total > 0) {
        snprintf(items, sizeof items, " (%" PRIu64 " of %" PRIu64 ")", s->done, s->total);
    }
    if (l->silent) {
        return;
    }
    char *reason = e->message != NULL && *e->message != '\0' && e->error_class != RATOON_CLASS_NONE
                       ? text_format(": %s: %s", ratoon_class_name(e->error_class), e->message)
                   : e->message != NULL && *e->message != '\0' ? text_format(": %s", e->message)
                                                               : text_copy("");
    if (e->elapsed_us > 0) {
        put_line(l, status, s->name, "%s %s %s%s%s", status, good ? "in" : "after",
                 text_duration(e->elapsed_us, duration), items, reason);
    } else {
        put_line(l, status, s->name, "%s%s%s", status, items, reason);
    }
    free(reason);
}

static void item_ended(live *l, live_stage *s, const runner_event *e)
{
    const bool failed = e->status == RATOON_STAGE_FAILED;
    s->done = e->done;
    s->total = e->total > 0 ? e->total : s->total;
    s->failed_items += failed;
    if (failed && !l->silent && s->failed_items <= FAILED_ITEMS_SHOWN) {
        put_line(l, "failed", s->name, "item %s failed: %s%s%s", e->item != NULL ? e->item : "",
                 ratoon_class_name(e->error_class),
                 e->message != NULL && *e->message != '\0' ? ": " : "",
                 e->message != NULL ? e->message : "");
    } else if (failed && !l->silent && s->failed_items == FAILED_ITEMS_SHOWN + 1) {
        put_line(l, "failed", s->name, "more items failed; `ratoon show` lists them");
    }
}

static void stage_event(live *l, live_stage *s, const runner_event *e)
{
    char duration[TEXT_DURATION_MAX];
    switch (e->kind) {
    case RUNNER_STAGE_STARTED:
        s->status = RATOON_STAGE_RUNNING;
        s->started_ms = monotonic_ms();
        s->attempt = e->attempt;
        s->done = e->done;
        s->total = e->total;
        s->failed_items = 0;
        if (!l->terminal && !l->silent) {
            put_line(l, "running", s->name, e->attempt > 1 ? "started, attempt %u" : "started",
                     e->attempt);
        }
        break;
    case RUNNER_STAGE_ENDED:
        stage_ended(l, s, e);
        break;
    case RUNNER_STAGE_BACKOFF:
        s->status = RATOON_STAGE_PENDING;
        if (!l->silent) {
            put_line(l, "degraded", s->name, "attempt %u failed: %s; next in %s", e->attempt,
                     e->message != NULL ? e->message : "",
                     text_duration(e->delay_ms * 1000, duration));
        }
        break;
    case RUNNER_STAGE_PROGRESS:
        s->done = e->done;
        s->total = e->total;
        free(s->message);
        s->message = e->message != NULL && *e->message != '\0' ? text_copy(e->message) : NULL;
        break;
    case RUNNER_ITEM_ENDED:
        item_ended(l, s, e);
        break;
    default:
        break;
    }
}

void live_event(void *ctx, const struct runner_event *e)
{
    live *l = ctx;
    live_stage *s = l->stages != NULL ? find(l, e->stage) : NULL;
    switch (e->kind) {
    case RUNNER_WARNING:
        erase(l);
        if (e->stage != NULL) {
            app_warn(l->a, "%s: %s", e->stage, e->message != NULL ? e->message : "");
        } else {
            app_warn(l->a, "%s", e->message != NULL ? e->message : "");
        }
        break;
    case RUNNER_CANCELLING:
        erase(l);
        app_note(l->a, "cancelled: stopping its stages");
        break;
    case RUNNER_INTERRUPTED:
        erase(l);
        app_note(l->a, "interrupted: stopping its stages; a second signal kills them");
        break;
    case RUNNER_TICK:
        l->tick++;
        if (l->terminal) {
            erase(l);
            draw(l);
        }
        break;
    default:
        if (s != NULL) {
            stage_event(l, s, e);
        }
        break;
    }
}

void live_close(live *l)
{
    erase(l);
    fflush(stderr);
    for (size_t i = 0; i < l->count && l->stages != NULL; i++) {
        free(l->stages[i].message);
    }
    free(l->stages);
    ratoon_pipeline_free(l->pipeline);
    free(l);
}

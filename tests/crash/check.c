/* Looks at a store that a worker left: all that was acknowledged is there, once and in order, the
 * rest whole or not at all; what is served is what the log says. */
#include "log/codec.h"
#include "log/store.h"
#include "tests/crash/crash.h"
#include "tests/support/derived.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct logged { /* a token, and the commit it is in */
    uint64_t token, position;
    ratoon_id root;
} logged;

typedef struct commit {
    uint64_t position, number;
    ratoon_id lineage;
} commit;

typedef struct keyed {
    char key[80];
} keyed;

typedef struct log_walk {
    logged *tokens;
    size_t tokens_count, tokens_capacity;
    commit *commits;
    size_t commits_count, commits_capacity;
    ratoon_id *roots;
    bool *marks;
    size_t roots_count, roots_capacity, marks_capacity;
    keyed *keys;
    size_t keys_count, keys_capacity;
    ratoon_status status;
    ratoon_error error;
} log_walk;

static unsigned wrongs;

__attribute__((format(printf, 1, 2))) static void wrong(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (wrongs++ < 20) {
        fputs("wrong: ", stderr);
        vfprintf(stderr, format, args);
        fputc('\n', stderr);
    }
    va_end(args);
}

static void *room(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count == *capacity) {
        *capacity = *capacity == 0 ? 1024 : 2 * *capacity;
        items = realloc(items, *capacity * size);
        if (items == NULL) {
            abort();
        }
    }
    return items;
}

/* ---- the log ---- */

static void note_token(log_walk *w, const char *text, uint64_t position, ratoon_id root)
{
    if (text == NULL || strncmp(text, "t:", 2) != 0) {
        return;
    }
    const unsigned long long token = strtoull(text + 2, NULL, 16);
    w->tokens = room(w->tokens, w->tokens_count, &w->tokens_capacity, sizeof *w->tokens);
    w->tokens[w->tokens_count++] = (logged){.token = token, .position = position, .root = root};
}

static void note_event(log_walk *w, const ratoon__event *e, uint64_t position, ratoon_id root)
{
    switch (e->type) {
    case RATOON__EVENT_RUN_CREATED:
        note_token(w, e->u.created.reason, position, root);
        if (e->u.created.key != NULL) {
            w->keys = room(w->keys, w->keys_count, &w->keys_capacity, sizeof *w->keys);
            snprintf(w->keys[w->keys_count++].key, sizeof w->keys[0].key, "%s", e->u.created.key);
        }
        break;
    case RATOON__EVENT_RUN_EXTERNAL_REF:
        note_token(w, e->u.external_ref.ref, position, root);
        break;
    case RATOON__EVENT_RUN_ANNOTATED:
        note_token(w, e->u.annotated.text, position, root);
        break;
    case RATOON__EVENT_RUN_CANCEL_REQUESTED:
        note_token(w, e->u.cancel_requested.reason, position, root);
        break;
    case RATOON__EVENT_LINEAGE_DELETED:
        w->marks[w->roots_count - 1] = true;
        break;
    default:
        break;
    }
}

static bool walk_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                        const void *data, size_t size)
{
    log_walk *w = ctx;
    ratoon__arena arena = {0};
    ratoon__commit c;
    if (w->roots_count == 0 || !ratoon_id_equal(w->roots[w->roots_count - 1], lineage)) {
        w->roots = room(w->roots, w->roots_count, &w->roots_capacity, sizeof *w->roots);
        w->marks = room(w->marks, w->roots_count, &w->marks_capacity, sizeof *w->marks);
        w->marks[w->roots_count] = false;
        w->roots[w->roots_count++] = lineage;
    }
    w->commits = room(w->commits, w->commits_count, &w->commits_capacity, sizeof *w->commits);
    w->commits[w->commits_count++] =
        (commit){.position = position, .number = number, .lineage = lineage};
    w->status = ratoon__commit_decode(data, size, &arena, &c, &w->error);
    for (size_t i = 0; w->status == RATOON_OK && i < c.events_count; i++) {
        note_event(w, &c.events[i], position, lineage);
    }
    ratoon__arena_free(&arena);
    return w->status == RATOON_OK;
}

static int by_token(const void *a, const void *b)
{
    const logged *x = a, *y = b;
    return x->token < y->token ? -1 : x->token > y->token;
}

static int by_position(const void *a, const void *b)
{
    const commit *x = a, *y = b;
    return x->position < y->position ? -1 : x->position > y->position;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const keyed *)a)->key, ((const keyed *)b)->key);
}

static const logged *find_token(const log_walk *w, uint64_t token)
{
    const logged key = {.token = token};
    return w->tokens_count == 0
               ? NULL
               : bsearch(&key, w->tokens, w->tokens_count, sizeof *w->tokens, by_token);
}

static bool is_mark(const log_walk *w, ratoon_id root)
{
    for (size_t i = 0; i < w->roots_count; i++) { /* few lineages */
        if (ratoon_id_equal(w->roots[i], root)) {
            return w->marks[i];
        }
    }
    return false;
}

static void walk_log(ratoon_store *store, log_walk *w)
{
    ratoon__driver *d = ratoon__store_driver(store);
    const ratoon_id first = {{0}};
    ratoon_status status = d->ops->read(d, first, 0, false, false, walk_commit, w, &w->error);
    if (status != RATOON_OK || w->status != RATOON_OK) {
        wrong("the log can't be read: %s", w->error.message);
    }
    qsort(w->tokens, w->tokens_count, sizeof *w->tokens, by_token);
    qsort(w->commits, w->commits_count, sizeof *w->commits, by_position);
    qsort(w->keys, w->keys_count, sizeof *w->keys, by_key);
    for (size_t i = 1; i < w->tokens_count; i++) {
        if (w->tokens[i].token == w->tokens[i - 1].token) {
            wrong("request %llx is in the log twice", (unsigned long long)w->tokens[i].token);
        }
    }
    for (size_t i = 1; i < w->keys_count; i++) {
        if (by_key(&w->keys[i], &w->keys[i - 1]) == 0) {
            wrong("two runs have the key %s (R09)", w->keys[i].key);
        }
    }
}

/* ---- against what was said ---- */

static void check_lineages(const crash_check *c, const log_walk *w)
{
    for (size_t i = 0; i < w->roots_count; i++) {
        const crash_lineage *l = crash_model_lineage(c->model, w->roots[i], false);
        char text[RATOON_ID_TEXT];
        ratoon_id_format(w->roots[i], text);
        if (l != NULL && l->deleted && !w->marks[i]) {
            wrong("lineage %s was deleted and is there", text);
        } else if (w->marks[i] && l != NULL && !l->deleted && l->deleting == 0 &&
                   c->model->pruning == 0) {
            wrong("lineage %s is deleted, which nobody asked for", text);
        }
    }
}

static void tell(const crash_check *c, crash_said said, uint64_t token, ratoon_id root)
{
    const crash_record r = {.said = (uint8_t)said, .token = token, .root = root};
    if (write(c->out, &r, sizeof r) != (ssize_t)sizeof r) {
        abort();
    }
}

static void check_op(const crash_check *c, const log_walk *w, const crash_op *op)
{
    const unsigned long long token = op->token;
    const logged *l = find_token(w, op->token);
    switch ((crash_op_state)op->state) {
    case CRASH_OP_ACKED:
    case CRASH_OP_FOUND:
        if (l == NULL && !is_mark(w, op->root)) {
            wrong("request %llx of kind %d was %s and is not in the log", token, op->kind,
                  op->state == CRASH_OP_ACKED ? "acknowledged" : "found by an earlier check");
        } else if (l != NULL && !ratoon_id_is_zero(op->root) &&
                   !ratoon_id_equal(op->root, l->root)) {
            wrong("request %llx is in another lineage", token);
        }
        break;
    case CRASH_OP_REFUSED:
    case CRASH_OP_ABSENT:
        if (l != NULL) {
            wrong("request %llx of kind %d was %s and is in the log", token, op->kind,
                  op->state == CRASH_OP_REFUSED ? "refused" : "not there at an earlier check");
        }
        break;
    case CRASH_OP_OPEN:
        tell(c, l != NULL ? CRASH_ACKED : CRASH_REFUSED, op->token, l != NULL ? l->root : op->root);
        break;
    }
}

static void check_requests(const crash_check *c, const log_walk *w)
{
    for (size_t i = 0; i < c->model->ops_count; i++) {
        check_op(c, w, &c->model->ops[i]);
    }
    for (size_t i = 0; i < w->tokens_count; i++) {
        const logged *l = &w->tokens[i];
        if (crash_model_op(c->model, l->token) == NULL) {
            wrong("request %llx is in the log and nobody sent it", (unsigned long long)l->token);
        }
        /* A thread sends a request once it has the answer to the one before. */
        if (i > 0 && crash_thread_of(l->token) == crash_thread_of(l[-1].token) &&
            l->position <= l[-1].position) {
            wrong("request %llx is at position %llu, the one before it at %llu",
                  (unsigned long long)l->token, (unsigned long long)l->position,
                  (unsigned long long)l[-1].position);
        }
    }
}

/* What a reader was shown is there; what lies between was shown (Q06). */
static void check_seen(const crash_check *c, const log_walk *w)
{
    const crash_model *m = c->model;
    size_t at = 0;
    while (at < w->commits_count && w->commits[at].position < m->seen_last) {
        at++;
    }
    for (size_t i = 0; i < m->seen_count; i++) {
        const crash_seen *s = &m->seen[i];
        if (s->position < (i > 0 ? m->seen[i - 1].position + 1 : m->seen_last)) {
            wrong("the feed showed position %llu again", (unsigned long long)s->position);
        }
        for (; at < w->commits_count && w->commits[at].position < s->position; at++) {
            wrong("the feed passed over position %llu",
                  (unsigned long long)w->commits[at].position);
        }
        if (at < w->commits_count && w->commits[at].position == s->position) {
            if (w->commits[at].number != s->commit ||
                !ratoon_id_equal(w->commits[at].lineage, s->lineage)) {
                wrong("position %llu showed another commit", (unsigned long long)s->position);
            }
            at++;
        } else if (!is_mark(w, s->lineage)) {
            wrong("the feed showed position %llu, where nothing is",
                  (unsigned long long)s->position);
        }
    }
}

/* ---- against the log ---- */

static void check_projections(ratoon_store *store, const log_walk *w)
{
    for (size_t i = 0; i < w->roots_count; i++) {
        ratoon__lineage *served = NULL, *rebuilt = ratoon__lineage_new(w->roots[i]);
        ratoon__buf what = {0};
        ratoon_error error;
        if (rebuilt == NULL ||
            ratoon__store_lineage(store, w->roots[i], &served, &error) != RATOON_OK) {
            wrong("a lineage can't be loaded: %s", error.message);
        } else if (ratoon__store_fold_from(store, &rebuilt, 0, &error) != RATOON_OK) {
            wrong("a lineage can't be folded: %s", error.message);
        } else if (!ratoon__lineage_equal(rebuilt, served, &what)) {
            wrong("what is served of a lineage isn't what its log says (S07): %s", what.data);
        }
        ratoon__lineage_unref(served);
        ratoon__lineage_unref(rebuilt);
        ratoon__buf_free(&what);
    }
}

static void check_running(ratoon_store *store)
{
    static const ratoon_run_status statuses[] = {RATOON_RUN_RUNNING, RATOON_RUN_CANCELLING};
    for (size_t i = 0; i < 2; i++) {
        ratoon_list_options options = RATOON_LIST_OPTIONS_INIT;
        ratoon_id *runs = NULL;
        size_t count = 0;
        ratoon_error error;
        options.status = statuses[i];
        if (ratoon_run_list(store, &options, &runs, &count, &error) != RATOON_OK) {
            wrong("listing: %s", error.message);
        } else if (count > 0) {
            wrong("%zu runs are %s, and nobody executes them (L08)", count,
                  ratoon_run_status_name(statuses[i]));
        }
        free(runs);
    }
}

static void check_verify(ratoon_store *store, const char *what)
{
    const ratoon_id all = {{0}};
    ratoon_buffer report = {0};
    size_t problems = 0;
    ratoon_error error;
    if (ratoon_verify(store, all, &report, &problems, &error) != RATOON_OK) {
        wrong("%s: verify: %s", what, error.message);
    } else if (problems > 0) {
        wrong("%s does not verify: %s", what, report.data);
    }
    ratoon_buffer_free(&report);
}

static ratoon_store *open_quietly(const char *path, const char *what)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_store *store = NULL;
    ratoon_error error;
    options.no_serve = true;
    const ratoon_status status = ratoon_store_open(path, &options, &store, &error);
    if (status != RATOON_OK) {
        wrong("%s can't be opened: %s: %s", what, ratoon_status_name(status), error.message);
        ratoon_store_close(store);
        store = NULL;
    }
    return store;
}

static void check_derived(const crash_check *c, ratoon_store *store)
{
    static const char *const subjects[] = {"shared", "subject 0", "subject 1", "subject 2"};
    static const char *const pipelines[] = {"plain", "scoped", "shared"};
    static const support_names names = {subjects, 4, pipelines, 3};
    char *path = support_path_join(c->folder, "copy");
    ratoon__buf here = {0}, anew = {0};
    ratoon_error error;
    support_remove(path);
    if (support_derived_dump(store, &names, &here, &error) != RATOON_OK) {
        wrong("derived rows can't be listed: %s", error.message);
    } else if (ratoon_store_backup(store, path, &error) != RATOON_OK) {
        wrong("the store can't be copied: %s", error.message);
    } else {
        ratoon_store *copy = open_quietly(path, "a copy");
        if (copy != NULL && (support_derived_rebuild(copy, &error) != RATOON_OK ||
                             support_derived_dump(copy, &names, &anew, &error) != RATOON_OK)) {
            wrong("derived rows can't be rebuilt: %s", error.message);
        } else if (copy != NULL &&
                   (here.size != anew.size || memcmp(here.data, anew.data, here.size) != 0)) {
            wrong("derived rows are not what is rebuilt (Q03)");
            support_write_file("derived-here.txt", here.data, here.size);
            support_write_file("derived-rebuilt.txt", anew.data, anew.size);
        }
        ratoon_store_close(copy);
    }
    support_remove(path);
    ratoon__buf_free(&here);
    ratoon__buf_free(&anew);
    free(path);
}

/* A copy that has its name is whole, whoever was killed. */
static void check_copy(const crash_check *c, const char *name, uint64_t position_min)
{
    char *path = support_path_join(c->folder, name);
    uint64_t end = 0;
    ratoon_error error;
    ratoon_store *copy = NULL;
    if (access(path, F_OK) == 0) {
        copy = open_quietly(path, name);
    } else if (position_min > 0) {
        wrong("a %s that was acknowledged isn't there", name);
    }
    if (copy != NULL) {
        check_verify(copy, name);
        if (ratoon_feed_end(copy, &end, &error) != RATOON_OK || end < position_min) {
            wrong("the %s ends at %llu; when it was asked for the store ended at %llu", name,
                  (unsigned long long)end, (unsigned long long)position_min);
        }
        ratoon_store_close(copy);
    }
    free(path);
}

/* A prune that was killed leaves a note for each lineage that it was to delete. The next deletion
 * takes out those of lineages that are gone; the others stay until somebody deletes them again. */
static void finish_deletions(const crash_check *c, ratoon_store *store, const log_walk *w)
{
    ratoon_prune_options options = RATOON_PRUNE_OPTIONS_INIT;
    ratoon_deleted *deleted = NULL;
    size_t count = 0;
    ratoon_error error;
    options.before = 1; /* no run ended as early */
    if (ratoon_prune(store, &options, &deleted, &count, NULL, &error) != RATOON_OK) {
        wrong("deletions can't be finished: %s", error.message);
    } else if (count > 0) {
        wrong("a prune of runs of another age deleted %zu", count);
    }
    free(deleted);
    char *path = support_path_join(c->store, "deleting");
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        ratoon_id lineage;
        bool exists = false;
        if (ratoon_id_parse(entry->d_name, &lineage) != RATOON_OK) {
            continue;
        }
        for (size_t i = 0; i < w->roots_count && !exists; i++) {
            exists = !w->marks[i] && ratoon_id_equal(w->roots[i], lineage);
        }
        if (!exists) {
            wrong("the note of a finished deletion is left: %s", entry->d_name);
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    free(path);
}

int crash_check_main(const crash_check *c)
{
    log_walk w = {.status = RATOON_OK};
    wrongs = 0;
    ratoon_store *store = open_quietly(c->store, "the store");
    if (store != NULL) {
        check_running(store);
        check_verify(store, "the store");
        walk_log(store, &w);
        check_lineages(c, &w);
        check_requests(c, &w);
        check_seen(c, &w);
        check_projections(store, &w);
        if (c->full) {
            check_derived(c, store);
        }
        finish_deletions(c, store, &w);
        ratoon_store_close(store);
        for (size_t i = 0; i < w.roots_count; i++) {
            if (w.marks[i]) {
                tell(c, CRASH_PRUNED, 0, w.roots[i]);
            }
        }
        const uint64_t end = w.commits_count > 0 ? w.commits[w.commits_count - 1].position + 1 : 1;
        const crash_record last = {.said = CRASH_READY, .position = end};
        if (write(c->out, &last, sizeof last) != (ssize_t)sizeof last) {
            abort();
        }
    }
    check_copy(c, "backup", c->model->backup_from);
    check_copy(c, "restored", 0);
    free(w.tokens);
    free(w.commits);
    free(w.roots);
    free(w.marks);
    free(w.keys);
    return wrongs == 0 ? 0 : 1;
}

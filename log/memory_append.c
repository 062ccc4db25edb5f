/* Appending to the memory driver: first all memory of the group, then each append judged and
 * applied in order, which can't fail any more. */
#include "log/memory_driver.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROW_NODES = 5 }; /* by run, and in the indices of time, status, subject and pipeline */

typedef struct staged_row {
    ratoon__run_row *row;
    ratoon__map_node *by_run;
    ratoon__map_node *index[ROW_NODES - 1]; /* NULL: not in that one */
} staged_row;

/* What an append may need; what it leaves is freed. */
typedef struct staged {
    ratoon__map_node *commit, *head;
    ratoon__map_node **values, **claims;
    staged_row *rows;
} staged;

static void put_be64(uint8_t *to, uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8) {
        to[i] = (uint8_t)value;
    }
}

void ratoon__memory_commit_key(uint8_t key[RATOON__MEMORY_COMMIT_KEY], ratoon_id lineage,
                               uint64_t number)
{
    memcpy(key, lineage.bytes, sizeof lineage.bytes);
    put_be64(key + sizeof lineage.bytes, number);
}

void ratoon__memory_order_key(uint8_t key[RATOON__MEMORY_ORDER_KEY], uint64_t created_at,
                              ratoon_id run)
{
    put_be64(key, ~created_at);
    for (size_t i = 0; i < sizeof run.bytes; i++) {
        key[8 + i] = (uint8_t)~run.bytes[i];
    }
}

void ratoon__memory_index_key(ratoon__buf *out, ratoon__index index, const char *key,
                              const uint8_t *order, size_t order_size)
{
    const char first = (char)index;
    ratoon__buf_add(out, &first, 1);
    ratoon__buf_add(out, key, strlen(key) + 1);
    ratoon__buf_add(out, order, order_size);
}

/* ---- memory ---- */

static ratoon__run_row *row_copy(const ratoon__run_row *row)
{
    const char *subject = row->subject != NULL ? row->subject : "";
    const char *pipeline = row->pipeline != NULL ? row->pipeline : "";
    const size_t subject_size = strlen(subject) + 1, pipeline_size = strlen(pipeline) + 1;
    ratoon__run_row *copy = malloc(sizeof *copy + subject_size + pipeline_size);
    if (copy != NULL) {
        char *texts = (char *)(copy + 1);
        *copy = *row;
        copy->subject = memcpy(texts, subject, subject_size);
        copy->pipeline = memcpy(texts + subject_size, pipeline, pipeline_size);
    }
    return copy;
}

static const char *index_text(const ratoon__run_row *row, ratoon__index index)
{
    switch (index) {
    case RATOON__INDEX_STATUS:
        return ratoon_run_status_name(row->status);
    case RATOON__INDEX_SUBJECT:
        return row->subject;
    case RATOON__INDEX_PIPELINE:
        return row->pipeline;
    default:
        return "";
    }
}

/* False where a row is not in that index: one without a subject. */
static bool row_index_key(const ratoon__run_row *row, ratoon__index index, ratoon__buf *key)
{
    uint8_t order[RATOON__MEMORY_ORDER_KEY];
    const char *text = index_text(row, index);
    key->size = 0;
    ratoon__memory_order_key(order, row->created_at, row->run);
    ratoon__memory_index_key(key, index, text, order, sizeof order);
    return index == RATOON__INDEX_TIME || text[0] != '\0';
}

static bool row_stage(ratoon__memory *m, const ratoon__run_row *row, ratoon__buf *key,
                      staged_row *out)
{
    out->row = row_copy(row);
    if (out->row == NULL) {
        return false;
    }
    out->by_run = ratoon__map_node_new(&m->seed, row->run.bytes, sizeof row->run.bytes, out->row);
    bool ok = out->by_run != NULL;
    for (int i = 0; i < ROW_NODES - 1; i++) {
        if (row_index_key(out->row, (ratoon__index)(RATOON__INDEX_TIME + i), key) && !key->failed) {
            out->index[i] = ratoon__map_node_new(&m->seed, key->data, key->size, out->row);
            ok = ok && out->index[i] != NULL;
        }
    }
    return ok && !key->failed;
}

static ratoon__map_node *commit_stage(ratoon__memory *m, const ratoon__append *a)
{
    uint8_t key[RATOON__MEMORY_COMMIT_KEY];
    ratoon__memory_commit *commit = malloc(sizeof *commit + a->size);
    if (commit == NULL) {
        return NULL;
    }
    *commit = (ratoon__memory_commit){.lineage = a->lineage, .number = a->number, .size = a->size};
    if (a->size > 0) {
        memcpy(commit->data, a->data, a->size);
    }
    ratoon__memory_commit_key(key, a->lineage, a->number);
    ratoon__map_node *node = ratoon__map_node_new(&m->seed, key, sizeof key, commit);
    if (node == NULL) {
        free(commit);
    }
    return node;
}

static ratoon__map_node *bytes_stage(ratoon__memory *m, const ratoon__stored_value *v)
{
    ratoon__memory_bytes *bytes = malloc(sizeof *bytes + v->size);
    if (bytes == NULL) {
        return NULL;
    }
    bytes->size = v->size;
    if (v->size > 0) {
        memcpy(bytes->data, v->data, v->size);
    }
    ratoon__map_node *node =
        ratoon__map_node_new(&m->seed, v->digest.bytes, sizeof v->digest.bytes, bytes);
    if (node == NULL) {
        free(bytes);
    }
    return node;
}

static ratoon__map_node *claim_stage(ratoon__memory *m, const ratoon__claim *claim)
{
    ratoon_id *holder = malloc(sizeof *holder);
    if (holder == NULL) {
        return NULL;
    }
    *holder = claim->run;
    ratoon__map_node *node =
        ratoon__map_node_new(&m->seed, claim->name, strlen(claim->name), holder);
    if (node == NULL) {
        free(holder);
    }
    return node;
}

static bool stage(ratoon__memory *m, const ratoon__append *a, staged *out)
{
    ratoon__buf key = {0};
    out->commit = commit_stage(m, a);
    out->head = ratoon__map_node_new(&m->seed, a->lineage.bytes, sizeof a->lineage.bytes, NULL);
    out->values = calloc(a->values_count + 1, sizeof(ratoon__map_node *));
    out->claims = calloc(a->claims_count + 1, sizeof(ratoon__map_node *));
    out->rows = calloc(a->rows_count + 1, sizeof *out->rows);
    bool ok = out->commit != NULL && out->head != NULL && out->values != NULL &&
              out->claims != NULL && out->rows != NULL;
    for (size_t i = 0; ok && i < a->values_count; i++) {
        /* What is over the limit is going to be refused: no memory for it. */
        if (a->values[i].size <= m->options.value_max) {
            ok = (out->values[i] = bytes_stage(m, &a->values[i])) != NULL;
        }
    }
    for (size_t i = 0; ok && i < a->claims_count; i++) {
        ok = (out->claims[i] = claim_stage(m, &a->claims[i])) != NULL;
    }
    for (size_t i = 0; ok && i < a->rows_count; i++) {
        ok = row_stage(m, &a->rows[i], &key, &out->rows[i]);
    }
    ratoon__buf_free(&key);
    return ok;
}

static void node_free(ratoon__map_node *node)
{
    if (node != NULL) {
        free(node->value);
        free(node);
    }
}

/* Frees what the map did not take. */
static void unstage(const ratoon__append *a, staged *s)
{
    node_free(s->commit);
    free(s->head);
    for (size_t i = 0; s->values != NULL && i < a->values_count; i++) {
        node_free(s->values[i]);
    }
    for (size_t i = 0; s->claims != NULL && i < a->claims_count; i++) {
        node_free(s->claims[i]);
    }
    for (size_t i = 0; s->rows != NULL && i < a->rows_count; i++) {
        free(s->rows[i].by_run);
        for (int k = 0; k < ROW_NODES - 1; k++) {
            free(s->rows[i].index[k]);
        }
        free(s->rows[i].row);
    }
    free(s->values);
    free(s->claims);
    free(s->rows);
}

static bool feed_reserve(ratoon__memory *m, size_t more)
{
    if (m->feed_count + more <= m->feed_capacity) {
        return true;
    }
    const uint64_t capacity = 2 * (m->feed_count + more);
    ratoon__memory_commit **feed = realloc(m->feed, capacity * sizeof(ratoon__memory_commit *));
    if (feed == NULL) {
        return false;
    }
    m->feed = feed;
    m->feed_capacity = capacity;
    return true;
}

/* ---- judging ---- */

static ratoon_id claim_holder(const ratoon__memory *m, const ratoon__append *a, size_t claim)
{
    const char *name = a->claims[claim].name;
    const ratoon__map_node *node = ratoon__map_find(&m->claims, name, strlen(name));
    ratoon_id holder = node != NULL ? *(const ratoon_id *)node->value : (ratoon_id){{0}};
    for (size_t i = 0; i < claim; i++) {
        const ratoon__claim *before = &a->claims[i];
        if (strcmp(before->name, name) != 0) {
            continue;
        }
        if (before->take) {
            holder = before->run;
        } else if (ratoon_id_equal(before->run, holder)) {
            holder = (ratoon_id){{0}};
        }
    }
    return holder;
}

static ratoon_status judge(const ratoon__memory *m, ratoon__append *a, bool follows_refused)
{
    for (size_t i = 0; i < a->values_count; i++) {
        if (a->values[i].size > m->options.value_max) {
            return RATOON_ERR_LIMIT_EXCEEDED;
        }
    }
    const ratoon__map_node *head =
        ratoon__map_find(&m->heads, a->lineage.bytes, sizeof a->lineage.bytes);
    const uint64_t number = head != NULL ? head->number : 0;
    if (follows_refused || a->number != number + 1) {
        a->head = number;
        return RATOON_ERR_CONFLICT;
    }
    for (size_t i = 0; i < a->claims_count; i++) {
        const ratoon_id holder = claim_holder(m, a, i);
        if (a->claims[i].take && !ratoon_id_is_zero(holder) &&
            !ratoon_id_equal(holder, a->claims[i].run)) {
            a->holder = holder;
            a->claim = (uint32_t)i;
            return RATOON_ERR_CLAIMED;
        }
    }
    return RATOON_OK;
}

/* ---- applying ---- */

static void apply_row(ratoon__memory *m, staged_row *s, ratoon__buf *key)
{
    ratoon__map_node *node = ratoon__map_find(&m->rows, s->by_run->key, s->by_run->key_size);
    if (node == NULL) {
        ratoon__map_put(&m->rows, s->by_run);
        s->by_run = NULL;
    } else {
        ratoon__run_row *old = node->value;
        for (int i = 0; i < ROW_NODES - 1; i++) {
            if (row_index_key(old, (ratoon__index)(RATOON__INDEX_TIME + i), key)) {
                free(ratoon__map_take(&m->index, key->data, key->size));
            }
        }
        free(old);
        node->value = s->row;
    }
    for (int i = 0; i < ROW_NODES - 1; i++) {
        if (s->index[i] != NULL) {
            ratoon__map_put(&m->index, s->index[i]);
            s->index[i] = NULL;
        }
    }
    s->row = NULL;
}

static void apply_claim(ratoon__memory *m, const ratoon__claim *claim, ratoon__map_node **spare)
{
    const size_t size = strlen(claim->name);
    ratoon__map_node *node = ratoon__map_find(&m->claims, claim->name, size);
    if (claim->take && node == NULL) {
        ratoon__map_put(&m->claims, *spare);
        *spare = NULL;
    } else if (!claim->take && node != NULL &&
               ratoon_id_equal(*(const ratoon_id *)node->value, claim->run)) {
        node_free(ratoon__map_take(&m->claims, claim->name, size));
    }
}

static void erase_row(ratoon__memory *m, ratoon_id run, ratoon__buf *key)
{
    ratoon__map_node *node = ratoon__map_take(&m->rows, run.bytes, sizeof run.bytes);
    for (int i = 0; node != NULL && i < ROW_NODES - 1; i++) {
        if (row_index_key(node->value, (ratoon__index)(RATOON__INDEX_TIME + i), key)) {
            free(ratoon__map_take(&m->index, key->data, key->size));
        }
    }
    node_free(node);
}

static void apply(ratoon__memory *m, ratoon__append *a, staged *s, ratoon__buf *key)
{
    ratoon__memory_commit *commit = s->commit->value;
    m->feed[m->feed_count++] = commit;
    commit->position = m->feed_count;
    a->position = commit->position;
    ratoon__map_put(&m->commits, s->commit);
    s->commit = NULL;
    ratoon__map_node *head = ratoon__map_find(&m->heads, a->lineage.bytes, sizeof a->lineage.bytes);
    if (head == NULL) {
        head = s->head;
        s->head = NULL;
        ratoon__map_put(&m->heads, head);
    }
    head->number = a->number;
    for (size_t i = 0; i < a->values_count; i++) {
        if (ratoon__map_find(&m->values, s->values[i]->key, s->values[i]->key_size) == NULL) {
            ratoon__map_put(&m->values, s->values[i]);
            s->values[i] = NULL;
        }
    }
    for (size_t i = 0; i < a->claims_count; i++) {
        apply_claim(m, &a->claims[i], &s->claims[i]);
    }
    for (size_t i = 0; i < a->rows_count; i++) {
        if (a->erase) {
            erase_row(m, a->rows[i].run, key);
        } else {
            apply_row(m, &s->rows[i], key);
        }
    }
    if (a->erase) {
        ratoon__memory_erase(m, a->lineage, a->number);
    }
}

/* A key buffer that no row's index key outgrows, so that applying needs no memory. */
static bool reserve_key(const ratoon__memory *m, const staged *all, const ratoon__append *appends,
                        size_t count, ratoon__buf *key)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < appends[i].rows_count; k++) {
            const ratoon__run_row *row = all[i].rows[k].row;
            if (row == NULL) { /* never once it was staged */
                return false;
            }
            const ratoon__map_node *old =
                ratoon__map_find(&m->rows, row->run.bytes, sizeof row->run.bytes);
            for (int index = 0; index < ROW_NODES - 1; index++) {
                row_index_key(row, (ratoon__index)(RATOON__INDEX_TIME + index), key);
                if (old != NULL) {
                    row_index_key(old->value, (ratoon__index)(RATOON__INDEX_TIME + index), key);
                }
            }
        }
    }
    return !key->failed;
}

static bool erase_reserve(ratoon__memory *m, const ratoon__append *appends, size_t count)
{
    size_t commits = 0;
    for (size_t i = 0; i < count; i++) {
        const ratoon__map_node *head =
            ratoon__map_find(&m->heads, appends[i].lineage.bytes, sizeof appends[i].lineage.bytes);
        if (appends[i].erase) {
            commits += (head != NULL ? (size_t)head->number : 0) + count;
        }
    }
    return ratoon__memory_erase_reserve(m, commits);
}

static ratoon_status append_group(ratoon__memory *m, ratoon__append *appends, size_t count,
                                  staged *all)
{
    ratoon__buf key = {0};
    bool ok = feed_reserve(m, count) && erase_reserve(m, appends, count);
    for (size_t i = 0; ok && i < count; i++) {
        ok = stage(m, &appends[i], &all[i]);
    }
    ok = ok && reserve_key(m, all, appends, count, &key);
    for (size_t i = 0; ok && i < count; i++) {
        const bool follows_refused = ratoon__append_rests_on_refused(appends, i);
        appends[i].status = judge(m, &appends[i], follows_refused);
        if (appends[i].status == RATOON_OK) {
            apply(m, &appends[i], &all[i], &key);
        }
    }
    ratoon__buf_free(&key);
    return ok ? RATOON_OK : RATOON_ERR_NO_MEMORY;
}

/* The status that a test wants of this append. */
static ratoon_status planned_failure(ratoon__memory *m)
{
    if (m->fail_in == 0 || --m->fail_in > 0) {
        return RATOON_OK;
    }
    return m->fail_with;
}

static void announce(ratoon__memory *m)
{
    const uint64_t one = 1;
    pthread_cond_broadcast(&m->moved);
    if (m->eventfd >= 0 && write(m->eventfd, &one, sizeof one) < 0) {
        return; /* full: it is going to be read anyway */
    }
}

ratoon_status ratoon__memory_append(ratoon__driver *d, ratoon__append *appends, size_t count,
                                    bool sync, ratoon_error *error)
{
    ratoon__memory *m = ratoon__memory_of(d);
    (void)sync;
    if (count == 0) {
        return RATOON_OK;
    }
    staged *all = calloc(count, sizeof *all);
    pthread_mutex_lock(&m->lock);
    while (m->held) {
        pthread_cond_wait(&m->moved, &m->lock);
    }
    const uint64_t before = m->feed_count;
    ratoon_status status = planned_failure(m);
    const bool planned = status != RATOON_OK;
    if (!planned) {
        status = all != NULL ? append_group(m, appends, count, all) : RATOON_ERR_NO_MEMORY;
    }
    if (m->feed_count > before) {
        announce(m);
    }
    pthread_mutex_unlock(&m->lock);
    for (size_t i = 0; i < count; i++) {
        if (all != NULL) {
            unstage(&appends[i], &all[i]);
        }
        if (status != RATOON_OK) {
            appends[i].status = status;
        }
    }
    free(all);
    return status == RATOON_OK
               ? status
               : ratoon__fail(error, status, "%s",
                              planned ? "this append was made to fail" : "out of memory");
}

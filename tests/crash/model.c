/* What workers were told, as the campaign keeps it. */
#include "tests/crash/crash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return items;
    }
    *capacity = *capacity == 0 ? 256 : 2 * *capacity;
    items = realloc(items, *capacity * size);
    if (items == NULL) {
        abort();
    }
    return items;
}

static size_t place(const crash_model *m, uint64_t token)
{
    size_t i = (size_t)(token * 0x9E3779B97F4A7C15u >> 20) % m->table_size;
    while (m->table[i] != 0 && m->ops[m->table[i] - 1].token != token) {
        i = (i + 1) % m->table_size;
    }
    return i;
}

crash_op *crash_model_op(crash_model *m, uint64_t token)
{
    const size_t i = m->table_size == 0 ? 0 : place(m, token);
    return m->table_size == 0 || m->table[i] == 0 ? NULL : &m->ops[m->table[i] - 1];
}

static crash_op *op_add(crash_model *m, uint64_t token)
{
    if (2 * (m->ops_count + 1) > m->table_size) {
        m->table_size = m->table_size == 0 ? 1024 : 2 * m->table_size;
        free(m->table);
        m->table = calloc(m->table_size, sizeof *m->table);
        if (m->table == NULL) {
            abort();
        }
        for (size_t i = 0; i < m->ops_count; i++) {
            m->table[place(m, m->ops[i].token)] = (uint32_t)i + 1;
        }
    }
    m->ops = grow(m->ops, m->ops_count, &m->ops_capacity, sizeof *m->ops);
    const size_t i = place(m, token);
    m->ops[m->ops_count] = (crash_op){.token = token};
    m->table[i] = (uint32_t)++m->ops_count;
    return &m->ops[m->ops_count - 1];
}

crash_lineage *crash_model_lineage(crash_model *m, ratoon_id root, bool make)
{
    for (size_t i = m->lineages_count; i-- > 0;) {
        if (ratoon_id_equal(m->lineages[i].root, root)) {
            return &m->lineages[i];
        }
    }
    if (!make) {
        return NULL;
    }
    m->lineages = grow(m->lineages, m->lineages_count, &m->lineages_capacity, sizeof *m->lineages);
    m->lineages[m->lineages_count] = (crash_lineage){.root = root};
    return &m->lineages[m->lineages_count++];
}

static bool is_logged(uint8_t kind)
{
    return kind != CRASH_DELETE && kind != CRASH_PRUNE && kind != CRASH_BACKUP;
}

static void take_logged(crash_model *m, const crash_record *r)
{
    crash_op *op = crash_model_op(m, r->token);
    if (op == NULL) {
        op = op_add(m, r->token);
    }
    op->kind = r->kind;
    if (!ratoon_id_is_zero(r->root)) {
        op->root = r->root;
        (void)crash_model_lineage(m, r->root, true);
    }
    op->state = r->said == CRASH_ACKED     ? CRASH_OP_ACKED
                : r->said == CRASH_REFUSED ? CRASH_OP_REFUSED
                                           : CRASH_OP_OPEN;
}

/* Several threads and processes may be at the same thing: one's answer says nothing of another that
 * was killed. */
static void count_open(unsigned *open, const crash_record *r)
{
    if (r->said == CRASH_INTENT) {
        ++*open;
    } else if (*open > 0) {
        --*open;
    }
}

static void take_other(crash_model *m, const crash_record *r)
{
    if (r->kind == CRASH_DELETE) {
        crash_lineage *l = crash_model_lineage(m, r->root, true);
        count_open(&l->deleting, r);
        l->deleted = l->deleted || r->said == CRASH_ACKED;
    } else if (r->kind == CRASH_PRUNE) {
        count_open(&m->pruning, r);
    } else if (r->kind == CRASH_BACKUP) {
        m->backup_from = r->said == CRASH_ACKED ? r->position : 0;
    }
}

bool crash_model_take(crash_model *m, const crash_record *r, char *why, size_t size)
{
    switch ((crash_said)r->said) {
    case CRASH_READY:
        return true;
    case CRASH_INTENT:
    case CRASH_ACKED:
    case CRASH_REFUSED:
        if (is_logged(r->kind)) {
            take_logged(m, r);
        } else {
            take_other(m, r);
        }
        return true;
    case CRASH_PRUNED:
        crash_model_lineage(m, r->root, true)->deleted = true;
        return true;
    case CRASH_SAW:
        m->seen = grow(m->seen, m->seen_count, &m->seen_capacity, sizeof *m->seen);
        m->seen[m->seen_count++] =
            (crash_seen){.position = r->position, .commit = r->commit, .lineage = r->root};
        return true;
    case CRASH_WRONG:
        break;
    }
    snprintf(why, size, "a worker says: %s", r->text);
    return false;
}

void crash_model_clear(crash_model *m)
{
    free(m->ops);
    free(m->table);
    free(m->lineages);
    free(m->seen);
    *m = (crash_model){0};
}

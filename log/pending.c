#include "log/pending.h"

#include "log/slots.h"

#include <stdlib.h>
#include <string.h>

void ratoon__pending_list_init(ratoon__pending_list *l)
{
    l->rows = NULL;
    l->rows_end = &l->rows;
    l->claims = NULL;
    l->claims_end = &l->claims;
}

bool ratoon__pending_list_row(ratoon__pending_list *l, const ratoon__run_row *row)
{
    const char *subject = row->subject == NULL ? "" : row->subject;
    const char *pipeline = row->pipeline == NULL ? "" : row->pipeline;
    size_t subject_size = strlen(subject) + 1;
    size_t pipeline_size = strlen(pipeline) + 1;
    ratoon__pending_row *node = malloc(sizeof *node + subject_size + pipeline_size);
    if (node == NULL) {
        return false;
    }
    char *text = (char *)(node + 1);
    memcpy(text, subject, subject_size);
    memcpy(text + subject_size, pipeline, pipeline_size);
    node->next = NULL;
    node->row = *row;
    node->row.subject = text;
    node->row.pipeline = text + subject_size;
    *l->rows_end = node;
    l->rows_end = &node->next;
    return true;
}

bool ratoon__pending_list_claim(ratoon__pending_list *l, const char *name, ratoon_id holder)
{
    size_t size = strlen(name);
    ratoon__pending_claim *node = malloc(sizeof *node + size + 1);
    if (node == NULL) {
        return false;
    }
    node->next = NULL;
    node->holder = holder;
    node->name_size = size;
    memcpy(node->name, name, size + 1);
    *l->claims_end = node;
    l->claims_end = &node->next;
    return true;
}

static void free_rows(ratoon__pending_row *row)
{
    while (row != NULL) {
        ratoon__pending_row *next = row->next;
        free(row);
        row = next;
    }
}

static void free_claims(ratoon__pending_claim *claim)
{
    while (claim != NULL) {
        ratoon__pending_claim *next = claim->next;
        free(claim);
        claim = next;
    }
}

void ratoon__pending_list_free(ratoon__pending_list *l)
{
    free_rows(l->rows);
    free_claims(l->claims);
    ratoon__pending_list_init(l);
}

bool ratoon__pending_init(ratoon__pending *p)
{
    p->rows = calloc(RATOON__PENDING_BUCKETS, sizeof(ratoon__pending_row *));
    p->claims = calloc(RATOON__PENDING_BUCKETS, sizeof(ratoon__pending_claim *));
    p->changes = 0;
    return p->rows != NULL && p->claims != NULL;
}

static ratoon__pending_row **row_place(const ratoon__pending *p, ratoon_id run)
{
    size_t bucket = ratoon__hash(run.bytes, sizeof run.bytes) % RATOON__PENDING_BUCKETS;
    ratoon__pending_row **place = &p->rows[bucket];
    while (*place != NULL && !ratoon_id_equal((*place)->row.run, run)) {
        place = &(*place)->next;
    }
    return place;
}

static ratoon__pending_claim **claim_place(const ratoon__pending *p, const char *name, size_t size)
{
    size_t bucket = ratoon__hash(name, size) % RATOON__PENDING_BUCKETS;
    ratoon__pending_claim **place = &p->claims[bucket];
    while (*place != NULL &&
           ((*place)->name_size != size || memcmp((*place)->name, name, size) != 0)) {
        place = &(*place)->next;
    }
    return place;
}

void ratoon__pending_merge(ratoon__pending *p, ratoon__pending_list *l)
{
    while (l->rows != NULL) {
        ratoon__pending_row *row = l->rows;
        l->rows = row->next;
        ratoon__pending_row **place = row_place(p, row->row.run);
        ratoon__pending_row *old = *place;
        row->next = old == NULL ? NULL : old->next;
        *place = row;
        free(old);
        p->changes++;
    }
    while (l->claims != NULL) {
        ratoon__pending_claim *claim = l->claims;
        l->claims = claim->next;
        ratoon__pending_claim **place = claim_place(p, claim->name, claim->name_size);
        ratoon__pending_claim *old = *place;
        claim->next = old == NULL ? NULL : old->next;
        *place = claim;
        free(old);
        p->changes++;
    }
    ratoon__pending_list_init(l);
}

const ratoon__run_row *ratoon__pending_find_row(const ratoon__pending *p, ratoon_id run)
{
    const ratoon__pending_row *row = *row_place(p, run);
    return row == NULL ? NULL : &row->row;
}

const ratoon__pending_claim *ratoon__pending_find_claim(const ratoon__pending *p, const char *name)
{
    return *claim_place(p, name, strlen(name));
}

void ratoon__pending_clear(ratoon__pending *p)
{
    for (size_t i = 0; p->changes > 0 && i < RATOON__PENDING_BUCKETS; i++) {
        free_rows(p->rows[i]);
        p->rows[i] = NULL;
        free_claims(p->claims[i]);
        p->claims[i] = NULL;
    }
    p->changes = 0;
}

void ratoon__pending_free(ratoon__pending *p)
{
    if (p->rows != NULL && p->claims != NULL) {
        ratoon__pending_clear(p);
    }
    free(p->rows);
    free(p->claims);
    p->rows = NULL;
    p->claims = NULL;
}

/* Mappings of a pipeline file against tables of fields, and what its messages are made of. */
#include "log/pipeline_read.h"

#include <stdlib.h>
#include <string.h>

enum { SHOWN_MAX = 60 };

bool ratoon__bad_memory(ratoon__file *f)
{
    f->status = ratoon__fail(f->error, RATOON_ERR_NO_MEMORY, "no memory to read %s", f->name);
    return false;
}

bool ratoon__bad(ratoon__file *f, const ratoon__node *n, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    f->status = ratoon__vfail_at(f->error, RATOON_ERR_PIPELINE_INVALID, f->name, n->line, n->column,
                                 format, args);
    va_end(args);
    return false;
}

bool ratoon__bad_limit(ratoon__file *f, const ratoon__node *n, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    f->status = ratoon__vfail_at(f->error, RATOON_ERR_LIMIT_EXCEEDED, f->name, n->line, n->column,
                                 format, args);
    va_end(args);
    return false;
}

void *ratoon__keep(ratoon__file *f, size_t count, size_t size)
{
    void *memory = ratoon__arena_alloc(&f->p->arena, count * size);
    if (memory == NULL) {
        ratoon__bad_memory(f);
    }
    return memory;
}

const char *ratoon__keep_text(ratoon__file *f, const char *text)
{
    const char *copy = ratoon__arena_strdup(&f->p->arena, text);
    if (copy == NULL) {
        ratoon__bad_memory(f);
    }
    return copy;
}

bool ratoon__is_null(const ratoon__node *n)
{
    return n->kind == RATOON__NODE_SCALAR && n->plain &&
           (n->size == 0 || strcmp(n->text, "~") == 0 || strcmp(n->text, "null") == 0 ||
            strcmp(n->text, "Null") == 0 || strcmp(n->text, "NULL") == 0);
}

const char *ratoon__shown(ratoon__file *f, const ratoon__node *n)
{
    if (n->kind == RATOON__NODE_LIST) {
        return n->count == 0 ? "an empty list" : "a list";
    }
    if (n->kind == RATOON__NODE_MAP) {
        return "a mapping";
    }
    if (ratoon__is_null(n)) {
        return "nothing";
    }
    char *text = ratoon__arena_alloc(f->nodes, SHOWN_MAX + 8);
    if (text == NULL) {
        return "a value";
    }
    size_t size = n->size < SHOWN_MAX ? n->size : SHOWN_MAX;
    while (size < n->size && size > 0 && ((unsigned char)n->text[size] & 0xc0) == 0x80) {
        size--; /* not within a character */
    }
    char *to = text;
    *to++ = '"';
    for (size_t i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)n->text[i];
        *to++ = c < 0x20 || c == 0x7f ? ' ' : n->text[i];
    }
    memcpy(to, size < n->size ? "…\"" : "\"", size < n->size ? 5 : 2);
    return text;
}

bool ratoon__expect(ratoon__file *f, const ratoon__node *n, ratoon__node_kind kind,
                    const char *expected)
{
    return n->kind == kind ||
           ratoon__bad(f, n, "found %s, expected %s", ratoon__shown(f, n), expected);
}

bool ratoon__expect_text(ratoon__file *f, const ratoon__node *n, const char *expected)
{
    return (n->kind == RATOON__NODE_SCALAR && !ratoon__is_null(n)) ||
           ratoon__bad(f, n, "found %s, expected %s", ratoon__shown(f, n), expected);
}

bool ratoon__check_name(ratoon__file *f, const ratoon__node *n, const char *what)
{
    if (n->kind != RATOON__NODE_SCALAR || n->size == 0 || ratoon__is_null(n)) {
        return ratoon__bad(f, n, "found %s, expected text for \"%s\"", ratoon__shown(f, n), what);
    }
    if (n->size > RATOON_NAME_MAX) {
        return ratoon__bad_limit(f, n, "found %U bytes, expected at most %u for \"%s\"",
                                 (uint64_t)n->size, (uint32_t)RATOON_NAME_MAX, what);
    }
    for (size_t i = 0; i < n->size; i++) {
        const unsigned char c = (unsigned char)n->text[i];
        if (c < 0x20 || c == 0x7f) {
            return ratoon__bad(f, n, "found a control character, expected text without for \"%s\"",
                               what);
        }
    }
    return true;
}

static int compare_text(const void *a, const void *b)
{
    const ratoon__node *left = *(const ratoon__node *const *)a;
    const ratoon__node *right = *(const ratoon__node *const *)b;
    return strcmp(left->text, right->text);
}

const ratoon__node *ratoon__find_twice(const ratoon__node *list, bool *failed)
{
    if (list->count < 2) {
        return NULL;
    }
    const ratoon__node **all = malloc(list->count * sizeof(ratoon__node *));
    if (all == NULL) {
        *failed = true;
        return NULL;
    }
    size_t count = 0;
    for (const ratoon__node *n = list->first; n != NULL; n = n->next) {
        all[count++] = n;
    }
    qsort(all, count, sizeof(ratoon__node *), compare_text);
    const ratoon__node *twice = NULL;
    for (size_t i = 1; i < count && twice == NULL; i++) {
        if (strcmp(all[i - 1]->text, all[i]->text) == 0) {
            const ratoon__node *a = all[i - 1], *b = all[i];
            twice = a->line > b->line || (a->line == b->line && a->column > b->column) ? a : b;
        }
    }
    free(all);
    return twice;
}

/* Edit distance of Levenshtein; texts of up to 31 bytes. */
static size_t distance(const char *a, const char *b)
{
    enum { MAX = 31 };
    const size_t a_size = strlen(a), b_size = strlen(b);
    if (a_size > MAX || b_size > MAX) {
        return MAX;
    }
    size_t row[MAX + 1];
    for (size_t j = 0; j <= b_size; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            const size_t changed = diagonal + (a[i - 1] != b[j - 1]);
            const size_t shorter = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            diagonal = row[j];
            row[j] = changed < shorter ? changed : shorter;
        }
    }
    return row[b_size];
}

static bool bad_key(ratoon__file *f, const ratoon__node *key, const char *what,
                    const ratoon__field *fields, size_t count)
{
    ratoon__buf names = {0};
    const char *near = NULL;
    size_t best = 3; /* two letters wrong, or one for short ones */
    for (size_t i = 0; i < count; i++) {
        ratoon__buf_format(&names, i == 0 ? "%s" : ", %s", fields[i].key);
        const size_t off = distance(key->text, fields[i].key);
        if (off < best && off * 2 <= strlen(fields[i].key)) {
            best = off;
            near = fields[i].key;
        }
    }
    ratoon__bad(f, key, "found the unknown key %s, expected for %s one of: %s",
                ratoon__shown(f, key), what, names.failed ? "" : names.data);
    ratoon__buf_free(&names);
    if (near != NULL && f->error != NULL) {
        ratoon__hint(f->error, "did you mean \"%s\"?", near);
    }
    return false;
}

bool ratoon__read_fields(ratoon__file *f, const ratoon__node *n, const char *what,
                         const ratoon__field *fields, size_t count, void *target)
{
    uint64_t seen = 0;
    if (n->kind != RATOON__NODE_MAP) {
        return ratoon__bad(f, n, "found %s, expected %s as a mapping", ratoon__shown(f, n), what);
    }
    for (const ratoon__node *key = n->first; key != NULL; key = key->next->next) {
        size_t i = 0;
        while (i < count && strcmp(fields[i].key, key->text) != 0) {
            i++;
        }
        if (i == count) {
            return bad_key(f, key, what, fields, count);
        }
        seen |= (uint64_t)1 << i;
        if (!fields[i].read(f, key->next, &fields[i], (char *)target + fields[i].offset)) {
            return false;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (fields[i].required && ((seen >> i) & 1) == 0) {
            return ratoon__bad(f, n, "found %s without \"%s\", expected one", what, fields[i].key);
        }
    }
    return true;
}

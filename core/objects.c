#include "core/objects.h"

#include "core/refs.h"

#include <stdlib.h>
#include <string.h>

#define DEFINE_REF(name, type)                                                                     \
    type *name(const type *object)                                                                 \
    {                                                                                              \
        type *shared = (type *)(uintptr_t)object;                                                  \
        if (shared != NULL) {                                                                      \
            ratoon__refs_add(&shared->refs);                                                       \
        }                                                                                          \
        return shared;                                                                             \
    }
DEFINE_REF(ratoon__value_share, ratoon__value)
DEFINE_REF(ratoon__outputs_ref, ratoon__outputs)
DEFINE_REF(ratoon__edits_ref, ratoon__edits)
DEFINE_REF(ratoon__failure_ref, ratoon__stage_failure)
DEFINE_REF(ratoon__strings_ref, ratoon__strings)
DEFINE_REF(ratoon__runs_ref, ratoon__runs)
DEFINE_REF(ratoon__item_ref, ratoon__item)

/* Copies a string to *at, which moves on behind it. NULL gives NULL. */
static const char *place(char **at, const char *s)
{
    if (s == NULL) {
        return NULL;
    }
    const size_t size = strlen(s) + 1;
    char *copy = memcpy(*at, s, size);
    *at += size;
    return copy;
}

static size_t placed_size(const char *s)
{
    return s == NULL ? 0 : strlen(s) + 1;
}

/* ---- values ---- */

static const char json[] = "application/json";

/* What has to be copied of a media type; NULL: nothing, it is the usual one. */
static const char *unusual(const char *media_type)
{
    return strcmp(media_type, json) == 0 ? NULL : media_type;
}

/* Up to where a value may begin. */
static size_t value_aligned(size_t size)
{
    const size_t unit = _Alignof(ratoon__value);
    return (size + unit - 1) / unit * unit;
}

/* Bytes of a value with all it holds, up to where another may begin. */
static size_t value_size(const ratoon__value_ref *ref)
{
    const size_t inline_size = ref->data == NULL ? 0 : (size_t)ref->size;
    return value_aligned(sizeof(ratoon__value) + inline_size + 1 + placed_size(ref->key) +
                         placed_size(unusual(ref->media_type)));
}

/* v: of value_size(ref) bytes. */
static void value_fill(ratoon__value *v, const ratoon__value_ref *ref)
{
    const char *media_type = unusual(ref->media_type);
    atomic_init(&v->refs, 1);
    v->digest = ref->digest;
    v->size = ref->size;
    v->data = NULL;
    char *at = (char *)(v + 1);
    if (ref->data != NULL) {
        v->data = memcpy(at, ref->data, (size_t)ref->size);
        at += ref->size;
        *at++ = '\0';
    }
    v->key = place(&at, ref->key);
    v->media_type = media_type == NULL ? json : place(&at, media_type);
}

ratoon__value *ratoon__value_new(const ratoon__value_ref *ref)
{
    ratoon__value *v = malloc(value_size(ref));
    if (v != NULL) {
        value_fill(v, ref);
    }
    return v;
}

void ratoon__value_unref(const ratoon__value *v)
{
    ratoon__value *own = (ratoon__value *)(uintptr_t)v;
    if (own != NULL && ratoon__refs_drop(&own->refs)) {
        free(own);
    }
}

/* ---- outputs ---- */

static bool has_own(const ratoon__outputs *o, const char *key)
{
    for (uint32_t i = 0; i < o->count; i++) {
        if (strcmp(o->values[i]->key, key) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether nothing of what lies below can be seen any more. */
static bool covers(const ratoon__outputs *o, const ratoon__outputs *below)
{
    const uint64_t compared_max = 100000; /* else not worth it: kept, and hidden by what is above */
    for (; below != NULL; below = below->below) {
        if ((uint64_t)o->count * below->count > compared_max) {
            return false;
        }
        for (uint32_t i = 0; i < below->count; i++) {
            if (!has_own(o, below->values[i]->key)) {
                return false;
            }
        }
    }
    return true;
}

ratoon__outputs *ratoon__outputs_new(const ratoon__origin *origin, ratoon__values values,
                                     ratoon__outputs *below)
{
    const size_t head =
        value_aligned(sizeof(ratoon__outputs) + values.count * sizeof(ratoon__value *));
    size_t size = head;
    for (size_t i = 0; i < values.count; i++) {
        const size_t more = value_size(&values.items[i]);
        if (more > SIZE_MAX - size) { /* of many that all point to the same bytes */
            return NULL;
        }
        size += more;
    }
    ratoon__outputs *o = malloc(size);
    if (o == NULL) {
        return NULL;
    }
    atomic_init(&o->refs, 1);
    o->run = origin->run;
    o->number = origin->number;
    o->attempt = origin->attempt;
    o->below = NULL;
    o->count = (uint32_t)values.count;
    char *at = (char *)o + head;
    for (size_t i = 0; i < values.count; i++) {
        o->values[i] = (ratoon__value *)(void *)at;
        value_fill(o->values[i], &values.items[i]);
        at += value_size(&values.items[i]);
    }
    if (covers(o, below)) {
        ratoon__outputs_unref(below);
    } else {
        o->below = below;
    }
    return o;
}

void ratoon__outputs_unref(ratoon__outputs *o)
{
    while (o != NULL && ratoon__refs_drop(&o->refs)) {
        ratoon__outputs *below = o->below;
        free(o);
        o = below;
    }
}

const ratoon__value *ratoon__outputs_find(const ratoon__outputs *o, const char *key)
{
    for (; o != NULL; o = o->below) {
        for (uint32_t i = o->count; i-- > 0;) { /* of a key given twice the last one counts */
            if (strcmp(o->values[i]->key, key) == 0) {
                return o->values[i];
            }
        }
    }
    return NULL;
}

/* ---- edits ---- */

ratoon__edits *ratoon__edits_new(const ratoon__edits *base, ratoon__outputs *layer)
{
    const uint32_t count = base == NULL ? 0 : base->count;
    ratoon__edits *e = malloc(sizeof *e + (count + 1) * sizeof(ratoon__outputs *));
    if (e == NULL) {
        return NULL;
    }
    atomic_init(&e->refs, 1);
    for (uint32_t i = 0; i < count; i++) {
        e->layers[i] = ratoon__outputs_ref(base->layers[i]);
    }
    e->layers[count] = layer;
    e->count = count + 1;
    return e;
}

void ratoon__edits_unref(ratoon__edits *e)
{
    if (e == NULL || !ratoon__refs_drop(&e->refs)) {
        return;
    }
    for (uint32_t i = 0; i < e->count; i++) {
        ratoon__outputs_unref(e->layers[i]);
    }
    free(e);
}

/* ---- failures ---- */

ratoon__stage_failure *ratoon__failure_new(const ratoon__failure *f)
{
    size_t size = placed_size(f->message) + placed_size(f->detail);
    for (size_t i = 0; i < f->suggested_count; i++) {
        const ratoon__override *o = &f->suggested[i];
        size += placed_size(o->name) + placed_size(o->old_text) + placed_size(o->new_text);
    }
    const size_t array = f->suggested_count * sizeof(ratoon__override);
    ratoon__stage_failure *copy = malloc(sizeof *copy + array + size);
    if (copy == NULL) {
        return NULL;
    }
    atomic_init(&copy->refs, 1);
    ratoon__override *suggested = (ratoon__override *)(void *)(copy + 1);
    char *at = (char *)suggested + array;
    copy->f = (ratoon__failure){
        .error_class = f->error_class,
        .message = place(&at, f->message),
        .detail = place(&at, f->detail),
        .retryable = f->retryable,
        .suggested = suggested,
        .suggested_count = f->suggested_count,
    };
    for (size_t i = 0; i < f->suggested_count; i++) {
        const ratoon__override *o = &f->suggested[i];
        suggested[i] = (ratoon__override){
            .name = place(&at, o->name),
            .old_text = place(&at, o->old_text),
            .new_text = place(&at, o->new_text),
            .secret = o->secret,
        };
    }
    return copy;
}

void ratoon__failure_unref(ratoon__stage_failure *f)
{
    if (f != NULL && ratoon__refs_drop(&f->refs)) {
        free(f);
    }
}

/* ---- lists ---- */

static int compare_strings(const void *a, const void *b)
{
    const char *const *left = a;
    const char *const *right = b;
    return strcmp(*left, *right);
}

ratoon__strings *ratoon__strings_new(const char *const *keys, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += strlen(keys[i]) + 1;
    }
    ratoon__strings *s = malloc(sizeof *s + count * sizeof(char *) + size);
    if (s == NULL || count > UINT32_MAX) {
        free(s);
        return NULL;
    }
    atomic_init(&s->refs, 1);
    char *at = (char *)(s->items + count);
    for (size_t i = 0; i < count; i++) {
        s->items[i] = place(&at, keys[i]);
    }
    qsort(s->items, count, sizeof *s->items, compare_strings);
    s->count = 0;
    for (size_t i = 0; i < count; i++) {
        if (s->count == 0 || strcmp(s->items[s->count - 1], s->items[i]) != 0) {
            s->items[s->count++] = s->items[i];
        }
    }
    return s;
}

bool ratoon__strings_has(const ratoon__strings *s, const char *key)
{
    return s != NULL &&
           bsearch(&key, s->items, s->count, sizeof *s->items, compare_strings) != NULL;
}

void ratoon__strings_unref(ratoon__strings *s)
{
    if (s != NULL && ratoon__refs_drop(&s->refs)) {
        free(s);
    }
}

ratoon__runs *ratoon__runs_alloc(uint32_t count)
{
    ratoon__runs *r = malloc(sizeof *r + 2 * (size_t)count * sizeof(ratoon_id));
    if (r != NULL) {
        atomic_init(&r->refs, 1);
        r->count = count;
    }
    return r;
}

ratoon__runs *ratoon__runs_new(const ratoon__runs *base, ratoon_id run, ratoon_id root)
{
    const uint32_t count = base == NULL ? 0 : base->count;
    ratoon__runs *r = ratoon__runs_alloc(count + 1);
    if (r == NULL) {
        return NULL;
    }
    if (count > 0) {
        memcpy(r->ids, base->ids, 2 * (size_t)count * sizeof(ratoon_id));
    }
    r->ids[2 * (size_t)count] = run;
    r->ids[2 * (size_t)count + 1] = root;
    return r;
}

void ratoon__runs_unref(ratoon__runs *r)
{
    if (r != NULL && ratoon__refs_drop(&r->refs)) {
        free(r);
    }
}

/* ---- items ---- */

ratoon__item *ratoon__item_new(const ratoon__item_init *init)
{
    ratoon__item *item = malloc(sizeof *item + placed_size(init->key) + placed_size(init->error));
    if (item == NULL) {
        return NULL;
    }
    atomic_init(&item->refs, 1);
    char *at = (char *)(item + 1);
    item->hash = 0;
    item->key = place(&at, init->key);
    item->failed = init->failed;
    item->committed = init->committed;
    item->error_class = init->error_class;
    item->error = place(&at, init->error);
    item->output = init->output;
    item->run = init->run;
    item->attempt = init->attempt;
    return item;
}

void ratoon__item_unref(const ratoon__item *item)
{
    ratoon__item *own = (ratoon__item *)(uintptr_t)item;
    if (own != NULL && ratoon__refs_drop(&own->refs)) {
        ratoon__value_unref(own->output);
        free(own);
    }
}

#include "tools/runner/foreach.h"

#include "tools/runner/files.h"
#include "tools/runner/output.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define KEY_SHOWN_MAX ((size_t)200) /* bytes, in messages */

/* Set of keys by 128 bits of their SHA-256: a million of them fit in 32 MB, and two different ones
 * never meet. */
typedef struct key_set {
    uint64_t (*slots)[2];
    size_t mask, count;
} key_set;

static bool key_set_insert(key_set *set, const uint64_t hash[2])
{
    size_t at = (size_t)hash[0] & set->mask;
    while (set->slots[at][0] != 0 || set->slots[at][1] != 0) {
        if (set->slots[at][0] == hash[0] && set->slots[at][1] == hash[1]) {
            return false;
        }
        at = (at + 1) & set->mask;
    }
    set->slots[at][0] = hash[0];
    set->slots[at][1] = hash[1];
    set->count++;
    return true;
}

/* False where the key is in the set already. */
static bool key_set_add(key_set *set, const char *key)
{
    if (set->slots == NULL || 2 * (set->count + 1) > set->mask) {
        key_set grown = {.mask = set->slots == NULL ? 63 : 2 * set->mask + 1};
        grown.slots = runner__alloc((grown.mask + 1) * sizeof(grown.slots[0]));
        for (size_t i = 0; set->slots != NULL && i <= set->mask; i++) {
            if (set->slots[i][0] != 0 || set->slots[i][1] != 0) {
                (void)key_set_insert(&grown, set->slots[i]);
            }
        }
        free(set->slots);
        *set = grown;
    }
    uint8_t digest[32] = {0};
    uint64_t hash[2];
    unsigned int size = sizeof(digest);
    (void)EVP_Digest(key, strlen(key), digest, &size, EVP_sha256(), NULL);
    memcpy(hash, digest, sizeof(hash));
    return key_set_insert(set, hash);
}

/* The key of an element, NULL where it has none. */
static char *key_of(runner__slice element)
{
    runner__slice key = element;
    if (runner__json_kind(element) == '{' && !runner__json_member(element, "key", &key)) {
        return NULL;
    }
    return runner__json_strdup(key);
}

static bool check_element(runner__slice element, uint64_t number, key_set *seen,
                          runner__text *error)
{
    char kind = runner__json_kind(element);
    char *key = kind == '"' || kind == '{' ? key_of(element) : NULL;
    size_t size = key == NULL ? 0 : strlen(key);
    unsigned long long n = (unsigned long long)number;
    bool ok = false;
    if (kind != '"' && kind != '{') {
        runner__text_format(error,
                            "element %llu is neither a string nor an object with a 'key': ", n);
        runner__text_utf8(error, element.data, element.size < 80 ? element.size : 80);
    } else if (key == NULL) {
        runner__text_format(error, "element %llu has no 'key' that is a string", n);
    } else if (size == 0) {
        runner__text_format(error, "element %llu has an empty key", n);
    } else if (size > RATOON_ITEM_KEY_MAX) {
        runner__text_format(error,
                            "LIMIT_EXCEEDED: the key of element %llu has %zu bytes, the limit is "
                            "%d",
                            n, size, RATOON_ITEM_KEY_MAX);
    } else if (!key_set_add(seen, key)) {
        runner__text_format(error, "element %llu has the key '", n);
        runner__text_start(error, key, KEY_SHOWN_MAX);
        runner__text_str(error, "' of an earlier one");
    } else {
        ok = true;
    }
    free(key);
    return ok;
}

bool runner__foreach_check(runner__slice array, uint64_t *count, runner__text *error)
{
    const char *reason;
    size_t at;
    if (!runner__json_check(array, &reason, &at)) {
        runner__text_format(error, "not valid JSON at character %zu: %s", at + 1, reason);
        return false;
    }
    if (runner__json_kind(array) != '[') {
        runner__text_str(error, "expected a JSON array, found ");
        runner__text_utf8(error, array.data, array.size < 80 ? array.size : 80);
        return false;
    }
    key_set seen = {0};
    bool ok = true;
    *count = 0;
    runner__json_iter iter = runner__json_iterate(array);
    runner__slice element;
    while (ok && runner__json_next(&iter, NULL, &element)) {
        ++*count;
        if (*count > RATOON_ITEMS_MAX) {
            while (runner__json_next(&iter, NULL, &element)) {
                ++*count;
            }
            runner__text_format(error, "LIMIT_EXCEEDED: the array has %llu items, the limit is %d",
                                (unsigned long long)*count, RATOON_ITEMS_MAX);
            ok = false;
        } else {
            ok = check_element(element, *count, &seen, error);
        }
    }
    free(seen.slots);
    return ok;
}

runner__foreach runner__foreach_begin(runner__slice array)
{
    return (runner__foreach){.iter = runner__json_iterate(array)};
}

bool runner__foreach_next(runner__foreach *f)
{
    free(f->key);
    f->key = NULL;
    if (!runner__json_next(&f->iter, NULL, &f->value)) {
        return false;
    }
    f->key = key_of(f->value);
    return true;
}

void runner__foreach_end(runner__foreach *f)
{
    free(f->key);
    f->key = NULL;
}

bool runner__foreach_find(runner__slice array, const char *key, runner__slice *value)
{
    const char *reason;
    size_t at;
    if (!runner__json_check(array, &reason, &at) || runner__json_kind(array) != '[') {
        return false;
    }
    runner__json_iter iter = runner__json_iterate(array);
    while (runner__json_next(&iter, NULL, value)) {
        char kind = runner__json_kind(*value);
        char *found = kind == '"' || kind == '{' ? key_of(*value) : NULL;
        bool equal = found != NULL && strcmp(found, key) == 0;
        free(found);
        if (equal) {
            return true;
        }
    }
    return false;
}

runner__gather runner__gather_new(const char *const *keys, size_t count)
{
    return (runner__gather){.keys = keys,
                            .count = count,
                            .objects = runner__alloc(count * sizeof(runner__text)),
                            .files = runner__alloc(count * sizeof(bool))};
}

/* Whether a value is a file as runner__output_file() records it. */
static bool is_file(runner__slice value)
{
    runner__slice member;
    return runner__json_kind(value) == '{' && runner__json_member(value, "file", &member) &&
           runner__json_kind(member) == '"' && runner__json_member(value, "sha256", &member) &&
           runner__json_member(value, "size", &member);
}

bool runner__gather_add(runner__gather *g, const char *item, runner__slice output,
                        runner__text *error)
{
    for (size_t i = 0; i < g->count; i++) {
        runner__slice value = {0};
        if (output.size > 0 && (runner__json_kind(output) != '{' ||
                                !runner__json_member(output, g->keys[i], &value))) {
            value = g->count == 1 ? output : (runner__slice){0};
        }
        if (value.size == 0) {
            continue;
        }
        runner__text *object = &g->objects[i];
        runner__text_str(object, object->size == 0 ? "{" : ",");
        runner__text_json(object, item, strlen(item));
        runner__text_str(object, ":");
        runner__text_add(object, value.data, value.size);
        g->files[i] = g->files[i] || is_file(value);
        if (object->size + 1 > RATOON_VALUE_MAX_DEFAULT) {
            runner__text_format(error,
                                "LIMIT_EXCEEDED: the value of '%s', gathered from the items, has "
                                "more than %zu bytes, the limit is %u",
                                g->keys[i], object->size, RATOON_VALUE_MAX_DEFAULT);
            return false;
        }
    }
    return true;
}

void runner__gather_values(runner__gather *g, ratoon_value *values)
{
    for (size_t i = 0; i < g->count; i++) {
        runner__text_str(&g->objects[i], g->objects[i].size == 0 ? "{}" : "}");
        values[i] = (ratoon_value){.key = g->keys[i],
                                   .data = g->objects[i].data,
                                   .size = g->objects[i].size,
                                   .media_type = g->files[i] ? RUNNER__FILES_TYPE : NULL};
    }
}

void runner__gather_free(runner__gather *g)
{
    for (size_t i = 0; i < g->count; i++) {
        runner__text_free(&g->objects[i]);
    }
    free(g->objects);
    free(g->files);
    *g = (runner__gather){0};
}

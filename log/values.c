/* Values on their way into a commit, inline or stored once by digest, and back (S05, S06). */
#include "log/store_impl.h"

#include <stdlib.h>
#include <string.h>

#define JSON_TYPE "application/json"

static ratoon_status list_add(ratoon__arena *a, ratoon__value_list *list,
                              ratoon__stored_value value, ratoon_error *error)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 8 : list->capacity * 2;
        ratoon__stored_value *items = ratoon__arena_alloc(a, capacity * sizeof *items);
        if (items == NULL) {
            return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
        }
        if (list->count > 0) {
            memcpy(items, list->items, list->count * sizeof *items);
        }
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = value;
    return RATOON_OK;
}

ratoon_status ratoon__prepare_value(ratoon_store *s, ratoon__arena *a, const ratoon_value *in,
                                    ratoon__value_ref *out, ratoon__value_list *stored,
                                    ratoon_error *error)
{
    const char *key = in->key != NULL ? in->key : "";
    if (in->data == NULL && in->size != 0) {
        return ratoon__fail(error, RATOON_ERR_USAGE, "value %s has a size and no data", key);
    }
    if (strlen(key) > RATOON_NAME_MAX) {
        return ratoon__fail(error, RATOON_ERR_LIMIT_EXCEEDED,
                            "a state key has %U bytes; the limit of a name is %u",
                            (uint64_t)strlen(key), (uint32_t)RATOON_NAME_MAX);
    }
    if (in->size > s->options.value_max) {
        return ratoon__fail(error, RATOON_ERR_LIMIT_EXCEEDED,
                            "value %s has %U bytes; the limit of a value is %U", key,
                            (uint64_t)in->size, s->options.value_max);
    }
    *out = (ratoon__value_ref){
        .key = key, .media_type = in->media_type ? in->media_type : JSON_TYPE, .size = in->size};
    ratoon_status status = ratoon__sha256(in->size ? in->data : "", in->size, &out->digest);
    if (status != RATOON_OK) {
        return ratoon__fail(error, status, "the digest of value %s could not be computed", key);
    }
    if (in->size <= RATOON_INLINE_MAX) {
        out->data = in->size ? in->data : "";
        return RATOON_OK;
    }
    return list_add(
        a, stored,
        (ratoon__stored_value){.digest = out->digest, .data = in->data, .size = in->size}, error);
}

ratoon_status ratoon__prepare_values(ratoon_store *s, ratoon__arena *a, const ratoon_value *in,
                                     size_t count, ratoon__values *out, ratoon__value_list *stored,
                                     ratoon_error *error)
{
    ratoon__value_ref *refs = ratoon__arena_alloc(a, count * sizeof *refs);
    if (refs == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        if (in[i].key == NULL || in[i].key[0] == '\0') {
            return ratoon__fail(error, RATOON_ERR_USAGE, "a value of the state has no key");
        }
        ratoon_status status = ratoon__prepare_value(s, a, &in[i], &refs[i], stored, error);
        if (status != RATOON_OK) {
            return status;
        }
    }
    *out = (ratoon__values){.items = refs, .count = count};
    return RATOON_OK;
}

ratoon_status ratoon__prepare_definition(ratoon__arena *a, const ratoon_pipeline *p,
                                         ratoon__value_list *stored, ratoon_error *error)
{
    return list_add(a, stored,
                    (ratoon__stored_value){
                        .digest = p->digest, .data = p->canonical, .size = p->canonical_size},
                    error);
}

static ratoon_status bytes_of(ratoon_store *s, const ratoon_digest *digest, const void *data,
                              uint64_t size, ratoon_buffer *out, ratoon_error *error)
{
    if (data == NULL && size > 0) {
        ratoon_status status = s->driver->ops->value_get(s->driver, digest, out, error);
        if (status == RATOON_ERR_NOT_FOUND) {
            char hex[65];
            ratoon__digest_format(digest, hex);
            return ratoon__fail(error, RATOON_ERR_DAMAGED, "the stored value %s is missing", hex);
        }
        return status;
    }
    char *copy = malloc((size_t)size + 1);
    if (copy == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    if (size > 0) {
        memcpy(copy, data, (size_t)size);
    }
    copy[size] = '\0';
    *out = (ratoon_buffer){.data = copy, .size = (size_t)size};
    return RATOON_OK;
}

ratoon_status ratoon__store_value(ratoon_store *s, const ratoon__value *value, ratoon_buffer *out,
                                  ratoon_error *error)
{
    return bytes_of(s, &value->digest, value->data, value->size, out, error);
}

ratoon_status ratoon__store_bytes(ratoon_store *s, const ratoon__value_ref *value,
                                  ratoon_buffer *out, ratoon_error *error)
{
    return bytes_of(s, &value->digest, value->data, value->size, out, error);
}

/* What an import puts aside: bytes in a temporary file, and tables of what is where. */
#include "replay/import.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

ratoon_status ratoon__import_fail(ratoon__import *im, ratoon_status status, const char *format, ...)
{
    ratoon__buf text = {0};
    va_list args;
    va_start(args, format);
    ratoon__buf_vformat(&text, format, args);
    va_end(args);
    (void)ratoon__fail(im->error, status, "line %U: %s", im->line,
                       text.failed ? "out of memory" : text.data);
    if (im->error != NULL) {
        im->error->line = im->line > UINT32_MAX ? UINT32_MAX : (uint32_t)im->line;
    }
    ratoon__buf_free(&text);
    return status;
}

ratoon_status ratoon__import_no_memory(ratoon__import *im)
{
    return ratoon__fail(im->error, RATOON_ERR_NO_MEMORY, "out of memory");
}

/* ---- bytes ---- */

ratoon_status ratoon__spool_put(ratoon__import *im, const void *data, size_t size, uint64_t *offset)
{
    if (im->spool == NULL) {
        im->spool = tmpfile();
    }
    if (im->spool == NULL || fseeko(im->spool, (off_t)im->spooled, SEEK_SET) != 0 ||
        fwrite(data, 1, size, im->spool) != size) {
        return ratoon__fail(im->error, RATOON_ERR_IO,
                            "a temporary file that the import is checked in can't be written");
    }
    *offset = im->spooled;
    im->spooled += size;
    return RATOON_OK;
}

ratoon_status ratoon__spool_get(ratoon__import *im, uint64_t offset, uint64_t size, void **out)
{
    void *data = malloc((size_t)size + 1);
    if (data == NULL) {
        return ratoon__import_no_memory(im);
    }
    if (size > 0 && (fseeko(im->spool, (off_t)offset, SEEK_SET) != 0 ||
                     fread(data, 1, (size_t)size, im->spool) != size)) {
        free(data);
        return ratoon__fail(im->error, RATOON_ERR_IO,
                            "a temporary file that the import is checked in can't be read");
    }
    *out = data;
    return RATOON_OK;
}

/* ---- values ---- */

static bool is_free(const ratoon__import_value *v)
{
    static const ratoon_digest none;
    return ratoon__digest_equal(&v->digest, &none);
}

static size_t value_slot(const ratoon__import *im, const ratoon_digest *digest)
{
    size_t i;
    memcpy(&i, digest->bytes, sizeof i);
    for (i %= im->values_capacity;
         !is_free(&im->values[i]) && !ratoon__digest_equal(&im->values[i].digest, digest);) {
        i = (i + 1) % im->values_capacity;
    }
    return i;
}

ratoon__import_value *ratoon__import_value_find(ratoon__import *im, const ratoon_digest *digest)
{
    if (im->values_capacity == 0) {
        return NULL;
    }
    ratoon__import_value *v = &im->values[value_slot(im, digest)];
    return is_free(v) ? NULL : v;
}

static bool values_grow(ratoon__import *im)
{
    const size_t old_capacity = im->values_capacity;
    ratoon__import_value *old = im->values;
    const size_t capacity = old_capacity == 0 ? 64 : old_capacity * 2;
    ratoon__import_value *larger = calloc(capacity, sizeof *larger);
    if (larger == NULL) {
        return false;
    }
    im->values = larger;
    im->values_capacity = capacity;
    for (size_t i = 0; i < old_capacity; i++) {
        if (!is_free(&old[i])) {
            im->values[value_slot(im, &old[i].digest)] = old[i];
        }
    }
    free(old);
    return true;
}

ratoon_status ratoon__import_value_add(ratoon__import *im, const ratoon_digest *digest,
                                       const void *data, size_t size)
{
    if (im->values_count * 2 >= im->values_capacity && !values_grow(im)) {
        return ratoon__import_no_memory(im);
    }
    ratoon__import_value *v = &im->values[value_slot(im, digest)];
    if (!is_free(v)) {
        return RATOON_OK;
    }
    uint64_t offset = 0;
    const ratoon_status status = ratoon__spool_put(im, data, size, &offset);
    if (status == RATOON_OK) {
        *v = (ratoon__import_value){.digest = *digest, .offset = offset, .size = size};
        im->values_count++;
    }
    return status;
}

/* ---- names ---- */

static uint64_t name_hash(const char *kind, const char *name)
{
    uint64_t h = 0xCBF29CE484222325u; /* FNV-1a */
    for (const char *part = kind; part != NULL; part = part == kind ? name : NULL) {
        for (const char *p = part; *p != '\0'; p++) {
            h = (h ^ (uint8_t)*p) * 0x100000001B3u;
        }
    }
    return h == 0 ? 1 : h;
}

static bool name_is(const ratoon__import_name *n, const char *kind, const char *name)
{
    const size_t length = strlen(kind);
    return strncmp(n->name, kind, length) == 0 && strcmp(n->name + length, name) == 0;
}

static bool names_grow(ratoon__import *im)
{
    const size_t capacity = im->names_capacity == 0 ? 64 : im->names_capacity * 2;
    ratoon__import_name *larger = calloc(capacity, sizeof *larger);
    if (larger == NULL) {
        return false;
    }
    for (size_t i = 0; i < im->names_capacity; i++) {
        if (im->names[i].hash != 0) {
            size_t at = (size_t)(im->names[i].hash % capacity);
            while (larger[at].hash != 0) {
                at = (at + 1) % capacity;
            }
            larger[at] = im->names[i];
        }
    }
    free(im->names);
    im->names = larger;
    im->names_capacity = capacity;
    return true;
}

ratoon_status ratoon__import_claim(ratoon__import *im, const char *kind, const char *name,
                                   ratoon_id holder, ratoon_id *has)
{
    if (im->names_count * 2 >= im->names_capacity && !names_grow(im)) {
        return ratoon__import_no_memory(im);
    }
    const uint64_t hash = name_hash(kind, name);
    size_t i = (size_t)(hash % im->names_capacity);
    while (im->names[i].hash != 0 &&
           (im->names[i].hash != hash || !name_is(&im->names[i], kind, name))) {
        i = (i + 1) % im->names_capacity;
    }
    if (im->names[i].hash == 0) {
        ratoon__buf text = {0};
        ratoon__buf_str(&text, kind);
        ratoon__buf_str(&text, name);
        if (text.failed) {
            ratoon__buf_free(&text);
            return ratoon__import_no_memory(im);
        }
        im->names[i] = (ratoon__import_name){.hash = hash, .name = text.data, .holder = holder};
        im->names_count++;
    }
    *has = im->names[i].holder;
    return RATOON_OK;
}

void ratoon__import_free(ratoon__import *im)
{
    for (size_t i = 0; i < im->values_capacity; i++) {
        ratoon__pipeline_unref(im->values[i].definition);
    }
    for (size_t i = 0; i < im->names_capacity; i++) {
        free(im->names[i].name);
    }
    ratoon__lineage_unref(im->lineage);
    json_decref(im->plain);
    free(im->values);
    free(im->commits);
    free(im->names);
    free(im->there);
    if (im->spool != NULL) {
        fclose(im->spool);
    }
}

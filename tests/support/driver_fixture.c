#include "tests/support/driver_fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

ratoon_id fixture_id(uint8_t first)
{
    return (ratoon_id){{first}};
}

void fixture_create(const char *store)
{
    ratoon_error error = {0};
    ck_assert_msg(ratoon__rocksdb_create(store, &error) == RATOON_OK, "%s", error.message);
}

ratoon__driver *fixture_open(const char *store, ratoon_durability durability)
{
    ratoon_error error = {0};
    ratoon__driver *d = NULL;
    const ratoon__driver_options options = {.durability = durability, .interval_ms = 10};
    ck_assert_msg(ratoon__rocksdb_open(store, &options, &d, &error) == RATOON_OK, "%s",
                  error.message);
    return d;
}

ratoon_status fixture_append(ratoon__driver *d, ratoon__append *append)
{
    ratoon_error error = {0};
    ratoon_status status = d->ops->append(d, append, 1, true, &error);
    ck_assert_int_eq(status, status == RATOON_OK ? RATOON_OK : append->status);
    return append->status;
}

ratoon_status fixture_put(ratoon__driver *d, ratoon_id lineage, uint64_t number, const char *text)
{
    ratoon__append a = {.lineage = lineage, .number = number, .data = text, .size = strlen(text)};
    return fixture_append(d, &a);
}

ratoon_status fixture_claim(ratoon__driver *d, ratoon_id lineage, uint64_t number, const char *name,
                            bool take)
{
    const ratoon__claim claim = {.name = name, .run = lineage, .take = take};
    ratoon__append a = {.lineage = lineage,
                        .number = number,
                        .data = "c",
                        .size = 1,
                        .claims = &claim,
                        .claims_count = 1};
    return fixture_append(d, &a);
}

bool fixture_see(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number, const void *data,
                 size_t size)
{
    fixture_seen *seen = ctx;
    size_t used = strlen(seen->text);
    snprintf(seen->text + used, sizeof seen->text - used, "%llu:%02x.%llu=%.*s ",
             (unsigned long long)position, lineage.bytes[0], (unsigned long long)number, (int)size,
             (const char *)data);
    seen->misaligned |= (uintptr_t)data % 8 != 0;
    seen->first = seen->count == 0 ? position : seen->first;
    seen->last = position;
    seen->count++;
    return seen->count != seen->stop_after;
}

bool fixture_list_row(void *ctx, const ratoon__run_row *row)
{
    fixture_list *list = ctx;
    size_t used = strlen(list->text);
    snprintf(list->text + used, sizeof list->text - used, "%02x ", row->run.bytes[0]);
    return true;
}

unsigned fixture_count_files(const char *folder)
{
    unsigned count = 0;
    DIR *entries = opendir(folder);
    ck_assert_ptr_nonnull(entries);
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    closedir(entries);
    return count;
}

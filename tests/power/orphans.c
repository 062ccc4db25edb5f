#include "tests/power/orphans.h"

#include "log/codec.h"
#include "log/leftovers.h"
#include "log/store_impl.h"
#include "tests/support/role.h"

#include <stdlib.h>
#include <string.h>

typedef struct looking {
    ratoon__digests wanted;
    size_t orphans;
} looking;

static bool add(void *ctx, const ratoon_digest *digest)
{
    return ratoon__digests_add(&((looking *)ctx)->wanted, digest);
}

static bool add_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                       const void *data, size_t size)
{
    ratoon__arena arena = {0};
    ratoon__commit commit;
    (void)position;
    (void)lineage;
    (void)number;
    MUST(ratoon__commit_decode(data, size, &arena, &commit, NULL) == RATOON_OK);
    MUST(ratoon__commit_references(&commit, add, ctx));
    ratoon__arena_free(&arena);
    return true;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(ratoon_digest));
}

static bool look(void *ctx, const ratoon_digest *digest, const void *data, size_t size)
{
    looking *l = ctx;
    (void)data;
    (void)size;
    l->orphans +=
        bsearch(digest, l->wanted.items, l->wanted.count, sizeof *digest, compare) == NULL;
    return true;
}

size_t orphans_count(ratoon_store *store)
{
    looking l = {0};
    ratoon__driver *d = ratoon__store_driver(store);
    ratoon__leftovers noted = {0};
    ratoon_id *lineages = NULL;
    size_t count = 0;
    MUST(d->ops->read(d, (ratoon_id){{0}}, 0, false, false, add_commit, &l, NULL) == RATOON_OK);
    MUST(ratoon__leftovers_list(ratoon_store_path(store), &lineages, &count, NULL) == RATOON_OK);
    for (size_t i = 0; i < count; i++) {
        MUST(ratoon__leftovers_read(&noted, ratoon_store_path(store), lineages[i], NULL) ==
             RATOON_OK);
    }
    for (size_t i = 0; i < noted.values.count; i++) {
        MUST(add(&l, &noted.values.items[i]));
    }
    ratoon__digests_unique(&l.wanted);
    MUST(d->ops->values(d, look, &l, NULL) == RATOON_OK);
    ratoon__leftovers_free(&noted);
    ratoon__digests_free(&l.wanted);
    free(lineages);
    return l.orphans;
}

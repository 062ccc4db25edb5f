/* Claims that go with a commit: names that are unique across lineages (R09, R10). */
#include "core/decide_internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct claiming {
    const ratoon__lineage *before, *after;
    ratoon__arena *arena;
    ratoon__claim *claims;
    size_t count;
} claiming;

static bool add(claiming *c, const char *kind, const char *name, ratoon_id run, bool take)
{
    const char *text = ratoon__arena_text(c->arena, "%s:%s", kind, name);
    if (text == NULL) {
        return false;
    }
    c->claims[c->count++] = (ratoon__claim){.name = text, .run = run, .take = take};
    return true;
}

static const ratoon__run *run_in(const ratoon__lineage *l, ratoon_id run)
{
    return l == NULL ? NULL : ratoon__lineage_run(l, run);
}

/* A run holds its scope while it is active. */
static bool holds(const ratoon__run *r)
{
    return r != NULL && r->fixed->created.scope != NULL && ratoon_run_status_active(r->status);
}

static bool changes_status(ratoon__event_type type)
{
    return type == RATOON__EVENT_RUN_CREATED || type == RATOON__EVENT_RUN_STARTED ||
           type == RATOON__EVENT_RUN_SUSPENDED || type == RATOON__EVENT_RUN_ENDED;
}

/* Whether an event before this one changes the status of the same run. */
static bool seen(const ratoon__event *events, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (changes_status(events[i].type) && ratoon_id_equal(events[i].run, events[index].run)) {
            return true;
        }
    }
    return false;
}

/* Releases of all runs come first, so that one may take in the same commit what another gives. */
static bool scopes(claiming *c, const ratoon__event *events, size_t count, bool take)
{
    bool done = true;
    for (size_t i = 0; done && i < count; i++) {
        if (!changes_status(events[i].type) || seen(events, i)) {
            continue;
        }
        const ratoon__run *was = run_in(c->before, events[i].run);
        const ratoon__run *is = run_in(c->after, events[i].run);
        if (take && !holds(was) && holds(is)) {
            done = add(c, "scope", is->fixed->created.scope, events[i].run, true);
        } else if (!take && holds(was) && !holds(is)) {
            done = add(c, "scope", was->fixed->created.scope, events[i].run, false);
        }
    }
    return done;
}

/* That this lineage uses a result of another one (R22): a name by which the consumers of a lineage
 * are found. Its holder is the consumer's root, so taking it again changes nothing. */
static bool add_consumed(claiming *c, ratoon_id consumed_root, ratoon_id consumer_root, bool take)
{
    const char *text =
        ratoon__arena_text(c->arena, "consumed:%I:%I", &consumed_root, &consumer_root);
    if (text == NULL) {
        return false;
    }
    c->claims[c->count++] = (ratoon__claim){.name = text, .run = consumer_root, .take = take};
    return true;
}

static size_t consumed_count(const ratoon__lineage *l)
{
    size_t n = 0;
    for (uint32_t i = 0; l != NULL && i < l->runs_count; i++) {
        for (uint32_t k = 0; k < l->runs[i]->stages_count; k++) {
            const ratoon__runs *consumed = ratoon__run_stage_at(l->runs[i], k)->consumed;
            n += consumed != NULL ? consumed->count : 0;
        }
    }
    return n;
}

static bool all_consumed(claiming *c, const ratoon__lineage *l, bool take)
{
    for (uint32_t i = 0; l != NULL && i < l->runs_count; i++) {
        for (uint32_t k = 0; k < l->runs[i]->stages_count; k++) {
            const ratoon__runs *consumed = ratoon__run_stage_at(l->runs[i], k)->consumed;
            for (uint32_t n = 0; consumed != NULL && n < consumed->count; n++) {
                if (!add_consumed(c, consumed->ids[2 * n + 1], l->id, take)) {
                    return false;
                }
            }
        }
    }
    return true;
}

/* ---- names of consumers that come and go ---- */

static const ratoon__stage *stage_in(const ratoon__lineage *l, ratoon_id run, uint32_t stage)
{
    const ratoon__run *r = run_in(l, run);
    return r == NULL || stage >= r->stages_count ? NULL : ratoon__run_stage_at(r, stage);
}

static bool uses_results(const ratoon__stage *s)
{
    return s != NULL && s->consumed != NULL && s->consumed->count > 0;
}

/* A stage that is started again, and whose attempt before used results: that is forgotten now. So
 * are stages that another definition does not have. */
static bool forgets_use(const ratoon__lineage *before, const ratoon__event *e)
{
    if (e->type == RATOON__EVENT_RUN_PIPELINE_CHANGED) {
        const ratoon__run *r = run_in(before, e->run);
        bool found = false;
        for (uint32_t i = 0; r != NULL && !found && i < r->stages_count; i++) {
            found = uses_results(ratoon__run_stage_at(r, i));
        }
        return found;
    }
    return e->type == RATOON__EVENT_STAGE_STARTED &&
           uses_results(stage_in(before, e->run, e->u.stage_started.stage));
}

typedef struct roots { /* whose results a lineage uses, sorted */
    ratoon_id *items;
    size_t count;
} roots;

static int compare_roots(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(ratoon_id));
}

static bool uses(const roots *r, ratoon_id root)
{
    return r->count > 0 &&
           bsearch(&root, r->items, r->count, sizeof *r->items, compare_roots) != NULL;
}

static bool roots_used(const ratoon__lineage *l, ratoon__arena *arena, roots *out)
{
    const size_t most = consumed_count(l);
    *out = (roots){.items = ratoon__arena_alloc(arena, most * sizeof *out->items)};
    for (uint32_t i = 0; most > 0 && out->items != NULL && i < l->runs_count; i++) {
        for (uint32_t k = 0; k < l->runs[i]->stages_count; k++) {
            const ratoon__runs *consumed = ratoon__run_stage_at(l->runs[i], k)->consumed;
            for (uint32_t n = 0; consumed != NULL && n < consumed->count; n++) {
                out->items[out->count++] = consumed->ids[2 * n + 1];
            }
        }
    }
    if (out->count > 1) {
        qsort(out->items, out->count, sizeof *out->items, compare_roots);
    }
    return out->items != NULL;
}

/* Gives back what `before` used and nothing in the lineage uses any more. */
static bool release_unused(claiming *c, const ratoon__lineage *before, const roots *now)
{
    roots was;
    if (!roots_used(before, c->arena, &was)) {
        return false;
    }
    for (size_t i = 0; i < was.count; i++) {
        const bool again = i > 0 && ratoon_id_equal(was.items[i - 1], was.items[i]);
        if (!again && !uses(now, was.items[i]) &&
            !add_consumed(c, was.items[i], before->id, false)) {
            return false;
        }
    }
    return true;
}

/* Room for all names of a lineage: a key and a scope a run, and what was consumed. */
static size_t most_of(const ratoon__lineage *l)
{
    return consumed_count(l) + (l == NULL ? 0 : 2 * (size_t)l->runs_count);
}

static bool all_now(claiming *c, const ratoon__lineage *l)
{
    bool done = all_consumed(c, l, true);
    for (uint32_t i = 0; done && i < l->runs_count; i++) {
        const ratoon__run *r = l->runs[i];
        const ratoon__run_created *created = &r->fixed->created;
        done = created->key == NULL || add(c, "key", created->key, r->fixed->id, true);
        if (done && created->scope != NULL) {
            done = add(c, "scope", created->scope, r->fixed->id, holds(r));
        }
    }
    return done;
}

ratoon_status ratoon__claims_since(const ratoon__lineage *before, const ratoon__lineage *l,
                                   ratoon__arena *arena, ratoon__claim **out, size_t *out_count)
{
    claiming c = {.arena = arena};
    roots now;
    const size_t most = most_of(l) + consumed_count(before);
    c.claims = ratoon__arena_alloc(arena, most * sizeof *c.claims);
    if (c.claims == NULL ||
        (before != NULL && (!roots_used(l, arena, &now) || !release_unused(&c, before, &now))) ||
        !all_now(&c, l)) {
        return RATOON_ERR_NO_MEMORY;
    }
    *out = c.claims;
    *out_count = c.count;
    return RATOON_OK;
}

/* A deleted lineage gives back all its names (R20). */
static bool release_all(claiming *c)
{
    if (c->before == NULL) {
        return true;
    }
    const bool done = all_now(c, c->before);
    size_t held = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (c->claims[i].take) {
            c->claims[held] = c->claims[i];
            c->claims[held++].take = false;
        }
    }
    c->count = held;
    return done;
}

bool ratoon__events_quiet(const ratoon__lineage *before, const ratoon__event *events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        switch (events[i].type) {
        case RATOON__EVENT_STAGE_STARTED:
            if (forgets_use(before, &events[i])) {
                return false;
            }
            break;
        case RATOON__EVENT_STAGE_ENDED:
        case RATOON__EVENT_STAGE_RETURNED:
        case RATOON__EVENT_STAGE_PROGRESS:
        case RATOON__EVENT_STAGE_ITEMS:
        case RATOON__EVENT_ITEM_ENDED:
            break;
        default:
            return false;
        }
    }
    return true;
}

/* Names of consumers that the events take or give back. What one event takes another may give back
 * at once, where a stage is started again in the same commit: what `after` uses counts. */
static bool consumers(claiming *c, const ratoon__event *events, size_t count, bool given_back)
{
    roots now;
    bool done = roots_used(c->after, c->arena, &now);
    for (size_t i = 0; done && i < count; i++) {
        if (events[i].type == RATOON__EVENT_STAGE_CONSUMED &&
            uses(&now, events[i].u.consumed.root)) {
            done = add_consumed(c, events[i].u.consumed.root, c->after->id, true);
        }
    }
    return done && (!given_back || release_unused(c, c->before, &now));
}

ratoon_status ratoon__claims_of(const ratoon__lineage *before, const ratoon__lineage *after,
                                const ratoon__event *events, size_t count, ratoon__arena *arena,
                                ratoon__claim **out, size_t *out_count)
{
    claiming c = {.before = before, .after = after, .arena = arena};
    bool done = true;
    bool deleted = false, consumed = false, given_back = false;
    for (size_t i = 0; i < count; i++) {
        deleted = deleted || events[i].type == RATOON__EVENT_LINEAGE_DELETED;
        consumed = consumed || events[i].type == RATOON__EVENT_STAGE_CONSUMED;
        given_back = given_back || forgets_use(before, &events[i]);
    }
    const size_t most =
        2 * count + (deleted ? most_of(before) : 0) + (given_back ? consumed_count(before) : 0);
    c.claims = ratoon__arena_alloc(arena, most * sizeof *c.claims);
    if (c.claims == NULL) {
        return RATOON_ERR_NO_MEMORY;
    }
    done = !deleted || release_all(&c);
    done = done && scopes(&c, events, count, false) && scopes(&c, events, count, true);
    for (size_t i = 0; done && i < count; i++) {
        if (events[i].type == RATOON__EVENT_RUN_CREATED && events[i].u.created.key != NULL) {
            done = add(&c, "key", events[i].u.created.key, events[i].run, true);
        }
    }
    if (done && (consumed || given_back)) {
        done = consumers(&c, events, count, given_back);
    }
    if (!done) {
        return RATOON_ERR_NO_MEMORY;
    }
    *out = c.claims;
    *out_count = c.count;
    return RATOON_OK;
}

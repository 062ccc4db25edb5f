/* Claims that go with a commit: names that are unique across lineages (R09, R10). */
#include "core/decide_internal.h"

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

ratoon_status ratoon__claims_now(const ratoon__lineage *l, ratoon__arena *arena,
                                 ratoon__claim **out, size_t *out_count)
{
    claiming c = {.arena = arena};
    c.claims = ratoon__arena_alloc(arena, most_of(l) * sizeof *c.claims);
    if (c.claims == NULL || !all_now(&c, l)) {
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

bool ratoon__events_quiet(const ratoon__event *events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        switch (events[i].type) {
        case RATOON__EVENT_STAGE_STARTED:
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

ratoon_status ratoon__claims_of(const ratoon__lineage *before, const ratoon__lineage *after,
                                const ratoon__event *events, size_t count, ratoon__arena *arena,
                                ratoon__claim **out, size_t *out_count)
{
    claiming c = {.before = before, .after = after, .arena = arena};
    bool done = true;
    bool deleted = false;
    for (size_t i = 0; i < count; i++) {
        deleted = deleted || events[i].type == RATOON__EVENT_LINEAGE_DELETED;
    }
    const size_t most = 2 * count + (deleted ? most_of(before) : 0);
    c.claims = ratoon__arena_alloc(arena, most * sizeof *c.claims);
    if (c.claims == NULL) {
        return RATOON_ERR_NO_MEMORY;
    }
    done = !deleted || release_all(&c);
    done = done && scopes(&c, events, count, false) && scopes(&c, events, count, true);
    for (size_t i = 0; done && i < count; i++) {
        if (events[i].type == RATOON__EVENT_RUN_CREATED && events[i].u.created.key != NULL) {
            done = add(&c, "key", events[i].u.created.key, events[i].run, true);
        } else if (events[i].type == RATOON__EVENT_STAGE_CONSUMED) {
            done = add_consumed(&c, events[i].u.consumed.root, after->id, true);
        }
    }
    if (!done) {
        return RATOON_ERR_NO_MEMORY;
    }
    *out = c.claims;
    *out_count = c.count;
    return RATOON_OK;
}

/* The bytes of a plan, for its token (R15): all that the retry would do, and nothing that it would
 * not (refusals, reasons, who asks). One field a line, "name=" and the value, texts with their
 * length before them, so that no text can pass for another field. They depend on nothing that
 * differs between processes. The state it starts from is not among them: the parent, what is reused
 * of it and the edits determine it. */
#include "core/plan.h"

#include <string.h>

typedef ratoon__planning planning;

static void add_text(ratoon__buf *b, const char *name, const char *text)
{
    if (text == NULL) {
        ratoon__buf_format(b, "%s\n", name);
    } else {
        ratoon__buf_format(b, "%s=%U:%s\n", name, (uint64_t)strlen(text), text);
    }
}

static void add_number(ratoon__buf *b, const char *name, uint64_t number)
{
    ratoon__buf_format(b, "%s=%U\n", name, number);
}

static void add_digest(ratoon__buf *b, const char *name, const ratoon_digest *digest)
{
    ratoon__buf_format(b, "%s=", name);
    ratoon__buf_digest(b, digest);
    ratoon__buf_str(b, "\n");
}

static void add_stages(const planning *c, ratoon__buf *b)
{
    const ratoon__plan *plan = c->plan;
    for (size_t i = 0; i < plan->run_count; i++) {
        add_text(b, "run", ratoon__stage_name(c->pipeline, plan->run[i]));
    }
    for (size_t i = 0; i < plan->reuse_count; i++) {
        const uint32_t stage = plan->reuse[i];
        const ratoon__stage *s = ratoon__plan_stage(c, stage);
        add_text(b, plan->stale[stage] ? "reuse-stale" : "reuse",
                 ratoon__stage_name(c->pipeline, stage));
        add_text(b, "as", ratoon_stage_status_name(ratoon__stage_counts_as(s)));
    }
}

static void add_items(const planning *c, ratoon__buf *b)
{
    for (size_t i = 0; i < c->plans_count; i++) {
        const ratoon__stage_plan *p = &c->plans[i];
        add_text(b, "items-of", ratoon__stage_name(c->pipeline, p->stage));
        add_number(b, "mode", (uint64_t)p->mode);
        add_number(b, "keep",
                   (uint64_t)p->keep_done | (uint64_t)p->keep_committed << 1 |
                       (uint64_t)p->keep_failed << 2 | (uint64_t)p->keep_outputs << 3);
        for (size_t k = 0; k < p->listed_count; k++) {
            add_text(b, "listed", p->listed[k]);
        }
        for (size_t k = 0; k < p->kept_count; k++) {
            add_text(b, "kept", p->kept[k]);
        }
    }
    for (size_t i = 0; i < c->plan->items_count; i++) {
        const ratoon__plan_items *n = &c->plan->items[i];
        add_text(b, "counts-of", ratoon__stage_name(c->pipeline, n->stage));
        add_number(b, "known", n->known);
        add_number(b, "keep", n->keep);
        add_number(b, "run", n->run);
        add_number(b, "reset", n->reset);
        add_number(b, "drop", n->drop);
    }
}

static void add_params(const planning *c, ratoon__buf *b)
{
    for (size_t i = 0; i < c->params_count; i++) {
        add_text(b, "param", c->params[i].name);
        add_text(b, "value", c->params[i].text);
    }
    for (size_t i = 0; i < c->plan->overrides_count; i++) {
        add_text(b, "changed", c->plan->overrides[i].name);
        add_text(b, "old", c->plan->overrides[i].old_text);
    }
}

static void add_edits(const planning *c, ratoon__buf *b)
{
    for (size_t i = 0; i < c->plan->edits_count; i++) {
        const ratoon__edit *e = &c->plan->edits[i];
        add_text(b, e->partial ? "partial" : "edit", e->value.key);
        add_text(b, "type", e->value.media_type);
        add_digest(b, "new", &e->value.digest);
        if (e->had_old) {
            add_digest(b, "old", &e->old_digest);
        }
    }
}

void ratoon__plan_canonical(const planning *c)
{
    const ratoon_retry_options *o = c->options;
    const ratoon__plan *plan = c->plan;
    ratoon__buf *b = &c->plan->canonical;
    ratoon__buf_format(b, "ratoon-plan 1\nparent=%I\n", &o->parent);
    add_digest(b, "pipeline", &c->pipeline->digest);
    add_text(b, "requested",
             plan->requested < 0 ? NULL
                                 : ratoon__stage_name(c->pipeline, (uint32_t)plan->requested));
    add_text(b, "effective",
             plan->effective < 0 ? NULL
                                 : ratoon__stage_name(c->pipeline, (uint32_t)plan->effective));
    add_number(b, "depth", plan->depth);
    add_number(b, "flags", (uint64_t)o->only | (uint64_t)c->waits << 1 | (uint64_t)o->no_exec << 2);
    ratoon__buf_format(b, "waits-for=%I\n", &plan->waits_for);
    add_text(b, "scope", c->scope);
    add_text(b, "until", c->until < 0 ? NULL : ratoon__stage_name(c->pipeline, (uint32_t)c->until));
    add_number(b, "auto-retry", (uint64_t)ratoon__auto_retry_of(c->pipeline, o->auto_retry));
    add_stages(c, b);
    add_items(c, b);
    add_params(c, b);
    add_edits(c, b);
}

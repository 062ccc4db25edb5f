/* The reference model: random pipelines and values. */
#include "tests/support/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool one_in(support_prng *prng, uint64_t n)
{
    return support_prng_below(prng, n) == 0;
}

size_t model_value_text(unsigned id, char text[MODEL_VALUE_TEXT])
{
    int size = snprintf(text, MODEL_VALUE_TEXT, "%u", id);
    if (id % 13 == 0) {
        memset(text, 'a' + (int)(id % 26), MODEL_VALUE_TEXT - 1);
        text[0] = '"';
        text[snprintf(text + 1, 16, "%u", id) + 1] = '-';
        size = 1500 + (int)(id % 800);
        text[size - 1] = '"';
        text[size] = '\0';
    }
    return (size_t)size;
}

/* Keys that a stage requires: mostly ones that an ancestor declares, so that runs get somewhere. */
static unsigned random_requires(const model_pipeline *p, unsigned stage, support_prng *prng)
{
    unsigned provided = 0;
    for (unsigned a = 0; a < p->count; a++) {
        if ((p->stages[stage].ancestors & (1u << a)) != 0) {
            provided |= p->stages[a].produces_keys;
        }
    }
    unsigned keys =
        provided & (unsigned)support_prng_next(prng) & (unsigned)support_prng_next(prng);
    return one_in(prng, 12) ? keys | 1u << support_prng_below(prng, MODEL_KEYS) : keys;
}

static void random_stages(model_pipeline *p, support_prng *prng)
{
    unsigned rank[MODEL_STAGES_MAX];
    const bool shuffled = one_in(prng, 2);
    for (unsigned i = 0; i < p->count; i++) {
        rank[i] = i;
    }
    for (unsigned i = p->count; shuffled && i > 1; i--) {
        unsigned j = (unsigned)support_prng_below(prng, i);
        unsigned swap = rank[i - 1];
        rank[i - 1] = rank[j];
        rank[j] = swap;
    }
    for (unsigned at = 0; at < p->count; at++) { /* in an order in which needs come first */
        unsigned i = rank[at];
        model_stage_def *d = &p->stages[i];
        snprintf(d->name, sizeof d->name, "s%u", i);
        d->validates = -1;
        for (unsigned j = 0; j < at; j++) {
            if (one_in(prng, at < 3 ? 2 : at)) {
                d->needs |= 1u << rank[j];
            }
        }
        if (at > 0 && one_in(prng, 6)) {
            unsigned target = rank[support_prng_below(prng, at)];
            if (p->stages[target].validates < 0) {
                d->validates = (int)target;
                d->needs |= 1u << target;
            }
        }
        for (unsigned j = 0; j < p->count; j++) {
            if ((d->needs & (1u << j)) != 0) {
                d->ancestors |= 1u << j | p->stages[j].ancestors;
            }
        }
        d->allow_failure = one_in(prng, 5);
        d->setup = one_in(prng, 6);
        if (d->validates < 0) {
            d->commits = one_in(prng, 5);
            d->foreach = one_in(prng, 3);
            d->produces_keys = one_in(prng, 3) ? 0 : 1u << support_prng_below(prng, MODEL_KEYS);
            if (one_in(prng, 4)) {
                d->produces_keys |= 1u << support_prng_below(prng, MODEL_KEYS);
            }
        }
        d->requires_keys = random_requires(p, i, prng);
    }
    for (unsigned i = 0; i < p->count; i++) {
        for (unsigned j = 0; j < p->count; j++) {
            if ((p->stages[j].ancestors & (1u << i)) != 0) {
                p->stages[i].descendants |= 1u << j;
            }
        }
    }
}

/* Topological, ties in file order: always the first in the file of those whose needs are placed. */
static void order_stages(model_pipeline *p)
{
    unsigned placed = 0;
    for (unsigned at = 0; at < p->count; at++) {
        for (unsigned i = 0; i < p->count; i++) {
            if ((placed & (1u << i)) == 0 && (p->stages[i].needs & ~placed) == 0) {
                p->order[at] = i;
                placed |= 1u << i;
                break;
            }
        }
    }
}

static void write_list(FILE *f, const char *what, char letter, unsigned set)
{
    const char *comma = "";
    fprintf(f, "    %s: [", what);
    for (unsigned i = 0; i < 16; i++) {
        if ((set & (1u << i)) != 0) {
            fprintf(f, "%s%c%u", comma, letter, i);
            comma = ", ";
        }
    }
    fprintf(f, "]\n");
}

static ratoon_pipeline *parse(const model_pipeline *p, unsigned version)
{
    char *text = NULL;
    size_t size = 0;
    ratoon_error error;
    ratoon_pipeline *out = NULL;
    FILE *f = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(f);
    fprintf(f, "pipeline: %s\nversion: %u\n", p->name, version);
    if (p->params) {
        fprintf(f, "params:\n"
                   "  size: {type: int, default: 8, min: 1, max: 64, power_of_two: true}\n"
                   "  mode: {type: string, default: fast, choices: [fast, full]}\n");
    }
    fprintf(f, "policy:\n  cascade: none\n");
    if (p->scope != 0) {
        fprintf(f, "  scope: \"%s\"\n", p->scope == 1 ? "shared" : "by-${mode}");
    }
    if (p->max_depth != 0) {
        fprintf(f, "  max_depth: %u\n", p->max_depth);
    }
    if (p->max_active != 0) {
        fprintf(f, "  max_active_branches: %u\n", p->max_active);
    }
    fprintf(f, "stages:\n");
    for (unsigned i = 0; i < p->count; i++) {
        const model_stage_def *d = &p->stages[i];
        fprintf(f, "  - name: %s\n    run: [\"true\"]\n", d->name);
        write_list(f, "needs", 's', d->needs);
        write_list(f, "requires", 'k', d->requires_keys);
        if (d->validates >= 0) {
            fprintf(f, "    validates: s%d\n", d->validates);
        } else {
            write_list(f, "produces", 'k', d->produces_keys);
        }
        fprintf(f, "%s%s%s%s", d->allow_failure ? "    allow_failure: true\n" : "",
                d->commits ? "    commits: true\n" : "", d->setup ? "    setup: true\n" : "",
                d->foreach ? "    foreach: things\n" : "");
    }
    ck_assert_int_eq(fclose(f), 0);
    ratoon_status status = ratoon_pipeline_parse("model.yaml", text, size, NULL, &out, &error);
    ck_assert_msg(status == RATOON_OK, "%u:%u: %s\n%s", error.line, error.column, error.message,
                  text);
    free(text);
    return out;
}

void model_pipeline_random(model_pipeline *p, int index, support_prng *prng)
{
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "p%d", index);
    p->count = 1 + (unsigned)support_prng_below(prng, one_in(prng, 2) ? 5 : MODEL_STAGES_MAX);
    p->version = 1 + (unsigned)support_prng_below(prng, 3);
    p->max_depth = one_in(prng, 2) ? 0 : 1 + (unsigned)support_prng_below(prng, 9);
    p->max_active = one_in(prng, 2) ? 0 : 1 + (unsigned)support_prng_below(prng, 3);
    p->params = one_in(prng, 2);
    p->scope = one_in(prng, 2) ? 0 : 1 + (int)support_prng_below(prng, p->params ? 2 : 1);
    random_stages(p, prng);
    order_stages(p);
    p->lib[0] = parse(p, p->version);
    p->lib[1] = parse(p, p->version + 1);
    for (unsigned i = 0; i < p->count; i++) {
        ck_assert_uint_eq(ratoon_pipeline_order(p->lib[0])[i], p->order[i]);
    }
}

void model_pipeline_free(model_pipeline *p)
{
    ratoon_pipeline_free(p->lib[0]);
    ratoon_pipeline_free(p->lib[1]);
    p->lib[0] = p->lib[1] = NULL;
}

/* Graphs of lineages: Graphviz's dot and Mermaid. Each run is a box with its stages, coloured by
 * status; thick arrows lead from a run to its branches. */
#include "replay/export.h"

#include <string.h>

static const struct {
    const char *status, *fill, *line;
} colours[] = {
    {"pending", "#eeeeee", "#777777"},   {"queued", "#eeeeee", "#777777"},
    {"running", "#cfe8ff", "#1565c0"},   {"cancelling", "#ffe0b2", "#e65100"},
    {"suspended", "#fff3c4", "#b58900"}, {"succeeded", "#d7f5d7", "#2e7d32"},
    {"degraded", "#fff3c4", "#b58900"},  {"failed", "#ffd6d6", "#b71c1c"},
    {"cancelled", "#e0e0e0", "#424242"}, {"skipped", "#f5f5f5", "#9e9e9e"},
    {"reused", "#e8f5e9", "#81c784"},
};
#define COLOURS (sizeof colours / sizeof colours[0])

static size_t colour_of(const char *status)
{
    for (size_t i = 0; i < COLOURS; i++) {
        if (strcmp(colours[i].status, status) == 0) {
            return i;
        }
    }
    return 0;
}

/* Text in quotes: dot escapes quotes and backslashes; Mermaid takes entities. Lines become blanks.
 */
static void quoted(ratoon__export *x, const char *text, bool mermaid)
{
    json_t *valid = ratoon__json_text(text);
    ratoon__export_text(x, "\"");
    for (const char *at = json_is_string(valid) ? json_string_value(valid) : ""; *at != '\0';
         at++) {
        const char one[2] = {*at, '\0'};
        if (mermaid && strchr("\"#<>&`", *at) != NULL) {
            ratoon__export_format(x, "#%u;", (uint32_t)(unsigned char)*at);
        } else if (!mermaid && (*at == '"' || *at == '\\')) {
            ratoon__export_format(x, "\\%s", one);
        } else {
            ratoon__export_text(x, (unsigned char)*at < 0x20 ? " " : one);
        }
    }
    ratoon__export_text(x, "\"");
    json_decref(valid);
}

/* "chain 01a1fcf7: failed", or with the stage that a branch starts from. */
static void run_label(ratoon__export *x, const ratoon__run *r, bool mermaid)
{
    const ratoon__run_created *c = &r->fixed->created;
    char id[RATOON_ID_TEXT];
    ratoon__buf text = {0};
    ratoon_id_format(r->fixed->id, id);
    ratoon__buf_format(&text, "%s %s: %s", r->pipeline->name, id,
                       ratoon_run_status_name(r->status));
    if (c->effective_stage >= 0) {
        ratoon__buf_format(&text, ", from %s", c->pipeline->stages[c->effective_stage].pub.name);
    }
    quoted(x, text.failed ? "" : text.data, mermaid);
    ratoon__buf_free(&text);
}

/* Calls for each edge of the run's DAG. */
static void edges(ratoon__export *x, const ratoon__run *r, uint64_t run, const char *arrow,
                  const char *end)
{
    for (uint32_t i = 0; i < r->stages_count; i++) {
        const ratoon_stage_def *def = &r->pipeline->stages[i].pub;
        for (size_t k = 0; k < def->needs_count; k++) {
            ratoon__export_format(x, "    r%U_s%u %s r%U_s%u%s\n", run, def->needs[k], arrow, run,
                                  i, end);
        }
    }
}

/* Number of a run in what is written; runs of a lineage follow each other. */
static uint64_t number_of(const ratoon__export *x, const ratoon__run *r)
{
    return (uint64_t)x->runs + r->fixed->created.number;
}

/* ---- dot ---- */

static void dot_run(ratoon__export *x, const ratoon__run *r)
{
    const uint64_t n = number_of(x, r);
    const size_t colour = colour_of(ratoon_run_status_name(r->status));
    ratoon__export_format(x, "  subgraph cluster_r%U {\n    label=", n);
    run_label(x, r, false);
    ratoon__export_format(x, ";\n    color=\"%s\";\n    r%U [shape=point, style=invis];\n",
                          colours[colour].line, n);
    for (uint32_t i = 0; i < r->stages_count; i++) {
        const char *status = ratoon_stage_status_name(ratoon__run_stage_at(r, i)->status);
        const size_t of = colour_of(status);
        ratoon__export_format(x, "    r%U_s%u [label=", n, i);
        quoted(x, r->pipeline->stages[i].pub.name, false);
        ratoon__export_format(x, ", tooltip=\"%s\", fillcolor=\"%s\", color=\"%s\"];\n", status,
                              colours[of].fill, colours[of].line);
    }
    edges(x, r, n, "->", ";");
    ratoon__export_text(x, "  }\n");
}

static void dot_branch(ratoon__export *x, const ratoon__lineage *l, const ratoon__run *r)
{
    const ratoon__run *parent = ratoon__lineage_run(l, r->fixed->created.parent);
    if (parent != NULL) {
        const uint64_t from = number_of(x, parent), to = number_of(x, r);
        ratoon__export_format(x,
                              "  r%U -> r%U [ltail=cluster_r%U, lhead=cluster_r%U, penwidth=3];\n",
                              from, to, from, to);
    }
}

static void dot_begin(ratoon__export *x)
{
    ratoon__export_text(x, "digraph ratoon {\n  rankdir=LR;\n  compound=true;\n"
                           "  node [shape=box, style=\"rounded,filled\"];\n");
}

static void dot_lineage(ratoon__export *x, const ratoon__lineage *l)
{
    for (uint32_t i = 0; i < l->runs_count; i++) {
        dot_run(x, l->runs[i]);
    }
    for (uint32_t i = 0; i < l->runs_count; i++) {
        dot_branch(x, l, l->runs[i]);
    }
    x->runs += l->runs_count;
}

static void dot_end(ratoon__export *x)
{
    ratoon__export_text(x, "}\n");
}

const ratoon__exporter ratoon__export_dot = {
    .begin = dot_begin, .lineage = dot_lineage, .end = dot_end};

/* ---- Mermaid ---- */

static void mermaid_run(ratoon__export *x, const ratoon__run *r)
{
    const uint64_t n = number_of(x, r);
    ratoon__export_format(x, "  subgraph r%U[", n);
    run_label(x, r, true);
    ratoon__export_text(x, "]\n");
    for (uint32_t i = 0; i < r->stages_count; i++) {
        ratoon__export_format(x, "    r%U_s%u[", n, i);
        quoted(x, r->pipeline->stages[i].pub.name, true);
        ratoon__export_format(x, "]:::%s\n",
                              ratoon_stage_status_name(ratoon__run_stage_at(r, i)->status));
    }
    edges(x, r, n, "-->", "");
    ratoon__export_format(x, "  end\n  class r%U %s\n", n, ratoon_run_status_name(r->status));
}

static void mermaid_begin(ratoon__export *x)
{
    ratoon__export_text(x, "flowchart LR\n");
    for (size_t i = 0; i < COLOURS; i++) {
        ratoon__export_format(x, "  classDef %s fill:%s,stroke:%s,color:#000000\n",
                              colours[i].status, colours[i].fill, colours[i].line);
    }
}

static void mermaid_lineage(ratoon__export *x, const ratoon__lineage *l)
{
    for (uint32_t i = 0; i < l->runs_count; i++) {
        mermaid_run(x, l->runs[i]);
    }
    for (uint32_t i = 0; i < l->runs_count; i++) {
        const ratoon__run *parent = ratoon__lineage_run(l, l->runs[i]->fixed->created.parent);
        if (parent != NULL) {
            ratoon__export_format(x, "  r%U ==> r%U\n", number_of(x, parent),
                                  number_of(x, l->runs[i]));
        }
    }
    x->runs += l->runs_count;
}

const ratoon__exporter ratoon__export_mermaid = {.begin = mermaid_begin,
                                                 .lineage = mermaid_lineage};

/* One page that stands alone: no scripts, nothing loaded from elsewhere; every text is escaped. */
#include "replay/export.h"

#include <stdlib.h>
#include <string.h>

static void escaped(ratoon__export *x, const char *text)
{
    json_t *valid = ratoon__json_text(text);
    for (const char *at = json_is_string(valid) ? json_string_value(valid) : ""; *at != '\0';
         at++) {
        const char one[2] = {*at, '\0'};
        const unsigned char c = (unsigned char)*at;
        if (c == '&' || c == '<' || c == '>' || c == '"' || c == '\'') {
            ratoon__export_format(x, "&#%u;", (uint32_t)c);
        } else if (c < 0x20 && c != '\n' && c != '\t') {
            ratoon__export_text(x, "\xEF\xBF\xBD"); /* not allowed in HTML */
        } else {
            ratoon__export_text(x, one);
        }
    }
    json_decref(valid);
}

static void cell(ratoon__export *x, const char *text)
{
    ratoon__export_text(x, "<td>");
    escaped(x, text);
    ratoon__export_text(x, "</td>");
}

static void time_cell(ratoon__export *x, uint64_t time_us)
{
    char *text = ratoon__export_time(time_us);
    cell(x, text != NULL ? text : "");
    free(text);
}

static void badge(ratoon__export *x, const char *status)
{
    ratoon__export_format(x, "<span class=\"s %s\">%s</span>", status, status);
}

/* "1.250 s" */
static void duration_cell(ratoon__export *x, uint64_t from, uint64_t to)
{
    ratoon__export_text(x, "<td class=\"n\">");
    if (from > 0 && to >= from) {
        const uint64_t ms = (to - from) / 1000;
        const char digits[5] = {'.', (char)('0' + ms / 100 % 10), (char)('0' + ms / 10 % 10),
                                (char)('0' + ms % 10), '\0'};
        ratoon__export_format(x, "%U%s s", ms / 1000, digits);
    }
    ratoon__export_text(x, "</td>");
}

static void failure(ratoon__export *x, const ratoon__stage *s)
{
    if (s->failure == NULL) {
        return;
    }
    const ratoon__failure *f = &s->failure->f;
    ratoon__export_format(x, "<b>%s</b> ", ratoon_class_name(f->error_class));
    escaped(x, f->message);
    if (f->detail != NULL && f->detail[0] != '\0') {
        ratoon__export_text(x, "<details><summary>detail</summary><pre>");
        escaped(x, f->detail);
        ratoon__export_text(x, "</pre></details>");
    }
}

static void stage_row(ratoon__export *x, const ratoon__run *r, uint32_t i)
{
    const ratoon__stage *s = ratoon__run_stage_at(r, i);
    ratoon__export_text(x, "<tr>");
    cell(x, r->pipeline->stages[i].pub.name);
    ratoon__export_text(x, "<td>");
    badge(x, ratoon_stage_status_name(s->status));
    if (s->status == RATOON_STAGE_REUSED) {
        ratoon__export_format(x, " from <a href=\"#r%I\">%I</a>", &s->reused_from, &s->reused_from);
    }
    ratoon__export_format(x, "</td><td class=\"n\">%u</td>", s->attempt);
    time_cell(x, s->started_at);
    duration_cell(x, s->started_at, s->ended_at);
    ratoon__export_text(x, "<td class=\"n\">");
    if (s->items_known || s->items_done + s->items_failed > 0) {
        ratoon__export_format(x, "%U done, %U failed", s->items_done, s->items_failed);
        if (s->items_known) {
            ratoon__export_format(x, " of %U", s->items_total);
        }
    }
    ratoon__export_text(x, "</td><td>");
    failure(x, s);
    if (s->reason != NULL) {
        escaped(x, s->reason);
    }
    ratoon__export_text(x, "</td></tr>\n");
}

static void run_facts(ratoon__export *x, const ratoon__run *r)
{
    const ratoon__run_created *c = &r->fixed->created;
    ratoon__export_text(x, "<dl>");
    const struct {
        const char *name, *text;
    } facts[] = {{"subject", c->subject},
                 {"reason", c->reason},
                 {"asked for by", c->actor},
                 {"external reference", r->external_ref},
                 {"ended because", r->reason}};
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        if (facts[i].text != NULL) {
            ratoon__export_format(x, "<dt>%s</dt><dd>", facts[i].name);
            escaped(x, facts[i].text);
            ratoon__export_text(x, "</dd>");
        }
    }
    for (size_t i = 0; i < c->params_count; i++) {
        ratoon__export_text(x, "<dt>parameter ");
        escaped(x, c->params[i].name);
        ratoon__export_text(x, "</dt><dd>");
        escaped(x, c->params[i].text);
        for (size_t k = 0; k < c->overrides_count; k++) {
            if (strcmp(c->overrides[k].name, c->params[i].name) == 0) {
                ratoon__export_text(x, " (was ");
                escaped(x, c->overrides[k].old_text);
                ratoon__export_text(x, ")");
            }
        }
        ratoon__export_text(x, "</dd>");
    }
    ratoon__export_text(x, "</dl>\n");
}

static void run_section(ratoon__export *x, const ratoon__run *r)
{
    const ratoon__run_created *c = &r->fixed->created;
    ratoon__export_format(x, "<section id=\"r%I\" style=\"margin-left:%urem\"><h3>", &r->fixed->id,
                          c->depth * 2);
    escaped(x, r->pipeline->name);
    ratoon__export_format(x, " <code>%I</code> ", &r->fixed->id);
    badge(x, ratoon_run_status_name(r->status));
    ratoon__export_text(x, "</h3>\n<p>");
    if (!ratoon_id_is_zero(c->parent)) {
        ratoon__export_format(x, "%s of <a href=\"#r%I\">%I</a>",
                              c->automatic ? "automatic retry" : "retry", &c->parent, &c->parent);
        if (c->effective_stage >= 0) {
            ratoon__export_text(x, " from ");
            escaped(x, c->pipeline->stages[c->effective_stage].pub.name);
        }
        ratoon__export_text(x, ", ");
    }
    char *created = ratoon__export_time(r->fixed->created_at);
    ratoon__export_format(x, "created %s</p>\n", created != NULL ? created : "");
    free(created);
    run_facts(x, r);
    ratoon__export_text(x, "<table><thead><tr><th>stage</th><th>status</th><th>attempts</th>"
                           "<th>started</th><th>took</th><th>items</th><th>error</th></tr></thead>"
                           "<tbody>\n");
    for (uint32_t i = 0; i < r->stages_count; i++) {
        stage_row(x, r, i);
    }
    ratoon__export_text(x, "</tbody></table></section>\n");
}

/* The tree as nested lists of links. */
static void tree(ratoon__export *x, const ratoon__lineage *l, const ratoon__run *r, uint32_t depth)
{
    ratoon__export_format(x, "<li><a href=\"#r%I\">%I</a> ", &r->fixed->id, &r->fixed->id);
    badge(x, ratoon_run_status_name(r->status));
    if (r->children_count > 0 && depth < RATOON_DEPTH_MAX) {
        ratoon__export_text(x, "<ul>\n");
        for (uint32_t i = 0; i < r->children_count; i++) {
            const ratoon__run *child = ratoon__lineage_run(l, r->children[i]);
            if (child != NULL) {
                tree(x, l, child, depth + 1);
            }
        }
        ratoon__export_text(x, "</ul>");
    }
    ratoon__export_text(x, "</li>\n");
}

static void html_begin(ratoon__export *x)
{
    ratoon__export_text(
        x, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
           "<title>ratoon</title>\n<style>\n"
           "body{font:15px/1.45 system-ui,sans-serif;margin:2rem;color:#222;background:#fff}\n"
           "table{border-collapse:collapse;width:100%}\n"
           "th,td{border-bottom:1px solid #ddd;padding:.3rem .5rem;text-align:left;"
           "vertical-align:top}\n"
           ".n{text-align:right;white-space:nowrap}\n"
           "code{font-size:.9em}pre{white-space:pre-wrap;background:#f6f6f6;padding:.5rem}\n"
           "section{border-left:3px solid #ddd;padding-left:1rem;margin:1.5rem 0}\n"
           "dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem}dd{margin:0}\n"
           ".s{border-radius:3px;padding:0 .4rem;font-size:.85rem;background:#eee;color:#222}\n"
           ".succeeded{background:#d7f5d7}.failed{background:#ffd6d6}.running{background:#cfe8ff}\n"
           ".degraded,.suspended{background:#fff3c4}.reused{background:#e8f5e9}\n"
           ".cancelled,.cancelling{background:#e0e0e0}\n"
           "</style></head><body>\n<h1>Lineages</h1>\n");
}

static void html_lineage(ratoon__export *x, const ratoon__lineage *l)
{
    ratoon__export_format(x, "<article><h2>Lineage <code>%I</code></h2>\n<ul>\n", &l->id);
    tree(x, l, l->runs[0], 0);
    ratoon__export_text(x, "</ul>\n");
    for (uint32_t i = 0; i < l->runs_count; i++) {
        run_section(x, l->runs[i]);
    }
    ratoon__export_text(x, "</article>\n");
}

static void html_end(ratoon__export *x)
{
    ratoon__export_text(x, "</body></html>\n");
}

const ratoon__exporter ratoon__export_html = {
    .begin = html_begin, .lineage = html_lineage, .end = html_end};

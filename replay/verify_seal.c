/* A store against a seal (Q02): does the history still hold what was sealed? Both are walked side
 * by side, in the order of lineages. Longer chains and new lineages are fine. */
#include "log/codec.h"
#include "replay/erased.h"
#include "replay/export.h"
#include "replay/seal.h"

#include <stdlib.h>
#include <string.h>

static void leaf_next(ratoon__seal_check *c)
{
    bool bad; /* can't be: the seal was taken apart whole before */
    c->left = ratoon__seal_leaf_next(c->seal, &c->at, &c->leaf, &bad);
    c->here = false;
    c->met = false;
    c->last = 0;
}

static int leaf_compare(const ratoon__seal_check *c, ratoon_id lineage)
{
    return memcmp(c->leaf.lineage.bytes, lineage.bytes, sizeof lineage.bytes);
}

void ratoon__seal_check_begin(ratoon__seal_check *c)
{
    c->at = c->seal->leaves;
    c->notices = json_array();
    leaf_next(c);
    while (!ratoon_id_is_zero(c->only) && c->left && leaf_compare(c, c->only) < 0) {
        leaf_next(c);
    }
}

static void notice(ratoon__report *r, ratoon_id lineage, uint64_t commit, const char *kind,
                   const char *format, ...)
{
    ratoon__buf text = {0};
    va_list args;
    va_start(args, format);
    ratoon__buf_vformat(&text, format, args);
    va_end(args);
    ratoon__finding(r->seal->notices, lineage, commit, kind, text.data);
    ratoon__buf_free(&text);
}

static void report_missing(ratoon__report *r)
{
    const ratoon__seal_leaf *leaf = &r->seal->leaf;
    bool erased = false;
    ratoon_error why = {0};
    const ratoon_status status = ratoon__erased_check(r->store, leaf->lineage, &erased, &why);
    if (ratoon__report_unseen(r, status, &why)) {
        return;
    }
    if (status == RATOON_OK && erased) {
        notice(r, leaf->lineage, 0, "deleted", "the lineage is being deleted just now");
        return;
    }
    ratoon__problem(r, leaf->lineage, 1, "seal",
                    "the lineage is gone, without a mark of its deletion; when it was sealed it "
                    "had %U commits",
                    leaf->number);
}

void ratoon__seal_lineage_begin(ratoon__report *r, ratoon_id lineage)
{
    ratoon__seal_check *c = r->seal;
    if (c == NULL) {
        return;
    }
    while (c->left && leaf_compare(c, lineage) < 0) {
        report_missing(r);
        leaf_next(c);
    }
    c->here = c->left && leaf_compare(c, lineage) == 0;
    c->found += c->here;
}

/* What a mark stands for must be what was sealed, or more. */
static void check_mark(ratoon__report *r, const ratoon__commit *mark, const ratoon_digest *digest)
{
    const ratoon__seal_leaf *leaf = &r->seal->leaf;
    const bool last = mark->number == leaf->number + 1;
    if (mark->number < leaf->number) {
        ratoon__problem(r, leaf->lineage, mark->number, "seal",
                        "the mark stands for %U commits; when the lineage was sealed it had %U",
                        mark->number - 1, leaf->number);
    } else if (mark->number == leaf->number
                   ? !ratoon__digest_equal(digest, &leaf->head)
                   : last && !ratoon__digest_equal(&mark->previous, &leaf->head)) {
        ratoon__problem(r, leaf->lineage, mark->number, "seal",
                        "the mark of the lineage's deletion is not of the history that was sealed: "
                        "the digests differ");
    } else if (mark->number > leaf->number) {
        char *time = ratoon__export_time(mark->time_us);
        notice(r, leaf->lineage, mark->number, "deleted",
               "deleted since it was sealed, at %s by %s; it had %U commits, sealed were %U",
               time != NULL ? time : "", mark->events[0].u.deleted.actor, mark->number - 1,
               leaf->number);
        free(time);
    }
}

void ratoon__seal_commit(ratoon__report *r, uint64_t number, const ratoon_digest *digest,
                         const ratoon__commit *commit)
{
    ratoon__seal_check *c = r->seal;
    if (c == NULL || !c->here) {
        return;
    }
    if (c->last == 0 && number > 1 && commit != NULL && commit->events_count == 1 &&
        commit->events[0].type == RATOON__EVENT_LINEAGE_DELETED) {
        check_mark(r, commit, digest);
        c->met = true;
    } else if (number == c->leaf.number) {
        c->met = true;
        if (!ratoon__digest_equal(digest, &c->leaf.head)) {
            char found[65], sealed[65];
            ratoon__digest_format(digest, found);
            ratoon__digest_format(&c->leaf.head, sealed);
            ratoon__problem(r, c->leaf.lineage, number, "seal",
                            "commit %U has the digest %s and was sealed with %s: it, or one before "
                            "it, was rewritten since",
                            number, found, sealed);
        }
    }
    c->last = number;
}

void ratoon__seal_lineage_end(ratoon__report *r)
{
    ratoon__seal_check *c = r->seal;
    if (c == NULL || !c->here) {
        return;
    }
    if (!c->met && c->last < c->leaf.number) {
        ratoon__problem(r, c->leaf.lineage, c->last + 1, "seal",
                        "the lineage ends with commit %U; when it was sealed it had %U: its end "
                        "was cut off",
                        c->last, c->leaf.number);
    } else if (!c->met) {
        ratoon__problem(r, c->leaf.lineage, c->leaf.number, "seal",
                        "commit %U, the last one when the lineage was sealed, is missing",
                        c->leaf.number);
    }
    leaf_next(c);
}

void ratoon__seal_end(ratoon__report *r)
{
    ratoon__seal_check *c = r->seal;
    if (c == NULL) {
        return;
    }
    if (!ratoon_id_is_zero(c->only)) {
        if (c->left && leaf_compare(c, c->only) == 0) {
            report_missing(r);
        } else if (c->found == 0) {
            notice(r, c->only, 0, "not_sealed", "the lineage is not in the seal");
        }
        return;
    }
    for (; c->left; leaf_next(c)) {
        report_missing(r);
    }
    if (c->found == 0 && c->seal->lineages > 0) {
        ratoon__problem(r, (ratoon_id){{0}}, 0, "seal",
                        "none of the %U lineages of the seal is in this store: is it that of "
                        "another one?",
                        c->seal->lineages);
    }
}

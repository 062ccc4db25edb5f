/* Reaches ratoon__commit_peek(), ratoon__commit_decode(), ratoon__commit_encode() and, with what
 * was decoded, ratoon__fold() and snapshots. */
#include "log/codec.h"
#include "tests/fuzz/projections.h"

/* What decodes and can be written again reads as the same, and is then written the same. */
static void check_again(ratoon__encoder *e, const ratoon__commit *commit)
{
    const void *data = NULL;
    size_t size = 0;
    if (ratoon__commit_encode(e, commit, &data, &size, NULL) != RATOON_OK) {
        return; /* of a newer type, or too large */
    }
    void *copy = fuzz_copy(data, size);
    ratoon__arena arena = {0};
    ratoon__commit again;
    must(ratoon__commit_decode(copy, size, &arena, &again, NULL) == RATOON_OK);
    const size_t first_size = size;
    must(ratoon__commit_encode(e, &again, &data, &size, NULL) == RATOON_OK);
    must(size == first_size && memcmp(copy, data, size) == 0);
    ratoon__arena_free(&arena);
    free(copy);
}

/* A lineage of a run that has ended and a branch of it, for commits that are not the first. */
static const support_lineage *some_lineage(void)
{
    static support_lineage s;
    if (s.l == NULL) {
        support_lineage_init(&s, fuzz_definition(0), NULL, 0);
        support_succeed(&s, 1, "a", "one=1");
        support_start(&s, 1, "b");
        support_item(&s, 1, "b", "k", false, true, "two");
        support_end(&s, 1, "b", RATOON_STAGE_FAILED, NULL);
        support_finish(&s, 1, RATOON_RUN_FAILED);
        support_branch_create(&s, &(support_branch){.parent = 1, .rerun = "b c e"});
        support_start(&s, 2, "b");
    }
    return &s;
}

/* Whatever decodes can be folded or is refused. It goes behind a lineage that has the runs it is
 * about; where it is the first of its own, behind none. */
static void check_fold(ratoon__commit *c)
{
    const ratoon__lineage *before = some_lineage()->l;
    const bool first = c->number == 1;
    ratoon__lineage *empty = ratoon__lineage_new(c->lineage), *after = NULL;
    ratoon_error error = {0};
    must(empty != NULL);
    for (size_t i = 0; i < c->events_count; i++) {
        ratoon__event *e = (ratoon__event *)(uintptr_t)&c->events[i];
        if (e->type == RATOON__EVENT_RUN_CREATED) {
            e->u.created.pipeline = fuzz_definition(e->u.created.pipeline_digest.bytes[0]);
            e->u.created.pipeline_digest = e->u.created.pipeline->digest;
        } else if (e->type == RATOON__EVENT_RUN_PIPELINE_CHANGED) {
            e->u.pipeline_changed.pipeline =
                fuzz_definition(e->u.pipeline_changed.new_digest.bytes[0]);
        }
        if (!first && e->type == RATOON__EVENT_RUN_CREATED) {
            e->u.created.root = before->id;
            e->u.created.parent = before->runs[e->run.bytes[15] % 2]->fixed->id;
            e->u.created.number = before->runs_count + 1;
        } else if (!first) {
            e->run = before->runs[e->run.bytes[15] % 2]->fixed->id;
        }
    }
    if (!first) {
        c->lineage = before->id;
        c->number = before->head + 1;
        c->first_event = before->events + 1;
    }
    const ratoon_digest digest = {{7}};
    const ratoon_status status = ratoon__fold(first ? empty : before, c, &digest, &after, &error);
    must(status == RATOON_OK || (status == RATOON_ERR_DAMAGED && error.message[0] != '\0'));
    if (status == RATOON_OK) {
        ratoon__lineage *again = fuzz_by_snapshot(after);
        fuzz_same_states(after, again);
        ratoon__lineage_unref(again);
        ratoon__lineage_unref(after);
    }
    ratoon__lineage_unref(empty);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ratoon__encoder *encoder;
    if (encoder == NULL) {
        encoder = ratoon__encoder_new();
        must(encoder != NULL);
    }
    void *copy = fuzz_copy(data, size);
    ratoon__arena arena = {0};
    ratoon__commit commit, head;
    ratoon_error error;
    const ratoon_status status = ratoon__commit_decode(copy, size, &arena, &commit, &error);
    if (status == RATOON_OK) {
        must(ratoon__commit_peek(copy, size, &head, NULL) == RATOON_OK);
        must(head.number == commit.number);
        check_again(encoder, &commit);
        check_fold(&commit);
    } else {
        must(status == RATOON_ERR_DAMAGED || status == RATOON_ERR_UNSUPPORTED);
        must(error.code == status && error.message[0] != '\0');
    }
    ratoon__arena_free(&arena);
    free(copy);
    return 0;
}

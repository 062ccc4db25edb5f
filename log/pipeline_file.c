/* A pipeline file as a whole: from its text to a definition that has been checked. */
#include "log/pipeline_file.h"
#include "log/digest.h"
#include "log/pipeline_read.h"

#include <stddef.h>
#include <string.h>

typedef struct top {
    const ratoon__node *name, *params, *policy, *stages, *on_end;
    uint64_t version;
} top;

static bool read_top(ratoon__file *f, const ratoon__node *root, top *out)
{
    static const ratoon__field fields[] = {
        {"pipeline", ratoon__read_node, offsetof(top, name), true, 0, 0},
        {"version", ratoon__read_u64, offsetof(top, version), false, 0, 9007199254740992.0},
        {"params", ratoon__read_node, offsetof(top, params), false, 0, 0},
        {"policy", ratoon__read_node, offsetof(top, policy), false, 0, 0},
        {"stages", ratoon__read_node, offsetof(top, stages), true, 0, 0},
        {"on_end", ratoon__read_node, offsetof(top, on_end), false, 0, 0},
    };
    *out = (top){.version = 1};
    return ratoon__read_fields(f, root, "a pipeline", fields, sizeof fields / sizeof fields[0],
                               out);
}

/* The graph is core's to judge; it names the stage, the position comes from here. */
static bool check_graph(ratoon__file *f, const ratoon__node *const *nodes)
{
    uint32_t bad_stage = 0;
    ratoon_error error;
    memset(&error, 0, sizeof error);
    const ratoon_status status = ratoon__pipeline_check(f->p, &bad_stage, &error);
    if (status == RATOON_OK) {
        return true;
    }
    if (status == RATOON_ERR_NO_MEMORY) {
        return ratoon__bad_memory(f);
    }
    const ratoon__node *n = nodes[bad_stage];
    return status == RATOON_ERR_LIMIT_EXCEEDED ? ratoon__bad_limit(f, n, "%s", error.message)
                                               : ratoon__bad(f, n, "%s", error.message);
}

static bool read_file(ratoon__file *f, const ratoon__node *root, const char *base_dir)
{
    static const ratoon__field name_field = {.key = "pipeline"};
    top t;
    const ratoon__node *const *nodes = NULL;
    if (!read_top(f, root, &t) || !ratoon__read_name(f, t.name, &name_field, &f->p->name)) {
        return false;
    }
    f->p->version = t.version;
    if (base_dir != NULL && (f->p->base_dir = ratoon__keep_text(f, base_dir)) == NULL) {
        return false;
    }
    return ratoon__read_params(f, t.params) && ratoon__read_policy(f, t.policy) &&
           ratoon__read_stages(f, t.stages, &nodes) &&
           (t.on_end == NULL ||
            ratoon__read_argv(f, t.on_end, &f->p->on_end, &f->p->on_end_count)) &&
           check_graph(f, nodes);
}

/* NULL: *status says why. */
static ratoon_pipeline *parse(const char *name, const char *text, size_t size, const char *base_dir,
                              ratoon_status *status, ratoon_error *error)
{
    ratoon__arena nodes = {0};
    ratoon__file f = {.name = name, .nodes = &nodes, .error = error, .p = ratoon__pipeline_new()};
    const ratoon__node *root = NULL;
    if (f.p == NULL) {
        ratoon__bad_memory(&f);
        *status = f.status;
        return NULL;
    }
    *status = ratoon__yaml_parse(name, text, size, &nodes, &root, error);
    if (*status == RATOON_OK && !read_file(&f, root, base_dir)) {
        *status = f.status;
    }
    ratoon__arena_free(&nodes);
    if (*status != RATOON_OK) {
        ratoon__pipeline_unref(f.p);
        return NULL;
    }
    return f.p;
}

static ratoon_status digest_of(ratoon_pipeline *p, ratoon_error *error)
{
    const ratoon_status status = ratoon__sha256(p->canonical, p->canonical_size, &p->digest);
    return status == RATOON_OK ? status : ratoon__fail(error, status, "no memory for a digest");
}

ratoon_status ratoon_pipeline_parse(const char *name, const char *text, size_t size,
                                    const char *base_dir, ratoon_pipeline **out,
                                    ratoon_error *error)
{
    if (out == NULL || (text == NULL && size > 0)) {
        return ratoon__fail(error, RATOON_ERR_USAGE, "a pipeline needs a text and a place to go");
    }
    if (name == NULL || name[0] == '\0') {
        name = "pipeline";
    }
    if (size > RATOON__PIPELINE_FILE_MAX) {
        return ratoon__fail(error, RATOON_ERR_PIPELINE_INVALID,
                            "%s: found %U bytes, expected a pipeline file of at most %u", name,
                            (uint64_t)size, (uint32_t)RATOON__PIPELINE_FILE_MAX);
    }
    ratoon_status status = RATOON_OK;
    ratoon_pipeline *p = parse(name, text, size, base_dir, &status, error);
    if (p == NULL) {
        return status;
    }
    status = ratoon__pipeline_canonical_make(p, error);
    if (status == RATOON_OK) {
        status = digest_of(p, error);
    }
    if (status != RATOON_OK) {
        ratoon__pipeline_unref(p);
        return status;
    }
    *out = p;
    return RATOON_OK;
}

ratoon_status ratoon__pipeline_parse_canonical(const char *text, size_t size, const char *base_dir,
                                               const ratoon_digest *digest, ratoon_pipeline **out,
                                               ratoon_error *error)
{
    ratoon_status status = RATOON_OK;
    ratoon_pipeline *p = parse("stored definition", text, size, base_dir, &status, error);
    if (p == NULL) {
        return status;
    }
    /* Not made anew: a later version may have more defaults to fill in, and the run's definition is
     * what was stored. */
    char *copy = ratoon__arena_alloc(&p->arena, size + 1);
    if (copy == NULL) {
        status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "no memory for a definition");
    } else {
        memcpy(copy, text, size);
        p->canonical = copy;
        p->canonical_size = size;
        status = digest_of(p, error);
    }
    if (status == RATOON_OK && digest != NULL && !ratoon__digest_equal(&p->digest, digest)) {
        status = ratoon__fail(error, RATOON_ERR_DAMAGED,
                              "a stored definition is not what its digest says");
    }
    if (status != RATOON_OK) {
        ratoon__pipeline_unref(p);
        return status;
    }
    *out = p;
    return RATOON_OK;
}

/* Reading the nodes of a pipeline file: tables of fields, and a reader for each kind of value. A
 * reader that returns false has recorded why in its file. */
#ifndef RATOON_LOG_PIPELINE_READ_H
#define RATOON_LOG_PIPELINE_READ_H

#include "core/pipeline.h"
#include "log/yaml_tree.h"

typedef struct ratoon__file {
    const char *name;     /* for messages */
    ratoon_pipeline *p;   /* the draft; what stays goes into its arena */
    ratoon__arena *nodes; /* what is freed after parsing */
    ratoon_error *error;
    ratoon_status status;
} ratoon__file;

typedef struct ratoon__field ratoon__field;
typedef bool ratoon__reader(ratoon__file *f, const ratoon__node *n, const ratoon__field *field,
                            void *out);
struct ratoon__field {
    const char *key;
    ratoon__reader *read;
    size_t offset; /* of what it fills in, within the target */
    bool required;
    double min, max; /* of numbers */
};

/* Reads a mapping whose keys are those of the table; `what` names it in messages ("a stage"). */
bool ratoon__read_fields(ratoon__file *f, const ratoon__node *n, const char *what,
                         const ratoon__field *fields, size_t count, void *target);

/* Fills in the error, with the node's position; always false. Messages read "found …, expected …".
 */
bool ratoon__bad(ratoon__file *f, const ratoon__node *n, const char *format, ...);
bool ratoon__bad_limit(ratoon__file *f, const ratoon__node *n, const char *format, ...);
bool ratoon__bad_memory(ratoon__file *f);
/* A node in words, for messages: "a list", "nothing", its text in quotes. */
const char *ratoon__shown(ratoon__file *f, const ratoon__node *n);
bool ratoon__is_null(const ratoon__node *n); /* "key:" without a value, ~ or null */
void *ratoon__keep(ratoon__file *f, size_t count, size_t size); /* in the definition's arena */
const char *ratoon__keep_text(ratoon__file *f, const char *text);

/* Checks of nodes that are no fields. */
bool ratoon__expect(ratoon__file *f, const ratoon__node *n, ratoon__node_kind kind,
                    const char *expected);
bool ratoon__expect_text(ratoon__file *f, const ratoon__node *n, const char *expected);
/* A name: 1 to 255 bytes without control characters; `what` says whose. */
bool ratoon__check_name(ratoon__file *f, const ratoon__node *n, const char *what);
/* The first element of a list that stands in it twice, or NULL; *failed without memory. */
const ratoon__node *ratoon__find_twice(const ratoon__node *list, bool *failed);

/* Readers of fields; in brackets the type of what they fill in. */
ratoon__reader ratoon__read_node;     /* const ratoon__node *: looked at later */
ratoon__reader ratoon__read_bool;     /* bool */
ratoon__reader ratoon__read_name;     /* const char * */
ratoon__reader ratoon__read_text;     /* const char *: not empty */
ratoon__reader ratoon__read_u32;      /* uint32_t within min and max */
ratoon__reader ratoon__read_u64;      /* uint64_t within min and max */
ratoon__reader ratoon__read_i32;      /* int within min and max */
ratoon__reader ratoon__read_number;   /* double within min and max */
ratoon__reader ratoon__read_duration; /* uint64_t milliseconds */

/* Lists of texts: arguments of a command, state keys (each once). */
bool ratoon__read_argv(ratoon__file *f, const ratoon__node *n, const char *const **out,
                       size_t *count);
bool ratoon__read_keys(ratoon__file *f, const ratoon__node *n, const char *const **out,
                       size_t *count);
/* An error class by name. */
bool ratoon__class_of(ratoon__file *f, const ratoon__node *n, ratoon_class *out);
ratoon__reader ratoon__read_class; /* ratoon_class */

/* The parts of a file. */
bool ratoon__read_params(ratoon__file *f, const ratoon__node *n);
bool ratoon__read_policy(ratoon__file *f, const ratoon__node *n);
/* *nodes: the node of each stage, for messages about the graph. */
bool ratoon__read_stages(ratoon__file *f, const ratoon__node *n, const ratoon__node *const **nodes);
bool ratoon__read_adjusts(ratoon__file *f, const ratoon__node *n, ratoon__stage_def *stage);

/* The canonical form of a finished draft into its arena. */
ratoon_status ratoon__pipeline_canonical_make(ratoon_pipeline *p, ratoon_error *error);

#endif

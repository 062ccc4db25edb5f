/* A YAML document as a tree of nodes with positions: mappings, lists and scalars, nothing else.
 * What YAML has beyond that (anchors, aliases, tags, further documents) is refused. */
#ifndef RATOON_LOG_YAML_TREE_H
#define RATOON_LOG_YAML_TREE_H

#include "core/mem.h"

#define RATOON__YAML_DEPTH_MAX 32

typedef enum ratoon__node_kind {
    RATOON__NODE_SCALAR = 1,
    RATOON__NODE_LIST,
    RATOON__NODE_MAP,
} ratoon__node_kind;

typedef struct ratoon__node {
    ratoon__node_kind kind;
    uint32_t line, column; /* from 1; the column counts characters */
    bool plain;            /* of a scalar: not in quotes, not a block */
    const char *text;      /* of a scalar: without NUL inside */
    size_t size;
    struct ratoon__node *first, *last; /* a list's elements; a mapping's keys and values in turn */
    size_t count;                      /* elements, or keys */
    struct ratoon__node *next;
} ratoon__node;

/* Parses one document; nodes and texts are in the arena. PIPELINE_INVALID with position and
 * "NAME:LINE:COLUMN: found …, expected …". Keys of a mapping are scalars, each once. */
ratoon_status ratoon__yaml_parse(const char *name, const char *text, size_t size,
                                 ratoon__arena *arena, const ratoon__node **root,
                                 ratoon_error *error);

/* Fills *error (may be NULL) like ratoon__fail(), with the position before the message. */
ratoon_status ratoon__fail_at(ratoon_error *error, ratoon_status code, const char *name,
                              uint32_t line, uint32_t column, const char *format, ...);
ratoon_status ratoon__vfail_at(ratoon_error *error, ratoon_status code, const char *name,
                               uint32_t line, uint32_t column, const char *format, va_list args);
#endif

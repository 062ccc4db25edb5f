#include "log/yaml_tree.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

typedef struct builder {
    const char *name;
    const char *input;
    size_t input_size;
    ratoon__arena *arena;
    ratoon_error *error;
    yaml_parser_t parser;
    ratoon__node *open[RATOON__YAML_DEPTH_MAX]; /* containers that have not ended */
    uint32_t depth;
    ratoon__node *root;
    ratoon_status status;
} builder;

ratoon_status ratoon__vfail_at(ratoon_error *error, ratoon_status code, const char *name,
                               uint32_t line, uint32_t column, const char *format, va_list args)
{
    ratoon__buf message = {0};
    ratoon__buf_vformat(&message, format, args);
    if (message.failed) {
        ratoon__fail(error, code, "%s:%u:%u: out of memory", name, line, column);
    } else {
        ratoon__fail(error, code, "%s:%u:%u: %s", name, line, column,
                     message.data != NULL ? message.data : "");
    }
    ratoon__buf_free(&message);
    if (error != NULL) {
        error->line = line;
        error->column = column;
    }
    return code;
}

ratoon_status ratoon__fail_at(ratoon_error *error, ratoon_status code, const char *name,
                              uint32_t line, uint32_t column, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    ratoon__vfail_at(error, code, name, line, column, format, args);
    va_end(args);
    return code;
}

static bool bad(builder *b, yaml_mark_t mark, const char *found, const char *expected)
{
    b->status =
        ratoon__fail_at(b->error, RATOON_ERR_PIPELINE_INVALID, b->name, (uint32_t)mark.line + 1,
                        (uint32_t)mark.column + 1, "found %s, expected %s", found, expected);
    return false;
}

static bool no_memory(builder *b)
{
    b->status = ratoon__fail(b->error, RATOON_ERR_NO_MEMORY, "no memory to read %s", b->name);
    return false;
}

/* libyaml gives no line and column for bytes that are no UTF-8, only where they are: of a character
 * that is cut, where it should go on. */
static yaml_mark_t mark_of(const builder *b, size_t offset)
{
    yaml_mark_t mark = {0, 0, 0};
    for (size_t i = 0; i < offset && i < b->input_size; i++) {
        const unsigned char c = (unsigned char)b->input[i];
        if (c == '\n') {
            mark.line++;
            mark.column = 0;
        } else if ((c & 0xc0) != 0x80) {
            mark.column++;
        }
    }
    if (strstr(b->parser.problem, "trailing") != NULL && mark.column > 0) {
        mark.column--;
    }
    return mark;
}

static bool parser_failed(builder *b)
{
    const yaml_parser_t *p = &b->parser;
    if (p->error == YAML_MEMORY_ERROR) {
        return no_memory(b);
    }
    if (p->error == YAML_READER_ERROR) {
        const bool control = strstr(p->problem, "control") != NULL;
        return bad(b, mark_of(b, p->problem_offset),
                   control ? "a control character" : "bytes that are no UTF-8", "UTF-8 text");
    }
    ratoon__buf found = {0};
    ratoon__buf_format(&found, "what is no YAML (%s)", p->problem);
    bad(b, p->problem_mark, found.failed ? "what is no YAML" : found.data, "well-formed YAML");
    ratoon__buf_free(&found);
    return false;
}

static int compare_keys(const void *a, const void *b)
{
    const ratoon__node *left = *(const ratoon__node *const *)a;
    const ratoon__node *right = *(const ratoon__node *const *)b;
    const int order = strcmp(left->text, right->text);
    if (order != 0) {
        return order;
    }
    return left->line != right->line
               ? (left->line > right->line) - (left->line < right->line)
               : (left->column > right->column) - (left->column < right->column);
}

static bool check_keys_once(builder *b, const ratoon__node *map)
{
    if (map->count < 2) {
        return true;
    }
    const ratoon__node **keys = malloc(map->count * sizeof(ratoon__node *));
    if (keys == NULL) {
        return no_memory(b);
    }
    size_t count = 0;
    for (const ratoon__node *key = map->first; key != NULL; key = key->next->next) {
        keys[count++] = key;
    }
    qsort(keys, count, sizeof(ratoon__node *), compare_keys);
    const ratoon__node *again = NULL;
    for (size_t i = 1; i < count; i++) {
        if (strcmp(keys[i - 1]->text, keys[i]->text) == 0) {
            again = keys[i];
            break;
        }
    }
    free(keys);
    if (again != NULL) {
        b->status = ratoon__fail_at(
            b->error, RATOON_ERR_PIPELINE_INVALID, b->name, again->line, again->column,
            "found the key \"%s\" a second time, expected each key once", again->text);
    }
    return again == NULL;
}

static bool awaits_key(const ratoon__node *open, size_t children)
{
    return open->kind == RATOON__NODE_MAP && children % 2 == 0;
}

/* Appends a node to the innermost container. `count` of a mapping counts keys and values until its
 * end halves it. */
static bool attach(builder *b, ratoon__node *node, yaml_mark_t mark)
{
    if (b->depth == 0) {
        b->root = node;
        return true;
    }
    ratoon__node *parent = b->open[b->depth - 1];
    if (awaits_key(parent, parent->count) && node->kind != RATOON__NODE_SCALAR) {
        return bad(b, mark,
                   node->kind == RATOON__NODE_LIST ? "a list as a key" : "a mapping as a key",
                   "text");
    }
    if (parent->last != NULL) {
        parent->last->next = node;
    } else {
        parent->first = node;
    }
    parent->last = node;
    parent->count++;
    return true;
}

static ratoon__node *new_node(builder *b, ratoon__node_kind kind, yaml_mark_t mark)
{
    ratoon__node *node = ratoon__arena_alloc(b->arena, sizeof *node);
    if (node == NULL) {
        no_memory(b);
        return NULL;
    }
    node->kind = kind;
    node->line = (uint32_t)mark.line + 1;
    node->column = (uint32_t)mark.column + 1;
    return node;
}

static bool add_scalar(builder *b, const yaml_event_t *e)
{
    const char *text = (const char *)e->data.scalar.value;
    const size_t size = e->data.scalar.length;
    if (memchr(text, '\0', size) != NULL) {
        return bad(b, e->start_mark, "text with a zero byte", "text without");
    }
    ratoon__node *node = new_node(b, RATOON__NODE_SCALAR, e->start_mark);
    if (node == NULL) {
        return false;
    }
    char *copy = ratoon__arena_alloc(b->arena, size + 1);
    if (copy == NULL) {
        return no_memory(b);
    }
    memcpy(copy, text, size);
    node->text = copy;
    node->size = size;
    node->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return attach(b, node, e->start_mark);
}

static bool begin(builder *b, ratoon__node_kind kind, yaml_mark_t mark)
{
    if (b->depth == RATOON__YAML_DEPTH_MAX) {
        return bad(b, mark, "more than 32 levels of lists and mappings", "at most 32");
    }
    ratoon__node *node = new_node(b, kind, mark);
    if (node == NULL || !attach(b, node, mark)) {
        return false;
    }
    b->open[b->depth++] = node;
    return true;
}

static bool end(builder *b)
{
    ratoon__node *node = b->open[--b->depth];
    if (node->kind == RATOON__NODE_MAP) {
        node->count /= 2;
        return check_keys_once(b, node);
    }
    return true;
}

static bool check_plain(builder *b, const yaml_event_t *e, const yaml_char_t *anchor,
                        const yaml_char_t *tag)
{
    if (anchor != NULL) {
        return bad(b, e->start_mark, "an anchor", "a value without one");
    }
    if (tag != NULL) {
        return bad(b, e->start_mark, "a tag", "a value without one");
    }
    return true;
}

/* True: go on. */
static bool take(builder *b, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return check_plain(b, e, e->data.scalar.anchor, e->data.scalar.tag) && add_scalar(b, e);
    case YAML_SEQUENCE_START_EVENT:
        return check_plain(b, e, e->data.sequence_start.anchor, e->data.sequence_start.tag) &&
               begin(b, RATOON__NODE_LIST, e->start_mark);
    case YAML_MAPPING_START_EVENT:
        return check_plain(b, e, e->data.mapping_start.anchor, e->data.mapping_start.tag) &&
               begin(b, RATOON__NODE_MAP, e->start_mark);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return end(b);
    case YAML_ALIAS_EVENT:
        return bad(b, e->start_mark, "an alias", "the value itself");
    case YAML_DOCUMENT_START_EVENT:
        return b->root == NULL || bad(b, e->start_mark, "a second document", "one document");
    case YAML_STREAM_END_EVENT:
        return b->root != NULL || bad(b, (yaml_mark_t){0, 0, 0}, "nothing",
                                      "a mapping with \"pipeline\" and \"stages\"");
    default:
        return true;
    }
}

ratoon_status ratoon__yaml_parse(const char *name, const char *text, size_t size,
                                 ratoon__arena *arena, const ratoon__node **root,
                                 ratoon_error *error)
{
    builder b = {.name = name, .input = text, .input_size = size, .arena = arena, .error = error};
    if (yaml_parser_initialize(&b.parser) == 0) {
        no_memory(&b);
        return b.status;
    }
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)(size > 0 ? text : ""), size);
    bool more = true;
    while (more) {
        yaml_event_t event;
        if (yaml_parser_parse(&b.parser, &event) == 0) {
            parser_failed(&b);
            break;
        }
        more = take(&b, &event) && event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&b.parser);
    if (b.status == RATOON_OK) {
        *root = b.root;
    }
    return b.status;
}

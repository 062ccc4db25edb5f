/* Tables and trees, on libsmartcols. */
#ifndef RATOON_TOOLS_TABLE_H
#define RATOON_TOOLS_TABLE_H

#include "tools/ratoon/text.h"

#include <libsmartcols/libsmartcols.h>

typedef struct table {
    struct libscols_table *smart;
    bool colored;
    size_t columns;
} table;

/* headings: names, NULL at the end. First a mark may stand: '>' right-aligned, '~' cut where the
 * terminal is too narrow, '/' the tree is drawn in it. */
void table_open(table *t, const app *a, const char *const *headings);
/* A new line, below parent (NULL: at the top). */
struct libscols_line *table_line(table *t, struct libscols_line *parent);
/* Text from outside; it is escaped. NULL is "". */
void table_set(table *t, struct libscols_line *line, size_t column, const char *text);
void table_format(table *t, struct libscols_line *line, size_t column, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void table_style(table *t, struct libscols_line *line, size_t column, text_style style);
/* Prints it to stdout with each line indented, without empty columns, and frees it. */
void table_close(table *t, const char *indent);

#endif

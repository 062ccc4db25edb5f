/* Tables and trees, on libsmartcols. */
#include "tools/ratoon/table.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void table_open(table *t, const app *a, const char *const *headings)
{
    t->smart = scols_new_table();
    t->colored = text_colored(a, stdout);
    t->columns = 0;
    if (t->smart == NULL) {
        abort();
    }
    scols_table_enable_colors(t->smart, t->colored);
    scols_table_enable_noencoding(t->smart, 1); /* what is put into it is escaped already */
    scols_table_set_column_separator(t->smart, "  ");
    if (!text_utf8()) {
        scols_table_enable_ascii(t->smart, 1);
    }
    const size_t width = text_terminal_width(STDOUT_FILENO);
    scols_table_set_termforce(t->smart, width > 0 ? SCOLS_TERMFORCE_AUTO : SCOLS_TERMFORCE_NEVER);
    for (; *headings != NULL; headings++, t->columns++) {
        const char *name = *headings;
        int flags = 0;
        for (;; name++) {
            if (*name == '>') {
                flags |= SCOLS_FL_RIGHT;
            } else if (*name == '~') {
                flags |= SCOLS_FL_TRUNC;
            } else if (*name == '/') {
                flags |= SCOLS_FL_TREE;
            } else {
                break;
            }
        }
        if (scols_table_new_column(t->smart, name, 0, flags) == NULL) {
            abort();
        }
    }
}

struct libscols_line *table_line(table *t, struct libscols_line *parent)
{
    struct libscols_line *line = scols_table_new_line(t->smart, parent);
    if (line == NULL) {
        abort();
    }
    return line;
}

void table_set(table *t, struct libscols_line *line, size_t column, const char *text)
{
    (void)t;
    if (text == NULL || *text == '\0') {
        return;
    }
    if (scols_line_refer_data(line, column, text_escape(text)) != 0) {
        abort();
    }
}

void table_format(table *t, struct libscols_line *line, size_t column, const char *format, ...)
{
    char *text = NULL;
    va_list list;
    va_start(list, format);
    const int length = vasprintf(&text, format, list);
    va_end(list);
    if (length < 0) {
        abort();
    }
    table_set(t, line, column, text);
    free(text);
}

void table_style(table *t, struct libscols_line *line, size_t column, text_style style)
{
    if (t->colored && style != STYLE_NONE) {
        scols_cell_set_color(scols_line_get_cell(line, column), text_style_on(true, style));
    }
}

/* Columns in which no line has anything are left out. */
static void hide_empty(table *t)
{
    struct libscols_iter *lines = scols_new_iter(SCOLS_ITER_FORWARD);
    for (size_t c = 0; lines != NULL && c < t->columns; c++) {
        struct libscols_line *line = NULL;
        bool filled = false;
        scols_reset_iter(lines, SCOLS_ITER_FORWARD);
        while (!filled && scols_table_next_line(t->smart, lines, &line) == 0) {
            const char *data = scols_cell_get_data(scols_line_get_cell(line, c));
            filled = data != NULL && *data != '\0';
        }
        if (!filled) {
            struct libscols_column *column = scols_table_get_column(t->smart, c);
            scols_column_set_flags(column, scols_column_get_flags(column) | SCOLS_FL_HIDDEN);
        }
    }
    scols_free_iter(lines);
}

void table_close(table *t, const char *indent)
{
    if (scols_table_get_nlines(t->smart) > 0) {
        hide_empty(t);
        char *text = NULL;
        const size_t width = text_terminal_width(STDOUT_FILENO);
        if (width > strlen(indent) + 20) {
            scols_table_set_termwidth(t->smart, width - strlen(indent));
            scols_table_set_termforce(t->smart, SCOLS_TERMFORCE_ALWAYS);
        }
        if (scols_print_table_to_string(t->smart, &text) == 0 && text != NULL) {
            for (char *line = text; *line != '\0';) {
                const size_t length = strcspn(line, "\n");
                size_t shown = length;
                while (shown > 0 && line[shown - 1] == ' ') {
                    shown--;
                }
                printf("%s%.*s\n", indent, (int)shown, line);
                line += length + (line[length] == '\n');
            }
        }
        free(text);
    }
    scols_unref_table(t->smart);
    t->smart = NULL;
}

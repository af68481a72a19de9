/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <unistd.h>

struct cell {
    char *text;
    enum table_colour colour;
};

struct table {
    GPtrArray *headings; /* char *, without '>' */
    GArray *right;       /* bool per column */
    GArray *cells;       /* struct cell, row by row */
};

static void
clear_cell(gpointer p)
{
    g_free(((struct cell *)p)->text);
}

struct table *
table_new(const char *heading, ...)
{
    struct table *t = g_new(struct table, 1);
    va_list args;
    t->headings = g_ptr_array_new_with_free_func(g_free);
    t->right = g_array_new(FALSE, FALSE, sizeof(bool));
    t->cells = g_array_new(FALSE, FALSE, sizeof(struct cell));
    g_array_set_clear_func(t->cells, clear_cell);
    va_start(args, heading);
    for (; heading; heading = va_arg(args, const char *)) {
        bool right = *heading == '>';
        g_ptr_array_add(t->headings, g_strdup(heading + right));
        g_array_append_val(t->right, right);
    }
    va_end(args);
    return t;
}

void
table_free(struct table *t)
{
    g_ptr_array_unref(t->headings);
    g_array_unref(t->right);
    g_array_unref(t->cells);
    g_free(t);
}

/* What came from elsewhere must not steer the terminal. */
static char *
harmless(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    GString *out = g_string_new(NULL);
    for (char *p = valid; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        g_string_append_unichar(out, g_unichar_iscntrl(c) ? ' ' : c);
    }
    return g_string_free(out, FALSE);
}

void
table_add_colour(struct table *t, const char *text, enum table_colour colour)
{
    struct cell cell = {harmless(text && *text ? text : "-"), colour};
    g_array_append_val(t->cells, cell);
}

void
table_add(struct table *t, const char *text)
{
    table_add_colour(t, text, TABLE_PLAIN);
}

void
table_add_format(struct table *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    table_add(t, text);
}

static int
width(const char *text)
{
    return (int)g_utf8_strlen(text, -1);
}

static int
column_width(const struct table *t, guint column)
{
    int widest = width(g_ptr_array_index(t->headings, column));
    for (guint i = column; i < t->cells->len; i += t->headings->len)
        widest = MAX(widest, width(g_array_index(t->cells, struct cell, i).text));
    return widest;
}

static void
print_cell(const struct table *t, guint column, int space, const struct cell *cell, bool colours, FILE *to)
{
    static const char *const codes[] = {
        [TABLE_PLAIN] = "", [TABLE_GOOD] = "\033[32m", [TABLE_WARNING] = "\033[33m", [TABLE_BAD] = "\033[31m"};
    bool right = g_array_index(t->right, bool, column), last = column + 1 == t->headings->len;
    const char *code = colours ? codes[cell->colour] : "";
    int pad = space - width(cell->text);
    fprintf(to, "%s%*s%s%s%s", column ? "  " : "", right ? pad : 0, "", code, cell->text, *code ? "\033[0m" : "");
    fprintf(to, "%*s%s", right || last ? 0 : pad, "", last ? "\n" : "");
}

void
table_print(const struct table *t, FILE *to)
{
    guint columns = t->headings->len;
    bool colours = isatty(fileno(to)) && !g_getenv("NO_COLOR");
    g_autofree int *widths = g_new(int, columns);
    for (guint c = 0; c < columns; c++) {
        struct cell heading = {g_ptr_array_index(t->headings, c), TABLE_PLAIN};
        widths[c] = column_width(t, c);
        print_cell(t, c, widths[c], &heading, false, to);
    }
    for (guint i = 0; i < t->cells->len; i++)
        print_cell(t, i % columns, widths[i % columns], &g_array_index(t->cells, struct cell, i), colours, to);
}

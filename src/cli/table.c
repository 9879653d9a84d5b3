/* Tables for people. Widths count UTF-8 characters; East Asian wide ones count two. */
#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/vector.h"
#include "cli/cli.h"

enum { TABLE_CELLS_MAX = 1 << 20, TABLE_GAP = 2, TABLE_COLUMNS_MAX = 24 };

struct table {
    struct cli *cli;
    const char *const *heads;
    const enum table_align *aligns;
    uint32_t columns;
    struct vector cells; /* struct slice */
};

/* Display columns of the character that starts at text[*i]; moves on to the next. */
static uint32_t glyph_width(struct slice text, size_t *i)
{
    unsigned char c = (unsigned char)text.data[*i];
    size_t len = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    uint32_t code = c < 0x80 ? c : c & (0x7Fu >> len);
    for (size_t k = 1; k < len && *i + k < text.len; k++)
        code = code << 6 | ((unsigned char)text.data[*i + k] & 0x3F);
    *i += len;
    bool is_wide = (code >= 0x1100 && code <= 0x115F) || (code >= 0x2E80 && code <= 0xA4CF) ||
                   (code >= 0xAC00 && code <= 0xD7A3) || (code >= 0xF900 && code <= 0xFAFF) ||
                   (code >= 0xFE30 && code <= 0xFE6F) || (code >= 0xFF00 && code <= 0xFF60) ||
                   code >= 0x20000;
    return is_wide ? 2 : 1;
}

static uint32_t text_width(struct slice text)
{
    uint32_t width = 0;
    for (size_t i = 0; i < text.len;)
        width += glyph_width(text, &i);
    return width;
}

static struct slice text_cut(struct slice text, uint32_t width_max)
{
    uint32_t width = 0;
    size_t i = 0;
    while (i < text.len) {
        size_t next = i;
        width += glyph_width(text, &next);
        if (width > width_max)
            break;
        i = next;
    }
    return (struct slice){text.data, i < text.len ? i : text.len};
}

struct table *table_create(struct cli *cli, const char *const *heads,
                           const enum table_align *aligns, uint32_t columns)
{
    struct table *table = arena_alloc(&cli->arena, sizeof(*table));
    ASSERT(table != NULL && columns > 0 && columns <= TABLE_COLUMNS_MAX);
    *table = (struct table){.cli = cli, .heads = heads, .aligns = aligns, .columns = columns};
    vector_init(&table->cells, sizeof(struct slice), TABLE_CELLS_MAX);
    return table;
}

void table_cell(struct table *table, struct slice text)
{
    struct slice safe = cli_safe(table->cli, text);
    if (vector_push(&table->cells, &safe) != ERR_OK)
        (void)cli_fail(table->cli, EXIT_FAILED, "the table is too long; narrow the question");
}

void table_cell_text(struct table *table, const char *text)
{
    table_cell(table, slice_of(text == NULL ? "" : text));
}

void table_cell_printf(struct table *table, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    ASSERT(n >= 0);
    table_cell(table,
               (struct slice){text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1});
}

/* At a terminal a line ends at its edge, so that one row is one line. */
static void cell_print(const struct table *table, uint32_t column, struct slice text,
                       uint32_t width, uint32_t *used)
{
    bool is_last = column + 1 == table->columns, is_cut = table->cli->is_terminal;
    uint32_t room = table->cli->columns > *used ? table->cli->columns - *used : 0;
    if (is_cut && width > room)
        width = room;
    if (is_cut)
        text = text_cut(text, width);
    uint32_t have = text_width(text), pad = width > have ? width - have : 0;
    if (table->aligns != NULL && table->aligns[column] == TABLE_RIGHT)
        printf("%*s%.*s", (int)pad, "", SLICE_ARG(text));
    else
        printf("%.*s%*s", SLICE_ARG(text), is_last ? 0 : (int)pad, "");
    *used += width;
    if (!is_last && (!is_cut || *used + TABLE_GAP <= table->cli->columns)) {
        printf("%*s", TABLE_GAP, "");
        *used += TABLE_GAP;
    } else if (!is_last) {
        *used = table->cli->columns;
    }
}

void table_print(struct table *table)
{
    uint32_t widths[TABLE_COLUMNS_MAX], used = 0;
    for (uint32_t c = 0; c < table->columns; c++)
        widths[c] = text_width(slice_of(table->heads[c]));
    for (size_t i = 0; i < table->cells.len; i++) {
        uint32_t width = text_width(*(struct slice *)vector_at(&table->cells, i));
        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    for (uint32_t c = 0; c < table->columns; c++)
        cell_print(table, c, slice_of(table->heads[c]), widths[c], &used);
    printf("\n");
    for (size_t i = 0; i < table->cells.len; i++) {
        uint32_t column = (uint32_t)(i % table->columns);
        if (column == 0)
            used = 0;
        cell_print(table, column, *(struct slice *)vector_at(&table->cells, i), widths[column],
                   &used);
        if (column + 1 == table->columns)
            printf("\n");
    }
    vector_deinit(&table->cells);
}

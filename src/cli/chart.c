#include "cli/chart.h"

struct glyphs {
    const char *lower, *upper, *none, *unknown, *wall, *floor, *corner;
    const char *tops[8]; /* the upper part's edge, in eighths of a row */
};

static const struct glyphs PLAIN = {"o", "#", " ", "?",
                                    "|", "-", "+", {" ", " ", " ", " ", "#", "#", "#", "#"}};
static const struct glyphs BLOCKS = {"▒", "█", " ", "·",
                                     "│", "─", "└", {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇"}};

/* What stands in the row from `floor` percent on. */
static const char *glyph_at(const struct glyphs *glyphs, const struct chart_point *point, int row)
{
    const double height = 100.0 / CHART_ROWS, floor = row * height;
    if (!point->is_known)
        return row == 0 ? glyphs->unknown : glyphs->none;
    if (point->lower >= floor + height / 2)
        return glyphs->lower;
    double filled = (point->upper - floor) / height;
    if (filled >= 1)
        return glyphs->upper;
    int eighths = filled > 0 ? (int)(filled * 8 + 0.5) : 0;
    return eighths >= 8 ? glyphs->upper : glyphs->tops[eighths];
}

void chart_stacked(const struct chart_point *points, uint32_t count, uint32_t columns,
                   bool is_plain, struct buffer *out)
{
    const struct glyphs *glyphs = is_plain ? &PLAIN : &BLOCKS;
    uint32_t room =
        columns > CHART_MARGIN + CHART_COLUMNS_MIN ? columns - CHART_MARGIN : CHART_COLUMNS_MIN;
    if (room > CHART_COLUMNS_MAX)
        room = CHART_COLUMNS_MAX;
    if (count > room) {
        points += count - room;
        count = room;
    }
    uint32_t wide = count > 0 ? room / count : 1;
    for (int row = CHART_ROWS - 1; row >= 0; row--) {
        if (row == CHART_ROWS - 1 || row == CHART_ROWS / 2 - 1)
            buffer_printf(out, "%3d %% %s", (row + 1) * 100 / CHART_ROWS, glyphs->wall);
        else
            buffer_printf(out, "      %s", glyphs->wall);
        for (uint32_t i = 0; i < count * wide; i++)
            buffer_append_text(out, glyph_at(glyphs, &points[i / wide], row));
        buffer_append_char(out, '\n');
    }
    buffer_printf(out, "  0 %% %s", glyphs->corner);
    for (uint32_t i = 0; i < count * wide; i++)
        buffer_append_text(out, glyphs->floor);
    buffer_append_char(out, '\n');
}

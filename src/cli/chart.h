/* A chart for people: two parts on top of each other over time, in percent. */
#ifndef LQ_CLI_CHART_H
#define LQ_CLI_CHART_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

enum { CHART_ROWS = 10, CHART_MARGIN = 7, CHART_COLUMNS_MIN = 10, CHART_COLUMNS_MAX = 400 };

struct chart_point {
    bool is_known;
    double lower, upper; /* upper includes lower; 0 to 100 */
};

/* Lines of at most `columns` characters, each ended; a point is as many columns wide as there is
 * room for all. `is_plain`: ASCII only. Of more points than fit, the newest. */
void chart_stacked(const struct chart_point *points, uint32_t count, uint32_t columns,
                   bool is_plain, struct buffer *out);

#endif

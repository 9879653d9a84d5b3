/* A table of round trips: from the head of a row to the head of a column, milliseconds, empty cells
 * where nothing is known. A row that has no column of its name is passed over. */
#ifndef LQ_SIM_RTT_TABLE_H
#define LQ_SIM_RTT_TABLE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

enum { RTT_TABLE_MAX = 128 };

struct rtt_table {
    struct slice names[RTT_TABLE_MAX];
    uint32_t count;
    uint32_t us[RTT_TABLE_MAX][RTT_TABLE_MAX]; /* 0: not known */
};

/* ERR_INVALID, ERR_LIMIT with line and column. */
enum err rtt_table_read(struct slice csv, struct arena *arena, struct rtt_table *out,
                        struct fault *fault) LQ_CHECKED;
/* -1: none. */
int rtt_table_find(const struct rtt_table *table, const char *name);

#endif

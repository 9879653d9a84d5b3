/* Values that may be empty. Empty is a fact of its own ("not found in any source", "no limit"): it
 * is never turned into zero. Plain memory; zeroed means empty. */
#ifndef LQ_MODEL_MAYBE_H
#define LQ_MODEL_MAYBE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/money.h"

struct maybe_money {
    bool has;
    struct money value;
};
struct maybe_u64 {
    bool has;
    uint64_t value;
};

#define MAYBE_MONEY(v) ((struct maybe_money){true, (v)})
#define MAYBE_U64(v) ((struct maybe_u64){true, (v)})

bool maybe_money_is_equal(struct maybe_money a,
                          struct maybe_money b); /* two empty ones are equal */
bool maybe_u64_is_equal(struct maybe_u64 a, struct maybe_u64 b);

#endif

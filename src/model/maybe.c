#include "model/maybe.h"

bool maybe_money_is_equal(struct maybe_money a, struct maybe_money b)
{
    return a.has == b.has && (!a.has || a.value.micros == b.value.micros);
}

bool maybe_u64_is_equal(struct maybe_u64 a, struct maybe_u64 b)
{
    return a.has == b.has && (!a.has || a.value == b.value);
}

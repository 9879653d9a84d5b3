#include "model/reclaim.h"

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == ':' ||
           c == '-';
}

bool reclaim_is_breach(const struct reclaim *reclaim)
{
    return reclaim->promise.ms > 0 && reclaim->held.ms > reclaim->promise.ms;
}

enum err reclaim_check(const struct reclaim *reclaim, struct fault *fault)
{
    bool is_good = reclaim->name.len > 0 && reclaim->name.len <= RECLAIM_NAME_MAX;
    for (size_t i = 0; is_good && i < reclaim->name.len; i++)
        is_good = is_name_byte(reclaim->name.data[i]);
    if (!is_good)
        return fault_set(fault, ERR_INVALID, "name", "must be 1 to %d of a-z 0-9 . _ : -",
                         RECLAIM_NAME_MAX);
    if (reclaim->wait.ms < 0 || reclaim->held.ms < 0 || reclaim->promise.ms < 0)
        return fault_set(fault, ERR_INVALID, "held_ms", "must not be negative");
    return ERR_OK;
}

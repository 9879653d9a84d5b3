#include "model/usage.h"

#include <stddef.h>
#include <string.h>

#include "model/name.h"

/* 2^53 - 1: what every JSON reader holds exactly; 285,000 years of one device. */
#define QUANTITY_MAX ((INT64_C(1) << 53) - 1)

struct quantity {
    const char *name;
    size_t offset;
};

#define QUANTITY(field)                                                                            \
    {                                                                                              \
#field, offsetof(struct usage_quantities, field)                                           \
    }
static const struct quantity QUANTITIES[] = {
    QUANTITY(wall_ms),    QUANTITY(cpu_ms),       QUANTITY(cpu_held_ms),  QUANTITY(accel_ms),
    QUANTITY(mem_mib_ms), QUANTITY(gate_wait_ms), QUANTITY(kill_wait_ms),
};
enum { QUANTITY_COUNT = sizeof(QUANTITIES) / sizeof(QUANTITIES[0]) };
_Static_assert(QUANTITY_COUNT * sizeof(int64_t) == sizeof(struct usage_quantities),
               "a quantity is missing from the table");

static int64_t quantity_of(const struct usage_quantities *quantities, size_t index)
{
    int64_t value;
    memcpy(&value, (const char *)quantities + QUANTITIES[index].offset, sizeof(value));
    return value;
}

static enum err check_key(const struct usage_record *record, struct fault *fault)
{
    if (id_is_none(record->site.id) || id_is_none(record->journal.id))
        return fault_set(fault, ERR_INVALID, id_is_none(record->site.id) ? "site" : "journal",
                         "a usage record names its site and journal");
    if (record->seq == 0)
        return fault_set(fault, ERR_INVALID, "seq", "sequence numbers count from 1");
    if (id_is_none(record->token.job.id) || record->token.number == 0)
        return fault_set(fault, ERR_INVALID, "token", "a usage record names its attempt");
    if ((unsigned)record->runtime >= RUNTIME_COUNT_)
        return fault_set(fault, ERR_INVALID, "runtime", "%u is no runtime",
                         (unsigned)record->runtime);
    return ERR_OK;
}

enum err usage_record_check(const struct usage_record *record, struct fault *fault)
{
    enum err err = check_key(record, fault);
    const char *end;

    if (err != ERR_OK)
        return err;
    end = memchr(record->accelerator, '\0', sizeof(record->accelerator));
    if (end == NULL)
        return fault_set(fault, ERR_INVALID, "accelerator", "is not terminated");
    if (end != record->accelerator) {
        struct slice model = slice_make(record->accelerator, (size_t)(end - record->accelerator));
        err = text_line_check(model, sizeof(record->accelerator) - 1, "accelerator", fault);
        if (err != ERR_OK)
            return err;
    }
    for (size_t i = 0; i < QUANTITY_COUNT; i++) {
        int64_t delta = quantity_of(&record->delta, i), total = quantity_of(&record->total, i);
        if (delta < 0)
            return fault_set(fault, ERR_INVALID, QUANTITIES[i].name,
                             "a delta is never negative; mistakes are mended by reversal");
        if (total < delta)
            return fault_set(fault, ERR_INVALID, QUANTITIES[i].name,
                             "the running total is below its own delta");
        if (total > QUANTITY_MAX)
            return fault_set(fault, ERR_LIMIT, QUANTITIES[i].name, "the total is out of range");
    }
    return ERR_OK;
}

bool usage_record_is_equal(const struct usage_record *a, const struct usage_record *b)
{
    if (!id_is_equal(a->site.id, b->site.id) || !id_is_equal(a->journal.id, b->journal.id) ||
        a->seq != b->seq || !attempt_token_is_equal(&a->token, &b->token) ||
        a->is_last != b->is_last || a->runtime != b->runtime ||
        a->measured_at.us != b->measured_at.us ||
        strncmp(a->accelerator, b->accelerator, sizeof(a->accelerator)) != 0)
        return false;
    for (size_t i = 0; i < QUANTITY_COUNT; i++)
        if (quantity_of(&a->delta, i) != quantity_of(&b->delta, i) ||
            quantity_of(&a->total, i) != quantity_of(&b->total, i))
            return false;
    return true;
}

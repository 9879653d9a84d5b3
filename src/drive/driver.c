#include "drive/driver.h"

#include <stdarg.h>
#include <stdio.h>

#include "drive/driver_private.h"

void driver_submit(struct driver *driver, const struct attempt_token *token, struct slice order,
                   uint64_t incarnation)
{
    driver->ops->submit(driver, token, order, incarnation);
}

void driver_inspect(struct driver *driver, const struct attempt_token *token, uint64_t incarnation)
{
    driver->ops->inspect(driver, token, incarnation);
}

void driver_kill(struct driver *driver, const struct attempt_token *token, struct span_ms grace)
{
    driver->ops->kill(driver, token, grace);
}

void driver_measure(struct driver *driver)
{
    driver->ops->measure(driver);
}

void driver_probe(struct driver *driver, uint16_t node, uint64_t number)
{
    driver->ops->probe(driver, node, number);
}

void driver_list(struct driver *driver)
{
    driver->ops->list(driver);
}

void driver_forget(struct driver *driver, const struct attempt_token *token)
{
    driver->ops->forget(driver, token);
}

void driver_set_gate_limit(struct driver *driver, struct span_ms gate_limit)
{
    driver->ops->set_gate_limit(driver, gate_limit);
}

const struct driver_traits *driver_describe(const struct driver *driver)
{
    return &driver->traits;
}

enum err driver_rank_dir(const struct driver *driver, const struct attempt_token *token,
                         uint32_t rank, char *out_path, size_t size)
{
    return driver->ops->rank_dir(driver, token, rank, out_path, size);
}

void driver_destroy(struct driver *driver)
{
    if (driver != NULL)
        driver->ops->destroy(driver);
}

void driver_note(struct driver_traits *traits, const char *format, ...)
{
    va_list arguments;
    if (traits->note_count == DRIVER_NOTES_MAX)
        return;
    va_start(arguments, format);
    (void)vsnprintf(traits->notes[traits->note_count++], DRIVER_NOTE_MAX, format, arguments);
    va_end(arguments);
}

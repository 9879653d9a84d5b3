/* What a driver is made of; private to src/drive. */
#ifndef LQ_DRIVE_DRIVER_PRIVATE_H
#define LQ_DRIVE_DRIVER_PRIVATE_H

#include "drive/driver.h"

struct driver_ops {
    void (*submit)(struct driver *driver, const struct attempt_token *token, struct slice order,
                   uint64_t incarnation);
    void (*inspect)(struct driver *driver, const struct attempt_token *token, uint64_t incarnation);
    void (*kill)(struct driver *driver, const struct attempt_token *token, struct span_ms grace);
    void (*measure)(struct driver *driver);
    void (*probe)(struct driver *driver, uint16_t node, uint64_t number);
    void (*list)(struct driver *driver);
    void (*forget)(struct driver *driver, const struct attempt_token *token);
    void (*set_gate_limit)(struct driver *driver, struct span_ms gate_limit);
    enum err (*rank_dir)(const struct driver *driver, const struct attempt_token *token,
                         uint32_t rank, char *out_path, size_t size);
    void (*destroy)(struct driver *driver);
};

struct driver { /* the first member of each kind's own struct */
    const struct driver_ops *ops;
    struct driver_traits traits;
};

void driver_note(struct driver_traits *traits, const char *format, ...) LQ_PRINTF(2, 3);

#endif

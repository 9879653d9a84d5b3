/* Money: signed 64-bit millionths of one currency; every operation is overflow-checked; rounding is
 * half-even. */
#ifndef LQ_BASE_MONEY_H
#define LQ_BASE_MONEY_H

#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

struct money {
    int64_t micros;
};

enum { MONEY_TEXT_MAX = 32 };

enum err money_add(struct money a, struct money b,
                   struct money *out_sum) LQ_CHECKED; /* ERR_LIMIT */
/* a * numerator / denominator through 128 bits, rounded half-even. denominator > 0. ERR_LIMIT on
 * overflow. */
enum err money_scale(struct money a, int64_t numerator, int64_t denominator,
                     struct money *out) LQ_CHECKED;
struct money money_add_saturated(struct money a, struct money b); /* for scores, never for bills */
struct money money_scale_saturated(struct money a, int64_t numerator, int64_t denominator);
/* "12.5", "-0.000001"; at most six decimals; ERR_INVALID otherwise, ERR_LIMIT when it does not fit.
 */
enum err money_parse(struct slice text, struct money *out) LQ_CHECKED;
void money_format(struct money amount,
                  char out[MONEY_TEXT_MAX]); /* shortest exact decimal, at least 2 decimals */

#endif

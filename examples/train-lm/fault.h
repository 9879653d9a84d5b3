/* What went wrong, in one line for a person.
 *
 * A function that can fail returns false and fills the caller's fault; outputs stay untouched.
 * Owned by the caller; no threading rules beyond that. */
#ifndef LM_FAULT_H
#define LM_FAULT_H

#include <stdbool.h>

enum { LM_FAULT_MAX = 512 };

struct lm_fault {
    char text[LM_FAULT_MAX]; /* always terminated; no newline */
};

#define LM_CHECKED __attribute__((warn_unused_result))

/* Writes the line (cut at the limit) and returns false, so that `return lm_fail(…)` reads well.
 * `fault` may be NULL. */
bool lm_fail(struct lm_fault *fault, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif

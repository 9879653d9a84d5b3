/* The words of the enums, by value: one spelling for files, API, command line and store. Each
 * array has as many entries as its enum; the `..._name` and `..._parse` functions use them, and so
 * do readers that want to list what is allowed. Constant. */
#ifndef LQ_MODEL_WORDS_H
#define LQ_MODEL_WORDS_H

#include <stddef.h>

#include "base/err.h"
#include "base/slice.h"
#include "model/account.h"
#include "model/attempt.h"
#include "model/change.h"
#include "model/job.h"
#include "model/journal_change.h"
#include "model/site.h"

extern const char *const RUNTIME_WORDS[RUNTIME_COUNT_];
extern const char *const PRIORITY_WORDS[PRIORITY_COUNT_];
extern const char *const CONTACT_WORDS[CONTACT_COUNT_];
extern const char *const PROVENANCE_WORDS[PROVENANCE_COUNT_];
extern const char *const REGION_ROLE_WORDS[ROLE_COUNT_];
extern const char *const JOB_STATE_WORDS[JOB_STATE_COUNT_];
extern const char *const ATTEMPT_STATE_WORDS[ATTEMPT_STATE_COUNT_];
extern const char *const OUTCOME_WORDS[OUTCOME_COUNT_];
extern const char *const REVOKE_WORDS[REVOKE_REASON_COUNT_];
extern const char *const CLAIM_WORDS[CLAIM_COUNT_];
extern const char *const PHASE_WORDS[PHASE_COUNT_];
extern const char *const DOC_KIND_WORDS[DOC_KIND_COUNT_];
extern const char *const ARTIFACT_KIND_WORDS[ARTIFACT_KIND_COUNT_];
extern const char *const SITE_TIER_WORDS[TIER_COUNT_];
extern const char *const ENGINE_WORDS[ENGINE_COUNT_];
extern const char *const SITE_STATE_WORDS[SITE_STATE_COUNT_];
extern const char *const LINK_SOURCE_WORDS[LINK_SOURCE_COUNT_];
extern const char *const ROLE_WORDS[ROLE_KIND_COUNT_];
extern const char *const PERMISSION_WORDS[PERM_COUNT_];
extern const char *const REACH_WORDS[REACH_COUNT_];

/* Signals that a checkpoint may name, without "SIG". */
struct signal_word {
    const char *word;
    int32_t number;
};
enum { SIGNAL_WORDS_COUNT = 5 };
extern const struct signal_word SIGNAL_WORDS[SIGNAL_WORDS_COUNT];
const char *signal_word(int32_t number); /* NULL: not one of them */
/* "USR1" or "SIGUSR1". ERR_INVALID. */
enum err signal_parse(struct slice text, int32_t *out_number) LQ_CHECKED;

/* Position of `text` among `words`; ERR_INVALID when it is none. */
enum err words_find(const char *const words[], size_t count, struct slice text,
                    unsigned *out) LQ_CHECKED;

#endif

#include "model/failure.h"

#include "base/assert.h"

enum { REST_DOUBLINGS_MAX = 30 };

/* Limits that the job itself named (memory, time) would only be met again: no second try unless
 * its spec asks for one. A program's error says nothing of the place, so the job neither shuns it
 * nor spends other sites on it. An owner's reclaim closes what it took; elsewhere first, but not
 * for long, for the rest of the site may well be idle. */
static const struct failure_rule RULES[FAILURE_CLASS_COUNT_] = {
    [FAILURE_NONE] = {"none",
                      FAILURE_OF_NOBODY,
                      FAILURE_NO_BUDGET,
                      0,
                      0,
                      {0},
                      {0},
                      {0},
                      false,
                      "nothing failed"},
    [FAILURE_PROGRAM_ERROR] = {"program_error",
                               FAILURE_OF_PROGRAM,
                               0,
                               100,
                               1,
                               {1000},
                               {60000},
                               {0},
                               false,
                               "the program failed"},
    [FAILURE_OUT_OF_MEMORY] = {"out_of_memory",
                               FAILURE_OF_PROGRAM,
                               0,
                               10,
                               1,
                               {1000},
                               {60000},
                               {0},
                               false,
                               "it needed more memory than it asked for"},
    [FAILURE_TIME_LIMIT] = {"time_limit",
                            FAILURE_OF_PROGRAM,
                            0,
                            100,
                            1,
                            {1000},
                            {60000},
                            {0},
                            false,
                            "its time limit passed"},
    [FAILURE_PREEMPTED] = {"preempted",
                           FAILURE_OF_NOBODY,
                           FAILURE_NO_BUDGET,
                           FAILURE_RETRY_MAX,
                           UINT32_MAX,
                           {0},
                           {0},
                           {10000},
                           false,
                           "its place was taken back"},
    [FAILURE_NODE_LOST] = {"node_lost",
                           FAILURE_OF_SITE,
                           20,
                           FAILURE_RETRY_MAX,
                           1,
                           {1000},
                           {30000},
                           {60000},
                           true,
                           "its node vanished"},
    [FAILURE_SITE_LOST] = {"site_lost",
                           FAILURE_OF_SITE,
                           20,
                           FAILURE_RETRY_MAX,
                           1,
                           {1000},
                           {30000},
                           {60000},
                           false,
                           "its site was out of reach"},
    [FAILURE_BAD_ENVIRONMENT] = {"bad_environment",
                                 FAILURE_OF_SITE,
                                 10,
                                 FAILURE_RETRY_MAX,
                                 1,
                                 {1000},
                                 {30000},
                                 {60000},
                                 true,
                                 "its surroundings could not be set up"},
    [FAILURE_REFUSED] = {"refused",
                         FAILURE_OF_SITE,
                         20,
                         FAILURE_RETRY_MAX,
                         1,
                         {1000},
                         {30000},
                         {60000},
                         false,
                         "the site would not take it"},
    [FAILURE_NOT_STARTED] = {"not_started",
                             FAILURE_OF_NOBODY,
                             FAILURE_NO_BUDGET,
                             FAILURE_RETRY_MAX,
                             UINT32_MAX,
                             {0},
                             {0},
                             {60000},
                             false,
                             "it was not started in time"},
};

const struct failure_rule *failure_rule(enum failure_class failure)
{
    ASSERT((unsigned)failure < FAILURE_CLASS_COUNT_);
    return &RULES[failure];
}

const char *failure_name(enum failure_class failure)
{
    return failure_rule(failure)->name;
}

const char *failure_blame_name(enum failure_blame blame)
{
    static const char *const NAMES[] = {"nobody", "program", "site"};
    ASSERT((unsigned)blame < sizeof(NAMES) / sizeof(NAMES[0]));
    return NAMES[blame];
}

enum err failure_parse(struct slice text, enum failure_class *out)
{
    for (unsigned i = FAILURE_NONE + 1; i < FAILURE_CLASS_COUNT_; i++)
        if (slice_is(text, RULES[i].name)) {
            *out = (enum failure_class)i;
            return ERR_OK;
        }
    return ERR_INVALID;
}

struct span_ms failure_rest(enum failure_class failure, uint32_t count)
{
    const struct failure_rule *rule = failure_rule(failure);
    if (count <= rule->unrested)
        return SPAN_MS(0);
    uint32_t doublings = count - rule->unrested - 1;
    if (doublings > REST_DOUBLINGS_MAX)
        return rule->rest_max;
    int64_t rest_ms = rule->rest.ms << doublings;
    return rest_ms < rule->rest_max.ms ? SPAN_MS(rest_ms) : rule->rest_max;
}

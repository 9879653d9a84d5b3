/* What happened to a job last, and what comes next, for people: one JSON object,
 * {"class","blame","count","budget":n|null,"site":name|null,"next":sentence}. Pure. */
#ifndef LQ_CORE_FAILURE_STORY_H
#define LQ_CORE_FAILURE_STORY_H

#include "model/attempt.h"
#include "wire/json_writer.h"

struct failure_story {
    const struct job_row *row;
    const struct job_spec *spec;
    enum failure_class last; /* of its newest attempt that has ended */
    struct slice site;       /* where that was; may be empty */
    struct span_ms rest;     /* it rests so long yet; 0: it does not, or that is not known */
};

/* null when nothing failed. */
void failure_story_write(struct json_writer *writer, const struct failure_story *story);

#endif

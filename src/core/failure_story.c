#include "core/failure_story.h"

#include "base/buffer.h"

enum { SENTENCE_MAX = 1024 };

static void say_end(struct buffer *out, const struct failure_story *story, uint32_t count,
                    uint32_t budget)
{
    if (story->row->state == JOB_CANCELLED)
        buffer_append_text(out, "it was cancelled");
    else if (count > budget)
        buffer_printf(out, "it has failed: %u such failures, and %u are tried again", count,
                      budget);
    else
        buffer_append_text(out, "it has failed: its money or its attempts are used up");
}

static void say_wait(struct buffer *out, const struct failure_story *story)
{
    const struct failure_rule *rule = failure_rule(story->last);
    char span[TIME_TEXT_MAX];
    if (story->rest.ms > 0) {
        span_format(story->rest, span);
        buffer_printf(out, "it rests %s, then it is placed anew", span);
    } else {
        buffer_append_text(out, "it is placed anew");
    }
    if (rule->avoid.ms > 0) {
        span_format(rule->avoid, span);
        buffer_printf(out, ", for %s after the failure elsewhere if another site can take it",
                      span);
    } else {
        buffer_append_text(out, ", wherever it fits best");
    }
}

static void say_next(struct buffer *out, const struct failure_story *story, uint32_t count,
                     uint32_t budget)
{
    buffer_printf(out, "%s: ", failure_rule(story->last)->what);
    switch (story->row->state) {
    case JOB_PENDING:
        say_wait(out, story);
        return;
    case JOB_ACTIVE:
        buffer_printf(out, "it goes on as attempt %u", story->row->attempt);
        return;
    case JOB_SUCCEEDED:
        buffer_append_text(out, "it has succeeded since");
        return;
    case JOB_FAILED:
    case JOB_CANCELLED:
    case JOB_STATE_COUNT_:
        break;
    }
    say_end(out, story, count, budget);
}

void failure_story_write(struct json_writer *writer, const struct failure_story *story)
{
    struct buffer words;
    if (story->last == FAILURE_NONE) {
        json_null(writer);
        return;
    }
    uint32_t count = story->row->failures[story->last];
    uint32_t budget = job_spec_retries(story->spec, story->last);
    buffer_init(&words, SENTENCE_MAX);
    say_next(&words, story, count, budget);
    json_begin_object(writer);
    json_put_text(writer, "class", failure_name(story->last));
    json_put_text(writer, "blame", failure_blame_name(failure_rule(story->last)->blame));
    json_put_u64(writer, "count", count);
    if (budget == FAILURE_NO_BUDGET)
        json_put_null(writer, "budget");
    else
        json_put_u64(writer, "budget", budget);
    if (story->site.len > 0)
        json_put_string(writer, "site", story->site);
    else
        json_put_null(writer, "site");
    json_put_string(writer, "next", buffer_slice(&words));
    json_end_object(writer);
    buffer_deinit(&words);
}

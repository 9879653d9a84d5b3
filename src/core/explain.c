#include "core/explain.h"

#include "base/assert.h"

static void hours_text(struct buffer *out, struct span_ms span)
{
    char text[TIME_TEXT_MAX];
    span_format(span, text);
    buffer_append_text(out, text);
}

static void contract_sentence(const struct place_site_line *line, struct buffer *out)
{
    if (line->filter == FILTER_WINDOW)
        buffer_append_text(out, "its owner does not lend now, or not for long enough");
    else if (line->filter == FILTER_EXCLUDED)
        buffer_append_text(out, "its owner does not lend to this tenant or class");
    else
        buffer_printf(out, "it asks less for %.*s than its owner's floor", SLICE_ARG(line->detail));
}

static void latency_sentence(const struct place_site_line *line, struct buffer *out)
{
    if (line->available == 0)
        buffer_printf(out, "its round trip to %.*s is not known", SLICE_ARG(line->detail));
    else
        buffer_printf(out, "its round trip to %.*s is %llu us, at most %llu us are allowed",
                      SLICE_ARG(line->detail), (unsigned long long)line->available,
                      (unsigned long long)line->wanted);
}

static void quarantine_sentence(unsigned long long nodes, struct buffer *out)
{
    if (nodes == 0)
        buffer_append_text(out, "the site is in quarantine: jobs failed there that run elsewhere");
    else
        buffer_printf(out, "%llu of its nodes are in quarantine, and the others cannot take it",
                      nodes);
}

/* What the job brings, or finds there. */
static void content_sentence(const struct place_site_line *line, struct buffer *out)
{
    if (line->filter == FILTER_RESTORE)
        buffer_printf(out, "the job's checkpoint cannot be restored there (%.*s)",
                      SLICE_ARG(line->detail));
    else if (line->filter == FILTER_IMAGE)
        buffer_printf(out, "it does not run the container image %.*s", SLICE_ARG(line->detail));
    else if (line->filter == FILTER_SHARED)
        buffer_printf(out, "its operator does not share the folder %.*s with the job's tenant",
                      SLICE_ARG(line->detail));
    else
        buffer_printf(out, "dataset %.*s may not be read in its jurisdiction",
                      SLICE_ARG(line->detail));
}

void place_line_sentence(const struct place_site_line *line, struct buffer *out)
{
    unsigned long long wanted = line->wanted, available = line->available;
    switch (line->filter) {
    case FILTER_NONE:
        buffer_append_text(out, "fits now");
        return;
    case FILTER_BUSY:
        buffer_append_text(out, "fits, but its nodes are taken");
        if (line->has_eta) {
            buffer_append_text(out, "; free in about ");
            hours_text(out, line->eta_low);
        }
        return;
    case FILTER_SITE_STATE:
        buffer_printf(out, "the site is %.*s", SLICE_ARG(line->detail));
        return;
    case FILTER_JURISDICTION:
        buffer_printf(out, "its jurisdiction %.*s is not among those the job allows",
                      SLICE_ARG(line->detail));
        return;
    case FILTER_PROVENANCE:
        buffer_printf(out, "the job asks for domestic chips, and %.*s is none",
                      SLICE_ARG(line->detail));
        return;
    case FILTER_RUNTIME:
        buffer_printf(out, "no node has the runtime %.*s", SLICE_ARG(line->detail));
        return;
    case FILTER_ACCELERATOR:
        buffer_printf(out, "no node has the accelerator %.*s", SLICE_ARG(line->detail));
        return;
    case FILTER_SHAPE:
        buffer_printf(out, "%llu node(s) of that size are wanted, it has %llu", wanted, available);
        return;
    case FILTER_LATENCY:
        latency_sentence(line, out);
        return;
    case FILTER_PLACEMENT:
        buffer_printf(out, "the job's own placement.%.*s rules it out", SLICE_ARG(line->detail));
        return;
    case FILTER_POLICY:
        buffer_printf(out, "policy: %.*s", SLICE_ARG(line->detail));
        return;
    case FILTER_AVOID:
        buffer_append_text(out, "it just failed this job, and another site can take it");
        return;
    case FILTER_QUARANTINE:
        quarantine_sentence(available, out);
        return;
    case FILTER_RESTORE:
    case FILTER_IMAGE:
    case FILTER_SHARED:
    case FILTER_DATA:
        content_sentence(line, out);
        return;
    case FILTER_WINDOW:
    case FILTER_EXCLUDED:
    case FILTER_FLOOR:
        contract_sentence(line, out);
        return;
    case FILTER_NO_PRICE:
        buffer_append_text(
            out,
            "its ask for what the job needs is not known; a missing price never counts as zero");
        return;
    case FILTER_BUDGET:
        buffer_append_text(out, "it would cost more than the job's budget");
        return;
    case FILTER_QUOTA:
        buffer_printf(out, "the quota of %.*s would be passed (%llu of %llu)",
                      SLICE_ARG(line->detail), wanted, available);
        return;
    case FILTER_COUNT_:
        break;
    }
    ASSERT(!"known filter");
}

static void score_write(struct json_writer *writer, const struct place_score *score)
{
    json_begin_object(writer);
    json_put_money(writer, "ask", score->ask);
    json_put_money(writer, "energy", score->energy);
    json_put_money(writer, "egress", score->egress);
    json_put_money(writer, "carbon", score->carbon);
    json_put_money(writer, "wait", score->wait);
    json_put_money(writer, "staging", score->staging);
    json_put_money(writer, "fragmentation", score->fragmentation);
    json_put_money(writer, "risk", score->risk);
    json_put_money(writer, "role", score->role);
    json_put_money(writer, "explore", score->explore);
    json_put_money(writer, "total", score->total);
    json_end_object(writer);
}

static void eta_write(struct json_writer *writer, bool has_eta, struct span_ms low,
                      struct span_ms high)
{
    json_key(writer, "eta_ms");
    if (!has_eta) {
        json_null(writer);
        return;
    }
    json_begin_object(writer);
    json_put_i64(writer, "low", low.ms);
    json_put_i64(writer, "high", high.ms);
    json_end_object(writer);
}

static void line_write(struct json_writer *writer, const struct place_site_line *line)
{
    struct buffer words;
    buffer_init(&words, 4096);
    place_line_sentence(line, &words);
    json_begin_object(writer);
    json_put_string(writer, "site", line->site_name);
    json_put_text(writer, "filter", place_filter_name(line->filter));
    json_put_string(writer, "reason", buffer_slice(&words));
    json_put_u64(writer, "variant", line->variant);
    json_put_string(writer, "accelerator", line->accelerator);
    json_key(writer, "score");
    if (line->has_score)
        score_write(writer, &line->score);
    else
        json_null(writer);
    eta_write(writer, line->has_eta, line->eta_low, line->eta_high);
    json_end_object(writer);
    buffer_deinit(&words);
}

/* A price a million units of the workload's own progress; null where it is not known. */
static void unit_price_write(struct json_writer *writer, const struct place_price *price)
{
    enum { S_PER_HOUR = 3600 };
    struct money of_million = {0};
    int64_t rate = price->rate > INT64_MAX / S_PER_HOUR ? INT64_MAX / S_PER_HOUR
                                                        : (int64_t)price->rate; /* millionths a s */
    json_key(writer, "ask_per_million_units");
    if (rate <= 0 || money_scale(price->ask_per_hour, INT64_C(1000000) * 1000000, rate * S_PER_HOUR,
                                 &of_million) != ERR_OK)
        json_null(writer);
    else
        json_money(writer, of_million);
}

static void choice_write(struct json_writer *writer, const struct place_site_line *choice)
{
    json_begin_object(writer);
    json_put_string(writer, "site", choice->site_name);
    json_put_u64(writer, "variant", choice->variant);
    json_put_string(writer, "accelerator", choice->accelerator);
    json_put_text(writer, "filter", place_filter_name(choice->filter));
    json_put_text(writer, "speed", place_pace_name(choice->price.source));
    json_put_u64(writer, "units_per_s_micro", choice->price.rate);
    json_put_u64(writer, "time_per_mille", choice->price.pace_milli);
    json_put_money(writer, "ask_per_hour", choice->price.ask_per_hour);
    unit_price_write(writer, &choice->price);
    json_put_money(writer, "explore", choice->score.explore);
    json_put_money(writer, "total", choice->score.total);
    json_end_object(writer);
}

static const char *verdict_name(enum place_verdict verdict)
{
    switch (verdict) {
    case PLACE_NOW:
        return "now";
    case PLACE_LATER:
        return "later";
    case PLACE_IMPOSSIBLE:
        return "impossible";
    case PLACE_HELD:
        return "held";
    }
    ASSERT(!"known verdict");
    return "";
}

/* The whole decision in one sentence. */
static void sentence_write(struct json_writer *writer, const struct place_explanation *e)
{
    struct buffer words;
    buffer_init(&words, 4096);
    const struct place_site_line *chosen = e->chosen < 0 ? NULL : &e->lines[e->chosen];
    const struct place_site_line *second = e->runner_up < 0 ? NULL : &e->lines[e->runner_up];
    if (e->verdict == PLACE_IMPOSSIBLE)
        buffer_printf(&words, "no site can run it as things stand (%s)",
                      place_filter_name(e->blocked_by));
    else if (e->verdict == PLACE_LATER && e->blocked_by == FILTER_QUOTA)
        buffer_append_text(&words, "waits for its tenant's quota");
    else if (chosen == NULL)
        buffer_append_text(&words, "waits: no open site fits");
    else {
        char total[MONEY_TEXT_MAX], other[MONEY_TEXT_MAX];
        money_format(chosen->score.total, total);
        buffer_printf(
            &words, "%s %.*s, score %s", e->verdict == PLACE_LATER ? "waits for" : "placed at",
            SLICE_ARG(chosen->site_name), chosen->has_score ? total : "not known any more");
        if (second != NULL && second->has_score) {
            money_format(second->score.total, other);
            buffer_printf(&words, "; runner-up %.*s, score %s", SLICE_ARG(second->site_name),
                          other);
        }
    }
    json_put_string(writer, "sentence", buffer_slice(&words));
    buffer_deinit(&words);
}

static void place_write(struct json_writer *writer, const char *key,
                        const struct place_explanation *e, int32_t index)
{
    if (index < 0)
        json_put_null(writer, key);
    else
        json_put_string(writer, key, e->lines[index].site_name);
}

void explanation_members(struct json_writer *writer, const struct place_explanation *e)
{
    json_put_text(writer, "verdict", verdict_name(e->verdict));
    sentence_write(writer, e);
    place_write(writer, "chosen", e, e->chosen);
    place_write(writer, "runner_up", e, e->runner_up);
    json_key(writer, "lost_by");
    if (e->chosen >= 0 && e->runner_up >= 0 && e->lines[e->chosen].has_score &&
        e->lines[e->runner_up].has_score) {
        int64_t lost =
            e->lines[e->runner_up].score.total.micros - e->lines[e->chosen].score.total.micros;
        json_money(writer, (struct money){lost});
    } else {
        json_null(writer);
    }
    json_put_text(writer, "blocked_by", place_filter_name(e->blocked_by));
    json_put_u64(writer, "queue_position", e->queue_position);
    eta_write(writer, e->has_eta, e->eta_low, e->eta_high);
    json_key(writer, "sites");
    json_begin_array(writer);
    for (uint32_t i = 0; i < e->line_count; i++)
        line_write(writer, &e->lines[i]);
    json_end_array(writer);
    json_key(writer, "choices");
    json_begin_array(writer);
    for (uint32_t i = 0; i < e->choice_count; i++)
        choice_write(writer, &e->choices[i]);
    json_end_array(writer);
}

void explanation_write(struct json_writer *writer, const struct place_explanation *e)
{
    json_begin_object(writer);
    explanation_members(writer, e);
    json_end_object(writer);
}

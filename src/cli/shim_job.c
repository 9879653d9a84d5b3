#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "cli/shim.h"

enum { OUT_OF_MEMORY_SIGNAL = 125 }; /* what Slurm writes for it */

static const struct {
    const char *name, *letters;
    bool is_final;
} STATES[SHIM_STATE_COUNT_] = {
    [SHIM_PENDING] = {"PENDING", "PD", false},
    [SHIM_CONFIGURING] = {"CONFIGURING", "CF", false},
    [SHIM_RUNNING] = {"RUNNING", "R", false},
    [SHIM_COMPLETING] = {"COMPLETING", "CG", false},
    [SHIM_COMPLETED] = {"COMPLETED", "CD", true},
    [SHIM_CANCELLED] = {"CANCELLED", "CA", true},
    [SHIM_FAILED] = {"FAILED", "F", true},
    [SHIM_TIMEOUT] = {"TIMEOUT", "TO", true},
    [SHIM_OUT_OF_MEMORY] = {"OUT_OF_MEMORY", "OOM", true},
    [SHIM_NODE_FAIL] = {"NODE_FAIL", "NF", true},
    [SHIM_BOOT_FAIL] = {"BOOT_FAIL", "BF", true},
};

const char *shim_state_name(enum shim_state state)
{
    return STATES[state].name;
}

const char *shim_state_short(enum shim_state state)
{
    return STATES[state].letters;
}

bool shim_state_is_final(enum shim_state state)
{
    return STATES[state].is_final;
}

/* ---- from the server's view */

static int64_t wall_of(struct json_value object, const char *name)
{
    struct wall_us at;
    struct slice text = api_string(object, name);
    return text.len > 0 && wall_parse(text, &at) == ERR_OK ? at.us : 0;
}

static enum shim_state failed_as(struct slice outcome)
{
    static const struct {
        const char *outcome;
        enum shim_state state;
    } WORDS[] = {
        {"program_error", SHIM_FAILED},        {"time_limit", SHIM_TIMEOUT},
        {"out_of_memory", SHIM_OUT_OF_MEMORY}, {"bad_environment", SHIM_BOOT_FAIL},
        {"refused", SHIM_BOOT_FAIL},           {"revoked", SHIM_CANCELLED},
    };
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++)
        if (slice_is(outcome, WORDS[i].outcome))
            return WORDS[i].state;
    return SHIM_NODE_FAIL; /* its site, its node, its lease: the machine's side */
}

/* The last attempt tells more of a job that has one. */
static void take_attempt(struct json_value attempt, struct shim_job *job)
{
    struct slice state = api_string(attempt, "state");
    job->site = api_string(attempt, "site_name");
    job->started_us = wall_of(attempt, "started_at");
    if (job->state == SHIM_RUNNING && (slice_is(state, "offered") || job->started_us == 0))
        job->state = SHIM_CONFIGURING;
}

static void take_view(struct json_value view, struct shim_job *job)
{
    struct slice state = api_string(view, "state"), outcome = api_string(view, "outcome");
    struct json_value attempts = json_object_get(view, "attempts");
    int64_t code = 0;
    bool is_cancelling = api_bool(view, "cancel_requested");
    job->restarts = api_u64(view, "attempt");
    job->restarts -= job->restarts > 0;
    job->state = slice_is(state, "pending")     ? SHIM_PENDING
                 : slice_is(state, "active")    ? (is_cancelling ? SHIM_COMPLETING : SHIM_RUNNING)
                 : slice_is(state, "succeeded") ? SHIM_COMPLETED
                 : slice_is(state, "cancelled") ? SHIM_CANCELLED
                                                : failed_as(outcome);
    if (json_count(attempts) > 0)
        take_attempt(json_array_at(attempts, json_count(attempts) - 1), job);
    if (!shim_state_is_final(job->state))
        return;
    job->ended_us = wall_of(view, "ended_at");
    struct json_value value = json_object_get(view, "exit_code");
    if (json_type_of(value) == JSON_INTEGER && json_to_i64(value, 0, 255, &code, NULL) == ERR_OK &&
        job->state == SHIM_FAILED)
        job->exit_code = (int)code;
    if (job->state == SHIM_FAILED && job->exit_code == 0)
        job->exit_code = 1;
    if (job->state == SHIM_OUT_OF_MEMORY)
        job->exit_signal = OUT_OF_MEMORY_SIGNAL;
    if (job->state == SHIM_CANCELLED)
        job->exit_signal = 15;
}

/* ---- which */

bool shim_number_parse(struct slice text, uint64_t *out_number, int64_t *out_task)
{
    struct slice number = text, task = {0}, rest;
    uint64_t value = 0;
    if (slice_cut(text, '.', &number, &rest)) /* a step of it */
        text = number;
    if (!slice_cut(text, '_', &number, &task))
        number = text;
    if (slice_parse_u64(number, out_number) != ERR_OK || *out_number == 0 ||
        (task.data != NULL && slice_parse_u64(task, &value) != ERR_OK))
        return false;
    *out_task = task.data == NULL ? -1 : (int64_t)value;
    return true;
}

/* Is `word` one of "a,b,c"? A list of NULL has every word. */
static bool is_in(const char *list, struct slice word)
{
    struct slice rest = slice_of(list), one;
    if (list == NULL)
        return true;
    for (;;) {
        bool is_last = !slice_cut(rest, ',', &one, &rest);
        if (slice_is_equal(is_last ? rest : one, word))
            return true;
        if (is_last)
            return false;
    }
}

static bool has_state(const struct shim_filter *filter, enum shim_state state)
{
    if (filter->states == NULL)
        return filter->is_ended_wanted || !shim_state_is_final(state);
    return strcmp(filter->states, "all") == 0 || strcmp(filter->states, "ALL") == 0 ||
           is_in(filter->states, slice_of(shim_state_name(state))) ||
           is_in(filter->states, slice_of(shim_state_short(state)));
}

static bool is_wanted(const struct shim_filter *filter, const struct book_entry *entry)
{
    return is_in(filter->users, entry->user) && is_in(filter->names, entry->name) &&
           is_in(filter->partitions, entry->partition) && is_in(filter->accounts, entry->account);
}

static int job_add(struct cli *cli, const struct shim_filter *filter,
                   const struct book_entry *entry, uint32_t index, struct shim_jobs *out)
{
    struct api_reply reply;
    struct shim_job job = {
        .entry = entry, .index = index, .number = entry->number + index, .site = {"", 0}};
    int code = api_call(cli, "GET", api_target(cli, "/v1/jobs/%.*s", SLICE_ARG(entry->jobs[index])),
                        (struct slice){0}, &reply);
    if (code != EXIT_DONE)
        return code;
    take_view(reply.root, &job);
    if (has_state(filter, job.state))
        out->items[out->count++] = job;
    return EXIT_DONE;
}

/* Those that the filter names by number: an array's own number stands for all of it. */
static int jobs_named(struct cli *cli, const struct shim_filter *filter, const struct book *book,
                      struct shim_jobs *out)
{
    struct slice rest = slice_of(filter->jobs), one;
    int code = EXIT_DONE;
    for (bool is_last = false; code == EXIT_DONE && !is_last;) {
        uint64_t number;
        int64_t task;
        uint32_t index = 0;
        is_last = !slice_cut(rest, ',', &one, &rest);
        if (is_last)
            one = rest;
        if (!shim_number_parse(one, &number, &task))
            return cli_fail(cli, EXIT_USAGE, "Invalid job id: %.*s", SLICE_ARG(one));
        const struct book_entry *entry = book_find(book, number, &index);
        if (entry == NULL) {
            if (filter->is_strict)
                return EXIT_NOT_FOUND;
            continue;
        }
        bool is_whole = entry->is_array && index == 0 && task < 0;
        for (uint32_t i = 0; code == EXIT_DONE && i < entry->count; i++)
            if ((is_whole || (task >= 0 ? book_task(entry, i) == task : i == index)) &&
                out->count < API_ITEMS_MAX && is_wanted(filter, entry))
                code = job_add(cli, filter, entry, i, out);
    }
    return code;
}

/* Room for what one question may bring. */
static size_t most_of(const struct shim_filter *filter, const struct book *book)
{
    size_t elements = 0, words = 1;
    for (size_t i = 0; i < book->count; i++)
        elements += book->entries[i].count;
    for (const char *c = filter->jobs; c != NULL && *c != '\0'; c++)
        words += *c == ',';
    return filter->jobs == NULL ? elements : elements + words * JOB_ARRAY_MAX;
}

/* All of the book that the server lists: one list, then a look at each. */
static int jobs_all(struct cli *cli, const struct shim_filter *filter, const struct book *book,
                    struct shim_jobs *out)
{
    bool wants_ended = filter->is_ended_wanted || filter->states != NULL;
    struct api_list list;
    struct strmap listed;
    int code = api_list(cli, wants_ended ? "/v1/jobs" : "/v1/jobs?state=pending,active", 0, &list);
    if (code != EXIT_DONE)
        return code;
    strmap_init(&listed, API_ITEMS_MAX, 0);
    for (size_t i = 0; code == EXIT_DONE && i < list.count; i++)
        if (strmap_put(&listed, api_string(list.items[i], "id"), &list.items[i]) != ERR_OK)
            code = cli_fail(cli, EXIT_FAILED, "no memory for the jobs");
    for (size_t e = 0; code == EXIT_DONE && e < book->count; e++) {
        const struct book_entry *entry = &book->entries[e];
        if (!is_wanted(filter, entry))
            continue;
        for (uint32_t i = 0; code == EXIT_DONE && i < entry->count; i++)
            if (strmap_get(&listed, entry->jobs[i]) != NULL)
                code = job_add(cli, filter, entry, i, out);
    }
    strmap_deinit(&listed);
    return code;
}

int shim_jobs_load(struct cli *cli, const struct shim_filter *filter, struct shim_jobs *out)
{
    struct book book;
    int code = book_load(cli, &book);
    if (code != EXIT_DONE)
        return code;
    *out = (struct shim_jobs){0};
    out->items = arena_array(&cli->arena, most_of(filter, &book) + 1, sizeof(*out->items));
    if (out->items == NULL)
        return cli_fail(cli, EXIT_FAILED, "no memory for the jobs");
    return filter->jobs != NULL ? jobs_named(cli, filter, &book, out)
                                : jobs_all(cli, filter, &book, out);
}

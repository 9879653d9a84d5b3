/* Attempts as the shell sees them: folders, and the calls to the engine, one at a time each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/shell.h"
#include "agent/tell.h"
#include "base/assert.h"
#include "wire/spec.h"

_Static_assert((int)DRIVE_SUBMIT == (int)ENGINE_SUBMIT && (int)DRIVE_KILL == (int)ENGINE_KILL &&
                   (int)DRIVE_ACCEPTED == (int)ENGINE_ACCEPTED &&
                   (int)DRIVE_ENDED == (int)ENGINE_ENDED,
               "the driver's answers map one to one on the core's");

enum { ANSWER_RETRY_MS = 50 };

/* ---- life */

struct run *run_find(struct agent *agent, const struct attempt_token *token)
{
    char name[ATTEMPT_NAME_MAX];
    attempt_name_format(token, name);
    return strmap_get(&agent->runs, slice_of(name));
}

static void answer_run(void *context);

struct run *run_of(struct agent *agent, const struct attempt_token *token)
{
    struct run *run = run_find(agent, token);
    if (run != NULL)
        return run;
    run = calloc(1, sizeof(*run));
    if (run == NULL)
        return NULL;
    run->agent = agent;
    run->token = *token;
    attempt_name_format(token, run->name);
    if (strmap_add(&agent->runs, slice_of(run->name), run) != ERR_OK) {
        free(run);
        return NULL;
    }
    arena_init(&run->arena, RUN_ARENA_BYTES);
    loop_timer_init(&run->answer, agent->loop, answer_run, run);
    run->next = agent->first;
    if (run->next != NULL)
        run->next->prev = run;
    agent->first = run;
    return run;
}

void run_destroy(struct run *run)
{
    struct agent *agent = run->agent;
    loop_timer_stop(&run->answer);
    loop_timer_stop(&run->timer);
    prepare_cancel(run->prepare);
    upload_cancel(run->upload);
    logs_cancel(run);
    strmap_remove(&agent->runs, slice_of(run->name));
    if (run->prev != NULL)
        run->prev->next = run->next;
    else
        agent->first = run->next;
    if (run->next != NULL)
        run->next->prev = run->prev;
    arena_deinit(&run->arena);
    free(run);
}

void run_forget_if_idle(struct run *run)
{
    bool is_final = run->phase == PHASE_ENDED || run->phase == PHASE_NEVER || !run->has_row;
    if (!run->has_folder && is_final && !run->is_calling && !run->has_waiting &&
        run->stage == FINISH_NONE && !loop_timer_is_set(&run->answer))
        run_destroy(run);
}

enum err run_take_order(struct run *run, struct slice order)
{
    struct fault fault = {0};
    if (run->has_order)
        return ERR_OK;
    enum err err = attempt_order_decode(order, &run->arena, &run->order, &fault);
    if (err == ERR_OK)
        err = spec_parse(run->order.spec, &run->arena, &run->spec, &fault);
    if (err == ERR_OK && run->order.variant >= run->spec.variant_count)
        err = ERR_INVALID;
    run->has_order = err == ERR_OK;
    return err;
}

void run_path(const struct run *run, int rank, const char *more, char out[RUN_PATH_MAX])
{
    const char *state = run->agent->work_folder;
    const char *slash = more[0] != '\0' ? "/" : "";
    int n = rank < 0
                ? snprintf(out, RUN_PATH_MAX, "%s/attempts/%s%s%s", state, run->name, slash, more)
                : snprintf(out, RUN_PATH_MAX, "%s/attempts/%s/rank-%d%s%s", state, run->name, rank,
                           slash, more);
    ASSERT(n > 0 && n < RUN_PATH_MAX); /* the work folder's path was checked at the start */
}

void run_note(const struct run *run, uint32_t rank, const char *text)
{
    char path[RUN_PATH_MAX], line[NOTE_MAX + 16];
    int fd;
    run_path(run, (int)rank, "log", path);
    int n = snprintf(line, sizeof(line), "[lingqu] %.*s\n", NOTE_MAX, text);
    if (n <= 0 || file_open(path, FILE_OPEN_APPEND, 0600, NULL, &fd) != ERR_OK)
        return;
    enum err err = file_write_all(fd, slice_of(line)); /* a courtesy: a full disk takes it away */
    (void)err;
    file_close(fd);
}

/* ---- answers to the core */

static void answer_core(struct run *run, enum engine_answer kind, enum outcome outcome,
                        uint64_t incarnation, const struct engine_rank_end *ranks, uint32_t count)
{
    struct agent *agent = run->agent;
    run->is_calling = false;
    if (run->call_generation != agent_host_generation(agent->host))
        return; /* asked by an earlier core */
    const struct agent_event event = {.kind = AGENT_ENGINE_DONE,
                                      .engine = {.call = run->call,
                                                 .token = run->token,
                                                 .answer = kind,
                                                 .outcome = outcome,
                                                 .incarnation = incarnation,
                                                 .ranks = ranks,
                                                 .rank_count = count}};
    if (agent_host_step(agent->host, &event) == ERR_OK || agent_host_core(agent->host) == NULL)
        return;
    /* The core waits for it: that nothing is certain is true as well, and it asks again. */
    run->is_calling = true;
    run->answer_kind = kind == ENGINE_REJECTED ? ENGINE_REJECTED : ENGINE_UNSURE;
    run->answer_outcome = outcome;
    loop_timer_set(&run->answer, SPAN_MS(ANSWER_RETRY_MS));
}

static void next_call(struct run *run);

static void answer_run(void *context)
{
    struct run *run = context;
    answer_core(run, run->answer_kind, run->answer_outcome, 0, NULL, 0);
    next_call(run);
}

static void answer_later(struct run *run, enum engine_answer kind, enum outcome outcome)
{
    run->answer_kind = kind;
    run->answer_outcome = outcome;
    loop_timer_set(&run->answer, SPAN_MS(0));
}

static void take_gone(struct run *run)
{
    if (run->is_gone)
        return;
    run->is_gone = true;
    finish_begin(run);
}

void run_on_answer(void *context, const struct drive_answer *answer)
{
    struct agent *agent = context;
    struct run *run = run_find(agent, &answer->token);
    struct engine_rank_end ranks[JOB_NODES_MAX];
    if (run == NULL || !run->is_calling || (int)run->call != (int)answer->call)
        return;
    uint32_t count = answer->rank_count < JOB_NODES_MAX ? answer->rank_count : JOB_NODES_MAX;
    for (uint32_t i = 0; i < count; i++)
        ranks[i] = (struct engine_rank_end){.is_known = answer->ranks[i].is_known,
                                            .outcome = answer->ranks[i].outcome,
                                            .exit_code = answer->ranks[i].exit_code,
                                            .ran = answer->ranks[i].ran,
                                            .gate_wait = answer->ranks[i].gate_wait,
                                            .kill_wait = answer->ranks[i].kill_wait,
                                            .cpu_ms = answer->ranks[i].cpu_ms,
                                            .progress = answer->ranks[i].progress};
    if (answer->kind == DRIVE_REJECTED && answer->why != NULL && answer->why[0] != '\0') {
        run_note(run, 0, answer->why);
        tell("%s cannot be started: %s", run->name, answer->why);
    }
    bool is_dead = answer->kind == DRIVE_ABSENT || answer->kind == DRIVE_ENDED;
    enum outcome outcome = answer->outcome;
    answer_core(run, (enum engine_answer)answer->kind, outcome, answer->incarnation, ranks, count);
    if (is_dead && (run->phase == PHASE_NEVER || !run->has_row)) {
        take_gone(run);
        run = run_find(agent, &answer->token);
    }
    if (run != NULL)
        next_call(run);
}

/* ---- calls */

static bool needs_content(const struct run *run)
{
    return run->spec.workdir.len > 0 || run->spec.input_count > 0 ||
           (!id_is_none(run->order.restore) && run->spec.checkpoint.dir.len > 0);
}

static enum err make_folders(struct run *run, struct fault *fault)
{
    char path[RUN_PATH_MAX];
    enum err err = ERR_OK;
    for (uint32_t rank = 0; err == ERR_OK && rank < run->order.nodes; rank++) {
        run_path(run, (int)rank, "work", path);
        err = file_make_folders(path, 0700, fault);
    }
    return err;
}

static void submit(struct run *run)
{
    struct fault fault = {0};
    char name[RUN_PATH_MAX];
    run->has_folder = true;
    run->was_submitted = true;
    run_path(run, -1, "", name);
    enum err err = make_folders(run, &fault);
    logs_begin(run);
    if (err == ERR_OK && needs_content(run)) {
        err = prepare_start(run);
        if (err == ERR_OK)
            return;
    }
    run_prepared(run, err, fault.message);
}

void run_prepared(struct run *run, enum err err, const char *why)
{
    struct buffer order;
    char line[NOTE_MAX];
    run->prepare = NULL;
    buffer_init(&order, SYNC_BYTES_MAX);
    if (err == ERR_OK)
        err = attempt_order_encode(&run->order, &order);
    if (err == ERR_OK) {
        driver_submit(run->agent->driver, &run->token, buffer_slice(&order), 0);
    } else {
        (void)snprintf(line, sizeof(line), "the work folder could not be made: %s",
                       why != NULL && why[0] != '\0' ? why : err_name(err));
        run_note(run, 0, line);
        tell("%s: %s", run->name, line);
        answer_later(run, ENGINE_REJECTED, OUTCOME_BAD_ENVIRONMENT);
    }
    buffer_deinit(&order);
}

static void call_start(struct run *run, enum engine_call call, uint64_t generation,
                       uint64_t incarnation)
{
    run->is_calling = true;
    run->call = call;
    run->call_generation = generation;
    switch (call) {
    case ENGINE_SUBMIT:
        if (run->has_order)
            submit(run);
        else
            answer_later(run, ENGINE_REJECTED, OUTCOME_BAD_ENVIRONMENT);
        break;
    case ENGINE_INSPECT:
        driver_inspect(run->agent->driver, &run->token, incarnation);
        break;
    case ENGINE_KILL:
        driver_kill(run->agent->driver, &run->token, SPAN_MS(0));
        break;
    }
}

static void next_call(struct run *run)
{
    if (run->is_calling)
        return;
    if (run->has_waiting) {
        run->has_waiting = false;
        call_start(run, run->waiting, run->waiting_generation, run->incarnation);
    } else {
        run_forget_if_idle(run);
    }
}

void run_call(struct agent *agent, const struct agent_output *output)
{
    struct run *run = run_of(agent, &output->token);
    if (run == NULL) { /* no memory: silence; the core's limits end it */
        tell("no memory for another attempt");
        return;
    }
    run->has_row = true;
    if (output->call == ENGINE_SUBMIT && run_take_order(run, output->order) != ERR_OK)
        tell("%s: the order cannot be read", run->name);
    if (run->is_calling && run->prepare != NULL) { /* for an earlier core; nothing was started */
        prepare_cancel(run->prepare);
        run->prepare = NULL;
        run->is_calling = false;
    }
    uint64_t generation = agent_host_generation(agent->host);
    if (!run->is_calling) {
        call_start(run, output->call, generation, output->incarnation);
        return;
    }
    run->has_waiting = true;
    run->waiting = output->call;
    run->waiting_generation = generation;
    run->incarnation = output->incarnation;
}

/* ---- what the journal says */

static void take_phase(struct run *run, const struct journal_attempt *row)
{
    run->has_row = true;
    run->phase = row->phase;
    run->outcome = row->outcome;
}

void run_durable(struct agent *agent, const struct journal_attempt *row)
{
    struct run *run = run_find(agent, &row->token);
    if (run == NULL)
        return; /* nothing of it is here yet */
    take_phase(run, row);
    if (row->phase == PHASE_TAKEN)
        finish_watch(run);
    if (row->phase == PHASE_NEVER && run->prepare != NULL) {
        prepare_cancel(run->prepare);
        run->prepare = NULL;
        answer_later(run, ENGINE_REJECTED, OUTCOME_REFUSED);
    }
    if (row->phase == PHASE_ENDED)
        take_gone(run);
}

void run_ended(struct agent *agent, const struct attempt_token *token)
{
    struct run *run = run_find(agent, token);
    if (run != NULL)
        take_gone(run);
}

void run_row(struct agent *agent, const struct journal_attempt *row)
{
    char path[RUN_PATH_MAX];
    struct file_info info;
    bool is_final = row->phase == PHASE_ENDED || row->phase == PHASE_NEVER;
    char name[ATTEMPT_NAME_MAX];
    attempt_name_format(&row->token, name);
    (void)snprintf(path, sizeof(path), "%s/attempts/%s", agent->work_folder, name);
    bool has_folder = file_stat(path, &info) == ERR_OK;
    if (is_final && !has_folder)
        return;
    struct run *run = run_of(agent, &row->token);
    if (run == NULL)
        return;
    take_phase(run, row);
    run->has_folder = has_folder;
    if (row->order.len > 0 && run_take_order(run, row->order) != ERR_OK)
        tell("%s: the order in the journal cannot be read", run->name);
    if (run->has_order && has_folder)
        logs_begin(run);
    if (row->phase == PHASE_TAKEN)
        finish_watch(run);
    if (row->phase == PHASE_ENDED)
        take_gone(run);
}

void runs_adopt_folders(struct agent *agent)
{
    char path[RUN_PATH_MAX];
    struct arena arena;
    struct file_entry *entries;
    size_t count = 0;
    struct attempt_token token;
    arena_init(&arena, 16 << 20);
    (void)snprintf(path, sizeof(path), "%s/attempts", agent->work_folder);
    if (file_list(path, RUNS_MAX, &arena, NULL, &entries, &count) != ERR_OK)
        count = 0;
    for (size_t i = 0; i < count; i++) {
        if (attempt_name_parse(slice_of(entries[i].name), &token) != ERR_OK)
            continue;
        struct run *run = run_of(agent, &token);
        if (run == NULL)
            break;
        run->has_folder = true;
        bool is_doubtful = !run->has_row || run->phase == PHASE_NEVER;
        if (is_doubtful && !run->is_gone && !run->is_calling) /* 0: for no core */
            call_start(run, ENGINE_INSPECT, 0, 0);
    }
    arena_deinit(&arena);
}

#include "sim/srpt.h"

#include <stdlib.h>
#include <string.h>

struct active {
    double left_ms; /* at full width */
    double width;   /* devices */
    double work;    /* left_ms x width: the order */
    double rate;    /* share of its width that it has now */
    uint32_t job;
};

struct machine {
    struct active *active; /* by work left, then age; those that run are the first `running` */
    size_t count, running;
    double devices;
};

static bool is_before(const struct active *a, const struct active *b)
{
    return a->work < b->work || (a->work == b->work && a->job < b->job);
}

/* Hands out the devices from the front; those that run may have passed each other. */
static void share_out(struct machine *machine)
{
    double left = machine->devices;
    for (size_t i = 1; i < machine->running; i++)
        for (size_t k = i; k > 0 && is_before(&machine->active[k], &machine->active[k - 1]); k--) {
            struct active other = machine->active[k];
            machine->active[k] = machine->active[k - 1];
            machine->active[k - 1] = other;
        }
    size_t i = 0;
    for (; i < machine->count && left > 0; i++) {
        struct active *active = &machine->active[i];
        double given = active->width < left ? active->width : left;
        active->rate = given / active->width;
        left -= given;
    }
    machine->running = i;
}

static void come(struct machine *machine, const struct replay_job *job, uint32_t index)
{
    struct active active = {.left_ms = (double)job->duration_ms,
                            .width = (double)job->devices * job->nodes,
                            .job = index};
    active.work = active.left_ms * active.width;
    size_t low = 0, high = machine->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (is_before(&machine->active[middle], &active))
            low = middle + 1;
        else
            high = middle;
    }
    memmove(&machine->active[low + 1], &machine->active[low],
            (machine->count - low) * sizeof(active));
    machine->active[low] = active;
    machine->count++;
    if (low < machine->running)
        machine->running++; /* the last may have to stop: share_out says */
}

/* Until the first of those that run would end. */
static double first_end(const struct machine *machine)
{
    double soonest = -1;
    for (size_t i = 0; i < machine->running; i++) {
        double needs = machine->active[i].left_ms / machine->active[i].rate;
        if (soonest < 0 || needs < soonest)
            soonest = needs;
    }
    return soonest;
}

static void run_for(struct machine *machine, double ms, double now_ms,
                    const struct replay_job *jobs, double *waits, double *response)
{
    const double instant_ms = 1e-6; /* below it a job counts as ended */
    size_t kept = 0;
    for (size_t i = 0; i < machine->count; i++) {
        struct active *active = &machine->active[i];
        if (i < machine->running) {
            active->left_ms -= ms * active->rate;
            active->work = active->left_ms * active->width;
        }
        if (i < machine->running && active->left_ms <= instant_ms) {
            const struct replay_job *job = &jobs[active->job];
            double took = now_ms + ms - (double)job->arrival_ms;
            double wait = took - (double)job->duration_ms;
            waits[active->job] = wait > 0 ? wait : 0;
            *response += took;
            continue;
        }
        if (kept != i)
            machine->active[kept] = machine->active[i];
        kept++;
    }
    size_t ended = machine->count - kept;
    machine->running -= ended;
    machine->count = kept;
}

enum err srpt_run(const struct replay_job *jobs, size_t count, uint64_t devices,
                  struct srpt_result *out)
{
    struct machine machine = {.devices = (double)devices};
    double *waits = calloc(count + 1, sizeof(*waits)), response = 0, now = 0, total = 0;
    enum err err = ERR_NO_MEMORY;
    size_t next = 0;
    machine.active = malloc((count + 1) * sizeof(*machine.active));
    if (machine.active == NULL || waits == NULL)
        goto out;
    while (next < count || machine.count > 0) {
        share_out(&machine);
        double until = first_end(&machine);
        if (next < count && (until < 0 || (double)jobs[next].arrival_ms - now < until))
            until = (double)jobs[next].arrival_ms - now;
        run_for(&machine, until, now, jobs, waits, &response);
        now += until;
        while (next < count && (double)jobs[next].arrival_ms <= now) {
            come(&machine, &jobs[next], (uint32_t)next);
            next++;
        }
    }
    for (size_t i = 0; i < count; i++)
        total += waits[i];
    *out = (struct srpt_result){.wait_mean_ms = count > 0 ? total / (double)count : 0,
                                .wait_p99_ms = replay_quantile(waits, count, 0.99),
                                .response_mean_ms = count > 0 ? response / (double)count : 0};
    err = ERR_OK;
out:
    free(machine.active);
    free(waits);
    return err;
}

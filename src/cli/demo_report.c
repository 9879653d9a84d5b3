/* What ran where, what was metered, and whether every promise was kept. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "cli/demo.h"
#include "port/file.h"
#include "wire/json_writer.h"

enum { REPORT_BYTES_MAX = 1 << 20 };

static struct demo_site *site_named(struct demo *demo, struct slice name)
{
    for (uint32_t i = 0; i < demo->site_count; i++)
        if (slice_is(name, demo->sites[i].name))
            return &demo->sites[i];
    return NULL;
}

/* Two attempts of one job whose times at their sites overlap would be a double run. */
static uint32_t overlaps(const struct wall_us starts[], const struct wall_us ends[], uint32_t count)
{
    uint32_t found = 0;
    for (uint32_t a = 0; a < count; a++)
        for (uint32_t b = 0; b < a; b++)
            found += starts[a].us < ends[b].us && starts[b].us < ends[a].us;
    return found;
}

static void job_take(struct demo *demo, struct json_value job)
{
    struct wall_us starts[DEMO_ATTEMPTS_MAX], ends[DEMO_ATTEMPTS_MAX];
    struct slice last_site = {0};
    uint32_t count = 0;
    struct json_iterator it = json_iterate(json_object_get(job, "attempts"));
    while (json_next(&it)) {
        struct slice name = api_string(it.value, "site_name");
        struct demo_site *site = site_named(demo, name);
        struct wall_us start;
        if (wall_parse(api_string(it.value, "started_at"), &start) != ERR_OK)
            continue; /* never ran */
        struct span_ms ran = {(int64_t)api_u64(it.value, "ran_ms")};
        if (site != NULL)
            site->attempts++;
        if (last_site.len > 0 && !slice_is_equal(last_site, name))
            demo->summary.migrations++;
        last_site = name;
        if (count < DEMO_ATTEMPTS_MAX) {
            starts[count] = start;
            ends[count++].us = start.us + ran.ms * 1000;
        }
    }
    demo->summary.double_runs += overlaps(starts, ends, count);
}

/* Every job of the network, one by one: the list, then each one's attempts. */
static int jobs_collect(struct demo *demo)
{
    struct api_reply list, one;
    struct cli *cli = demo->cli;
    int code = api_call(cli, "GET", "/v1/jobs?limit=1000", (struct slice){0}, &list);
    if (code != EXIT_DONE)
        return code;
    struct json_value items = json_object_get(list.root, "items");
    struct json_iterator it = json_iterate(items);
    uint64_t seen = 0;
    while (code == EXIT_DONE && json_next(&it)) {
        struct slice state = api_string(it.value, "state");
        seen++;
        demo->summary.succeeded += slice_is(state, "succeeded");
        demo->summary.failed += slice_is(state, "failed") || slice_is(state, "cancelled");
        demo->summary.open += slice_is(state, "pending") || slice_is(state, "active");
        code = api_call(cli, "GET",
                        api_target(cli, "/v1/jobs/%.*s", SLICE_ARG(api_string(it.value, "id"))),
                        (struct slice){0}, &one);
        if (code == EXIT_DONE)
            job_take(demo, one.root);
    }
    demo->summary.lost = demo->summary.submitted > seen ? demo->summary.submitted - seen : 0;
    return code;
}

static int usage_collect(struct demo *demo)
{
    struct api_reply reply;
    int code = api_call(demo->cli, "GET", "/v1/usage?by=site", (struct slice){0}, &reply);
    if (code != EXIT_DONE)
        return code;
    struct json_iterator it = json_iterate(json_object_get(reply.root, "items"));
    while (json_next(&it)) {
        struct demo_site *site = site_named(demo, api_string(it.value, "name"));
        demo->summary.usage_records += api_u64(it.value, "records");
        if (site == NULL)
            continue;
        site->cpu_held_ms = api_u64(it.value, "cpu_held_ms");
        site->utilisation_pct =
            100.0 * (double)site->cpu_held_ms / (demo->seconds * 1000.0 * (double)site->nodes);
    }
    return EXIT_DONE;
}

int demo_report_collect(struct demo *demo)
{
    struct api_reply reply;
    demo->seconds = (double)demo_now_ms(demo) / 1000.0;
    int code = api_call(demo->cli, "GET", "/v1/sites", (struct slice){0}, &reply);
    if (code != EXIT_DONE)
        return code;
    struct json_iterator it = json_iterate(json_object_get(reply.root, "items"));
    while (json_next(&it) && demo->site_count < DEMO_SITES_MAX) {
        struct demo_site *site = &demo->sites[demo->site_count++];
        (void)snprintf(site->name, sizeof(site->name), "%.*s",
                       SLICE_ARG(api_string(it.value, "name")));
        site->nodes = (uint32_t)json_count(json_object_get(it.value, "nodes"));
        if (site->nodes == 0)
            site->nodes = (uint32_t)api_u64(it.value, "nodes");
    }
    code = jobs_collect(demo);
    return code == EXIT_DONE ? usage_collect(demo) : code;
}

static void sites_print(struct demo *demo)
{
    static const char *const HEADS[] = {"SITE", "NODES", "ATTEMPTS", "CORE-SECONDS", "USED"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT, TABLE_RIGHT, TABLE_RIGHT, TABLE_RIGHT,
                                              TABLE_RIGHT};
    struct table *table = table_create(demo->cli, HEADS, ALIGNS, 5);
    for (uint32_t i = 0; i < demo->site_count; i++) {
        const struct demo_site *site = &demo->sites[i];
        table_cell_text(table, site->name);
        table_cell_printf(table, "%u", site->nodes);
        table_cell_printf(table, "%llu", (unsigned long long)site->attempts);
        table_cell_printf(table, "%.1f", (double)site->cpu_held_ms / 1000.0);
        table_cell_printf(table, "%.1f %%", site->utilisation_pct);
    }
    table_print(table);
}

static void tenants_print(struct demo *demo)
{
    static const char *const HEADS[] = {"TENANT", "USAGE RECORDS", "CORE-SECONDS"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT, TABLE_RIGHT, TABLE_RIGHT};
    struct api_reply reply;
    if (api_call(demo->cli, "GET", "/v1/usage?by=tenant", (struct slice){0}, &reply) != EXIT_DONE)
        return;
    struct table *table = table_create(demo->cli, HEADS, ALIGNS, 3);
    struct json_iterator it = json_iterate(json_object_get(reply.root, "items"));
    while (json_next(&it)) {
        table_cell(table, api_string(it.value, "name"));
        table_cell_printf(table, "%llu", (unsigned long long)api_u64(it.value, "records"));
        table_cell_printf(table, "%.1f", (double)api_u64(it.value, "cpu_held_ms") / 1000.0);
    }
    table_print(table);
}

void demo_report_print(struct demo *demo)
{
    const struct demo_training *training = &demo->training;
    const struct demo_summary *s = &demo->summary;
    printf("\n== What happened ==\n\n");
    printf("Training: %s, at %s", training->state, training->first_site);
    if (training->is_moved)
        printf(", then at %s", training->second_site);
    printf(".\n");
    if (training->step_after > 0) {
        printf("  before the loss of %s: step %llu, loss %.4f\n", training->first_site,
               (unsigned long long)training->step_before, training->loss_before);
        printf("  resumed from the checkpoint of step %llu at %s: step %llu, loss %.4f\n",
               (unsigned long long)training->step_resumed, training->second_site,
               (unsigned long long)training->step_after, training->loss_after);
    }
    printf("  at the end: step %llu, loss %.4f\n\n", (unsigned long long)training->step,
           training->loss_last);
    sites_print(demo);
    printf("\n");
    tenants_print(demo);
    printf("\n%llu jobs submitted, %llu succeeded, %llu failed, %llu not ended; %llu went to "
           "another site; "
           "%llu ran twice at once, %llu lost; %llu usage records; %.0f s.\n",
           (unsigned long long)s->submitted, (unsigned long long)s->succeeded,
           (unsigned long long)s->failed, (unsigned long long)s->open,
           (unsigned long long)s->migrations, (unsigned long long)s->double_runs,
           (unsigned long long)s->lost, (unsigned long long)s->usage_records, demo->seconds);
    printf("Asks, operators and some tariffs of this network are example values (see "
           "data/topology/demo.yaml);\n"
           "round trips are the topology's estimates, emulated on this machine. Replayed jobs hold "
           "their nodes and sleep.\n");
}

int demo_report_write(struct demo *demo, const char *path)
{
    struct buffer out;
    struct json_writer writer;
    struct fault fault = {0};
    const struct demo_summary *s = &demo->summary;
    buffer_init(&out, REPORT_BYTES_MAX);
    json_writer_init_indented(&writer, &out, 2);
    json_begin_object(&writer);
    json_key(&writer, "jobs");
    json_begin_object(&writer);
    json_put_u64(&writer, "submitted", s->submitted);
    json_put_u64(&writer, "succeeded", s->succeeded);
    json_put_u64(&writer, "failed", s->failed);
    json_end_object(&writer);
    json_put_u64(&writer, "sites", demo->site_count);
    json_put_u64(&writer, "migrations", s->migrations);
    json_put_u64(&writer, "double_runs", s->double_runs);
    json_put_u64(&writer, "lost", s->lost);
    json_put_u64(&writer, "usage_records", s->usage_records);
    json_key(&writer, "utilisation_pct");
    json_begin_object(&writer);
    for (uint32_t i = 0; i < demo->site_count; i++)
        json_put_f64(&writer, demo->sites[i].name, demo->sites[i].utilisation_pct);
    json_end_object(&writer);
    json_put_f64(&writer, "seconds", demo->seconds);
    json_key(&writer, "training");
    json_begin_object(&writer);
    json_put_text(&writer, "state", demo->training.state);
    json_put_text(&writer, "first_site", demo->training.first_site);
    json_put_text(&writer, "second_site", demo->training.second_site);
    json_put_u64(&writer, "step_before", demo->training.step_before);
    json_put_f64(&writer, "loss_before", demo->training.loss_before);
    json_put_u64(&writer, "step_resumed", demo->training.step_resumed);
    json_put_u64(&writer, "step_after", demo->training.step_after);
    json_put_f64(&writer, "loss_after", demo->training.loss_after);
    json_put_f64(&writer, "loss_last", demo->training.loss_last);
    json_end_object(&writer);
    json_end_object(&writer);
    enum err err = json_writer_finish(&writer);
    buffer_append_char(&out, '\n');
    if (err == ERR_OK)
        err = file_write_atomic(path, buffer_slice(&out), 0644, &fault);
    buffer_deinit(&out);
    return err == ERR_OK ? EXIT_DONE : cli_fail_fault(demo->cli, EXIT_FAILED, path, &fault);
}

#include "sim/report.h"

#include <stdio.h>
#include <stdlib.h>

#include "wire/json_writer.h"

enum { HOUR_MS = 3600000, SITES_MAX = REPLAY_SITES_MAX };

static const char *const SERIES[REPORT_SERIES_COUNT_] = {[REPORT_UTILISATION] = "utilisation",
                                                         [REPORT_WAIT_H] = "wait_h",
                                                         [REPORT_COST] = "energy",
                                                         [REPORT_CARBON_KG] = "carbon_kg"};

/* Everything that is one number of the whole run: name and where it stands. */
struct total {
    const char *name;
    size_t offset;
};
#define TOTAL(field)                                                                               \
    {                                                                                              \
#field, offsetof(struct report, field)                                                     \
    }
static const struct total TOTALS[] = {
    TOTAL(jobs),       TOTAL(never),        TOTAL(misfits),
    TOTAL(kills),      TOTAL(events),       TOTAL(wait_mean_s),
    TOTAL(wait_p50_s), TOTAL(wait_p99_s),   TOTAL(response_mean_s),
    TOTAL(ask),        TOTAL(energy),       TOTAL(carbon_kg),
    TOTAL(kwh),        TOTAL(device_hours), TOTAL(core_hours),
    TOTAL(end_s)};
enum { TOTAL_COUNT = sizeof(TOTALS) / sizeof(TOTALS[0]) };

double report_round(double value)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%.6g", value);
    return strtod(text, NULL);
}

/* ---- from a replay */

struct size {
    double devices, cores;
};

static struct size site_size(const struct site *site)
{
    struct size size = {0, 0};
    for (uint32_t n = 0; n < site->node_count; n++) {
        size.devices += site->nodes[n].accelerator_count;
        size.cores += site->nodes[n].cpu_milli / 1000.0;
    }
    return size;
}

static double used_part(const struct size *size, double device_ms, double core_ms, double span_ms)
{
    double there = size->devices > 0 ? size->devices : size->cores;
    double held = size->devices > 0 ? device_ms : core_ms;
    return there > 0 && span_ms > 0 ? held / (there * span_ms) : 0;
}

static enum err site_make(const struct site *site, const struct replay_result *result, uint32_t s,
                          struct arena *arena, struct report_site *out)
{
    const struct replay_site_tally *tally = &result->sites[s];
    struct size size = site_size(site);
    *out = (struct report_site){.name = site->name,
                                .ask = tally->ask,
                                .jobs = (double)tally->jobs,
                                .kills = (double)tally->kills};
    out->values[REPORT_UTILISATION] =
        used_part(&size, tally->device_ms, tally->core_ms, (double)result->end_ms);
    out->values[REPORT_WAIT_H] =
        tally->jobs > 0 ? tally->wait_ms / (double)tally->jobs / HOUR_MS : 0;
    out->values[REPORT_COST] = tally->energy;
    out->values[REPORT_CARBON_KG] = tally->carbon_kg;
    for (int k = 0; k < REPORT_SERIES_COUNT_; k++) {
        out->series[k] = arena_array(arena, result->bucket_count, sizeof(double));
        if (out->series[k] == NULL)
            return ERR_NO_MEMORY;
    }
    for (uint32_t b = 0; b < result->bucket_count; b++) {
        const struct replay_bucket *bucket = &result->buckets[(size_t)s * result->bucket_count + b];
        out->series[REPORT_UTILISATION][b] =
            used_part(&size, bucket->device_ms, bucket->core_ms, (double)result->bucket_ms);
        out->series[REPORT_WAIT_H][b] =
            bucket->jobs > 0 ? bucket->wait_ms / bucket->jobs / HOUR_MS : 0;
        out->series[REPORT_COST][b] = bucket->energy;
        out->series[REPORT_CARBON_KG][b] = bucket->carbon_kg;
    }
    return ERR_OK;
}

enum err report_make(struct slice name, const struct topology *topology,
                     const struct replay_result *result, uint64_t misfits, struct arena *arena,
                     struct report *out)
{
    *out = (struct report){.name = name,
                           .bucket_s = (double)result->bucket_ms / 1000,
                           .bucket_count = result->bucket_count,
                           .site_count = result->site_count,
                           .jobs = (double)(result->ended + result->never),
                           .never = (double)result->never,
                           .misfits = (double)misfits,
                           .kills = (double)result->kills,
                           .events = (double)result->events,
                           .wait_mean_s = result->wait_mean_ms / 1000,
                           .wait_p50_s = result->wait_p50_ms / 1000,
                           .wait_p99_s = result->wait_p99_ms / 1000,
                           .response_mean_s = result->response_mean_ms / 1000,
                           .ask = result->ask,
                           .energy = result->energy,
                           .carbon_kg = result->carbon_kg,
                           .kwh = result->kwh,
                           .device_hours = result->device_ms / HOUR_MS,
                           .core_hours = result->core_ms / HOUR_MS,
                           .end_s = (double)result->end_ms / 1000};
    out->sites = arena_array(arena, out->site_count, sizeof(*out->sites));
    if (out->sites == NULL)
        return ERR_NO_MEMORY;
    for (uint32_t s = 0; s < out->site_count; s++) {
        enum err err = site_make(&topology->sites[s], result, s, arena, &out->sites[s]);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* ---- to text */

static void site_json(struct json_writer *writer, const struct report *report,
                      const struct report_site *site)
{
    json_begin_object(writer);
    json_put_string(writer, "name", site->name);
    json_put_f64(writer, "jobs", site->jobs);
    json_put_f64(writer, "kills", site->kills);
    json_put_f64(writer, "ask", report_round(site->ask));
    for (int k = 0; k < REPORT_SERIES_COUNT_; k++)
        json_put_f64(writer, SERIES[k], report_round(site->values[k]));
    json_key(writer, "series");
    json_begin_object(writer);
    for (int k = 0; k < REPORT_SERIES_COUNT_; k++) {
        json_key(writer, SERIES[k]);
        json_begin_array(writer);
        for (uint32_t b = 0; b < report->bucket_count; b++)
            json_f64(writer, report_round(site->series[k][b]));
        json_end_array(writer);
    }
    json_end_object(writer);
    json_end_object(writer);
}

void report_json(const struct report *report, struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_begin_object(&writer);
    json_put_string(&writer, "name", report->name);
    json_put_f64(&writer, "bucket_s", report->bucket_s);
    json_put_u64(&writer, "buckets", report->bucket_count);
    for (int i = 0; i < TOTAL_COUNT; i++) {
        const double *at = (const void *)((const char *)report + TOTALS[i].offset);
        json_put_f64(&writer, TOTALS[i].name, report_round(*at));
    }
    json_key(&writer, "sites");
    json_begin_array(&writer);
    for (uint32_t s = 0; s < report->site_count; s++)
        site_json(&writer, report, &report->sites[s]);
    json_end_array(&writer);
    json_end_object(&writer);
    enum err err = json_writer_finish(&writer);
    (void)err; /* sticky in the buffer: its owner looks */
    buffer_append_char(out, '\n');
}

void report_csv(const struct report *report, struct buffer *out)
{
    buffer_append_text(out, "site,from_s,utilisation,wait_h,energy,carbon_kg\n");
    for (uint32_t s = 0; s < report->site_count; s++)
        for (uint32_t b = 0; b < report->bucket_count; b++) {
            const struct report_site *site = &report->sites[s];
            buffer_append(out, site->name);
            buffer_printf(out, ",%.0f", b * report->bucket_s);
            for (int k = 0; k < REPORT_SERIES_COUNT_; k++)
                buffer_printf(out, ",%.6g", site->series[k][b]);
            buffer_append_char(out, '\n');
        }
}

/* ---- and back */

#define FIGURE_MAX 1e300

static enum err number_read(struct json_value object, const char *name, double *out,
                            struct fault *fault)
{
    struct json_value value = json_object_get(object, name);
    if (json_is_missing(value))
        return json_refuse_member(object, name, fault, ERR_INVALID, "is missing");
    return json_to_f64(value, -FIGURE_MAX, FIGURE_MAX, out, fault);
}

static enum err series_read(struct json_value object, const char *name, uint32_t count,
                            struct arena *arena, double **out, struct fault *fault)
{
    struct json_value array = json_object_get(object, name);
    enum err err = json_to_array(array, count, &array, fault);
    if (err != ERR_OK)
        return err;
    if (json_count(array) != count)
        return json_refuse(array, fault, ERR_INVALID, "must have %u figures", count);
    double *figures = arena_array(arena, (size_t)count + 1, sizeof(*figures));
    if (figures == NULL)
        return ERR_NO_MEMORY;
    struct json_iterator it = json_iterate(array);
    while (err == ERR_OK && json_next(&it))
        err = json_to_f64(it.value, -FIGURE_MAX, FIGURE_MAX, &figures[it.index], fault);
    *out = figures;
    return err;
}

static enum err site_read(struct json_value value, const struct report *report, struct arena *arena,
                          struct report_site *out, struct fault *fault)
{
    struct slice name;
    enum err err = json_to_string(json_object_get(value, "name"), REPORT_NAME_MAX, &name, fault);
    if (err == ERR_OK)
        err = number_read(value, "jobs", &out->jobs, fault);
    if (err == ERR_OK)
        err = number_read(value, "kills", &out->kills, fault);
    if (err == ERR_OK)
        err = number_read(value, "ask", &out->ask, fault);
    for (int k = 0; err == ERR_OK && k < REPORT_SERIES_COUNT_; k++) {
        err = number_read(value, SERIES[k], &out->values[k], fault);
        if (err == ERR_OK)
            err = series_read(json_object_get(value, "series"), SERIES[k], report->bucket_count,
                              arena, &out->series[k], fault);
    }
    if (err == ERR_OK)
        out->name = arena_copy(arena, name);
    return err;
}

enum err report_read(struct json_value root, struct arena *arena, struct report *out,
                     struct fault *fault)
{
    struct report report = {0};
    struct json_value sites;
    struct slice name;
    uint64_t buckets = 0;
    enum err err = json_to_object(root, &root, fault);
    if (err == ERR_OK)
        err = json_to_string(json_object_get(root, "name"), REPORT_NAME_MAX, &name, fault);
    if (err == ERR_OK)
        err = number_read(root, "bucket_s", &report.bucket_s, fault);
    if (err == ERR_OK)
        err = json_to_u64(json_object_get(root, "buckets"), 0, REPLAY_BUCKETS_MAX, &buckets, fault);
    for (int i = 0; err == ERR_OK && i < TOTAL_COUNT; i++)
        err =
            number_read(root, TOTALS[i].name, (void *)((char *)&report + TOTALS[i].offset), fault);
    if (err == ERR_OK)
        err = json_to_array(json_object_get(root, "sites"), SITES_MAX, &sites, fault);
    if (err != ERR_OK)
        return err;
    report.name = arena_copy(arena, name);
    report.bucket_count = (uint32_t)buckets;
    report.site_count = (uint32_t)json_count(sites);
    report.sites = arena_array(arena, (size_t)report.site_count + 1, sizeof(*report.sites));
    if (report.sites == NULL)
        return ERR_NO_MEMORY;
    struct json_iterator it = json_iterate(sites);
    while (err == ERR_OK && json_next(&it))
        err = site_read(it.value, &report, arena, &report.sites[it.index], fault);
    if (err == ERR_OK)
        *out = report;
    return err;
}

/* For those who run the server: health, readiness, metrics, the API's own description. */
#include <string.h>

#include "base/assert.h"
#include "server/api.h"
#include "server/openapi.h"
#include "server/requests.h"

enum { METRICS_BYTES_MAX = 1 << 20 };

void api_openapi(struct request *request)
{
    request_json(request, 200, (struct slice){OPENAPI_JSON, OPENAPI_JSON_LEN});
}

void api_healthz(struct request *request)
{
    request_json(request, 200, SLICE_LITERAL("{\"status\":\"ok\"}"));
}

void api_readyz(struct request *request)
{
    if (core_host_core(request->server->host) == NULL || request->server->is_stopping)
        request_problem(
            request, 503, "not_ready",
            "the core is not loaded: the store cannot be written, or the server is stopping");
    else
        request_json(request, 200, SLICE_LITERAL("{\"status\":\"ready\"}"));
}

static void gauge(struct buffer *out, const char *name, const char *help, const char *type,
                  uint64_t value)
{
    buffer_printf(out, "# HELP lq_%s %s\n# TYPE lq_%s %s\nlq_%s %llu\n", name, help, name, type,
                  name, (unsigned long long)value);
}

static void metrics_http(struct server *server, struct buffer *out)
{
    struct http_server_counts http;
    http_server_counts(server->http, &http);
    gauge(out, "http_connections", "open connections", "gauge", http.connections_now);
    gauge(out, "http_requests_total", "requests read", "counter", http.requests_total);
    gauge(out, "http_refusals_total", "requests that broke the protocol", "counter",
          http.refusals_total);
    gauge(out, "http_timeouts_total", "connections that were too slow", "counter",
          http.timeouts_total);
    gauge(out, "event_streams", "open event streams", "gauge", server->watcher_count);
    buffer_append_text(out, "# HELP lq_api_answers_total answers by status class\n# TYPE "
                            "lq_api_answers_total counter\n");
    for (int i = 2; i < 6; i++)
        buffer_printf(out, "lq_api_answers_total{class=\"%dxx\"} %llu\n", i,
                      (unsigned long long)server->counters.by_status[i]);
}

void api_metrics(struct request *request)
{
    static const struct http1_header HEADERS[] = {
        {{"Content-Type", 12}, {"text/plain; version=0.0.4; charset=utf-8", 40}}};
    struct server *server = request->server;
    struct core_host_stats stats = core_host_stats(server->host);
    struct server_core *core = core_host_core(server->host);
    struct buffer out;
    buffer_init(&out, METRICS_BYTES_MAX);
    gauge(&out, "ready", "the core is loaded", "gauge", core != NULL);
    if (core != NULL) {
        struct server_counts counts = server_core_counts(core);
        gauge(&out, "jobs_pending", "jobs that wait", "gauge", counts.jobs_pending);
        gauge(&out, "jobs_active", "jobs with a live attempt", "gauge", counts.jobs_active);
        gauge(&out, "attempts_offered", "attempts handed to a site", "gauge",
              counts.attempts_offered);
        gauge(&out, "attempts_running", "attempts that run", "gauge", counts.attempts_running);
        gauge(&out, "attempts_unknown", "attempts out of contact", "gauge",
              counts.attempts_unknown);
        gauge(&out, "sites", "sites that have joined", "gauge", counts.sites);
        gauge(&out, "sites_lost", "sites out of contact", "gauge", counts.sites_lost);
        gauge(&out, "reclaims_total", "times that owners got back nodes that pool work held",
              "counter", counts.reclaims);
        gauge(&out, "reclaim_breaches_total", "times that this took longer than was promised",
              "counter", counts.reclaim_breaches);
        gauge(&out, "db_epoch", "epoch of the database", "gauge", counts.db_epoch);
    }
    gauge(&out, "core_steps_total", "events handled", "counter", stats.steps);
    gauge(&out, "core_resets_total", "times the core was loaded again", "counter", stats.resets);
    gauge(&out, "store_groups_total", "transactions committed", "counter", stats.writer.groups);
    gauge(&out, "store_changes_total", "changes committed", "counter", stats.writer.changes);
    gauge(&out, "store_commit_ns_total", "time in commits, nanoseconds", "counter",
          stats.writer.commit_ns_total);
    metrics_http(server, &out);
    request->is_answered = true;
    http_exchange_respond(request->exchange, 200, HEADERS, 1, buffer_slice(&out));
    buffer_deinit(&out);
}

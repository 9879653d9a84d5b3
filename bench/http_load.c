/* Load on an HTTP server through our own client: small POSTs on kept-alive connections.
 *
 *   http_load ENDPOINT PIN|- CONNECTIONS SECONDS [RATE]
 *
 * PIN is the server's SPKI pin, "-" for plain HTTP. RATE is requests a second over all connections;
 * 0 or none: as fast as it goes. Prints {"requests":…,"per_s":…,"p50_us":…,"p99_us":…,"failed":…}.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/cert.h"
#include "http/client.h"
#include "port/loop.h"

enum { LATENCIES_MAX = 4 << 20, LANES_MAX = 4096 };

struct lane {
    struct load *load;
    struct loop_timer timer;
    struct boot_ns sent_at, due;
};

struct load {
    struct loop *loop;
    struct http_client *client;
    struct http_client_request request;
    struct boot_ns begin, end;
    struct lane *lanes;
    size_t lane_count, lanes_left;
    int64_t gap_ns; /* between two requests of a lane; 0: none */
    uint32_t *latencies_us;
    size_t done_count, failed_count;
};

static void lane_send(struct lane *lane);

static void lane_next(struct lane *lane)
{
    struct load *load = lane->load;
    struct boot_ns now = loop_now(load->loop).boot;
    if (!boot_is_before(now, load->end)) {
        if (--load->lanes_left == 0)
            loop_stop(load->loop);
        return;
    }
    lane->due.ns += load->gap_ns;
    if (load->gap_ns > 0 && boot_is_before(now, lane->due))
        loop_timer_set_at(&lane->timer, lane->due);
    else
        lane_send(lane);
}

static void on_done(void *context, struct http_call *call, enum err code,
                    const struct http1_head *head, struct slice body, const struct fault *fault)
{
    struct lane *lane = context;
    struct load *load = lane->load;
    (void)call;
    (void)body;
    if (code != ERR_OK || head->status != 200) {
        if (load->failed_count++ == 0)
            fprintf(stderr, "http_load: %s\n", fault != NULL ? fault->message : "bad status");
    } else if (load->done_count < LATENCIES_MAX) {
        int64_t ns = loop_now(load->loop).boot.ns - lane->sent_at.ns;
        load->latencies_us[load->done_count++] = (uint32_t)(ns / 1000);
    }
    lane_next(lane);
}

static void lane_send(struct lane *lane)
{
    static const struct http_call_events events = {.on_done = on_done};
    struct load *load = lane->load;
    lane->sent_at = loop_now(load->loop).boot;
    if (http_client_send(load->client, &load->request, &events, lane, NULL, NULL) != ERR_OK) {
        load->failed_count++;
        if (--load->lanes_left == 0)
            loop_stop(load->loop);
    }
}

static void on_timer(void *context)
{
    lane_send(context);
}

static int compare_us(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void must(enum err code, const char *what)
{
    if (code == ERR_OK)
        return;
    fprintf(stderr, "http_load: %s: %s\n", what, err_name(code));
    exit(1);
}

static struct tls_context *tls_of(const char *pin_text)
{
    uint8_t pin[TLS_PIN_BYTES];
    struct tls_context *tls;
    if (strcmp(pin_text, "-") == 0)
        return NULL;
    must(cert_pin_parse(slice_of(pin_text), pin), "pin");
    struct tls_client_options options = {.spki_pin = pin};
    must(tls_context_create_client(&options, NULL, &tls), "tls");
    return tls;
}

static void load_begin(struct load *load, int64_t seconds, int64_t rate)
{
    load->begin = loop_now(load->loop).boot;
    load->end = boot_add(load->begin, SPAN_S(seconds));
    load->gap_ns = rate > 0 ? (int64_t)load->lane_count * 1000000000 / rate : 0;
    load->lanes_left = load->lane_count;
    for (size_t i = 0; i < load->lane_count; i++) {
        struct lane *lane = &load->lanes[i];
        lane->load = load;
        lane->due.ns = load->begin.ns + load->gap_ns * (int64_t)i / (int64_t)load->lane_count;
        loop_timer_init(&lane->timer, load->loop, on_timer, lane);
        loop_timer_set_at(&lane->timer, lane->due);
    }
}

static void load_print(struct load *load)
{
    double seconds = (double)(loop_now(load->loop).boot.ns - load->begin.ns) / 1e9;
    size_t count = load->done_count;
    qsort(load->latencies_us, count, sizeof(*load->latencies_us), compare_us);
    printf("{\"requests\":%zu,\"per_s\":%.0f,\"p50_us\":%u,\"p99_us\":%u,\"failed\":%zu}\n", count,
           (double)count / seconds, count > 0 ? load->latencies_us[count / 2] : 0,
           count > 0 ? load->latencies_us[count * 99 / 100] : 0, load->failed_count);
}

int main(int argc, char **argv)
{
    struct load load = {.loop = NULL};
    int64_t lanes = 0, seconds = 0, rate = 0;
    if (argc < 5 || slice_parse_i64(slice_of(argv[3]), &lanes) != ERR_OK ||
        slice_parse_i64(slice_of(argv[4]), &seconds) != ERR_OK || lanes < 1 || lanes > LANES_MAX ||
        (argc > 5 && slice_parse_i64(slice_of(argv[5]), &rate) != ERR_OK)) {
        fprintf(stderr, "usage: http_load ENDPOINT PIN|- CONNECTIONS SECONDS [RATE]\n");
        return 2;
    }
    struct tls_context *tls = tls_of(argv[2]);
    struct http_client_limits limits = {.connections_max = (uint32_t)lanes,
                                        .idle_max = (uint32_t)lanes};
    load.lane_count = (size_t)lanes;
    load.lanes = calloc(load.lane_count, sizeof(*load.lanes));
    load.latencies_us = calloc(LATENCIES_MAX, sizeof(*load.latencies_us));
    if (load.lanes == NULL || load.latencies_us == NULL)
        must(ERR_NO_MEMORY, "memory");
    load.request = (struct http_client_request){
        .endpoint = argv[1],
        .tls = tls,
        .method = "POST",
        .target = "/echo",
        .body = SLICE_LITERAL("{\"name\":\"job\",\"run\":\"true\",\"resources\":{\"cpus\":1}}")};
    must(loop_create(&load.loop), "loop");
    must(http_client_create(load.loop, &limits, &load.client), "client");
    load_begin(&load, seconds, rate);
    must(loop_run(load.loop), "run");
    load_print(&load);
    for (size_t i = 0; i < load.lane_count; i++)
        loop_timer_stop(&load.lanes[i].timer);
    http_client_destroy(load.client);
    tls_context_release(tls);
    loop_destroy(load.loop);
    bool has_failed = load.failed_count > 0;
    free(load.lanes);
    free(load.latencies_us);
    return has_failed ? 1 : 0;
}

#include "cli/api.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hex.h"
#include "http/cert.h"
#include "port/entropy.h"
#include "port/file.h"
#include "port/loop.h"
#include "wire/json_writer.h"
#include "wire/yaml.h"

enum { PROBLEM_BYTES_MAX = 8192, CONFIG_BYTES_MAX = 1 << 20, API_ANSWER_BYTES_MAX = 256 << 20 };

const char *cli_home(struct cli *cli)
{
    const char *home = getenv("LQ_HOME");
    if (home != NULL && home[0] != 0)
        return home;
    home = getenv("HOME");
    return home == NULL || home[0] == 0 ? NULL
                                        : arena_printf(&cli->arena, "%s/.config/lingqu", home);
}

static int config_read(struct cli *cli, const char *path, struct fault *fault)
{
    struct json_document *document;
    struct slice text, value;
    enum err err = file_read(path, CONFIG_BYTES_MAX, &cli->arena, fault, &text);
    if (err == ERR_NOT_FOUND)
        return EXIT_DONE;
    if (err == ERR_OK)
        err = yaml_parse(text, &YAML_LIMITS, &document, fault);
    if (err != ERR_OK)
        return cli_fail_fault(cli, EXIT_USAGE, path, fault);
    enum { FIELDS = 4 };
    static const char *const KEYS[FIELDS] = {"server", "ca", "pin", "token"};
    const char **const fields[FIELDS] = {&cli->config.server, &cli->config.ca_pem, &cli->config.pin,
                                         &cli->config.token};
    struct json_value root = json_root(document);
    bool has_ca = cli->config.ca_pem != NULL; /* given by hand: the file's pin is of another */
    err = json_object_check_keys(root, KEYS, FIELDS, fault);
    for (int i = 0; i < FIELDS && err == ERR_OK; i++) {
        value = (struct slice){0};
        err = json_opt_string(root, KEYS[i], 65536, &value, fault);
        if (err == ERR_OK && value.len > 0 && *fields[i] == NULL &&
            !(has_ca && fields[i] == &cli->config.pin))
            *fields[i] = arena_text(&cli->arena, value);
    }
    json_document_destroy(document);
    return err == ERR_OK ? EXIT_DONE : cli_fail_fault(cli, EXIT_USAGE, path, fault);
}

static int ca_read(struct cli *cli, const char *path)
{
    struct fault fault = {0};
    struct slice text;
    if (file_read(path, CONFIG_BYTES_MAX, &cli->arena, &fault, &text) != ERR_OK)
        return cli_fail_fault(cli, EXIT_USAGE, path, &fault);
    cli->config.ca_pem = arena_text(&cli->arena, text);
    return EXIT_DONE;
}

int api_config_load(struct cli *cli)
{
    struct fault fault = {0};
    const char *home = cli_home(cli), *text;
    if (cli->has_config)
        return EXIT_DONE;
    if (cli->config.server == NULL && (text = getenv("LQ_SERVER")) != NULL && text[0] != 0)
        cli->config.server = text;
    if ((text = getenv("LQ_TOKEN")) != NULL && text[0] != 0)
        cli->config.token = text;
    if ((text = getenv("LQ_CA")) != NULL && text[0] != 0) {
        int code = ca_read(cli, text);
        if (code != EXIT_DONE)
            return code;
    }
    if (home != NULL) {
        int code = config_read(cli, arena_printf(&cli->arena, "%s/config.yaml", home), &fault);
        if (code != EXIT_DONE)
            return code;
    }
    if (cli->config.server == NULL)
        return cli_fail(
            cli, EXIT_USAGE,
            "no server is known; run `lq login HOST:PORT --token TOKEN` first (or `lq up` for a "
            "network on this machine)");
    if (cli->config.ca_pem == NULL && cli->config.pin == NULL)
        return cli_fail(
            cli, EXIT_USAGE,
            "the server's certificate authority is not known; run `lq login %s` to pin it",
            cli->config.server);
    cli->has_config = true;
    return EXIT_DONE;
}

int api_config_save(struct cli *cli, const char *home, const struct cli_config *config)
{
    struct buffer text;
    struct json_writer writer;
    struct fault fault = {0};
    if (home == NULL)
        home = cli_home(cli);
    if (home == NULL)
        return cli_fail(cli, EXIT_USAGE,
                        "neither LQ_HOME nor HOME is set: no place for the configuration");
    buffer_init(&text, CONFIG_BYTES_MAX);
    json_writer_init_indented(&writer, &text, 2); /* JSON is YAML too */
    json_begin_object(&writer);
    json_put_text(&writer, "server", config->server);
    if (config->ca_pem != NULL)
        json_put_text(&writer, "ca", config->ca_pem);
    if (config->pin != NULL)
        json_put_text(&writer, "pin", config->pin);
    json_put_text(&writer, "token", config->token);
    json_end_object(&writer);
    enum err err = json_writer_finish(&writer);
    if (err == ERR_OK)
        err = file_make_folders(home, 0700, &fault);
    const char *path = arena_printf(&cli->arena, "%s/config.yaml", home);
    if (err == ERR_OK)
        err = file_write_atomic(path, buffer_slice(&text), 0600, &fault);
    buffer_deinit(&text);
    return err == ERR_OK ? EXIT_DONE : cli_fail_fault(cli, EXIT_FAILED, path, &fault);
}

int cli_loop(struct cli *cli)
{
    if (cli->loop == NULL && loop_create(&cli->loop) != ERR_OK)
        return cli_fail(cli, EXIT_FAILED, "out of memory or descriptors");
    return EXIT_DONE;
}

static int client_ready(struct cli *cli)
{
    struct fault fault = {0};
    int code = api_config_load(cli);
    if (code != EXIT_DONE || cli->client != NULL)
        return code;
    uint8_t pin[TLS_PIN_BYTES];
    struct tls_client_options options = {.ca_pem = cli->config.ca_pem};
    if (cli->config.pin != NULL) {
        if (cert_pin_parse(slice_of(cli->config.pin), pin) != ERR_OK)
            return cli_fail(cli, EXIT_USAGE, "the pin must be 64 hexadecimal digits");
        options.spki_pin = pin;
    }
    if (tls_context_create_client(&options, &fault, &cli->tls) != ERR_OK)
        return cli_fail_fault(cli, EXIT_USAGE, "certificate authority", &fault);
    code = cli_loop(cli);
    if (code == EXIT_DONE && http_client_create(cli->loop, NULL, &cli->client) != ERR_OK)
        code = cli_fail(cli, EXIT_FAILED, "out of memory or descriptors");
    return code;
}

static int fetch_failed(struct cli *cli, enum err err, const struct fault *fault)
{
    const char *detail = fault->message[0] != 0 ? fault->message : err_name(err);
    size_t len = strlen(cli->config.server);
    if (strncmp(detail, cli->config.server, len) == 0 && strncmp(detail + len, ": ", 2) == 0)
        detail += len + 2; /* our own words name it already */
    if (err == ERR_DENIED)
        return cli_fail(cli, EXIT_DENIED,
                        "%s: its certificate was not accepted: %s; lq login pins the authority of "
                        "another server",
                        cli->config.server, detail);
    return cli_fail(cli, EXIT_UNREACHABLE,
                    "no answer from %s: %s; is the server running, and reachable from here?",
                    cli->config.server, detail);
}

/* The value that a path such as "jobs[3].resources.cpus" names, or the nearest one around it. */
static struct json_value value_at(struct json_value value, struct slice path)
{
    while (path.len > 0) {
        size_t len = 0;
        struct json_value inner;
        if (path.data[0] == '[') {
            uint64_t index = 0;
            while (len < path.len && path.data[len] != ']')
                len++;
            if (len == path.len ||
                slice_parse_u64((struct slice){path.data + 1, len - 1}, &index) != ERR_OK ||
                index >= json_count(value))
                return value;
            inner = json_array_at(value, (size_t)index);
            len++;
        } else {
            while (len < path.len && path.data[len] != '.' && path.data[len] != '[')
                len++;
            inner = json_object_find(value, (struct slice){path.data, len});
        }
        if (json_is_missing(inner))
            return value;
        value = inner;
        if (len < path.len && path.data[len] == '.')
            len++;
        path = (struct slice){path.data + len, path.len - len};
    }
    return value;
}

static void blame_write(const struct api_blame *blame, struct slice field, struct buffer *out)
{
    struct fault fault = {0};
    enum err err = json_refuse(value_at(blame->root, field), &fault, ERR_INVALID, "here");
    if (err == ERR_INVALID && fault.line > 0)
        buffer_printf(out, "%s:%u:%u: ", blame->path, fault.line, fault.column);
    else
        buffer_printf(out, "%s: ", blame->path);
}

int api_problem(struct cli *cli, int status, struct slice body)
{
    struct json_document *document = NULL;
    struct slice detail = {0}, field = {0}, nearest = {0};
    if (cli->is_json) {
        (void)cli_write(body);
        (void)cli_write(SLICE_LITERAL("\n"));
    }
    if (json_parse(body, &JSON_LIMITS_REQUEST, &document, NULL) == ERR_OK) {
        struct json_value root = json_root(document);
        detail = api_string(root, "detail");
        if (detail.len == 0)
            detail = api_string(root, "title");
        field = api_string(root, "field");
        nearest = api_string(root, "nearest");
    }
    int code = status == 404                                                      ? EXIT_NOT_FOUND
               : status == 401 || status == 403                                   ? EXIT_DENIED
               : status == 409 || status == 412 || status == 429 || status == 503 ? EXIT_CONFLICT
               : status == 400 || status == 422                                   ? EXIT_USAGE
                                                                                  : EXIT_FAILED;
    /* Line and column are of the text that was sent, which is ours and not the user's file. */
    struct buffer text;
    buffer_init(&text, PROBLEM_BYTES_MAX);
    if (cli->blame != NULL && (field.len > 0 || status == 422))
        blame_write(cli->blame, field, &text);
    if (field.len > 0)
        buffer_printf(&text, "%.*s: ", SLICE_ARG(cli_safe(cli, field)));
    buffer_printf(&text, "%.*s", SLICE_ARG(cli_safe(cli, detail)));
    if (nearest.len > 0)
        buffer_printf(&text, "; did you mean %.*s?", SLICE_ARG(cli_safe(cli, nearest)));
    if (detail.len == 0)
        buffer_printf(&text, "the server answered %d", status);
    code = cli_fail(cli, code, "%.*s", SLICE_ARG(buffer_slice(&text)));
    buffer_deinit(&text);
    json_document_destroy(document);
    return code;
}

static int call(struct cli *cli, const char *method, const char *target, struct slice body,
                const struct http1_header *more, struct api_reply *out)
{
    struct fault fault = {0};
    struct http_response response;
    struct http1_header headers[4];
    size_t count = 0;
    int code = client_ready(cli);
    if (code != EXIT_DONE)
        return code;
    if (cli->config.token != NULL)
        headers[count++] = (struct http1_header){
            SLICE_LITERAL("Authorization"),
            slice_of(arena_printf(&cli->arena, "Bearer %s", cli->config.token))};
    if (body.len > 0)
        headers[count++] =
            (struct http1_header){SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json")};
    if (more != NULL)
        headers[count++] = *more;
    const struct http_client_request request = {.endpoint = cli->config.server,
                                                .tls = cli->tls,
                                                .method = method,
                                                .target = target,
                                                .headers = headers,
                                                .header_count = count,
                                                .body = body,
                                                .response_bytes_max = API_ANSWER_BYTES_MAX};
    enum err err =
        http_client_fetch(cli->client, cli->loop, &request, &cli->arena, &fault, &response);
    if (err != ERR_OK)
        return fetch_failed(cli, err, &fault);
    if (response.status >= 400)
        return api_problem(cli, response.status, response.body);
    *out = (struct api_reply){.status = response.status, .body = response.body};
    for (size_t i = 0; i < response.header_count; i++)
        if (http1_is_name_equal(response.headers[i].name, "etag"))
            out->etag = arena_text(&cli->arena, response.headers[i].value);
    struct json_document *document;
    if (response.body.len == 0 ||
        json_parse(response.body, &JSON_LIMITS_FILE, &document, &fault) != ERR_OK)
        return EXIT_DONE;
    out->root = json_root(document);
    return api_keep(cli, document);
}

int api_call(struct cli *cli, const char *method, const char *target, struct slice body,
             struct api_reply *out)
{
    return call(cli, method, target, body, NULL, out);
}

int api_post_once(struct cli *cli, const char *target, struct slice body, struct api_reply *out)
{
    uint8_t bytes[16];
    struct buffer key;
    if (entropy_fill(bytes, sizeof(bytes)) != ERR_OK)
        return cli_fail(cli, EXIT_FAILED, "the system gives no random bytes");
    buffer_init(&key, 64);
    buffer_append_hex(&key, slice_make(bytes, sizeof(bytes)));
    const char *text = arena_text(&cli->arena, buffer_slice(&key));
    buffer_deinit(&key);
    const struct http1_header header = {SLICE_LITERAL("Idempotency-Key"), slice_of(text)};
    int code = call(cli, "POST", target, body, &header, out);
    if (code ==
        EXIT_UNREACHABLE) /* the answer may only have been lost: the key makes a second try safe */
        code = call(cli, "POST", target, body, &header, out);
    return code;
}

int api_put(struct cli *cli, const char *target, struct slice body, const char *etag,
            struct api_reply *out)
{
    const struct http1_header header = {SLICE_LITERAL("If-Match"), slice_of(etag)};
    return call(cli, "PUT", target, body, etag == NULL ? NULL : &header, out);
}

int api_probe(struct cli *cli, const char *target)
{
    struct fault fault = {0};
    struct http_response response;
    if (client_ready(cli) != EXIT_DONE)
        return 0;
    const struct http_client_request request = {
        .endpoint = cli->config.server, .tls = cli->tls, .method = "GET", .target = target};
    enum err err =
        http_client_fetch(cli->client, cli->loop, &request, &cli->arena, &fault, &response);
    return err == ERR_OK ? response.status : 0;
}

void api_forget(struct cli *cli)
{
    http_client_destroy(cli->client);
    tls_context_release(cli->tls);
    cli->client = NULL;
    cli->tls = NULL;
    cli->has_config = false;
}

int api_print(const struct api_reply *reply)
{
    return cli_write(reply->body) && cli_write(SLICE_LITERAL("\n")) ? EXIT_DONE : EXIT_FAILED;
}

int api_list(struct cli *cli, const char *target, uint64_t limit, struct api_list *out)
{
    struct slice cursor = {0};
    const char *join = strchr(target, '?') == NULL ? "?" : "&";
    uint64_t left = limit == 0 || limit > API_ITEMS_MAX ? API_ITEMS_MAX : limit;
    *out = (struct api_list){0};
    do {
        struct api_reply reply;
        const char *page =
            api_target(cli, "%s%slimit=%llu%s%s", target, join,
                       (unsigned long long)(left < API_PAGE ? left : API_PAGE),
                       cursor.len > 0 ? "&cursor=" : "",
                       cursor.len > 0 ? api_escape(cli, arena_text(&cli->arena, cursor)) : "");
        int code = api_call(cli, "GET", page, (struct slice){0}, &reply);
        if (code != EXIT_DONE)
            return code;
        struct json_value items = json_object_get(reply.root, "items");
        size_t count = json_count(items);
        struct json_value *grown = arena_array(&cli->arena, out->count + count + 1, sizeof(*grown));
        if (grown == NULL)
            return cli_fail(cli, EXIT_FAILED, "the list is too long; narrow the question");
        if (out->count > 0)
            memcpy(grown, out->items, out->count * sizeof(*grown));
        out->items = grown;
        struct json_iterator it = json_iterate(items);
        while (json_next(&it) && left > 0) {
            out->items[out->count++] = it.value;
            left--;
        }
        cursor = api_string(reply.root, "next");
        if (count == 0)
            break;
    } while (cursor.len > 0 && left > 0);
    out->has_more = cursor.len > 0;
    return EXIT_DONE;
}

int api_print_list(struct cli *cli, const struct api_list *list)
{
    struct buffer out;
    struct json_writer writer;
    buffer_init(&out, API_ANSWER_BYTES_MAX);
    json_writer_init(&writer, &out);
    json_begin_object(&writer);
    json_key(&writer, "items");
    json_begin_array(&writer);
    for (size_t i = 0; i < list->count; i++)
        json_copy(&writer, list->items[i]);
    json_end_array(&writer);
    json_put_bool(&writer, "has_more", list->has_more);
    json_end_object(&writer);
    int code = json_writer_finish(&writer) == ERR_OK
                   ? EXIT_DONE
                   : cli_fail(cli, EXIT_FAILED, "the list is too long; narrow the question");
    buffer_append_char(&out, '\n');
    if (code == EXIT_DONE && !cli_write(buffer_slice(&out)))
        code = EXIT_FAILED;
    buffer_deinit(&out);
    return code;
}

/* ---- streams */

struct stream {
    struct cli *cli;
    bool (*on_bytes)(struct cli *cli, void *context, struct slice bytes);
    void *context;
    struct http_call *call;
    struct buffer problem;
    int status, code;
    bool is_done;
};

static void stream_head(void *context, struct http_call *http, const struct http1_head *response)
{
    struct stream *stream = context;
    (void)http;
    stream->status = response->status;
}

static void stream_bytes(void *context, struct http_call *http, struct slice bytes)
{
    struct stream *stream = context;
    if (stream->status >= 400) {
        buffer_append(&stream->problem, bytes);
        return;
    }
    if (!stream->on_bytes(stream->cli, stream->context, bytes)) {
        stream->is_done = true;
        http_call_cancel(http);
        loop_stop(stream->cli->loop);
    }
}

static void stream_done(void *context, struct http_call *http, enum err code,
                        const struct http1_head *response, struct slice body,
                        const struct fault *fault)
{
    struct stream *stream = context;
    (void)http;
    (void)response;
    (void)body;
    stream->is_done = true;
    if (code != ERR_OK)
        stream->code = fetch_failed(stream->cli, code, fault);
    loop_stop(stream->cli->loop);
}

int api_stream(struct cli *cli, const char *target, const char *accept, const bool *is_over,
               bool (*on_bytes)(struct cli *cli, void *context, struct slice bytes), void *context)
{
    static const struct http_call_events EVENTS = {
        .on_head = stream_head, .on_bytes = stream_bytes, .on_done = stream_done};
    struct stream stream = {.cli = cli, .on_bytes = on_bytes, .context = context};
    struct fault fault = {0};
    int code = client_ready(cli);
    if (code != EXIT_DONE)
        return code;
    const struct http1_header headers[] = {
        {SLICE_LITERAL("Accept"), slice_of(accept)},
        {SLICE_LITERAL("Authorization"),
         slice_of(arena_printf(&cli->arena, "Bearer %s",
                               cli->config.token == NULL ? "" : cli->config.token))}};
    const struct http_client_request request = {.endpoint = cli->config.server,
                                                .tls = cli->tls,
                                                .method = "GET",
                                                .target = target,
                                                .headers = headers,
                                                .header_count = cli->config.token == NULL ? 1 : 2,
                                                .is_response_streamed = true,
                                                .stall_max = SPAN_MS(-1)};
    buffer_init(&stream.problem, 65536);
    enum err err = http_client_send(cli->client, &request, &EVENTS, &stream, &fault, &stream.call);
    if (err != ERR_OK) {
        buffer_deinit(&stream.problem);
        return fetch_failed(cli, err, &fault);
    }
    while (!stream.is_done && !(is_over != NULL && *is_over) && loop_run(cli->loop) == ERR_OK)
        ;
    if (!stream.is_done)
        http_call_cancel(stream.call);
    if (stream.code == EXIT_DONE && stream.status >= 400)
        stream.code = api_problem(cli, stream.status, buffer_slice(&stream.problem));
    buffer_deinit(&stream.problem);
    return stream.code;
}

/* ---- small things */

static void rest_over(void *context)
{
    loop_stop(context);
}

void cli_pause(struct cli *cli, struct span_ms span)
{
    struct loop_timer timer;
    if (cli_loop(cli) != EXIT_DONE)
        return;
    loop_timer_init(&timer, cli->loop, rest_over, cli->loop);
    loop_timer_set(&timer, span);
    enum err err = loop_run(cli->loop); /* whoever stops the loop ends the pause */
    loop_timer_stop(&timer);
    if (err != ERR_OK)
        (void)cli_fail(cli, EXIT_FAILED, "the event loop failed: %s", err_name(err));
}

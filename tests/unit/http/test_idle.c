/* Ten thousand sockets that say nothing, held by another process, beside a client that wants to be
 * served. */
#include "harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "port/process.h"

enum { IDLE = 10000, CROWDED_MAX = 500, REQUESTS = 100, REQUEST_MS_MAX = 2000 };

struct holder {
    pid_t pid;
    int ready_fd, end_fd;
};

/* The child: plain system calls only. */
static void hold_sockets(uint16_t port, int count, int ready_fd, int end_fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    char byte = 'x';
    for (int i = 0; i < count; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
            _exit(1);
    }
    if (write(ready_fd, &byte, 1) != 1)
        _exit(2);
    if (read(end_fd, &byte, 1) < 0)
        _exit(3);
    _exit(0);
}

static void holder_start(struct harness *harness, struct holder *holder)
{
    bool is_unix;
    char host[ENDPOINT_TEXT_MAX];
    uint16_t port;
    int ready[2], end[2];
    assert_int_equal(endpoint_parse(harness->endpoint, &is_unix, host, &port), ERR_OK);
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(end), 0);
    holder->pid = fork();
    assert_true(holder->pid >= 0);
    if (holder->pid == 0) {
        close(end[1]);
        hold_sockets(port, IDLE, ready[1], end[0]);
    }
    close(ready[1]);
    close(end[0]);
    holder->ready_fd = ready[0];
    holder->end_fd = end[1];
}

static void holder_end(struct holder *holder)
{
    int status;
    char byte;
    assert_int_equal(read(holder->ready_fd, &byte, 1), 1); /* all its connections had come about */
    close(holder->end_fd);
    close(holder->ready_fd);
    assert_int_equal(waitpid(holder->pid, &status, 0), holder->pid);
    assert_int_equal(status, 0);
}

static struct http_server_counts counts_of(struct harness *harness)
{
    struct http_server_counts counts;
    http_server_counts(harness->server, &counts);
    return counts;
}

static void serve_all(struct harness *harness)
{
    struct http_client_request request = harness_request(harness, "POST", "/echo");
    request.body = SLICE_LITERAL("served");
    for (int i = 0; i < REQUESTS; i++) {
        struct call call;
        struct boot_ns begin = loop_now(harness->loop).boot;
        call_run(harness, &request, &call);
        assert_int_equal(call.code, ERR_OK);
        assert_string_equal(call.body, "served");
        assert_true(boot_since(loop_now(harness->loop).boot, begin).ms < REQUEST_MS_MAX);
        http_client_drop_idle(harness->client); /* a newcomer each time */
    }
}

static void run_with(uint32_t connections_max, uint64_t expected_now, uint64_t expected_evicted)
{
    struct http_server_limits limits = {.head_max = {60000}, .connections_max = connections_max};
    struct rusage before, after;
    struct holder holder;
    assert_int_equal(process_descriptors_raise(), ERR_OK);
    if (process_descriptors_max() < IDLE + 1000)
        skip();
    struct harness *harness = harness_create(&limits);
    getrusage(RUSAGE_SELF, &before);
    holder_start(harness, &holder);
    while (counts_of(harness).connections_total < IDLE)
        loop_turn(harness->loop);
    assert_int_equal(counts_of(harness).connections_now, expected_now);
    serve_all(harness);
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 128 * 1024); /* KiB; sanitizers included */
    assert_true(counts_of(harness).connections_evicted >= expected_evicted);
    holder_end(&holder);
    if (expected_evicted == 0)
        assert_int_equal(counts_of(harness).connections_evicted, 0);
    harness_destroy(harness);
}

static void ten_thousand_idle_sockets_neither_break_nor_starve_the_server(void **state)
{
    (void)state;
    run_with(0, IDLE, 0);
}

static void past_the_limit_the_longest_idle_make_room(void **state)
{
    (void)state;
    run_with(CROWDED_MAX, CROWDED_MAX, IDLE - CROWDED_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_idle_sockets_neither_break_nor_starve_the_server),
        cmocka_unit_test(past_the_limit_the_longest_idle_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

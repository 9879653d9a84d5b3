/* Several nodes, here threads over the loopback, train one model. */
#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "world.h"

enum { STEPS = 8, NODES = 3 };

static void the_environment_is_read_strictly(void **state)
{
    struct lm_gang_place place;
    struct lm_fault fault;
    (void)state;

    assert_true(lm_gang_place_parse(&place, NULL, NULL, NULL, NULL));
    assert_int_equal(place.nodes, 1);
    assert_true(lm_gang_place_parse(&place, "1", "0", "", NULL));
    assert_true(lm_gang_place_parse(&place, "2", "1", "10.0.0.1,10.0.0.2", NULL));
    assert_int_equal(place.rank, 1);
    assert_string_equal(place.address, "10.0.0.1");
    assert_string_equal(place.port, "29417");
    assert_true(lm_gang_place_parse(&place, "2", "0", "host:99\nother:98", NULL));
    assert_string_equal(place.address, "host");
    assert_string_equal(place.port, "99");
    assert_true(lm_gang_place_parse(&place, "2", "0", "[::1]:99,[::1]:98", NULL));
    assert_string_equal(place.address, "::1");
    assert_string_equal(place.port, "99");
    assert_true(lm_gang_place_parse(&place, "2", "0", "fe80::1,fe80::2", NULL));
    assert_string_equal(place.address, "fe80::1");

    static const char *const bad[][3] = {
        {"0", "0", "a"},  {"x", "0", "a"},    {"65", "0", "a"},           {"2", "2", "a,b"},
        {"2", NULL, "a"}, {"2", "-1", "a"},   {"2", "0", NULL},           {"2", "0", ""},
        {"2", "0", ",b"}, {"2", "0", "[::1"}, {"2", "0", "h:1234567890"}, {"2", "1 ", "a"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(lm_gang_place_parse(&place, bad[i][0], bad[i][1], bad[i][2], &fault));
        assert_non_null(strstr(fault.text, "LQ_N"));
    }
}

struct node {
    struct world *world;
    struct lm_gang_place place;
    uint64_t identity;
    bool stop_at_3, stopped;
    uint64_t steps;
    double losses[STEPS];
    lm_real *params;
    bool ok;
};

static void *node_main(void *argument)
{
    struct node *n = argument;
    struct lm_trainer trainer;
    struct lm_pool *pool = lm_pool_create(1, NULL);
    struct lm_gang *gang = lm_gang_join(&n->place, n->identity, NULL);

    n->ok = gang != NULL && lm_trainer_init(&trainer, &n->world->recipe, &n->world->corpus,
                                            lm_kernels_pick(NULL), pool, gang, NULL);
    if (!n->ok) {
        lm_gang_leave(gang);
        lm_pool_destroy(pool);
        return NULL;
    }
    if (n->place.rank != 0) { /* prove that node 0's weights replace what was here */
        trainer.model.params[0] = 77;
    }
    n->ok = lm_trainer_join(&trainer, NULL);
    while (n->ok && !n->stopped && trainer.step < STEPS) {
        trainer.stop = n->stop_at_3 && trainer.step == 3;
        n->ok = lm_trainer_step(&trainer, &n->losses[trainer.step], NULL);
        n->stopped = trainer.stop;
    }
    n->steps = trainer.step;
    n->params = malloc(trainer.model.layout.params_len * sizeof *n->params);
    memcpy(n->params, trainer.model.params, trainer.model.layout.params_len * sizeof *n->params);
    lm_trainer_deinit(&trainer);
    lm_gang_leave(gang);
    lm_pool_destroy(pool);
    return NULL;
}

/* A port that was free a moment ago. */
static void free_port(char *out_port, size_t len)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t at_len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &at_len), 0);
    (void)snprintf(out_port, len, "%d", ntohs(at.sin_port));
    (void)close(fd);
}

static void run_gang(struct world *w, struct node *nodes, bool stop_at_3)
{
    pthread_t threads[NODES];
    char port[8];

    free_port(port, sizeof port);
    w->recipe.batch = 6;
    for (uint32_t r = 0; r < NODES; r++) {
        nodes[r] = (struct node){.world = w,
                                 .place = {.nodes = NODES, .rank = r, .address = "127.0.0.1"},
                                 .identity = 5,
                                 .stop_at_3 = stop_at_3 && r == 2};
        memcpy(nodes[r].place.port, port, sizeof port);
    }
    for (uint32_t r = NODES; r > 0; r--) { /* node 0 comes last: the others must wait for it */
        assert_int_equal(pthread_create(&threads[r - 1], NULL, node_main, &nodes[r - 1]), 0);
    }
    for (uint32_t r = 0; r < NODES; r++) {
        (void)pthread_join(threads[r], NULL);
        assert_true(nodes[r].ok);
    }
}

static void a_gang_trains_what_one_node_would(void **state)
{
    struct world *w = *state;
    struct node nodes[NODES];
    struct lm_trainer alone;
    struct lm_pool *pool = lm_pool_create(1, NULL);

    run_gang(w, nodes, false);
    assert_true(
        lm_trainer_init(&alone, &w->recipe, &w->corpus, lm_kernels_pick(NULL), pool, NULL, NULL));
    for (int i = 0; i < STEPS; i++) {
        double loss;
        assert_true(lm_trainer_step(&alone, &loss, NULL));
        assert_true(fabs(loss - nodes[0].losses[i]) < 1e-3);
    }
    size_t bytes = alone.model.layout.params_len * sizeof(lm_real);
    for (uint32_t r = 0; r < NODES; r++) {
        assert_int_equal(nodes[r].steps, STEPS);
        assert_memory_equal(nodes[0].params, nodes[r].params, bytes);
        assert_memory_equal(nodes[0].losses, nodes[r].losses, sizeof nodes[0].losses);
    }
    for (uint32_t r = 0; r < NODES; r++) {
        free(nodes[r].params);
    }
    lm_trainer_deinit(&alone);
    lm_pool_destroy(pool);
}

static void when_one_member_is_told_to_stop_all_stop_at_that_step(void **state)
{
    struct world *w = *state;
    struct node nodes[NODES];

    run_gang(w, nodes, true);
    for (uint32_t r = 0; r < NODES; r++) {
        assert_true(nodes[r].stopped);
        assert_int_equal(nodes[r].steps, 4);
        free(nodes[r].params);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_environment_is_read_strictly),
        CASE(a_gang_trains_what_one_node_would),
        CASE(when_one_member_is_told_to_stop_all_stop_at_that_step),
    };

    return cmocka_run_group_tests_name("train_lm_gang", tests, NULL, NULL);
}

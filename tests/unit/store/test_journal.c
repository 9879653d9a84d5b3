/* The agent's journal. */
#include "scene.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "port/file.h"
#include "port/loop.h"
#include "store/journal.h"

struct site {
    struct scene *scene;
    char path[128];
    struct journal *journal;
    /* what a load gave */
    bool has_meta;
    struct journal_meta meta;
    struct journal_attempt attempts[8];
    char orders[8][64];
    size_t attempt_count;
    uint64_t usage[64];
    size_t usage_count;
    /* what the writer gave */
    struct loop *loop;
    size_t completed;
    uint64_t read_first, read_count;
};

static void open_journal(struct site *site)
{
    struct fault fault = {0};
    struct journal_config config = {.path = site->path};
    enum err err = journal_open(&config, &site->journal, &fault);
    if (err)
        fail_msg("journal: %s: %s", err_name(err), fault.message);
}

static int set_up(void **state)
{
    struct site *site = calloc(1, sizeof *site);
    void *scene = NULL;
    if (scene_set_up(&scene) != 0)
        return -1;
    site->scene = scene;
    snprintf(site->path, sizeof site->path, "%s/journal.db", site->scene->folder);
    open_journal(site);
    *state = site;
    return 0;
}

static int tear_down(void **state)
{
    struct site *site = *state;
    journal_close(site->journal);
    loop_destroy(site->loop);
    void *scene = site->scene;
    free(site);
    return scene_tear_down(&scene);
}

static struct journal_op op_meta(uint64_t epoch, uint64_t seq, uint64_t acked)
{
    return (struct journal_op){.kind = JOURNAL_META_SET,
                               .meta = {.id = {scene_id(50)},
                                        .site = {scene_id(60)},
                                        .epoch_seen = epoch,
                                        .usage_seq = seq,
                                        .usage_acked = acked}};
}

static struct journal_op op_start(uint64_t job)
{
    struct journal_op op = {.kind = JOURNAL_ATTEMPT_INSERT};
    op.attempt = (struct journal_attempt){
        .token = {.epoch = 3, .job = {scene_id(job)}, .number = 2},
        .phase = PHASE_INTENT,
        .claim = CLAIM_FREE,
        .nodes = 70,
        .exit_code = -1,
        .contact = {.policy = CONTACT_LEASE, .lease = SPAN_S(900)},
        .changed_at = {11},
        .order = SLICE_LITERAL("{\"run\":\"exec train\"}"),
    };
    return op;
}

static struct journal_op op_record(uint64_t seq)
{
    struct journal_op op = {.kind = JOURNAL_USAGE_APPEND};
    op.usage = scene_usage(60, 50, seq, 7, 1000);
    return op;
}

static struct change_result apply_ops(struct site *site, const struct journal_op *ops, size_t count)
{
    struct journal_change change = {ops, count};
    const struct journal_change *list[] = {&change};
    struct change_result result;
    assert_int_equal(journal_apply(site->journal, list, 1, &result, NULL), ERR_OK);
    return result;
}

static enum err apply_one(struct site *site, struct journal_op op)
{
    return apply_ops(site, &op, 1).err;
}

static enum err see_meta(void *context, const struct journal_meta *meta)
{
    struct site *site = context;
    site->meta = *meta;
    return ERR_OK;
}

static enum err see_attempt(void *context, const struct journal_attempt *attempt)
{
    struct site *site = context;
    assert_true(site->attempt_count < 8);
    snprintf(site->orders[site->attempt_count], 64, "%.*s", SLICE_ARG(attempt->order));
    site->attempts[site->attempt_count++] = *attempt;
    return ERR_OK;
}

static enum err see_usage(void *context, const struct usage_record *record)
{
    struct site *site = context;
    assert_true(site->usage_count < 64);
    struct usage_record wanted = scene_usage(60, 50, record->seq, 7, 1000);
    assert_true(usage_record_is_equal(record, &wanted));
    site->usage[site->usage_count++] = record->seq;
    return ERR_OK;
}

static void load(struct site *site)
{
    struct journal_load_sink sink = {see_meta, see_attempt, see_usage, site};
    site->attempt_count = site->usage_count = 0;
    assert_int_equal(journal_load(site->journal, &sink, &site->has_meta, NULL), ERR_OK);
}

static void reload(struct site *site)
{
    journal_close(site->journal);
    site->journal = NULL;
    open_journal(site);
    load(site);
}

static void an_empty_journal_has_no_meta_until_it_is_set(void **state)
{
    struct site *site = *state;
    load(site);
    assert_false(site->has_meta);
    assert_int_equal(apply_one(site, op_meta(4, 0, 0)), ERR_OK);
    reload(site);
    assert_true(site->has_meta);
    assert_int_equal(site->meta.epoch_seen, 4);
    assert_true(id_is_equal(site->meta.id.id, scene_id(50)));
    assert_true(id_is_equal(site->meta.site.id, scene_id(60)));
}

static void an_attempt_reads_back_and_its_order_never_changes(void **state)
{
    struct site *site = *state;
    struct journal_op op = op_start(7);
    assert_int_equal(apply_one(site, op_meta(4, 0, 0)), ERR_OK);
    assert_int_equal(apply_one(site, op), ERR_OK);
    assert_int_equal(apply_one(site, op), ERR_STALE);
    op.kind = JOURNAL_ATTEMPT_UPDATE;
    op.attempt.phase = PHASE_ENDED;
    op.attempt.claim = CLAIM_TAKEN;
    op.attempt.holder = UINT64_C(0xfedcba9876543210);
    op.attempt.revoke = REVOKE_DRAIN;
    op.attempt.outcome = OUTCOME_PREEMPTED;
    op.attempt.exit_code = 143;
    op.attempt.is_acked = true;
    op.attempt.ran.ms = 777;
    op.attempt.total = (struct usage_quantities){1, 2, 3, 4, 5, 6, 7};
    op.attempt.rank_ended[0] = UINT64_C(0x8000000000000001);
    op.attempt.rank_ended[1] = 0x21;
    op.attempt.order = SLICE_LITERAL("another");
    assert_int_equal(apply_one(site, op), ERR_OK);
    reload(site);
    assert_int_equal(site->attempt_count, 1);
    const struct journal_attempt *back = &site->attempts[0];
    assert_true(attempt_token_is_equal(&back->token, &op.attempt.token));
    assert_int_equal(back->phase, PHASE_ENDED);
    assert_int_equal(back->claim, CLAIM_TAKEN);
    assert_int_equal(back->nodes, 70);
    assert_true(back->holder == UINT64_C(0xfedcba9876543210));
    assert_int_equal(back->revoke, REVOKE_DRAIN);
    assert_int_equal(back->outcome, OUTCOME_PREEMPTED);
    assert_int_equal(back->exit_code, 143);
    assert_true(back->is_acked);
    assert_int_equal(back->ran.ms, 777);
    assert_int_equal(back->contact.lease.ms, 900000);
    assert_memory_equal(&back->total, &op.attempt.total, sizeof back->total);
    assert_memory_equal(back->rank_ended, op.attempt.rank_ended, sizeof back->rank_ended);
    assert_string_equal(site->orders[0], "{\"run\":\"exec train\"}");
    struct journal_op forget = {.kind = JOURNAL_ATTEMPT_FORGET, .forget = op.attempt.token};
    assert_int_equal(apply_one(site, forget), ERR_OK);
    assert_int_equal(apply_one(site, forget), ERR_STALE);
    assert_int_equal(apply_one(site, op), ERR_STALE);
}

static void usage_follows_on_and_is_pruned_only_when_acknowledged(void **state)
{
    struct site *site = *state;
    assert_int_equal(apply_one(site, op_record(2)), ERR_STALE);
    struct journal_op ops[] = {op_meta(1, 3, 0), op_record(1), op_record(2), op_record(3)};
    assert_int_equal(apply_ops(site, ops, 4).err, ERR_OK);
    assert_int_equal(apply_one(site, op_record(3)), ERR_STALE);
    struct journal_op prune = {.kind = JOURNAL_USAGE_PRUNE, .prune_to = 2};
    assert_int_equal(apply_one(site, prune), ERR_STALE);
    assert_int_equal(apply_one(site, op_meta(1, 3, 2)), ERR_OK);
    load(site);
    assert_int_equal(site->usage_count, 1); /* only above what is acknowledged */
    assert_int_equal(site->usage[0], 3);
    assert_int_equal(apply_one(site, prune), ERR_OK);
    const struct usage_record *records = NULL;
    size_t count = 0;
    assert_int_equal(
        journal_usage_read(site->journal, 0, 10, &site->scene->arena, &records, &count), ERR_OK);
    assert_int_equal(count, 1);
    assert_int_equal(records[0].seq, 3);
    /* all acknowledged and pruned: the numbers go on after a restart all the same */
    assert_int_equal(apply_one(site, op_meta(1, 3, 3)), ERR_OK);
    prune.prune_to = 3;
    assert_int_equal(apply_one(site, prune), ERR_OK);
    reload(site);
    assert_int_equal(site->usage_count, 0);
    assert_int_equal(apply_one(site, op_record(3)), ERR_STALE);
    assert_int_equal(apply_one(site, op_record(4)), ERR_OK);
}

static void a_stale_change_of_a_group_leaves_the_others(void **state)
{
    struct site *site = *state;
    struct journal_op first[] = {op_meta(1, 1, 0), op_record(1)};
    struct journal_op bad[] = {op_record(2), op_start(9), op_record(9)};
    struct journal_op third[] = {op_record(2)};
    struct journal_change changes[] = {{first, 2}, {bad, 3}, {third, 1}};
    const struct journal_change *list[] = {&changes[0], &changes[1], &changes[2]};
    struct change_result results[3];
    assert_int_equal(journal_apply(site->journal, list, 3, results, NULL), ERR_OK);
    assert_int_equal(results[0].err, ERR_OK);
    assert_int_equal(results[1].err, ERR_STALE);
    assert_int_equal(results[1].op, 2);
    assert_int_equal(results[2].err, ERR_OK);
    load(site);
    assert_int_equal(site->attempt_count, 0);
    assert_int_equal(site->usage_count, 2);
}

static void a_damaged_journal_is_moved_aside_and_told(void **state)
{
    struct site *site = *state;
    struct fault fault = {0};
    char aside[256], name[32];
    assert_int_equal(apply_one(site, op_meta(1, 0, 0)), ERR_OK);
    journal_close(site->journal);
    site->journal = NULL;
    for (int i = 1; i <= 2; i++) { /* a second damaged one does not go over the first */
        static char rubbish[8192];
        memset(rubbish, 0x5a, sizeof rubbish);
        assert_int_equal(
            file_write_atomic(site->path, slice_make(rubbish, sizeof rubbish), 0600, NULL), ERR_OK);
        struct journal_config config = {.path = site->path};
        assert_int_equal(journal_open(&config, &site->journal, &fault), ERR_CORRUPT);
        snprintf(name, sizeof name, "corrupt-%d", i);
        snprintf(aside, sizeof aside, "%s.%s", site->path, name);
        assert_int_equal(access(aside, F_OK), 0);
        assert_non_null(strstr(fault.message, name));
        open_journal(site);
        load(site);
        assert_false(site->has_meta);
        journal_close(site->journal);
        site->journal = NULL;
    }
    /* a server's database under the journal's name is a mistake of people, not damage */
    struct journal_config config = {.path = site->scene->path};
    scene_close(site->scene);
    assert_int_equal(journal_open(&config, &site->journal, &fault), ERR_INVALID);
    assert_int_equal(access(site->scene->path, F_OK), 0);
}

static void a_second_agent_is_refused(void **state)
{
    struct site *site = *state;
    pid_t child = fork();
    if (child == 0) {
        struct journal *journal = NULL;
        struct journal_config config = {.path = site->path};
        _exit(journal_open(&config, &journal, NULL) == ERR_BUSY ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void what_was_journalled_survives_a_kill(void **state)
{
    struct site *site = *state;
    journal_close(site->journal);
    site->journal = NULL;
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        open_journal(site);
        apply_one(site, op_meta(1, 0, 0));
        for (uint64_t seq = 1;; seq++) {
            struct journal_op ops[] = {op_record(seq), op_meta(1, seq, 0)};
            if (apply_ops(site, ops, 2).err != ERR_OK ||
                write(pipes[1], &seq, sizeof seq) != sizeof seq)
                _exit(3);
        }
    }
    close(pipes[1]);
    uint64_t seq = 0, told = 0;
    for (int i = 0; i < 40; i++)
        assert_int_equal(read(pipes[0], &seq, sizeof seq), sizeof seq);
    kill(child, SIGKILL);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    told = seq;
    while (read(pipes[0], &seq, sizeof seq) == sizeof seq)
        told = seq;
    close(pipes[0]);
    open_journal(site);
    struct journal_load_sink sink = {.on_meta = see_meta, .context = site};
    assert_int_equal(journal_load(site->journal, &sink, &site->has_meta, NULL), ERR_OK);
    assert_in_range(site->meta.usage_seq, told, told + 1);
    struct journal_op next = op_record(site->meta.usage_seq + 1);
    assert_int_equal(apply_one(site, next), ERR_OK);
}

/* ---- the thread ---- */

static void on_complete(void *context, const struct change_result *result)
{
    struct site *site = context;
    assert_int_equal(result->err, ERR_OK);
    site->completed++;
}

static void on_read(void *context, enum err err, const struct usage_record *records, size_t count)
{
    struct site *site = context;
    assert_int_equal(err, ERR_OK);
    assert_int_equal(site->completed, 20); /* after everything submitted before */
    site->read_first = records[0].seq;
    site->read_count = count;
    loop_stop(site->loop);
}

static void the_journals_thread_writes_and_reads_in_order(void **state)
{
    struct site *site = *state;
    struct journal_writer *writer = NULL;
    struct journal_op ops[20];
    struct journal_change changes[20];
    assert_int_equal(loop_create(&site->loop), ERR_OK);
    assert_int_equal(journal_writer_create(site->loop, site->journal, 0, &writer), ERR_OK);
    for (size_t i = 0; i < 20; i++) {
        ops[i] = op_record(i + 1);
        changes[i] = (struct journal_change){&ops[i], 1};
        assert_int_equal(journal_writer_submit(writer, &changes[i], on_complete, site), ERR_OK);
    }
    assert_int_equal(journal_writer_usage_read(writer, 5, 10, on_read, site), ERR_OK);
    assert_int_equal(loop_run(site->loop), ERR_OK);
    assert_int_equal(site->read_first, 6);
    assert_int_equal(site->read_count, 10);
    assert_int_equal(journal_writer_load(writer), 0);
    journal_writer_destroy(writer);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_empty_journal_has_no_meta_until_it_is_set),
        TEST(an_attempt_reads_back_and_its_order_never_changes),
        TEST(usage_follows_on_and_is_pruned_only_when_acknowledged),
        TEST(a_stale_change_of_a_group_leaves_the_others),
        TEST(a_damaged_journal_is_moved_aside_and_told),
        TEST(a_second_agent_is_refused),
        TEST(what_was_journalled_survives_a_kill),
        TEST(the_journals_thread_writes_and_reads_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "supervise/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/supervisor.h"
#include "drive/supervise_lock.h"
#include "port/clock.h"
#include "port/file.h"
#include "supervise/child.h"
#include "supervise/disk_watch.h"
#include "supervise/engine_devices.h"
#include "supervise/gang_net.h"
#include "supervise/link.h"
#include "supervise/output.h"
#include "supervise/progress.h"

enum {
    ARENA_BYTES_MAX = 8 << 20,
    MESSAGE_ARENA_BYTES_MAX = 1 << 20,
    GONE_POLL_MS = 5,     /* between looks for the last process after a kill */
    TURN_MS_MAX = 1000,   /* the loop looks at the clocks at least so often */
    STEPS_A_TURN_MAX = 64 /* lines of the agent handled before the rest gets its turn */
};
#define END_RETRY_EVERY SPAN_MS(500)
#define ENGINE_SIGNAL_WAIT SPAN_MS(500)

struct supervise {
    const char *dir;
    uint64_t launch; /* the only one that may run here; 0: whatever the folder says */
    int folder, lock, signals;
    struct clock clock;
    struct arena arena, message_arena;
    struct supervise_doc doc;
    char secret[SUPERVISE_SECRET_MAX];
    size_t secret_len;
    struct supervisor core;
    struct link link;
    struct child child;
    struct output output;
    struct disk_watch watch;
    struct progress progress;
    struct fault broken; /* why no program can be started here; code ERR_OK: none */
    char why[SUPERVISE_WHY_MAX];
    enum outcome stopped_as; /* by this shell: the disk's limit */
    bool is_end_pending;     /* end.json could not be written yet */
    struct gate_message end_message;
    struct boot_ns end_retry_at, gone_at; /* gone_at: first seen; only while is_gone */
    bool is_gone, is_told_gone, is_quitting;
};

/* ---- the start */

static enum supervise_status take_lock(struct supervise *s)
{
    struct stat info;
    if (fstatat(s->folder, "end.json", &info, AT_SYMLINK_NOFOLLOW) == 0)
        return SUPERVISE_LOCKED; /* it ran, and nothing runs here twice */
    s->lock = openat(s->folder, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock < 0)
        return SUPERVISE_BROKEN;
    enum err code = supervise_lock_take(s->lock);
    if (code != ERR_OK)
        return code == ERR_BUSY ? SUPERVISE_LOCKED : SUPERVISE_BROKEN;
    /* Again, now that nobody else can write one. */
    if (fstatat(s->folder, "end.json", &info, AT_SYMLINK_NOFOLLOW) == 0)
        return SUPERVISE_LOCKED;
    return ftruncate(s->lock, 0) == 0 ? SUPERVISE_DONE : SUPERVISE_BROKEN;
}

/* From now on others find us by it. */
static enum supervise_status write_lock(struct supervise *s)
{
    char text[SUPERVISE_LOCK_TEXT_MAX];
    const struct supervise_lock lock = {.pid = getpid(), .incarnation = s->doc.incarnation};
    supervise_lock_format(&lock, text);
    return pwrite(s->lock, text, strlen(text), 0) == (ssize_t)strlen(text) ? SUPERVISE_DONE
                                                                           : SUPERVISE_BROKEN;
}

static enum supervise_status read_doc(struct supervise *s)
{
    char path[FILE_PATH_MAX];
    struct slice json;
    struct fault fault = {0};
    int len = snprintf(path, sizeof(path), "%s/supervise.json", s->dir);
    if (len <= 0 || (size_t)len >= sizeof(path))
        return SUPERVISE_BAD_FOLDER;
    enum err code = file_read(path, SUPERVISE_BYTES_MAX, &s->arena, &fault, &json);
    if (code == ERR_OK)
        code = supervise_doc_decode(json, &s->arena, &s->doc, &fault);
    if (code != ERR_OK) {
        (void)fprintf(stderr, "supervise: %s: %s %s\n", path, fault.field, fault.message);
        return SUPERVISE_BAD_FOLDER;
    }
    if (s->launch != 0 && s->launch != s->doc.incarnation) {
        (void)fprintf(stderr, "supervise: the folder is another launch's\n");
        return SUPERVISE_LOCKED;
    }
    return SUPERVISE_DONE;
}

/* The secret comes by descriptor: neither files nor other users' process lists ever show it. What
 * another engine starts has no descriptors of ours: there it is a file that only this user can
 * read, and it is gone before the program runs. */
static void read_secret(struct supervise *s)
{
    int fd = s->launch == 0 ? SUPERVISE_SECRET_FD
                            : openat(s->folder, "secret", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    while (fd >= 0 && s->secret_len < sizeof(s->secret)) {
        ssize_t got = read(fd, s->secret + s->secret_len, sizeof(s->secret) - s->secret_len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        s->secret_len += (size_t)got;
    }
    if (fd >= 0)
        (void)close(fd);
    if (s->launch != 0)
        (void)unlinkat(s->folder, "secret", 0);
}

static enum supervise_status watch_signals(struct supervise *s)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return SUPERVISE_BROKEN;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    /* What the program leaves behind becomes ours, not the machine's. */
    return s->signals >= 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 ? SUPERVISE_DONE
                                                                    : SUPERVISE_BROKEN;
}

static void core_begin(struct supervise *s)
{
    const struct supervise_doc *doc = &s->doc;
    const struct supervisor_settings settings = {
        .token = doc->token,
        .rank = doc->rank,
        .incarnation = doc->incarnation,
        .contact = doc->contact,
        .ask_every = doc->ask_every,
        .renew_every = doc->renew_every,
        .report_every = doc->report_every,
        .gate_limit = doc->gate_limit,
        .time_limit = doc->time_limit,
        .stop_grace = doc->stop_grace,
        .kill_time = doc->kill_time,
        .report_limit = doc->report_limit,
        .stop_signal = doc->stop_signal,
    };
    supervisor_init(&s->core, &PROTOCOL_RULES_ALL, &settings, clock_now(&s->clock));
}

/* ---- effects */

static void send_message(struct supervise *s, const struct gate_message *message, struct now now)
{
    struct gate_message open = *message;
    struct buffer line;
    if (!s->link.is_sealed) /* there it is proven and not told */
        open.secret = slice_make(s->secret, s->secret_len);
    buffer_init(&line, GATE_LINE_MAX);
    if (gate_message_encode(&open, &line) == ERR_OK)
        link_send(&s->link, buffer_slice(&line), now.boot);
    buffer_deinit(&line);
}

static enum err write_end(struct supervise *s)
{
    char path[FILE_PATH_MAX];
    struct buffer json;
    (void)snprintf(path, sizeof(path), "%s/end.json", s->dir);
    buffer_init(&json, SUPERVISE_BYTES_MAX);
    enum err code = end_record_encode(&s->end_message, slice_of(s->why), &json);
    if (code == ERR_OK)
        code = file_write_atomic(path, buffer_slice(&json), 0600, NULL);
    buffer_deinit(&json);
    return code;
}

/* Durable before EXIT leaves. Should the disk be full, our own scratch makes room. */
static void keep_end(struct supervise *s, struct now now)
{
    enum err code = write_end(s);
    child_clear(&s->child);
    if (code != ERR_OK)
        code = write_end(s);
    s->is_end_pending = code != ERR_OK;
    s->end_retry_at = boot_add(now.boot, END_RETRY_EVERY);
}

static void step(struct supervise *s, struct supervisor_event *event);

static void start_program(struct supervise *s)
{
    struct fault fault = s->broken;
    enum err code = fault.code;
    if (code == ERR_OK && s->doc.network == NETWORK_GANG && s->doc.rank != 0 && s->child.net < 0 &&
        gang_net_find(s->folder, &s->child.net) != ERR_OK)
        code = fault_set(&fault, ERR_NOT_FOUND, NULL, "the gang's first rank is gone");
    if (code == ERR_OK)
        code = child_start(&s->child, s->output.write_fd, &fault);
    output_child_started(&s->output);
    if (code == ERR_OK) {
        s->watch = (struct disk_watch){
            .folders = {s->child.work, s->child.scratch},
            .folder_count = 2,
            .bytes_max = s->doc.scratch_bytes,
            .reserve_bytes = s->doc.disk_reserve_bytes,
        };
        return;
    }
    (void)snprintf(s->why, sizeof(s->why), "%s", fault.message);
    output_note(&s->output, s->why);
    struct supervisor_event failed = {.kind = SUPERVISOR_EXEC_FAILED};
    step(s, &failed);
}

static void act(struct supervise *s, const struct supervisor_action *action, struct now now)
{
    switch (action->kind) {
    case SUPERVISE_SEND:
        if (!(action->message.kind == GATE_EXIT && s->is_end_pending))
            send_message(s, &action->message, now);
        break;
    case SUPERVISE_EXEC:
        start_program(s);
        break;
    case SUPERVISE_SIGNAL:
        child_signal(&s->child, action->signal);
        break;
    case SUPERVISE_KILL_TREE:
        child_kill(&s->child);
        break;
    case SUPERVISE_WRITE_END:
        s->end_message = action->message;
        keep_end(s, now);
        break;
    case SUPERVISE_QUIT:
        s->is_quitting = true;
        break;
    }
}

static void step(struct supervise *s, struct supervisor_event *event)
{
    struct supervisor_effects effects;
    struct now now = clock_now(&s->clock);
    if (s->child.is_started && !s->is_told_gone)
        event->cpu_ms = child_cpu_ms(&s->child);
    event->progress = s->progress.told;
    supervisor_step(&s->core, event, now, &effects);
    for (uint32_t i = 0; i < effects.count; i++)
        act(s, &effects.actions[i], now);
}

/* ---- events */

static void explain_end(struct supervise *s, const struct supervisor_event *event)
{
    if (event->kind == SUPERVISOR_EXEC_FAILED)
        (void)snprintf(s->why, sizeof(s->why),
                       "the sandbox could not be made; the log's last lines say why");
    else if (event->outcome == OUTCOME_OUT_OF_MEMORY)
        (void)snprintf(s->why, sizeof(s->why),
                       "out of memory: the limit is %llu bytes; ask for more memory",
                       (unsigned long long)s->doc.limits.mem_bytes);
    else if (s->core.state == SUPERVISOR_STOPPING || s->core.state == SUPERVISOR_KILLING)
        (void)snprintf(s->why, sizeof(s->why), "stopped: %s", outcome_name(s->core.outcome));
    if (s->why[0] != '\0' && s->stopped_as == OUTCOME_NONE)
        output_note(&s->output, s->why);
}

/* An engine without control groups signals every process of its job, and may reach the program
 * before us. Its signal to us comes within moments, and makes the end the engine's doing: not the
 * program's, nor the sandbox's. */
static bool is_engine_heard_out(struct supervise *s, struct now now)
{
    bool may_be_signalled = !s->child.has_exit_code || s->child.exit_code == 128 + SIGTERM;
    if (!s->is_gone)
        s->gone_at = now.boot;
    s->is_gone = true;
    return s->launch == 0 || !may_be_signalled || s->core.state != SUPERVISOR_RUNNING ||
           s->stopped_as != OUTCOME_NONE ||
           !boot_is_before(now.boot, boot_add(s->gone_at, ENGINE_SIGNAL_WAIT));
}

static void on_gone(struct supervise *s)
{
    struct supervisor_event event = {.kind = SUPERVISOR_CHILD_GONE,
                                     .exit_code = s->child.exit_code};
    s->is_told_gone = true;
    output_drain(&s->output);
    progress_look(&s->progress, s->child.scratch, clock_boot(&s->clock), true);
    event.cpu_ms = child_cpu_ms(&s->child);
    bool is_ours = s->core.state != SUPERVISOR_RUNNING || s->stopped_as != OUTCOME_NONE;
    if (!s->child.has_exit_code && !is_ours && !child_ran_out_of_memory(&s->child))
        event.kind = SUPERVISOR_EXEC_FAILED;
    else if (!s->child.has_exit_code)
        event.exit_code = 128 + SIGKILL; /* bubblewrap went together with the program */
    if (s->stopped_as != OUTCOME_NONE)
        event.outcome = s->stopped_as;
    else if (event.exit_code != 0 && child_ran_out_of_memory(&s->child))
        event.outcome = OUTCOME_OUT_OF_MEMORY;
    explain_end(s, &event);
    step(s, &event);
}

static void on_lines(struct supervise *s)
{
    struct slice line;
    for (int i = 0; i < STEPS_A_TURN_MAX && !s->is_quitting &&
                    link_next_line(&s->link, &line, clock_boot(&s->clock));
         i++) {
        struct gate_message message;
        arena_reset(&s->message_arena);
        if (gate_message_decode(line, &s->message_arena, &message, NULL) != ERR_OK)
            continue; /* newer than we are, or torn: what matters is repeated */
        struct supervisor_event event = {.kind = SUPERVISOR_MESSAGE, .message = &message};
        step(s, &event);
    }
}

static void on_signals(struct supervise *s)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            continue; /* child_is_gone looks at every turn */
        struct supervisor_event event = {.kind = SUPERVISOR_STOP};
        step(s, &event);
    }
}

static bool is_running(const struct supervise *s)
{
    return s->child.is_started && !s->is_told_gone;
}

static void on_turn(struct supervise *s)
{
    struct now now = clock_now(&s->clock);
    if (s->core.state == SUPERVISOR_ASKING && s->doc.network == NETWORK_GANG && s->doc.rank != 0 &&
        s->child.net < 0) /* early, for the first rank may be quicker than we are */
        (void)!gang_net_find(s->folder, &s->child.net);
    if (is_running(s)) {
        if (s->stopped_as == OUTCOME_NONE &&
            !disk_watch_look(&s->watch, now.boot, s->why, sizeof(s->why))) {
            s->stopped_as = OUTCOME_PROGRAM_ERROR;
            output_note(&s->output, s->why);
        }
        if (s->stopped_as != OUTCOME_NONE)
            child_kill(&s->child);
        progress_look(&s->progress, s->child.scratch, now.boot, false);
        if (child_is_gone(&s->child) && is_engine_heard_out(s, now))
            on_gone(s);
    }
    if (s->is_end_pending && !boot_is_before(now.boot, s->end_retry_at))
        keep_end(s, now);
    if (!boot_is_before(now.boot, supervisor_due(&s->core))) {
        struct supervisor_event event = {.kind = SUPERVISOR_TICK};
        step(s, &event);
    }
}

/* ---- the loop */

static int turn_timeout(const struct supervise *s)
{
    struct boot_ns due = boot_min(supervisor_due(&s->core), link_due(&s->link));
    if (is_running(s))
        due = boot_min(due, s->watch.next_at);
    if (s->is_end_pending)
        due = boot_min(due, s->end_retry_at);
    int64_t left = boot_since(due, clock_boot(&s->clock)).ms + 1;
    bool is_ending = is_running(s) && (s->child.bwrap == 0 || s->stopped_as != OUTCOME_NONE ||
                                       s->core.state == SUPERVISOR_KILLING);
    int64_t most = is_ending ? GONE_POLL_MS : TURN_MS_MAX;
    return (int)(left < 0 ? 0 : left < most ? left : most);
}

static void run(struct supervise *s)
{
    struct supervisor_event begin = {.kind = SUPERVISOR_BEGIN};
    step(s, &begin);
    /* The agent's journal is at work meanwhile. */
    if (s->broken.code == ERR_OK)
        (void)!child_prepare(&s->child, &s->broken);
    while (!s->is_quitting) {
        struct pollfd fds[] = {
            {.fd = s->signals, .events = POLLIN},
            {.fd = s->link.fd, .events = link_poll_events(&s->link)},
            {.fd = s->child.is_started ? s->output.read_fd : -1, .events = POLLIN},
            {.fd = s->child.status_fd, .events = POLLIN},
        };
        if (poll(fds, sizeof(fds) / sizeof(fds[0]), turn_timeout(s)) < 0 && errno != EINTR)
            break;
        link_tick(&s->link, clock_boot(&s->clock));
        if (fds[1].revents != 0)
            link_ready(&s->link, fds[1].revents, clock_boot(&s->clock));
        on_lines(s);
        if (fds[2].revents != 0)
            (void)output_pump(&s->output);
        if (fds[3].revents != 0)
            child_read_status(&s->child);
        if (fds[0].revents != 0)
            on_signals(s);
        on_turn(s);
    }
}

static enum supervise_status supervise_open(struct supervise *s)
{
    s->folder = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->folder < 0)
        return SUPERVISE_BAD_FOLDER;
    enum supervise_status status = take_lock(s);
    if (status == SUPERVISE_DONE)
        status = read_doc(s);
    if (status == SUPERVISE_DONE)
        status = watch_signals(s);
    if (status != SUPERVISE_DONE)
        return status;
    read_secret(s);
    if (s->doc.has_engine_devices)
        (void)!engine_devices_take(&s->doc, &s->arena, &s->broken);
    child_init(&s->child, &s->doc, s->folder);
    const struct link_options link = {.address = s->doc.socket.data,
                                      .token = s->doc.token,
                                      .rank = s->doc.rank,
                                      .secret = slice_make(s->secret, s->secret_len)};
    link_init(&s->link, &link);
    if (output_open(&s->output, s->folder, s->doc.log_bytes_max) != ERR_OK)
        (void)!fault_set(&s->broken, ERR_IO, NULL, "the log cannot be opened: %s", strerror(errno));
    if (s->doc.network == NETWORK_GANG && s->doc.rank == 0 && gang_net_make() != ERR_OK)
        (void)!fault_set(&s->broken, ERR_IO, NULL, "the gang's network cannot be made: %s",
                         strerror(errno));
    return write_lock(s);
}

static void supervise_close(struct supervise *s)
{
    child_deinit(&s->child);
    link_deinit(&s->link);
    output_close(&s->output);
    if (s->signals >= 0)
        (void)close(s->signals);
    arena_deinit(&s->arena);
    arena_deinit(&s->message_arena);
    if (s->folder >= 0)
        (void)close(s->folder);
    if (s->lock >= 0)
        (void)close(s->lock); /* last: it says that we are gone */
}

int supervise_main(int argc, char **argv)
{
    struct supervise s = {
        .folder = -1,
        .lock = -1,
        .signals = -1,
        .clock = clock_system(),
        .link = {.fd = -1},
        .child = {.work = -1, .scratch = -1, .status_fd = -1, .net = -1},
        .output = {.read_fd = -1, .write_fd = -1, .file = -1},
    };
    bool has_launch = argc == 5 && strcmp(argv[3], "--launch") == 0 &&
                      slice_parse_u64(slice_of(argv[4]), &s.launch) == ERR_OK && s.launch != 0;
    if ((argc != 3 && !has_launch) || strcmp(argv[1], "--dir") != 0) {
        (void)fprintf(stderr, "usage: supervise --dir FOLDER [--launch NUMBER]\n"
                              "Runs one rank of an attempt; agents start it, people do not.\n");
        return SUPERVISE_USAGE;
    }
    s.dir = argv[2];
    arena_init(&s.arena, ARENA_BYTES_MAX);
    arena_init(&s.message_arena, MESSAGE_ARENA_BYTES_MAX);
    enum supervise_status status = supervise_open(&s);
    if (status == SUPERVISE_DONE) {
        core_begin(&s);
        run(&s);
    }
    supervise_close(&s);
    return (int)status;
}

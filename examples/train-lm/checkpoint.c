#include "checkpoint.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc64.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "checkpoints are written little-endian");

static const char magic[8] = {'L', 'Q', 'T', 'L', 'M', '\r', '\n', 26};

enum { VERSION = 1, LISTED_MAX = 4096 };

struct head {
    char magic[8];
    uint32_t version;
    uint32_t real_bytes;
    uint32_t layers, width, heads, context;
    uint32_t batch, steps;
    uint64_t seed;
    double lr;
    uint64_t corpus_crc;
    uint64_t len; /* of each of the three arrays */
    uint64_t step;
    double window_sum;
    uint64_t window_count;
    uint32_t nodes;
    uint32_t zero;
    uint64_t crc; /* of the bytes above */
};
_Static_assert(sizeof(struct head) == 8 + 8 * 4 + 8 * 7 + 8 + 8, "head must have no holes");

static uint64_t head_crc(const struct head *head)
{
    struct lm_crc64 crc;

    lm_crc64_init(&crc);
    lm_crc64_add(&crc, head, offsetof(struct head, crc));
    return lm_crc64_value(&crc);
}

static struct head head_of(const struct lm_snapshot *s)
{
    struct head head = {
        .version = VERSION,
        .real_bytes = sizeof(lm_real),
        .layers = s->recipe.shape.layers,
        .width = s->recipe.shape.width,
        .heads = s->recipe.shape.heads,
        .context = s->recipe.shape.context,
        .batch = s->recipe.batch,
        .steps = s->recipe.steps,
        .seed = s->recipe.seed,
        .lr = s->recipe.lr,
        .corpus_crc = s->corpus_crc,
        .len = s->len,
        .step = s->step,
        .window_sum = s->window_sum,
        .window_count = s->window_count,
        .nodes = s->nodes,
    };

    memcpy(head.magic, magic, sizeof magic);
    head.crc = head_crc(&head);
    return head;
}

/* ---- folder --------------------------------------------------------------------------------- */

bool lm_checkpoints_open(struct lm_checkpoints *out_checkpoints, const char *path,
                         struct lm_fault *fault)
{
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        return lm_fail(fault, "cannot make checkpoint folder %s: %s", path, strerror(errno));
    }
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return lm_fail(fault, "cannot open checkpoint folder %s: %s", path, strerror(errno));
    }
    if (flock(folder, LOCK_EX | LOCK_NB) != 0) {
        int error = errno;
        (void)close(folder);
        return error == EWOULDBLOCK
                   ? lm_fail(fault, "checkpoint folder %s is in use by another run", path)
                   : lm_fail(fault, "cannot lock checkpoint folder %s: %s", path, strerror(error));
    }
    out_checkpoints->folder = folder;
    return true;
}

void lm_checkpoints_close(struct lm_checkpoints *checkpoints)
{
    if (checkpoints->folder >= 0) {
        (void)close(checkpoints->folder);
    }
    checkpoints->folder = -1;
}

static void name_of(uint64_t step, const char *suffix, char *out_name)
{
    (void)snprintf(out_name, LM_CHECKPOINT_NAME_MAX, "ckpt-%012" PRIu64 "%s", step, suffix);
}

/* The step of a name that ends in `suffix`; false for any other name. */
static bool name_parse(const char *name, const char *suffix, uint64_t *out_step)
{
    char again[LM_CHECKPOINT_NAME_MAX];
    char *end = NULL;

    if (strncmp(name, "ckpt-", 5) != 0) {
        return false;
    }
    errno = 0;
    uint64_t step = strtoull(name + 5, &end, 10);
    if (errno != 0 || strcmp(end, suffix) != 0) {
        return false;
    }
    name_of(step, suffix, again);
    if (strcmp(again, name) != 0) {
        return false; /* a sign, blanks or missing zeros */
    }
    *out_step = step;
    return true;
}

static int newest_first(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x < y) - (x > y);
}

/* Steps of the files NAME + suffix, newest first; at most LISTED_MAX of them. */
static bool list(int folder, const char *suffix, uint64_t *steps, size_t *out_count,
                 struct lm_fault *fault)
{
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    size_t count = 0;

    if (dir == NULL) {
        int error = errno;
        if (copy >= 0) {
            (void)close(copy);
        }
        return lm_fail(fault, "cannot list checkpoints: %s", strerror(error));
    }
    for (struct dirent *entry; count < LISTED_MAX && (entry = readdir(dir)) != NULL;) {
        if (name_parse(entry->d_name, suffix, &steps[count])) {
            count++;
        }
    }
    (void)closedir(dir);
    qsort(steps, count, sizeof *steps, newest_first);
    *out_count = count;
    return true;
}

static void remove_listed(int folder, const char *suffix, size_t keep)
{
    uint64_t steps[LISTED_MAX];
    char name[LM_CHECKPOINT_NAME_MAX];
    size_t count = 0;

    if (list(folder, suffix, steps, &count, NULL)) {
        for (size_t i = keep; i < count; i++) {
            name_of(steps[i], suffix, name);
            (void)unlinkat(folder, name, 0); /* one that stays costs disk, nothing else */
        }
    }
}

/* ---- writing -------------------------------------------------------------------------------- */

static bool write_all(int fd, struct lm_crc64 *crc, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;

    if (crc != NULL) {
        lm_crc64_add(crc, bytes, len);
    }
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static bool write_body(int fd, const struct lm_snapshot *s)
{
    struct head head = head_of(s);
    size_t bytes = s->len * sizeof(lm_real);
    struct lm_crc64 crc;

    lm_crc64_init(&crc);
    if (!write_all(fd, &crc, &head, sizeof head) || !write_all(fd, &crc, s->params, bytes) ||
        !write_all(fd, &crc, s->moment1, bytes) || !write_all(fd, &crc, s->moment2, bytes)) {
        return false;
    }
    uint64_t value = lm_crc64_value(&crc);
    return write_all(fd, NULL, &value, sizeof value) && fsync(fd) == 0;
}

bool lm_checkpoints_write(struct lm_checkpoints *checkpoints, const struct lm_snapshot *snapshot,
                          char *out_name, struct lm_fault *fault)
{
    char name[LM_CHECKPOINT_NAME_MAX], temporary[LM_CHECKPOINT_NAME_MAX];
    int folder = checkpoints->folder;

    name_of(snapshot->step, ".lqm", name);
    name_of(snapshot->step, ".tmp", temporary);
    int fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0) {
        return lm_fail(fault, "cannot write %s: %s", temporary, strerror(errno));
    }
    bool ok = write_body(fd, snapshot);
    int error = errno;
    if (close(fd) != 0 && ok) {
        ok = false;
        error = errno;
    }
    if (ok && (renameat(folder, temporary, folder, name) != 0 || fsync(folder) != 0)) {
        ok = false;
        error = errno;
    }
    if (!ok) {
        (void)unlinkat(folder, temporary, 0);
        return lm_fail(fault, "cannot write %s: %s", name, strerror(error));
    }
    remove_listed(folder, ".lqm", LM_CHECKPOINTS_KEPT);
    remove_listed(folder, ".refused", 0);
    memcpy(out_name, name, sizeof name);
    return true;
}

/* ---- reading -------------------------------------------------------------------------------- */

static bool read_all(int fd, struct lm_crc64 *crc, void *bytes, size_t len)
{
    unsigned char *p = bytes;
    size_t left = len;

    while (left > 0) {
        ssize_t n = read(fd, p, left);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        p += n;
        left -= (size_t)n;
    }
    if (crc != NULL) {
        lm_crc64_add(crc, bytes, len);
    }
    return true;
}

static bool head_check(const struct head *head, off_t size, struct lm_fault *fault)
{
    if (memcmp(head->magic, magic, sizeof magic) != 0) {
        return lm_fail(fault, "not a checkpoint of train-lm");
    }
    if (head_crc(head) != head->crc) {
        return lm_fail(fault, "the head's checksum does not match: torn or altered");
    }
    if (head->version != VERSION || head->real_bytes != sizeof(lm_real)) {
        return lm_fail(fault, "version %" PRIu32 " with %" PRIu32 "-byte numbers is not known here",
                       head->version, head->real_bytes);
    }
    uint64_t frame = sizeof *head + sizeof head->crc;
    if (head->len > (UINT64_MAX >> 8) ||
        (uint64_t)size != frame + 3 * head->len * head->real_bytes) {
        return lm_fail(fault, "%lld bytes long: cut short or overlong", (long long)size);
    }
    return true;
}

/* The first field in which a whole checkpoint differs from what is wanted. */
static bool recipe_check(const char *name, const struct head *got, const struct head *want,
                         struct lm_fault *fault)
{
    const struct {
        const char *field;
        uint64_t got, want;
    } fields[] = {
        {"--layers", got->layers, want->layers}, {"--width", got->width, want->width},
        {"--heads", got->heads, want->heads},    {"--context", got->context, want->context},
        {"--batch", got->batch, want->batch},    {"--steps", got->steps, want->steps},
        {"--seed", got->seed, want->seed},       {"parameters", got->len, want->len},
    };

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (fields[i].got != fields[i].want) {
            return lm_fail(fault,
                           "%s belongs to another run: %s was %" PRIu64 ", now it is %" PRIu64,
                           name, fields[i].field, fields[i].got, fields[i].want);
        }
    }
    if (memcmp(&got->lr, &want->lr, sizeof got->lr) != 0) {
        return lm_fail(fault, "%s belongs to another run: --lr was %g, now it is %g", name, got->lr,
                       want->lr);
    }
    if (got->corpus_crc != want->corpus_crc) {
        return lm_fail(fault, "%s belongs to another run: the text has changed", name);
    }
    return true;
}

enum outcome { WHOLE, REFUSED, WRONG };

/* REFUSED: the file is damaged. WRONG: whole, but not ours. Either way `s` is untouched. */
static enum outcome load_file(int fd, const char *name, struct lm_snapshot *s,
                              struct lm_fault *fault)
{
    struct stat status;
    struct head head, want = head_of(s);
    struct lm_crc64 crc;
    uint64_t value;

    lm_crc64_init(&crc);
    if (fstat(fd, &status) != 0 || !read_all(fd, &crc, &head, sizeof head)) {
        (void)lm_fail(fault, "shorter than its head");
        return REFUSED;
    }
    if (!head_check(&head, status.st_size, fault)) {
        return REFUSED;
    }
    if (!recipe_check(name, &head, &want, fault)) {
        return WRONG;
    }
    size_t bytes = s->len * sizeof(lm_real);
    lm_real *body = malloc(3 * bytes);
    if (body == NULL) {
        (void)lm_fail(fault, "%s: out of memory", name);
        return WRONG;
    }
    bool whole = read_all(fd, &crc, body, 3 * bytes) && read_all(fd, NULL, &value, sizeof value) &&
                 value == lm_crc64_value(&crc);
    if (whole) {
        memcpy(s->params, body, bytes);
        memcpy(s->moment1, body + s->len, bytes);
        memcpy(s->moment2, body + 2 * s->len, bytes);
        s->step = head.step;
        s->window_sum = head.window_sum;
        s->window_count = head.window_count;
        s->nodes = head.nodes;
    } else {
        (void)lm_fail(fault, "checksum does not match: torn or altered");
    }
    free(body);
    return whole ? WHOLE : REFUSED;
}

static void set_aside(int folder, uint64_t step, const char *name, const char *why,
                      lm_checkpoint_note *note, void *context)
{
    char aside[LM_CHECKPOINT_NAME_MAX];
    char line[LM_FAULT_MAX + 2 * LM_CHECKPOINT_NAME_MAX];

    name_of(step, ".refused", aside);
    (void)renameat(folder, name, folder, aside);
    (void)snprintf(line, sizeof line, "refused checkpoint %s (%s); trying the one before", name,
                   why);
    note(context, line);
}

bool lm_checkpoints_load(struct lm_checkpoints *checkpoints, struct lm_snapshot *snapshot,
                         char *out_name, bool *out_found, lm_checkpoint_note *note, void *context,
                         struct lm_fault *fault)
{
    uint64_t steps[LISTED_MAX];
    size_t count = 0;
    int folder = checkpoints->folder;

    remove_listed(folder, ".tmp", 0); /* what a crash left half-written */
    if (!list(folder, ".lqm", steps, &count, fault)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        char name[LM_CHECKPOINT_NAME_MAX];
        struct lm_fault why = {{0}};
        name_of(steps[i], ".lqm", name);
        int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0) {
            return lm_fail(fault, "cannot read %s: %s", name, strerror(errno));
        }
        enum outcome outcome = load_file(fd, name, snapshot, &why);
        (void)close(fd);
        if (outcome == WHOLE) {
            memcpy(out_name, name, sizeof name);
            *out_found = true;
            return true;
        }
        if (outcome == WRONG) {
            return lm_fail(fault, "%s", why.text);
        }
        set_aside(folder, steps[i], name, why.text, note, context);
    }
    *out_found = false;
    return true;
}

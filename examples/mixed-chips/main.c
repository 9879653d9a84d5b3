/* nbody: steps of bodies that attract each other, with checkpoints, on the processor or by OpenCL.
 *
 *   nbody --engine native|opencl --bodies N --steps N --checkpoint-dir DIR
 *
 * It says how far it is in the file that LQ_PROGRESS_FILE names, writes a checkpoint every second,
 * and goes on from one that it finds. SIGUSR1 or SIGTERM: a checkpoint, then status 75. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "nbody.h"

enum { EXIT_USAGE_ERROR = 64, EXIT_NO_ENGINE = 69, EXIT_NO_FILE = 74, EXIT_STOPPED = 75 };
enum { BATCH_MAX = 64, PATH_LEN = 1024 };
#define BATCH_SECONDS 0.1
#define CHECKPOINT_SECONDS 1.0
#define STEPS_MAX (UINT64_C(1) << 40)

struct options {
    const struct engine *engine;
    uint32_t bodies;
    uint64_t steps;
    const char *dir;
};

struct head { /* of a checkpoint file; the arrays follow */
    char mark[8];
    uint32_t bodies, zero;
    uint64_t step;
};
static const char MARK[8] = "nbody 1";

static volatile sig_atomic_t is_asked_to_stop;

static void on_signal(int number)
{
    (void)number;
    is_asked_to_stop = 1;
}

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- the bodies */

static float between(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (float)(*state >> 40) / (float)(1 << 23) - 1.0f;
}

static int bodies_make(struct bodies *b, uint32_t count)
{
    uint64_t state = 1;
    float *block = calloc((size_t)BODIES_ARRAYS * count, sizeof(*block));
    if (block == NULL)
        return 1;
    *b = (struct bodies){count,
                         block,
                         block + (size_t)count,
                         block + 2 * (size_t)count,
                         block + 3 * (size_t)count,
                         block + 4 * (size_t)count,
                         block + 5 * (size_t)count,
                         block + 6 * (size_t)count};
    for (uint32_t i = 0; i < 6 * count; i++)
        block[i] = i < 3 * count ? between(&state) : 0.1f * between(&state);
    for (uint32_t i = 0; i < count; i++)
        b->mass[i] = 1.0f / (float)count;
    return 0;
}

static double energy_of_motion(const struct bodies *b)
{
    double sum = 0;
    for (uint32_t i = 0; i < b->count; i++)
        sum += 0.5 * (double)b->mass[i] *
               (double)(b->vx[i] * b->vx[i] + b->vy[i] * b->vy[i] + b->vz[i] * b->vz[i]);
    return sum;
}

/* ---- files */

static int write_whole(const char *path, const void *head, size_t head_bytes, const void *rest,
                       size_t rest_bytes)
{
    char fresh[PATH_LEN + 8];
    (void)snprintf(fresh, sizeof(fresh), "%s.tmp", path);
    FILE *file = fopen(fresh, "we");
    if (file == NULL)
        return 1;
    bool is_written = fwrite(head, 1, head_bytes, file) == head_bytes &&
                      fwrite(rest, 1, rest_bytes, file) == rest_bytes && fflush(file) == 0 &&
                      fsync(fileno(file)) == 0;
    bool is_closed = fclose(file) == 0;
    return !(is_written && is_closed && rename(fresh, path) == 0);
}

static void checkpoint_path(const char *dir, char out[PATH_LEN])
{
    (void)snprintf(out, PATH_LEN, "%s/nbody.ckpt", dir);
}

static int checkpoint_write(const struct options *options, const struct bodies *b, uint64_t step)
{
    char path[PATH_LEN];
    struct head head = {.bodies = b->count, .step = step};
    memcpy(head.mark, MARK, sizeof(MARK));
    checkpoint_path(options->dir, path);
    if (write_whole(path, &head, sizeof(head), b->x,
                    (size_t)BODIES_ARRAYS * b->count * sizeof(float)) == 0)
        return 0;
    fprintf(stderr, "nbody: %s cannot be written: %s\n", path, strerror(errno));
    return 1;
}

/* 1: there is one, and it is of another run or torn. */
static int checkpoint_read(const struct options *options, struct bodies *b, uint64_t *out_step)
{
    char path[PATH_LEN];
    struct head head;
    checkpoint_path(options->dir, path);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    size_t floats = (size_t)BODIES_ARRAYS * b->count;
    bool is_good = fread(&head, sizeof(head), 1, file) == 1 &&
                   memcmp(head.mark, MARK, sizeof(MARK)) == 0 && head.bodies == b->count &&
                   head.step <= STEPS_MAX && fread(b->x, sizeof(float), floats, file) == floats;
    (void)fclose(file);
    if (!is_good) {
        fprintf(stderr, "nbody: %s is not a checkpoint of this run\n", path);
        return 1;
    }
    *out_step = head.step;
    printf("resumed from step %llu\n", (unsigned long long)head.step);
    return 0;
}

static void progress_tell(uint64_t step)
{
    const char *path = getenv("LQ_PROGRESS_FILE");
    FILE *file = path == NULL ? NULL : fopen(path, "we");
    if (file == NULL)
        return;
    fprintf(file, "%llu\n", (unsigned long long)step);
    (void)fclose(file);
}

/* ---- the run */

static int run(const struct options *options, struct bodies *bodies, uint64_t step)
{
    uint64_t batch = 1, first = step;
    double begun = seconds(), saved = begun;
    progress_tell(step);
    while (step < options->steps && !is_asked_to_stop) {
        double before = seconds();
        uint64_t left = options->steps - step, now = left < batch ? left : batch;
        if (options->engine->advance(bodies, now) != 0)
            return EXIT_NO_ENGINE;
        step += now;
        progress_tell(step);
        double after = seconds();
        if (after - before < BATCH_SECONDS && batch < BATCH_MAX)
            batch *= 2;
        if (after - saved >= CHECKPOINT_SECONDS) {
            if (checkpoint_write(options, bodies, step) != 0)
                return EXIT_NO_FILE;
            saved = after;
        }
    }
    if (checkpoint_write(options, bodies, step) != 0)
        return EXIT_NO_FILE;
    double took = seconds() - begun;
    printf("%s: step %llu, %.1f steps/s, energy of motion %.4f\n", options->engine->name,
           (unsigned long long)step, took > 0 ? (double)(step - first) / took : 0.0,
           energy_of_motion(bodies));
    return step < options->steps ? EXIT_STOPPED : 0;
}

static int usage(void)
{
    fprintf(stderr,
            "usage: nbody --engine native|opencl --bodies 2..%d --steps N "
            "--checkpoint-dir DIR\n",
            BODIES_MAX);
    return EXIT_USAGE_ERROR;
}

static bool number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    *out = value;
    return errno == 0 && text[0] >= '0' && text[0] <= '9' && *end == '\0' && value >= least &&
           value <= most;
}

static bool options_read(int argc, char **argv, struct options *out)
{
    uint64_t bodies = 2048;
    *out = (struct options){&ENGINE_NATIVE, 0, 1000, "."};
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        bool is_good = true;
        if (strcmp(argv[i], "--engine") == 0) {
            out->engine = strcmp(value, "opencl") == 0 ? &ENGINE_OPENCL : &ENGINE_NATIVE;
            is_good = strcmp(value, out->engine->name) == 0;
        } else if (strcmp(argv[i], "--bodies") == 0) {
            is_good = number(value, 2, BODIES_MAX, &bodies);
        } else if (strcmp(argv[i], "--steps") == 0) {
            is_good = number(value, 1, STEPS_MAX, &out->steps);
        } else if (strcmp(argv[i], "--checkpoint-dir") == 0) {
            out->dir = value;
        } else {
            is_good = false;
        }
        if (!is_good)
            return false;
    }
    out->bodies = (uint32_t)bodies;
    return argc % 2 == 1;
}

int main(int argc, char **argv)
{
    struct options options;
    struct bodies bodies;
    uint64_t step = 0;
    if (!options_read(argc, argv, &options))
        return usage();
    (void)signal(SIGUSR1, on_signal);
    (void)signal(SIGTERM, on_signal);
    if (mkdir(options.dir, 0755) != 0 && errno != EEXIST) {
        fprintf(stderr, "nbody: %s: %s\n", options.dir, strerror(errno));
        return EXIT_NO_FILE;
    }
    if (bodies_make(&bodies, options.bodies) != 0 || checkpoint_read(&options, &bodies, &step) != 0)
        return EXIT_NO_FILE;
    if (options.engine->open(&bodies) != 0)
        return EXIT_NO_ENGINE;
    int status = run(&options, &bodies, step);
    free(bodies.x);
    return status;
}

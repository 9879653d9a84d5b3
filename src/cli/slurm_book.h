/* Numbers of jobs, for who speaks Slurm: its job ids are integers. The user's state folder
 * ($LQ_HOME, else ~/.config/lingqu) has slurm/book.jsonl, a line a submission, and slurm/next, the
 * next free number; the server knows nothing of them. Several processes may use it at once: each
 * change holds slurm/lock. The oldest half of the lines goes when the file passes BOOK_BYTES_MAX.
 *
 * A number that was reserved is never given again. A job whose submitter died between the server's
 * answer and the line in the book runs, but has no number. */
#ifndef LQ_CLI_SLURM_BOOK_H
#define LQ_CLI_SLURM_BOOK_H

#include "cli/cli.h"
#include "model/job.h"

enum { BOOK_BYTES_MAX = 16 << 20 };

struct book_entry {
    uint64_t number; /* of the first element; the others follow */
    const struct slice *jobs;
    uint32_t count;
    bool is_array;
    struct slice tasks; /* "FIRST:STEP:COUNT ..."; no array: empty */
    struct slice name, partition, account, user, dir, output, error, command, comment;
    uint32_t cpus, nodes, ntasks, cpus_per_task; /* cpus: of all nodes together */
    uint64_t mem_mib;                            /* of a node; 0: not said */
    uint64_t limit_s;                            /* 0: none */
    int64_t submitted_us;
};

struct book {
    struct book_entry *entries; /* oldest first; all of it in the cli's arena */
    size_t count;
};

/* EXIT_DONE or a told error, all three. */
int book_reserve(struct cli *cli, uint32_t count, uint64_t *out_first);
int book_add(struct cli *cli, const struct book_entry *entry);
int book_load(struct cli *cli, struct book *out);

/* The element of that number; NULL: nobody has it. */
const struct book_entry *book_find(const struct book *book, uint64_t number, uint32_t *out_index);
/* The array's number of an element; -1: no array. */
int64_t book_task(const struct book_entry *entry, uint32_t index);

#endif

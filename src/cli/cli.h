/* The command line: one table of commands, each with its flags, its help and its function. The
 * table generates parsing, `--help`, and shell completion. Everything a command needs is in `struct
 * cli`; nothing is global.
 *
 */
#ifndef LQ_CLI_CLI_H
#define LQ_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/err.h"
#include "base/slice.h"
#include "base/time.h"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1, /* understood, but it failed; or the watched job failed */
    EXIT_USAGE = 2,  /* wrong flags, wrong file */
    EXIT_NOT_FOUND = 3,
    EXIT_DENIED = 4,      /* no or wrong token, no permission */
    EXIT_UNREACHABLE = 5, /* no answer from the server */
    EXIT_CONFLICT = 6,    /* changed meanwhile, exists already, or busy: try again */
    EXIT_INTERRUPTED = 130,
};

enum flag_kind { FLAG_BOOL, FLAG_TEXT, FLAG_NUMBER, FLAG_SPAN, FLAG_LIST };

enum {
    CLI_FLAGS_MAX = 32,
    CLI_LIST_MAX = 64,
    CLI_POSITIONAL_MAX = 64,
    CLI_ARENA_BYTES_MAX = 256 << 20
};

struct flag {
    const char *name; /* "follow" for --follow */
    char letter;      /* 'f' for -f; 0: none */
    enum flag_kind kind;
    const char *value; /* what stands for the value in help, "N"; NULL for FLAG_BOOL */
    const char *help;
};

struct flag_value {
    bool is_set;
    const char *text; /* FLAG_TEXT; the last one of a FLAG_LIST */
    uint64_t number;
    struct span_ms span;
    const char *list[CLI_LIST_MAX];
    uint32_t list_count;
};

struct cli;
struct loop;
struct http_client;
struct tls_context;

struct command {
    const char *name;    /* "submit"; of two words: "tenant create" */
    const char *group;   /* heading in `lq help` */
    const char *summary; /* one line, no final stop */
    const char *usage;   /* after the name: "FILE [flags]" */
    const char *details; /* paragraphs and examples; may be NULL */
    const struct flag *flags;
    size_t flag_count;
    uint32_t positional_min, positional_max;
    int (*run)(struct cli *cli);
};

struct cli_config {
    const char *server; /* "host:port" */
    const char *ca_pem; /* text; NULL with a pin */
    const char *pin;    /* 64 hex digits: SHA-256 of the authority's public key */
    const char *token;
};

struct cli {
    const struct command *command;
    struct flag_value flags[CLI_FLAGS_MAX]; /* by index in command->flags */
    const char *positional[CLI_POSITIONAL_MAX];
    uint32_t positional_count;
    bool is_json, is_quiet, is_yes, is_terminal; /* --json, --quiet, -y; stdout is a terminal */
    uint32_t columns, rows;                      /* of the terminal */
    char *program;                               /* absolute path of this program */
    struct arena arena;
    struct api_kept *kept; /* of api.h: documents that go with the arena */
    struct cli_config config;
    bool has_config;
    const char *speaker; /* whose errors these are: "sbatch: error"; NULL: "lq" */
    const void *blame;   /* of api.h: whose fields the server's complaints are about; NULL: none */
    struct loop *loop;   /* made when first needed */
    struct http_client *client;
    struct tls_context *tls;
    int argc; /* as given after the command, for commands that parse themselves */
    char **argv;
};

/* All commands, ended by a NULL name. */
extern const struct command *const CLI_COMMANDS[];

/* ---- flags.c */
const struct flag_value *cli_flag(const struct cli *cli,
                                  const char *name); /* asserted to exist in the command */
bool cli_has(const struct cli *cli, const char *name);
const char *cli_text(const struct cli *cli, const char *name, const char *fallback);
uint64_t cli_number(const struct cli *cli, const char *name, uint64_t fallback);
/* Fills flags and positional; on error prints one line to stderr and gives EXIT_USAGE. */
int cli_parse(struct cli *cli, int argc, char **argv);
void cli_help(const struct command *command);
void cli_help_all(void);
/* Those that every command has: --json, --quiet, ... */
const struct flag *cli_common_flags(size_t *out_count);

/* ---- output.c */
int cli_fail(const struct cli *cli, int exit_code, const char *format, ...)
    LQ_PRINTF(3, 4); /* to stderr; returns exit_code */
int cli_fail_fault(const struct cli *cli, int exit_code, const char *what,
                   const struct fault *fault);
void cli_note(const struct cli *cli, const char *format, ...)
    LQ_PRINTF(2, 3); /* progress; stderr; nothing with --quiet */
/* Asks on the terminal; true without asking under -y; false when there is no terminal to ask. */
bool cli_confirm(const struct cli *cli, const char *question);
/* Control characters of foreign text are shown as '?', so that a job's name cannot drive the
 * terminal. */
struct slice cli_safe(struct cli *cli, struct slice text);
struct slice cli_safe_lines(struct cli *cli, struct slice text); /* line ends stay */
void cli_csv(struct cli *cli, struct slice text); /* to stdout as a field in quotes */
bool cli_write(struct slice bytes);               /* to stdout; false when it is closed */
void cli_size(struct cli *cli);                   /* asks the terminal for its size again */

/* ---- table.c: columns are as wide as what stands in them */
struct table;
enum table_align { TABLE_LEFT, TABLE_RIGHT };
struct table *table_create(struct cli *cli, const char *const *heads,
                           const enum table_align *aligns, uint32_t columns);
void table_cell(struct table *table, struct slice text); /* row by row */
void table_cell_text(struct table *table, const char *text);
void table_cell_printf(struct table *table, const char *format, ...) LQ_PRINTF(2, 3);
void table_print(struct table *table); /* the last column is cut at the terminal's width */

#endif

/* What the simulations print: progress with the time left, JSON, figures cut to six digits so that
 * the same run gives the same bytes everywhere. */
#ifndef LQ_CLI_SIM_OUTPUT_H
#define LQ_CLI_SIM_OUTPUT_H

#include "cli/commands.h"
#include "place/place_age.h"
#include "wire/json_writer.h"

enum { SIM_JSON_BYTES_MAX = 256 << 20 };
#define SIM_ARENA_BYTES_MAX ((size_t)4 << 30)

struct sim_progress {
    const struct cli *cli;
    int64_t began_ns, told_ns;
    bool is_shown; /* a line stands on the terminal */
};
void sim_progress_begin(struct sim_progress *progress, const struct cli *cli);
/* `context` is the sim_progress; on stderr, at most once a second, nothing with --quiet. */
void sim_progress_tell(void *context, const char *what, double part);
double sim_progress_seconds(struct sim_progress *progress); /* also ends the line */

double sim_round(double value);       /* six significant digits */
double sim_ratio(double a, double b); /* rounded; 0 where b is 0 */

/* A file below --root. */
int sim_data_read(struct cli *cli, const char *path, struct arena *arena, struct slice *out);

struct sim_json {
    struct buffer text;
    struct json_writer writer;
};
struct json_writer *sim_json_begin(struct sim_json *json);
int sim_json_end(struct sim_json *json, const struct cli *cli); /* to stdout */

#endif

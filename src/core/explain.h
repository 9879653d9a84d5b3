/* Explanations in JSON and in words:
 * {"verdict":"now|later|impossible|held","sentence","chosen":"site"|null,"runner_up":"site"|null,"lost_by":money|null,
 *  "sites":[{"site","filter","reason","variant","accelerator","score":{...},"eta_ms":{"low","high"}}],"eta_ms":{"low","high"}|null,
 *  "queue_position","blocked_by",
 *  "choices":[{"site","variant","accelerator","filter","speed","units_per_s_micro","time_per_mille",
 *              "ask_per_hour","ask_per_million_units":money|null,"explore","total"}]} */
#ifndef LQ_CORE_EXPLAIN_H
#define LQ_CORE_EXPLAIN_H

#include "base/buffer.h"
#include "place/place.h"
#include "wire/json_writer.h"

/* Writes one JSON value; the second, its members alone, into an object that is open. */
void explanation_write(struct json_writer *writer, const struct place_explanation *explanation);
void explanation_members(struct json_writer *writer, const struct place_explanation *explanation);
/* Why this site was removed or not, as a sentence without a final stop. */
void place_line_sentence(const struct place_site_line *line, struct buffer *out);

#endif

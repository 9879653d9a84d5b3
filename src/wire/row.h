/* Rows of high rate as the API shows them: job, attempt, usage, audit, event, artifact, reclaim.
 *
 * row_put_X writes the members into an object that the caller has opened (and may add to);
 * row_encode_X the whole object. Decoders are for clients, tests and tools: they ignore members
 * that they do not know (a newer server may send more), copy texts into `arena`, and run the row's
 * check where there is one. Times are RFC 3339 to the millisecond; an empty time, id or text is
 * left out. decode(encode(x)) equals x but for parts of a millisecond. */
#ifndef LQ_WIRE_ROW_H
#define LQ_WIRE_ROW_H

#include "base/arena.h"
#include "model/change.h"
#include "wire/json.h"
#include "wire/json_writer.h"

void row_put_job(const struct job_row *row, struct json_writer *writer);
void row_put_attempt(const struct attempt_row *row, struct json_writer *writer);
void row_put_usage(const struct usage_record *record, struct json_writer *writer);
void row_put_audit(const struct audit_record *record,
                   struct json_writer *writer); /* `detail` goes in as JSON */
void row_put_event(const struct event_record *record,
                   struct json_writer *writer); /* so does `body` */
void row_put_artifact(const struct artifact_row *row,
                      struct json_writer *writer); /* and `manifest` */

/* Without its site. */
void row_put_reclaim(const struct reclaim *reclaim, struct json_writer *writer);

void row_encode_job(const struct job_row *row, struct json_writer *writer);
void row_encode_attempt(const struct attempt_row *row, struct json_writer *writer);
void row_encode_usage(const struct usage_record *record, struct json_writer *writer);
void row_encode_audit(const struct audit_record *record, struct json_writer *writer);
void row_encode_event(const struct event_record *record, struct json_writer *writer);
void row_encode_artifact(const struct artifact_row *row, struct json_writer *writer);

enum err row_decode_job(struct json_value value, struct job_row *out,
                        struct fault *fault) LQ_CHECKED;
enum err row_decode_attempt(struct json_value value, struct attempt_row *out,
                            struct fault *fault) LQ_CHECKED;
enum err row_decode_usage(struct json_value value, struct usage_record *out,
                          struct fault *fault) LQ_CHECKED;
enum err row_decode_audit(struct json_value value, struct arena *arena, struct audit_record *out,
                          struct fault *fault) LQ_CHECKED;
enum err row_decode_event(struct json_value value, struct arena *arena, struct event_record *out,
                          struct fault *fault) LQ_CHECKED;
enum err row_decode_artifact(struct json_value value, struct arena *arena, struct artifact_row *out,
                             struct fault *fault) LQ_CHECKED;

#endif

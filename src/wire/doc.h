/* Documents (model/change.h) as canonical JSON: the nouns of low rate, to bytes and back.
 * Canonical: members in the order of the struct, empty ones left out, no spaces; decode(encode(x))
 * equals x (times to the millisecond).
 *
 * Decoders copy into `arena`, run the noun's own check and refuse unknown members, so that they
 * serve the API's requests as well as the store. Members that only the server sets (id, created_at,
 * ...) are optional in them. Errors: ERR_INVALID, ERR_LIMIT, ERR_NO_MEMORY with a fault. Money is
 * written as a string ("12.50"), numbers are taken as well. */
#ifndef LQ_WIRE_DOC_H
#define LQ_WIRE_DOC_H

#include "base/arena.h"
#include "base/buffer.h"
#include "model/account.h"
#include "model/change.h"
#include "model/site.h"
#include "model/throughput.h"
#include "wire/json.h"
#include "wire/json_writer.h"

void doc_encode_region(const struct region *region, struct json_writer *writer);
void doc_encode_site(const struct site *site, struct json_writer *writer);
void doc_encode_tenant(const struct tenant *tenant, struct json_writer *writer);
void doc_encode_user(const struct user *user, struct json_writer *writer);
void doc_encode_api_token(const struct api_token *token,
                          struct json_writer *writer); /* with the hash: store only */
void doc_encode_join_token(const struct join_token *token, struct json_writer *writer);
void doc_encode_dataset(const struct dataset *dataset, struct json_writer *writer);
void doc_encode_link(const struct link *link, struct json_writer *writer);
void doc_encode_policy(const struct policy *policy, struct json_writer *writer);
void doc_encode_operator(const struct operator_account *account, struct json_writer *writer);
void doc_encode_site_memory(const struct site_memory *memory, struct json_writer *writer);
/* What the API shows of tokens: everything but the hash. */
void doc_show_api_token(const struct api_token *token, struct json_writer *writer);
void doc_show_join_token(const struct join_token *token, struct json_writer *writer);

enum err doc_decode_region(struct json_value value, struct arena *arena, struct region *out,
                           struct fault *fault) LQ_CHECKED;
enum err doc_decode_site(struct json_value value, struct arena *arena, struct site *out,
                         struct fault *fault) LQ_CHECKED;
enum err doc_decode_tenant(struct json_value value, struct arena *arena, struct tenant *out,
                           struct fault *fault) LQ_CHECKED;
enum err doc_decode_user(struct json_value value, struct arena *arena, struct user *out,
                         struct fault *fault) LQ_CHECKED;
enum err doc_decode_api_token(struct json_value value, struct arena *arena, struct api_token *out,
                              struct fault *fault) LQ_CHECKED;
enum err doc_decode_join_token(struct json_value value, struct arena *arena, struct join_token *out,
                               struct fault *fault) LQ_CHECKED;
enum err doc_decode_dataset(struct json_value value, struct arena *arena, struct dataset *out,
                            struct fault *fault) LQ_CHECKED;
enum err doc_decode_link(struct json_value value, struct arena *arena, struct link *out,
                         struct fault *fault) LQ_CHECKED;
/* Members left out keep policy_default's values. */
enum err doc_decode_policy(struct json_value value, struct arena *arena, struct policy *out,
                           struct fault *fault) LQ_CHECKED;
enum err doc_decode_operator(struct json_value value, struct arena *arena,
                             struct operator_account *out, struct fault *fault) LQ_CHECKED;
enum err doc_decode_site_memory(struct json_value value, struct arena *arena,
                                struct site_memory *out, struct fault *fault) LQ_CHECKED;

/* Its rates are written for readers, and follow from the rest when it is read. */
void doc_encode_throughput(const struct throughput *throughput, struct json_writer *writer);
enum err doc_decode_throughput(struct json_value value, struct arena *arena, struct throughput *out,
                               struct fault *fault) LQ_CHECKED;

/* Any of them, by kind. */
struct doc_value {
    enum doc_kind kind;
    union {
        struct region region;
        struct site site;
        struct tenant tenant;
        struct user user;
        struct api_token api_token;
        struct join_token join_token;
        struct dataset dataset;
        struct link link;
        struct policy policy;
        struct operator_account account; /* DOC_OPERATOR */
        struct site_memory site_memory;
        struct throughput throughput;
    };
};
/* From a doc's body. Limits: JSON_LIMITS_REQUEST. */
enum err doc_parse(enum doc_kind kind, struct slice body, struct arena *arena,
                   struct doc_value *out, struct fault *fault) LQ_CHECKED;
/* Appends the body. ERR_LIMIT (also past DOC_BYTES_MAX), ERR_NO_MEMORY. */
enum err doc_encode(const struct doc_value *value, struct buffer *out) LQ_CHECKED;
/* The key of a doc under which the store keeps it: id text for nouns with ids ("ten_...",
 * "usr_...", "site_...", ...), the name for region and operator, "a|b" for a link, "policy" for the
 * policy. NUL-terminated into `out`. */
void doc_key(const struct doc_value *value, char out[DOC_ID_MAX + 1]);

/* Text prefixes of ids. */
#define ID_PREFIX_JOB "job"
#define ID_PREFIX_SPEC "spec"
#define ID_PREFIX_SITE "site"
#define ID_PREFIX_REGION "reg"
#define ID_PREFIX_TENANT "ten"
#define ID_PREFIX_USER "usr"
#define ID_PREFIX_TOKEN "tok"
#define ID_PREFIX_DATASET "dat"
#define ID_PREFIX_JOURNAL "jrn"
#define ID_PREFIX_REQUEST "req"
#define ID_PREFIX_ARTIFACT "art"
#define ID_PREFIX_WORKLOAD "wkl"

#endif

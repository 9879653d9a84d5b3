/* Who may come in: users, API tokens, join tokens and the tenant tree; and what requests name:
 * sites and datasets. As the documents in the store say, kept in memory for checking requests.
 * Follows the committed changes. Loop thread only.
 */
#ifndef LQ_SERVER_DIRECTORY_H
#define LQ_SERVER_DIRECTORY_H

#include "model/account.h"
#include "model/change.h"
#include "model/site.h"

struct directory;

enum { TOKEN_TEXT_MAX = 80 };
#define TOKEN_PREFIX "lq_"
#define JOIN_TOKEN_PREFIX "lqj_"

enum err directory_create(struct directory **out) LQ_CHECKED;
void directory_destroy(struct directory *directory);
/* Everything is about to be put again: what has not come by directory_sweep is gone. Until then all
 * stays, so that people are still known while the store cannot be written. */
void directory_mark(struct directory *directory);
void directory_sweep(struct directory *directory);
/* A document came (loading) or was put; others than those above and sites are ignored. */
void directory_put(struct directory *directory, const struct doc *doc);
void directory_remove(struct directory *directory, enum doc_kind kind, struct slice id);

size_t directory_count(const struct directory *directory, enum doc_kind kind);
uint64_t directory_version(const struct directory *directory, enum doc_kind kind,
                           struct slice id); /* 0: not there */
/* Is the certificate one that the site was given and that was not taken back? Certificates are
 * named by the first 16 bytes of their SHA-256, in hex, newest first. */
bool directory_certificate_is_good(const struct directory *directory, struct site_id site,
                                   struct slice name);
const struct text_list *directory_certificates(const struct directory *directory,
                                               struct site_id site); /* NULL: none */

/* 256 random bits, then a checksum of 32 bits, both as hex, after the prefix. The hash is that of
 * the whole text. */
enum err token_make(const char *prefix, char out_text[TOKEN_TEXT_MAX],
                    struct digest *out_hash) LQ_CHECKED;
enum err token_format(const char *prefix, const struct digest *secret,
                      char out_text[TOKEN_TEXT_MAX], struct digest *out_hash) LQ_CHECKED;
/* Prefix, length and checksum: a mistyped token is told from a wrong one without a look-up. */
bool token_is_well_formed(const char *prefix, struct slice text);

/* ERR_DENIED with the reason in the fault: unknown, revoked, expired, user disabled. */
enum err directory_authenticate(struct directory *directory, struct slice token, struct wall_us now,
                                struct principal *out, const struct user **out_user,
                                struct fault *fault) LQ_CHECKED;
/* An unused, unexpired join token. */
enum err directory_join(struct directory *directory, struct slice token, struct wall_us now,
                        const struct join_token **out, struct fault *fault) LQ_CHECKED;
const struct user *directory_user(const struct directory *directory, struct user_id id);
const struct user *directory_user_named(const struct directory *directory,
                                        struct slice name); /* NULL: none */
const struct api_token *directory_token(const struct directory *directory, struct token_id id);
const struct tenant_tree *directory_tree(struct directory *directory);
/* By name or by id text; NULL: none. */
const struct tenant *directory_tenant(struct directory *directory, struct slice name_or_id);
const struct site *directory_site(struct directory *directory, struct slice name_or_id);
const struct site *directory_site_by_id(const struct directory *directory, struct site_id id);
/* Of that very tenant; NULL: none. */
const struct dataset *directory_dataset(const struct directory *directory, struct tenant_id tenant,
                                        struct slice name);
/* All tenants at or below `top` (none: all), in the arena. */
enum err directory_subtree(struct directory *directory, struct tenant_id top, struct arena *arena,
                           const struct tenant_id **out_ids, size_t *out_count) LQ_CHECKED;

#endif

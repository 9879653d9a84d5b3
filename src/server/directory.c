#include "server/directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/hex.h"
#include "base/map.h"
#include "base/vector.h"
#include "port/entropy.h"
#include "wire/doc.h"

enum {
    ENTRIES_MAX = 1 << 20,
    ENTRY_BYTES_MAX = 4 << 20,
    TOKEN_SECRET_BYTES = 32,
    TREE_BYTES_MAX = 64 << 20
};

/* A parsed document in an arena of its own. */
struct entry {
    struct arena arena;
    struct doc_value value;
    struct slice path; /* of a dataset: its key in `datasets` */
    uint64_t version, generation;
};

struct directory {
    struct strmap entries[DOC_KIND_COUNT_]; /* by doc id -> entry */
    struct strmap tokens, join_tokens;      /* by hash bytes -> entry */
    struct strmap sites;                    /* by name -> entry */
    struct strmap datasets;                 /* by tenant's id/name -> entry */
    uint64_t generation;                    /* of loads */
    bool is_tree_current;
    struct arena tree_arena;
    struct tenant_tree tree;
};

static bool is_kept(enum doc_kind kind)
{
    return kind == DOC_USER || kind == DOC_TOKEN || kind == DOC_JOIN_TOKEN || kind == DOC_TENANT ||
           kind == DOC_SITE || kind == DOC_SITE_STATE || kind == DOC_DATASET;
}

enum err directory_create(struct directory **out)
{
    struct directory *directory = calloc(1, sizeof(*directory));
    if (directory == NULL)
        return ERR_NO_MEMORY;
    for (int kind = 0; kind < DOC_KIND_COUNT_; kind++)
        strmap_init(&directory->entries[kind], ENTRIES_MAX, 0);
    strmap_init(&directory->tokens, ENTRIES_MAX, 0);
    strmap_init(&directory->join_tokens, ENTRIES_MAX, 0);
    strmap_init(&directory->sites, ENTRIES_MAX, 0);
    strmap_init(&directory->datasets, ENTRIES_MAX, 0);
    *out = directory;
    return ERR_OK;
}

static void entry_free(struct entry *entry)
{
    if (entry == NULL)
        return;
    arena_deinit(&entry->arena);
    free(entry);
}

enum { DATASET_PATH_MAX = ID_TEXT_MAX + NAME_MAX + 1 };

static struct slice dataset_path(struct tenant_id tenant, struct slice name,
                                 char out[DATASET_PATH_MAX])
{
    char id[ID_TEXT_MAX];
    id_format(tenant.id, ID_PREFIX_TENANT, id);
    int len = snprintf(out, DATASET_PATH_MAX, "%s/%.*s", id, SLICE_ARG(name));
    return slice_make(out, len > 0 && len < DATASET_PATH_MAX ? (size_t)len : 0);
}

static void directory_clear(struct directory *directory)
{
    for (int kind = 0; kind < DOC_KIND_COUNT_; kind++) {
        size_t cursor = 0;
        void *value;
        while (strmap_next(&directory->entries[kind], &cursor, NULL, &value))
            entry_free(value);
        strmap_clear(&directory->entries[kind]);
    }
    strmap_clear(&directory->tokens);
    strmap_clear(&directory->join_tokens);
    strmap_clear(&directory->sites);
    strmap_clear(&directory->datasets);
    arena_deinit(&directory->tree_arena);
    directory->is_tree_current = false;
}

void directory_destroy(struct directory *directory)
{
    if (directory == NULL)
        return;
    directory_clear(directory);
    for (int kind = 0; kind < DOC_KIND_COUNT_; kind++)
        strmap_deinit(&directory->entries[kind]);
    strmap_deinit(&directory->tokens);
    strmap_deinit(&directory->join_tokens);
    strmap_deinit(&directory->sites);
    strmap_deinit(&directory->datasets);
    free(directory);
}

static struct slice hash_key(const struct digest *hash)
{
    return slice_make(hash->bytes, sizeof(hash->bytes));
}

/* The second index of an entry, if it has one. */
static struct strmap *index_of(struct directory *directory, struct entry *entry,
                               struct slice *out_key)
{
    switch (entry->value.kind) {
    case DOC_TOKEN:
        *out_key = hash_key(&entry->value.api_token.hash);
        return &directory->tokens;
    case DOC_JOIN_TOKEN:
        *out_key = hash_key(&entry->value.join_token.hash);
        return &directory->join_tokens;
    case DOC_SITE:
        *out_key = entry->value.site.name;
        return &directory->sites;
    case DOC_DATASET:
        *out_key = entry->path;
        return &directory->datasets;
    default:
        return NULL;
    }
}

void directory_remove(struct directory *directory, enum doc_kind kind, struct slice id)
{
    struct slice key;
    struct entry *entry = is_kept(kind) ? strmap_remove(&directory->entries[kind], id) : NULL;
    if (entry == NULL)
        return;
    struct strmap *index = index_of(directory, entry, &key);
    if (index != NULL && strmap_get(index, key) == entry)
        (void)strmap_remove(index, key);
    if (kind == DOC_TENANT)
        directory->is_tree_current = false;
    entry_free(entry);
}

void directory_put(struct directory *directory, const struct doc *doc)
{
    struct fault fault = {0};
    struct slice key;
    if (!is_kept(doc->kind))
        return;
    struct entry *entry = calloc(1, sizeof(*entry));
    ASSERT(entry != NULL);
    arena_init(&entry->arena, ENTRY_BYTES_MAX);
    if (doc_parse(doc->kind, doc->body, &entry->arena, &entry->value, &fault) != ERR_OK) {
        entry_free(entry); /* the core has judged it already; without it nobody comes in by it */
        return;
    }
    if (doc->kind == DOC_DATASET) {
        char path[DATASET_PATH_MAX];
        const struct dataset *dataset = &entry->value.dataset;
        entry->path = arena_copy(&entry->arena, dataset_path(dataset->tenant, dataset->name, path));
        ASSERT(entry->path.data != NULL);
    }
    entry->version = doc->version;
    entry->generation = directory->generation;
    directory_remove(directory, doc->kind, doc->id);
    ASSERT(strmap_put(&directory->entries[doc->kind], doc->id, entry) == ERR_OK);
    struct strmap *index = index_of(directory, entry, &key);
    if (index != NULL)
        ASSERT(strmap_put(index, key, entry) == ERR_OK);
    if (doc->kind == DOC_TENANT)
        directory->is_tree_current = false;
}

void directory_mark(struct directory *directory)
{
    directory->generation++;
}

void directory_sweep(struct directory *directory)
{
    for (int kind = 0; kind < DOC_KIND_COUNT_; kind++) {
        struct vector gone;
        size_t cursor = 0;
        void *value;
        vector_init(&gone, sizeof(void *), ENTRIES_MAX);
        while (strmap_next(&directory->entries[kind], &cursor, NULL, &value))
            if (((struct entry *)value)->generation != directory->generation)
                ASSERT(vector_push(&gone, &value) == ERR_OK);
        for (size_t i = 0; i < gone.len; i++) {
            char key[DOC_ID_MAX + 1];
            doc_key(&(*(struct entry **)vector_at(&gone, i))->value, key);
            directory_remove(directory, (enum doc_kind)kind, slice_of(key));
        }
        vector_deinit(&gone);
    }
}

size_t directory_count(const struct directory *directory, enum doc_kind kind)
{
    return strmap_count(&directory->entries[kind]);
}

uint64_t directory_version(const struct directory *directory, enum doc_kind kind, struct slice id)
{
    const struct entry *entry = strmap_get(&directory->entries[kind], id);
    return entry == NULL ? 0 : entry->version;
}

/* ---- tokens */

static uint32_t token_checksum(const char *prefix, struct slice secret)
{
    struct digest digest;
    struct buffer text;
    buffer_init(&text, 256);
    buffer_append_text(&text, prefix);
    buffer_append(&text, secret);
    digest = digest_of(buffer_slice(&text));
    buffer_deinit(&text);
    return (uint32_t)digest.bytes[0] << 24 | (uint32_t)digest.bytes[1] << 16 |
           (uint32_t)digest.bytes[2] << 8 | digest.bytes[3];
}

enum err token_format(const char *prefix, const struct digest *secret,
                      char out_text[TOKEN_TEXT_MAX], struct digest *out_hash)
{
    struct buffer text;
    buffer_init(&text, TOKEN_TEXT_MAX - 1);
    buffer_append_text(&text, prefix);
    buffer_append_hex(&text, slice_make(secret->bytes, TOKEN_SECRET_BYTES));
    struct slice hex = buffer_slice(&text);
    size_t prefix_len = strlen(prefix);
    buffer_printf(
        &text, "%08x",
        token_checksum(prefix, (struct slice){hex.data + prefix_len, hex.len - prefix_len}));
    enum err err = buffer_status(&text);
    if (err == ERR_OK) {
        struct slice whole = buffer_slice(&text);
        memcpy(out_text, whole.data, whole.len);
        out_text[whole.len] = 0;
        *out_hash = digest_of(whole);
    }
    buffer_deinit(&text);
    return err;
}

enum err token_make(const char *prefix, char out_text[TOKEN_TEXT_MAX], struct digest *out_hash)
{
    struct digest secret;
    enum err err = entropy_fill(secret.bytes, sizeof(secret.bytes));
    if (err == ERR_OK)
        err = token_format(prefix, &secret, out_text, out_hash);
    explicit_bzero(&secret, sizeof(secret));
    return err;
}

bool token_is_well_formed(const char *prefix, struct slice text)
{
    size_t prefix_len = strlen(prefix);
    char check[16];
    if (text.len != prefix_len + TOKEN_SECRET_BYTES * 2 + 8 ||
        !slice_has_prefix(text, slice_of(prefix)))
        return false;
    struct slice secret = {text.data + prefix_len, TOKEN_SECRET_BYTES * 2};
    struct buffer expected;
    buffer_init(&expected, sizeof(check));
    buffer_printf(&expected, "%08x", token_checksum(prefix, secret));
    bool is_good =
        slice_is_equal(buffer_slice(&expected), (struct slice){text.data + text.len - 8, 8});
    buffer_deinit(&expected);
    return is_good;
}

enum err directory_authenticate(struct directory *directory, struct slice token, struct wall_us now,
                                struct principal *out, const struct user **out_user,
                                struct fault *fault)
{
    struct digest hash;
    if (!token_is_well_formed(TOKEN_PREFIX, token))
        return fault_set(
            fault, ERR_DENIED, NULL,
            "this is no API token (mistyped or cut off); tokens begin with " TOKEN_PREFIX);
    hash = digest_of(token);
    struct entry *entry = strmap_get(&directory->tokens, hash_key(&hash));
    if (entry == NULL)
        return fault_set(fault, ERR_DENIED, NULL,
                         "the token is not known to this server; ask for a new one");
    const struct api_token *row = &entry->value.api_token;
    if (!api_token_is_good(row, now))
        return fault_set(fault, ERR_DENIED, NULL, "the token is %s; ask for a new one",
                         row->revoked_at.us != 0 ? "revoked" : "expired");
    const struct user *user = directory_user(directory, row->user);
    if (user == NULL || user->is_disabled)
        return fault_set(fault, ERR_DENIED, NULL, "the token's user is disabled");
    *out = (struct principal){.user = user->id,
                              .tenant = user->tenant,
                              .operator_name = user->operator_name,
                              .roles = user->roles,
                              .scopes = row->scopes};
    *out_user = user;
    return ERR_OK;
}

enum err directory_join(struct directory *directory, struct slice token, struct wall_us now,
                        const struct join_token **out, struct fault *fault)
{
    struct digest hash;
    if (!token_is_well_formed(JOIN_TOKEN_PREFIX, token))
        return fault_set(fault, ERR_DENIED, "token", "this is no join token (mistyped or cut off)");
    hash = digest_of(token);
    struct entry *entry = strmap_get(&directory->join_tokens, hash_key(&hash));
    if (entry == NULL)
        return fault_set(fault, ERR_DENIED, "token",
                         "the join token is not known; make one with lq join-token");
    const struct join_token *row = &entry->value.join_token;
    if (!join_token_is_good(row, now))
        return fault_set(fault, ERR_DENIED, "token",
                         "the join token is %s; make another with lq join-token",
                         row->used_at.us != 0 ? "used already" : "expired");
    *out = row;
    return ERR_OK;
}

/* ---- looking up */

static const struct entry *entry_by_id(const struct directory *directory, enum doc_kind kind,
                                       struct id id, const char *prefix)
{
    char text[ID_TEXT_MAX];
    id_format(id, prefix, text);
    return strmap_get(&directory->entries[kind], slice_of(text));
}

const struct user *directory_user(const struct directory *directory, struct user_id id)
{
    const struct entry *entry = entry_by_id(directory, DOC_USER, id.id, ID_PREFIX_USER);
    return entry == NULL ? NULL : &entry->value.user;
}

const struct user *directory_user_named(const struct directory *directory, struct slice name)
{
    size_t cursor = 0;
    void *value;
    while (strmap_next(&directory->entries[DOC_USER], &cursor, NULL, &value)) {
        const struct entry *entry = value;
        if (slice_is_equal(entry->value.user.name, name))
            return &entry->value.user;
    }
    return NULL;
}

const struct api_token *directory_token(const struct directory *directory, struct token_id id)
{
    const struct entry *entry = entry_by_id(directory, DOC_TOKEN, id.id, ID_PREFIX_TOKEN);
    return entry == NULL ? NULL : &entry->value.api_token;
}

const struct site *directory_site_by_id(const struct directory *directory, struct site_id id)
{
    const struct entry *entry = entry_by_id(directory, DOC_SITE, id.id, ID_PREFIX_SITE);
    return entry == NULL ? NULL : &entry->value.site;
}

const struct text_list *directory_certificates(const struct directory *directory,
                                               struct site_id site)
{
    const struct entry *entry = entry_by_id(directory, DOC_SITE_STATE, site.id, ID_PREFIX_SITE);
    return entry == NULL ? NULL : &entry->value.site_memory.certificates;
}

bool directory_certificate_is_good(const struct directory *directory, struct site_id site,
                                   struct slice name)
{
    const struct text_list *list = directory_certificates(directory, site);
    for (uint32_t i = 0; list != NULL && i < list->count; i++)
        if (slice_is_equal(list->items[i], name))
            return true;
    return false;
}

const struct site *directory_site(struct directory *directory, struct slice name_or_id)
{
    const struct entry *entry = strmap_get(&directory->entries[DOC_SITE], name_or_id);
    if (entry == NULL)
        entry = strmap_get(&directory->sites, name_or_id);
    return entry == NULL ? NULL : &entry->value.site;
}

const struct dataset *directory_dataset(const struct directory *directory, struct tenant_id tenant,
                                        struct slice name)
{
    char path[DATASET_PATH_MAX];
    const struct entry *entry = strmap_get(&directory->datasets, dataset_path(tenant, name, path));
    return entry == NULL ? NULL : &entry->value.dataset;
}

const struct tenant *directory_tenant(struct directory *directory, struct slice name_or_id)
{
    const struct entry *entry = strmap_get(&directory->entries[DOC_TENANT], name_or_id);
    size_t cursor = 0;
    void *value;
    if (entry != NULL)
        return &entry->value.tenant;
    while (strmap_next(&directory->entries[DOC_TENANT], &cursor, NULL, &value)) {
        entry = value;
        if (slice_is_equal(entry->value.tenant.name, name_or_id))
            return &entry->value.tenant;
    }
    return NULL;
}

const struct tenant_tree *directory_tree(struct directory *directory)
{
    size_t cursor = 0, count = 0;
    void *value;
    struct fault fault = {0};
    if (directory->is_tree_current)
        return &directory->tree;
    arena_deinit(&directory->tree_arena);
    arena_init(&directory->tree_arena, TREE_BYTES_MAX);
    size_t total = strmap_count(&directory->entries[DOC_TENANT]);
    struct tenant *tenants = arena_array(&directory->tree_arena, total + 1, sizeof(*tenants));
    ASSERT(tenants != NULL);
    while (strmap_next(&directory->entries[DOC_TENANT], &cursor, NULL, &value))
        tenants[count++] = ((struct entry *)value)->value.tenant;
    if (tenant_tree_build(tenants, (uint32_t)count, &directory->tree_arena, &directory->tree,
                          &fault) != ERR_OK)
        return NULL; /* never with what the core let in; then only the very same tenant counts */
    directory->is_tree_current = true;
    return &directory->tree;
}

enum err directory_subtree(struct directory *directory, struct tenant_id top, struct arena *arena,
                           const struct tenant_id **out_ids, size_t *out_count)
{
    const struct tenant_tree *tree = directory_tree(directory);
    size_t count = 0;
    struct tenant_id *ids = arena_array(arena, (tree == NULL ? 0 : tree->count) + 1, sizeof(*ids));
    if (ids == NULL)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; tree != NULL && i < tree->count; i++)
        if (id_is_none(top.id) || tenant_tree_is_within(tree, tree->tenants[i].id, top))
            ids[count++] = tree->tenants[i].id;
    if (tree == NULL)
        ids[count++] = top;
    *out_ids = ids;
    *out_count = count;
    return ERR_OK;
}

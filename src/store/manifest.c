/* The rules of a manifest, and its JSON. */
#include "store/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "store/chunks.h"
#include "wire/json.h"
#include "wire/json_writer.h"

static const char *const KIND_NAMES[] = {"file", "folder", "link"};

enum { KIND_COUNT = 3, MODE_MAX = 0777, MANIFEST_VALUES_MAX = 4000000 };

/* ---- rules ---- */

static enum err refuse(struct slice path, struct fault *fault, const char *why)
{
    /* The path may be anything; only its printable form may reach a message. */
    char shown[FAULT_FIELD_MAX];
    size_t len = 0;
    for (size_t i = 0; i < path.len && len + 1 < sizeof shown; i++)
        shown[len++] = (unsigned char)path.data[i] < 0x20 ? '?' : path.data[i];
    shown[len] = 0;
    return fault_set(fault, ERR_INVALID, shown, "%s", why);
}

static bool has_control(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c < 0x20 || c == 0x7f)
            return true;
    }
    return false;
}

/* Counts the parts; false when one is empty, ".", ".." or too long for a file system. */
static bool parts_are_plain(struct slice path, uint32_t *out_parts)
{
    uint32_t parts = 0;
    size_t start = 0;
    for (size_t i = 0; i <= path.len; i++) {
        if (i < path.len && path.data[i] != '/')
            continue;
        struct slice part = slice_make(path.data + start, i - start);
        if (part.len == 0 || part.len > 255 || slice_is(part, ".") || slice_is(part, ".."))
            return false;
        parts++;
        start = i + 1;
    }
    *out_parts = parts;
    return true;
}

static enum err check_path(struct slice path, uint32_t *out_parts, struct fault *fault)
{
    if (path.len == 0 || path.len > MANIFEST_PATH_MAX)
        return refuse(path, fault, "a path has 1 to 1024 bytes");
    if (!slice_is_utf8(path) || has_control(path))
        return refuse(path, fault, "a path must be UTF-8 without control characters");
    if (!parts_are_plain(path, out_parts))
        return refuse(path, fault, "a path must be relative, without empty, \".\" or \"..\" parts");
    if (*out_parts > MANIFEST_DEPTH_MAX)
        return refuse(path, fault, "the folders are nested too deep");
    return ERR_OK;
}

/* ".." only at the front and never above the root. Folders of the manifest are real ones, so the
 * front resolves as it reads; what follows only descends, and a link met there keeps the same rule:
 * no chain of links leaves. */
static enum err check_link(const struct manifest_entry *entry, uint32_t parts, struct fault *fault)
{
    struct slice rest = entry->target;
    if (rest.len == 0 || rest.len > MANIFEST_PATH_MAX || !slice_is_utf8(rest) || has_control(rest))
        return refuse(entry->path, fault, "a link needs a target of 1 to 1024 bytes of UTF-8");
    uint32_t up = 0;
    while (rest.len >= 2 && rest.data[0] == '.' && rest.data[1] == '.' &&
           (rest.len == 2 || rest.data[2] == '/')) {
        up++;
        rest = rest.len <= 3 ? (struct slice){"", 0} : slice_make(rest.data + 3, rest.len - 3);
    }
    uint32_t below = 0;
    bool is_inside = up < parts; /* the link's own folder is parts - 1 deep */
    bool is_plain =
        (up > 0 && rest.len == 0) || slice_is(entry->target, ".") || parts_are_plain(rest, &below);
    if (!is_inside || !is_plain)
        return refuse(entry->path, fault, "a link must be relative and stay inside the folder");
    return ERR_OK;
}

static enum err check_file(const struct manifest_entry *entry, struct fault *fault)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < entry->chunk_count; i++) {
        if (entry->chunks[i].size == 0 || entry->chunks[i].size > CHUNK_BYTES_MAX)
            return refuse(entry->path, fault, "a chunk has 1 to 4194304 bytes");
        size += entry->chunks[i].size;
    }
    if (size != entry->size)
        return refuse(entry->path, fault, "the size is not the sum of the chunks");
    return ERR_OK;
}

static int compare_entries(const void *a, const void *b)
{
    return slice_compare(((const struct manifest_entry *)a)->path,
                         ((const struct manifest_entry *)b)->path);
}

/* The entries before `index` are sorted. */
static enum err check_parent(const struct manifest *manifest, size_t index, struct fault *fault)
{
    struct slice path = manifest->entries[index].path;
    const char *slash = memrchr(path.data, '/', path.len);
    if (!slash)
        return ERR_OK;
    struct manifest_entry key = {.path = slice_make(path.data, (size_t)(slash - path.data))};
    const struct manifest_entry *parent =
        bsearch(&key, manifest->entries, index, sizeof key, compare_entries);
    if (!parent || parent->kind != MANIFEST_FOLDER)
        return refuse(path, fault, "its folder is not in the manifest");
    return ERR_OK;
}

static enum err check_entry(const struct manifest *manifest, size_t index, struct fault *fault)
{
    const struct manifest_entry *entry = &manifest->entries[index];
    uint32_t parts = 0;
    enum err err = check_path(entry->path, &parts, fault);
    if (err)
        return err;
    if (index > 0 && compare_entries(entry - 1, entry) >= 0)
        return refuse(entry->path, fault, "entries must be sorted by path, each path once");
    err = check_parent(manifest, index, fault);
    if (err)
        return err;
    if (entry->kind > MANIFEST_LINK || entry->mode > MODE_MAX)
        return refuse(entry->path, fault, "a mode has permission bits only");
    bool is_file = entry->kind == MANIFEST_FILE, is_link = entry->kind == MANIFEST_LINK;
    if ((!is_file && (entry->size > 0 || entry->chunk_count > 0)) ||
        (!is_link && entry->target.len > 0) || (is_link && entry->mode != 0))
        return refuse(entry->path, fault, "only files have content, and only links a target");
    return is_file ? check_file(entry, fault) : is_link ? check_link(entry, parts, fault) : ERR_OK;
}

enum err manifest_check(const struct manifest *manifest, struct fault *fault)
{
    uint64_t size = 0, chunks = 0;
    if (manifest->count > MANIFEST_ENTRIES_MAX)
        return fault_set(fault, ERR_LIMIT, NULL, "at most %d entries", MANIFEST_ENTRIES_MAX);
    for (size_t i = 0; i < manifest->count; i++) {
        enum err err = check_entry(manifest, i, fault);
        if (err)
            return err;
        size += manifest->entries[i].size;
        chunks += manifest->entries[i].chunk_count;
        if (chunks > MANIFEST_CHUNKS_MAX)
            return fault_set(fault, ERR_LIMIT, NULL, "at most %d chunks", MANIFEST_CHUNKS_MAX);
    }
    if (size != manifest->size_bytes || chunks != manifest->chunk_count)
        return fault_set(fault, ERR_INVALID, NULL, "the totals do not match the entries");
    return ERR_OK;
}

enum err manifest_below(const struct manifest *manifest, struct slice folder, struct arena *arena,
                        struct manifest *out)
{
    struct manifest part = {0};
    struct manifest_entry *entries = arena_array(arena, manifest->count + 1, sizeof(*entries));
    if (entries == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < manifest->count; i++) {
        struct manifest_entry entry = manifest->entries[i];
        if (!slice_has_prefix(entry.path, folder) || entry.path.len <= folder.len + 1 ||
            entry.path.data[folder.len] != '/')
            continue;
        entry.path = slice_make(entry.path.data + folder.len + 1, entry.path.len - folder.len - 1);
        entries[part.count++] = entry;
        part.size_bytes += entry.size;
        part.chunk_count += entry.chunk_count;
    }
    part.entries = entries;
    *out = part;
    return ERR_OK;
}

enum err manifest_mark(const struct manifest *manifest, struct chunk_marks *marks)
{
    for (size_t i = 0; i < manifest->count; i++) {
        for (uint32_t c = 0; c < manifest->entries[i].chunk_count; c++) {
            enum err err = chunk_marks_add(marks, manifest->entries[i].chunks[c].hash);
            if (err)
                return err;
        }
    }
    return ERR_OK;
}

/* ---- encoding ---- */

static void encode_entry(struct json_writer *writer, const struct manifest_entry *entry)
{
    json_begin_object(writer);
    json_put_string(writer, "path", entry->path);
    json_put_text(writer, "kind", KIND_NAMES[entry->kind]);
    if (entry->kind == MANIFEST_LINK)
        json_put_string(writer, "target", entry->target);
    else
        json_put_u64(writer, "mode", entry->mode);
    if (entry->kind == MANIFEST_FILE) {
        json_put_u64(writer, "size", entry->size);
        json_key(writer, "chunks");
        json_begin_array(writer);
        for (uint32_t i = 0; i < entry->chunk_count; i++) {
            char hex[DIGEST_TEXT_MAX];
            digest_format(entry->chunks[i].hash, hex);
            json_begin_array(writer);
            json_text(writer, hex);
            json_u64(writer, entry->chunks[i].size);
            json_end_array(writer);
        }
        json_end_array(writer);
    }
    json_end_object(writer);
}

enum err manifest_encode(const struct manifest *manifest, struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_begin_object(&writer);
    json_put_u64(&writer, "format", 1);
    json_key(&writer, "entries");
    json_begin_array(&writer);
    for (size_t i = 0; i < manifest->count; i++)
        encode_entry(&writer, &manifest->entries[i]);
    json_end_array(&writer);
    json_end_object(&writer);
    return json_writer_finish(&writer);
}

/* ---- decoding ---- */

static enum err decode_chunk(struct json_value value, struct manifest_chunk *out,
                             struct fault *fault)
{
    struct json_value pair;
    struct slice hex;
    uint64_t size = 0;
    enum err err = json_to_array(value, 2, &pair, fault);
    if (!err && json_count(pair) != 2)
        err = json_refuse(value, fault, ERR_INVALID, "must be a hash and a size");
    if (!err)
        err = json_to_string(json_array_at(pair, 0), DIGEST_TEXT_MAX, &hex, fault);
    if (!err && digest_parse(hex, &out->hash) != ERR_OK)
        err = json_refuse(value, fault, ERR_INVALID, "must have 64 lower-case hexadecimal digits");
    if (!err)
        err = json_to_u64(json_array_at(pair, 1), 1, CHUNK_BYTES_MAX, &size, fault);
    out->size = (uint32_t)size;
    return err;
}

static enum err decode_chunks(struct json_value entry, struct arena *arena,
                              struct manifest_entry *out, struct fault *fault)
{
    struct json_value list;
    enum err err = json_get_array(entry, "chunks", MANIFEST_CHUNKS_MAX, &list, fault);
    if (err)
        return err;
    size_t count = json_count(list);
    if (count == 0)
        return ERR_OK;
    struct manifest_chunk *chunks = arena_array(arena, count, sizeof *chunks);
    if (!chunks)
        return ERR_LIMIT;
    struct json_iterator it = json_iterate(list);
    while (!err && json_next(&it))
        err = decode_chunk(it.value, &chunks[it.index], fault);
    out->chunks = chunks;
    out->chunk_count = (uint32_t)count;
    return err;
}

static enum err keep(struct arena *arena, struct slice *text)
{
    struct slice copy = arena_copy(arena, *text);
    if (!copy.data)
        return ERR_LIMIT;
    *text = copy;
    return ERR_OK;
}

static enum err decode_entry(struct json_value value, struct arena *arena,
                             struct manifest_entry *out, struct fault *fault)
{
    static const char *const keys[KIND_COUNT][5] = {
        [MANIFEST_FILE] = {"path", "kind", "mode", "size", "chunks"},
        [MANIFEST_FOLDER] = {"path", "kind", "mode"},
        [MANIFEST_LINK] = {"path", "kind", "target"},
    };
    static const size_t key_counts[KIND_COUNT] = {5, 3, 3};
    unsigned kind = 0;
    enum err err = json_get_choice(value, "kind", KIND_NAMES, KIND_COUNT, &kind, fault);
    if (!err)
        err = json_object_check_keys(value, keys[kind], key_counts[kind], fault);
    if (!err)
        err = json_get_string(value, "path", MANIFEST_PATH_MAX, &out->path, fault);
    if (!err)
        err = keep(arena, &out->path);
    if (err)
        return err;
    out->kind = (enum manifest_kind)kind;
    if (kind == MANIFEST_LINK) {
        err = json_get_string(value, "target", MANIFEST_PATH_MAX, &out->target, fault);
        return err ? err : keep(arena, &out->target);
    }
    err = json_get_u32(value, "mode", 0, MODE_MAX, &out->mode, fault);
    if (!err && kind == MANIFEST_FILE)
        err = json_get_u64(value, "size", 0, INT64_MAX, &out->size, fault);
    if (!err && kind == MANIFEST_FILE)
        err = decode_chunks(value, arena, out, fault);
    return err;
}

static enum err decode_root(struct json_value root, struct arena *arena, struct manifest *out,
                            struct fault *fault)
{
    static const char *const keys[] = {"format", "entries"};
    struct json_value object, list;
    uint64_t format = 0;
    enum err err = json_to_object(root, &object, fault);
    if (!err)
        err = json_object_check_keys(object, keys, 2, fault);
    if (!err)
        err = json_get_u64(object, "format", 1, 1, &format, fault);
    if (!err)
        err = json_get_array(object, "entries", MANIFEST_ENTRIES_MAX, &list, fault);
    if (err)
        return err;
    size_t count = json_count(list);
    struct manifest_entry *entries = arena_array(arena, count ? count : 1, sizeof *entries);
    if (!entries)
        return ERR_LIMIT;
    struct manifest manifest = {.entries = entries, .count = count};
    struct json_iterator it = json_iterate(list);
    while (!err && json_next(&it)) {
        err = decode_entry(it.value, arena, &entries[it.index], fault);
        manifest.size_bytes += entries[it.index].size;
        manifest.chunk_count += entries[it.index].chunk_count;
    }
    if (!err)
        err = manifest_check(&manifest, fault);
    if (!err)
        *out = manifest;
    return err;
}

enum err manifest_decode(struct slice json, struct arena *arena, struct manifest *out,
                         struct fault *fault)
{
    static const struct json_limits limits = {
        .bytes = MANIFEST_BYTES_MAX, .depth = 8, .values = MANIFEST_VALUES_MAX};
    struct json_document *document = NULL;
    enum err err = json_parse(json, &limits, &document, fault);
    if (!err)
        err = decode_root(json_root(document), arena, out, fault);
    json_document_destroy(document);
    return err;
}

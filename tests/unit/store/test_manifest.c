/* Folders as values, there and back. */
#include "scene.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "port/file.h"
#include "store/chunks.h"
#include "store/manifest.h"

enum { BIG_BYTES = 9 * 1024 * 1024 };

struct place {
    char folder[64];
    char from[128], to[128], chunks_path[128];
    struct arena arena;
    struct chunks *chunks;
    struct tenant_id tenant;
    size_t chunks_seen;
    bool lies; /* the source gives other bytes */
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    snprintf(place->folder, sizeof place->folder, "/tmp/lq-manifest-XXXXXX");
    if (!mkdtemp(place->folder))
        return -1;
    snprintf(place->from, sizeof place->from, "%s/from", place->folder);
    snprintf(place->to, sizeof place->to, "%s/to", place->folder);
    snprintf(place->chunks_path, sizeof place->chunks_path, "%s/chunks", place->folder);
    place->tenant.id = scene_id(1);
    arena_init(&place->arena, 64 << 20);
    *state = place;
    return mkdir(place->from, 0755);
}

static int tear_down(void **state)
{
    struct place *place = *state;
    chunks_close(place->chunks);
    arena_deinit(&place->arena);
    enum err err = file_remove_tree(place->folder, NULL);
    free(place);
    return err ? -1 : 0;
}

static const char *at(struct place *place, const char *root, const char *name)
{
    return arena_printf(&place->arena, "%s/%s", root, name);
}

static void write_file(struct place *place, const char *name, struct slice bytes, mode_t mode)
{
    const char *path = at(place, place->from, name);
    assert_int_equal(file_write_atomic(path, bytes, 0600, NULL), ERR_OK);
    assert_int_equal(chmod(path, mode), 0);
}

static void make_tree(struct place *place)
{
    static uint8_t big[BIG_BYTES];
    struct random random;
    random_init(&random, 5);
    random_fill(&random, big, sizeof big);
    assert_int_equal(mkdir(at(place, place->from, "src"), 0755), 0);
    assert_int_equal(mkdir(at(place, place->from, "src/deep"), 0700), 0);
    assert_int_equal(mkdir(at(place, place->from, "src-other"), 0555), 0);
    assert_int_equal(mkdir(at(place, place->from, "empty"), 0750), 0);
    write_file(place, "run.sh", SLICE_LITERAL("#!/bin/sh\nexec true\n"), 0755);
    write_file(place, "src/void", (struct slice){"", 0}, 0644);
    write_file(place, "src/deep/weights.bin", slice_make(big, sizeof big), 0640);
    write_file(place, "src/b\xc3\xa4r \"quoted\".txt", SLICE_LITERAL("grizzly"), 0444);
    assert_int_equal(symlink("deep/weights.bin", at(place, place->from, "src/latest")), 0);
    assert_int_equal(symlink("../../run.sh", at(place, place->from, "src/deep/up")), 0);
}

static enum err keep_chunk(void *context, const struct manifest_chunk *chunk, struct slice bytes)
{
    struct place *place = context;
    place->chunks_seen++;
    assert_int_equal(chunk->size, bytes.len);
    return chunks_put(place->chunks, place->tenant, chunk->hash, bytes, 0, NULL);
}

static enum err give_chunk(void *context, const struct manifest_chunk *chunk, void *buffer)
{
    struct place *place = context;
    size_t len = 0;
    enum err err =
        chunks_get(place->chunks, place->tenant, chunk->hash, 0, buffer, chunk->size, &len, NULL);
    if (!err && place->lies)
        memset(buffer, 'z', len);
    return err;
}

static struct manifest scan(struct place *place)
{
    struct manifest manifest = {0};
    struct fault fault = {0};
    struct manifest_scan_sink sink = {keep_chunk, place};
    if (!place->chunks)
        assert_int_equal(chunks_open_folder(place->chunks_path, "cn", &place->chunks, NULL),
                         ERR_OK);
    enum err err = manifest_scan(place->from, &place->arena, &sink, &manifest, &fault);
    if (err)
        fail_msg("scan: %s: %s: %s", err_name(err), fault.field, fault.message);
    return manifest;
}

static void assert_same(const struct manifest *a, const struct manifest *b)
{
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->size_bytes, b->size_bytes);
    assert_int_equal(a->chunk_count, b->chunk_count);
    for (size_t i = 0; i < a->count; i++) {
        const struct manifest_entry *x = &a->entries[i], *y = &b->entries[i];
        assert_true(slice_is_equal(x->path, y->path));
        assert_true(slice_is_equal(x->target, y->target));
        assert_int_equal(x->kind, y->kind);
        assert_int_equal(x->mode, y->mode);
        assert_int_equal(x->size, y->size);
        assert_int_equal(x->chunk_count, y->chunk_count);
        for (uint32_t c = 0; c < x->chunk_count; c++) {
            assert_int_equal(x->chunks[c].size, y->chunks[c].size);
            assert_true(digest_is_equal(x->chunks[c].hash, y->chunks[c].hash));
        }
    }
}

static void a_folder_comes_back_as_it_was(void **state)
{
    struct place *place = *state;
    struct fault fault = {0};
    struct manifest_source source = {give_chunk, place};
    make_tree(place);
    struct manifest manifest = scan(place);
    assert_int_equal(manifest.count, 10);
    assert_int_equal(manifest.chunk_count, place->chunks_seen);
    assert_true(place->chunks_seen > 5);
    enum err err = manifest_make(&manifest, place->to, true, &source, &fault);
    if (err)
        fail_msg("make: %s: %s", err_name(err), fault.message);
    struct manifest back = {0};
    assert_int_equal(manifest_scan(place->to, &place->arena, NULL, &back, &fault), ERR_OK);
    assert_same(&manifest, &back);
    assert_int_equal(manifest_make(&manifest, place->to, false, &source, &fault), ERR_EXISTS);
}

static void a_manifest_reads_back_from_its_json(void **state)
{
    struct place *place = *state;
    struct buffer text, again;
    struct fault fault = {0};
    struct manifest back = {0};
    make_tree(place);
    struct manifest manifest = scan(place);
    buffer_init(&text, MANIFEST_BYTES_MAX);
    buffer_init(&again, MANIFEST_BYTES_MAX);
    assert_int_equal(manifest_encode(&manifest, &text), ERR_OK);
    enum err err = manifest_decode(buffer_slice(&text), &place->arena, &back, &fault);
    if (err)
        fail_msg("decode: %s: %s: %s", err_name(err), fault.field, fault.message);
    assert_same(&manifest, &back);
    assert_int_equal(manifest_encode(&back, &again), ERR_OK);
    assert_true(slice_is_equal(buffer_slice(&text), buffer_slice(&again)));
    buffer_deinit(&text);
    buffer_deinit(&again);
}

#define FOLDER(path) "{\"path\":\"" path "\",\"kind\":\"folder\",\"mode\":493}"
#define LINK(path, target) "{\"path\":\"" path "\",\"kind\":\"link\",\"target\":\"" target "\"}"
#define ENTRIES(list) "{\"format\":1,\"entries\":[" list "]}"

static void what_lies_below_a_folder_is_a_manifest_of_its_own(void **state)
{
    struct place *place = *state;
    struct manifest whole = {0}, part = {0};
    struct fault fault = {0};
    static const char TEXT[] = ENTRIES(FOLDER("rank-1") "," FOLDER("rank-1/a") "," LINK(
        "rank-1/out", "../rank-10") "," FOLDER("rank-10") "," FOLDER("rank-10/b"));
    enum err err = manifest_decode(slice_of(TEXT), &place->arena, &whole, &fault);
    if (err)
        fail_msg("decode: %s: %s: %s", err_name(err), fault.field, fault.message);
    assert_int_equal(manifest_below(&whole, slice_of("rank-10"), &place->arena, &part), ERR_OK);
    assert_int_equal(part.count, 1);
    assert_true(slice_is(part.entries[0].path, "b"));
    assert_int_equal(manifest_check(&part, &fault), ERR_OK);
    /* The link stays inside the whole, and leaves the part. */
    assert_int_equal(manifest_below(&whole, slice_of("rank-1"), &place->arena, &part), ERR_OK);
    assert_int_equal(part.count, 2);
    assert_int_equal(manifest_check(&part, &fault), ERR_INVALID);
    assert_int_equal(manifest_below(&whole, slice_of("rank-2"), &place->arena, &part), ERR_OK);
    assert_int_equal(part.count, 0);
}

static void what_would_leave_the_folder_is_refused(void **state)
{
    struct place *place = *state;
    static const char *const bad[] = {
        ENTRIES(FOLDER("..")),
        ENTRIES(FOLDER("/etc")),
        ENTRIES(FOLDER("a") "," FOLDER("a/..")),
        ENTRIES(FOLDER("a") "," FOLDER("a//b")),
        ENTRIES(FOLDER("a/")),
        ENTRIES(FOLDER(".")),
        ENTRIES(FOLDER("")),
        ENTRIES(FOLDER("a\\nb")),
        ENTRIES(FOLDER("a/b")),                    /* its folder is missing */
        ENTRIES(FOLDER("b") "," FOLDER("a")),      /* not sorted */
        ENTRIES(FOLDER("a") "," FOLDER("a")),      /* twice */
        ENTRIES(LINK("a", "b") "," FOLDER("a/b")), /* below a link */
        ENTRIES(LINK("a", "/etc/passwd")),
        ENTRIES(LINK("a", "..")),
        ENTRIES(LINK("a", "../x")),
        ENTRIES(LINK("a", "")),
        ENTRIES(LINK("a", "b/../../x")),
        ENTRIES(FOLDER("d") "," LINK("d/l", "x/../../..")),
        ENTRIES(FOLDER("d") "," LINK("d/l", "../../x")),
        ENTRIES("{\"path\":\"a\",\"kind\":\"folder\",\"mode\":2541}"), /* set-user-id */
        ENTRIES("{\"path\":\"a\",\"kind\":\"device\",\"mode\":420}"),
        ENTRIES("{\"path\":\"a\",\"kind\":\"folder\",\"mode\":493,\"extra\":1}"),
        ENTRIES("{\"path\":\"a\",\"kind\":\"file\",\"mode\":420,\"size\":5,\"chunks\":[]}"),
        ENTRIES(
            "{\"path\":\"a\",\"kind\":\"file\",\"mode\":420,\"size\":5,\"chunks\":[[\"zz\",5]]}"),
        "{\"format\":2,\"entries\":[]}",
        "{\"entries\":[]}",
        "[]",
        "",
    };
    static const char *const good[] = {
        ENTRIES(""),
        ENTRIES(FOLDER("a") "," FOLDER("a-b") "," FOLDER("a/b")),
        ENTRIES(FOLDER("d") "," LINK("d/l", "..")),
        ENTRIES(FOLDER("d") "," LINK("d/l", "../x/y")),
        ENTRIES(LINK("a", "b/c") "," LINK("dot", ".")),
        ENTRIES(FOLDER("...") "," FOLDER("..a")),
    };
    struct manifest manifest;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct fault fault = {0};
        enum err err = manifest_decode(slice_of(bad[i]), &place->arena, &manifest, &fault);
        if (err != ERR_INVALID)
            fail_msg("%s: %s", bad[i], err_name(err));
        assert_true(fault.message[0] != 0);
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        enum err err = manifest_decode(slice_of(good[i]), &place->arena, &manifest, NULL);
        if (err)
            fail_msg("%s: %s", good[i], err_name(err));
    }
}

static void a_scan_refuses_devices_and_links_that_lead_out(void **state)
{
    struct place *place = *state;
    struct manifest manifest;
    struct fault fault = {0};
    const char *path = at(place, place->from, "pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(manifest_scan(place->from, &place->arena, NULL, &manifest, &fault),
                     ERR_INVALID);
    assert_non_null(strstr(fault.message, "pipe"));
    assert_int_equal(unlink(path), 0);
    static const char *const targets[] = {"/etc/passwd", "../../etc", "x/../../y"};
    for (size_t i = 0; i < 3; i++) {
        const char *link = at(place, place->from, "link");
        assert_int_equal(symlink(targets[i], link), 0);
        assert_int_equal(manifest_scan(place->from, &place->arena, NULL, &manifest, &fault),
                         ERR_INVALID);
        assert_string_equal(fault.field, "link");
        assert_int_equal(unlink(link), 0);
    }
    assert_int_equal(
        manifest_scan(at(place, place->from, "none"), &place->arena, NULL, &manifest, &fault),
        ERR_NOT_FOUND);
    /* the folder itself may not be a link either */
    assert_int_equal(symlink("from", at(place, place->folder, "alias")), 0);
    assert_int_not_equal(
        manifest_scan(at(place, place->folder, "alias"), &place->arena, NULL, &manifest, &fault),
        ERR_OK);
}

static void making_a_folder_never_writes_through_a_link(void **state)
{
    struct place *place = *state;
    struct manifest manifest = {0};
    struct manifest_source source = {give_chunk, place};
    struct fault fault = {0};
    write_file(place, "file", SLICE_LITERAL("content"), 0644);
    manifest = scan(place);
    /* someone has put a link where the folder is to be */
    const char *outside = at(place, place->folder, "outside");
    assert_int_equal(mkdir(outside, 0700), 0);
    assert_int_equal(symlink("outside", place->to), 0);
    assert_int_not_equal(manifest_make(&manifest, place->to, false, &source, &fault), ERR_OK);
    assert_int_equal(access(at(place, outside, "file"), F_OK), -1);
}

static void bytes_with_another_hash_are_not_taken(void **state)
{
    struct place *place = *state;
    struct manifest_source source = {give_chunk, place};
    struct fault fault = {0};
    write_file(place, "file", SLICE_LITERAL("content"), 0644);
    struct manifest manifest = scan(place);
    place->lies = true;
    assert_int_equal(manifest_make(&manifest, place->to, false, &source, &fault), ERR_CORRUPT);
}

static void a_chunk_is_read_again_unless_its_file_has_changed(void **state)
{
    struct place *place = *state;
    struct fault fault = {0};
    static uint8_t buffer[CHUNK_BYTES_MAX];
    size_t len = 0;
    make_tree(place);
    struct manifest manifest = scan(place);
    size_t big = 0;
    while (!slice_is(manifest.entries[big].path, "src/deep/weights.bin"))
        big++;
    const struct manifest_entry *entry = &manifest.entries[big];
    for (uint32_t c = 0; c < entry->chunk_count; c++) {
        assert_int_equal(manifest_chunk_read(place->from, &manifest, big, c, buffer, &len, &fault),
                         ERR_OK);
        assert_int_equal(len, entry->chunks[c].size);
        assert_true(digest_is_equal(digest_of(slice_make(buffer, len)), entry->chunks[c].hash));
    }
    write_file(place, "src/deep/weights.bin", SLICE_LITERAL("shorter"), 0644);
    assert_int_equal(manifest_chunk_read(place->from, &manifest, big, 0, buffer, &len, &fault),
                     ERR_STALE);
    assert_int_equal(unlink(at(place, place->from, "src/deep/weights.bin")), 0);
    assert_int_equal(manifest_chunk_read(place->from, &manifest, big, 0, buffer, &len, &fault),
                     ERR_STALE);
}

static void what_a_manifest_marks_survives_the_sweep(void **state)
{
    struct place *place = *state;
    struct chunk_marks *marks = NULL;
    struct chunks_swept swept = {0};
    make_tree(place);
    struct manifest manifest = scan(place);
    struct slice loose = SLICE_LITERAL("of an upload that was given up");
    assert_int_equal(chunks_put(place->chunks, place->tenant, digest_of(loose), loose, 0, NULL),
                     ERR_OK);
    assert_int_equal(chunk_marks_create(&marks), ERR_OK);
    assert_int_equal(manifest_mark(&manifest, marks), ERR_OK);
    struct wall_us much_later = {INT64_C(4000000000000000)};
    assert_int_equal(
        chunks_sweep(place->chunks, place->tenant, marks, much_later, SPAN_S(60), &swept), ERR_OK);
    assert_int_equal(swept.count, 1);
    assert_int_equal(swept.bytes, loose.len);
    assert_int_equal(swept.kept_bytes, manifest.size_bytes); /* no chunk of it comes twice */
    chunk_marks_destroy(marks);
    struct manifest_source source = {give_chunk, place};
    assert_int_equal(manifest_make(&manifest, place->to, false, &source, NULL), ERR_OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_folder_comes_back_as_it_was),
        TEST(a_manifest_reads_back_from_its_json),
        TEST(what_lies_below_a_folder_is_a_manifest_of_its_own),
        TEST(what_would_leave_the_folder_is_refused),
        TEST(a_scan_refuses_devices_and_links_that_lead_out),
        TEST(making_a_folder_never_writes_through_a_link),
        TEST(bytes_with_another_hash_are_not_taken),
        TEST(what_a_manifest_marks_survives_the_sweep),
        TEST(a_chunk_is_read_again_unless_its_file_has_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

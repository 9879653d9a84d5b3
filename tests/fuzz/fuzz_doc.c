/* A document of any kind, and a row: refused with words, or a value whose bytes are stable. */
#include "base/buffer.h"
#include "fuzz.h"
#include "wire/doc.h"
#include "wire/row.h"

static void check_doc(const struct doc_value *value)
{
    struct buffer first, second;
    struct arena arena;
    struct doc_value again;
    char key[DOC_ID_MAX + 1];

    arena_init(&arena, (size_t)32 << 20);
    buffer_init(&first, (size_t)4 << 20);
    buffer_init(&second, (size_t)4 << 20);
    doc_key(value, key);
    if (doc_encode(value, &first) == ERR_OK) {
        ASSERT(doc_parse(value->kind, buffer_slice(&first), &arena, &again, NULL) == ERR_OK);
        ASSERT(doc_encode(&again, &second) == ERR_OK);
        ASSERT(slice_is_equal(buffer_slice(&first), buffer_slice(&second)));
    }
    buffer_deinit(&first);
    buffer_deinit(&second);
    arena_deinit(&arena);
}

static enum err decode_row(unsigned kind, struct json_value value, struct arena *arena,
                           struct json_writer *writer, struct fault *fault)
{
    union {
        struct job_row job;
        struct attempt_row attempt;
        struct usage_record usage;
        struct audit_record audit;
        struct event_record event;
        struct artifact_row artifact;
    } row;
    enum err err;

    switch (kind) {
    case 0:
        if ((err = row_decode_job(value, &row.job, fault)) == ERR_OK)
            row_encode_job(&row.job, writer);
        return err;
    case 1:
        if ((err = row_decode_attempt(value, &row.attempt, fault)) == ERR_OK)
            row_encode_attempt(&row.attempt, writer);
        return err;
    case 2:
        if ((err = row_decode_usage(value, &row.usage, fault)) == ERR_OK)
            row_encode_usage(&row.usage, writer);
        return err;
    case 3:
        if ((err = row_decode_audit(value, arena, &row.audit, fault)) == ERR_OK)
            row_encode_audit(&row.audit, writer);
        return err;
    case 4:
        if ((err = row_decode_event(value, arena, &row.event, fault)) == ERR_OK)
            row_encode_event(&row.event, writer);
        return err;
    default:
        if ((err = row_decode_artifact(value, arena, &row.artifact, fault)) == ERR_OK)
            row_encode_artifact(&row.artifact, writer);
        return err;
    }
}

/* What a row writes, it reads, and writes the same again. */
static void check_row(unsigned kind, struct slice text, struct arena *arena)
{
    struct json_document *document = NULL;
    struct buffer first, second;
    struct json_writer writer;
    struct fault fault = {0};
    enum err err;

    buffer_init(&first, (size_t)4 << 20);
    buffer_init(&second, (size_t)4 << 20);
    if (json_parse(text, &JSON_LIMITS_REQUEST, &document, &fault) != ERR_OK)
        return;
    json_writer_init(&writer, &first);
    err = decode_row(kind, json_root(document), arena, &writer, &fault);
    ASSERT(err == ERR_OK || (fault.code == err && fault.message[0] != '\0'));
    json_document_destroy(document);
    if (err == ERR_OK && json_writer_finish(&writer) == ERR_OK) {
        ASSERT(json_parse(buffer_slice(&first), &JSON_LIMITS_FILE, &document, &fault) == ERR_OK);
        json_writer_init(&writer, &second);
        ASSERT(decode_row(kind, json_root(document), arena, &writer, &fault) == ERR_OK);
        ASSERT(json_writer_finish(&writer) == ERR_OK);
        ASSERT(slice_is_equal(buffer_slice(&first), buffer_slice(&second)));
        json_document_destroy(document);
    }
    buffer_deinit(&first);
    buffer_deinit(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned kind = size > 0 ? (unsigned)(data[0] - '0') % (DOC_KIND_COUNT_ + 6) : 0;
    struct slice text = slice_make(size > 0 ? data + 1 : data, size > 0 ? size - 1 : 0);
    struct fault fault = {0};
    struct doc_value value;
    struct arena arena;
    enum err err;

    arena_init(&arena, (size_t)32 << 20);
    if (kind >= DOC_KIND_COUNT_) {
        check_row(kind - DOC_KIND_COUNT_, text, &arena);
    } else {
        err = doc_parse((enum doc_kind)kind, text, &arena, &value, &fault);
        if (err == ERR_OK)
            check_doc(&value);
        else
            ASSERT(fault.code == err && fault.message[0] != '\0');
    }
    arena_deinit(&arena);
    return 0;
}

#include "wire/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "wire/json_document.h"

const struct json_limits JSON_LIMITS_REQUEST = {1u << 20, 32, 200000};
const struct json_limits JSON_LIMITS_FILE = {64u << 20, 32, 8000000};

enum { PAIRWISE_MAX = 12 }; /* members up to which keys are compared one by one */

/* ---- memory for yyjson, bounded: a text of brackets alone asks for sixteen times its length ----
 */

struct bounded_memory {
    size_t bytes_max; /* of one allocation */
    bool is_refused;
};

static void *bounded_malloc(void *context, size_t size)
{
    struct bounded_memory *memory = context;
    if (size <= memory->bytes_max)
        return malloc(size);
    memory->is_refused = true;
    return NULL;
}

static void *bounded_realloc(void *context, void *old, size_t old_size, size_t size)
{
    struct bounded_memory *memory = context;
    (void)old_size;
    if (size <= memory->bytes_max)
        return realloc(old, size);
    memory->is_refused = true;
    return NULL;
}

static void plain_free(void *context, void *memory)
{
    (void)context;
    free(memory);
}

static void *no_malloc(void *context, size_t size)
{
    (void)context;
    (void)size;
    return NULL;
}

static void *no_realloc(void *context, void *old, size_t old_size, size_t size)
{
    (void)old;
    (void)old_size;
    return no_malloc(context, size);
}

static size_t memory_bound(struct slice json, const struct json_limits *limits)
{
    /* yyjson's first guess is a value for every six bytes; it grows by half. */
    size_t values = json.len / 6 > limits->values ? json.len / 6 : limits->values;
    size_t for_values = (values + 64) * sizeof(yyjson_val) * 3 / 2;
    return for_values > json.len + 64 ? for_values : json.len + 64;
}

/* ---- checks that yyjson leaves to us ---- */

struct checker {
    const struct json_document *document;
    const struct json_limits *limits;
    bool may_have_nul; /* an escaped NUL stands somewhere in the text */
    struct json_token_walk walk;
    struct fault *fault;
};

static struct json_value value_at(const struct checker *checker, const yyjson_val *node)
{
    return (struct json_value){checker->document, node};
}

static int compare_keys(const void *a, const void *b)
{
    const yyjson_val *left = *(yyjson_val *const *)a;
    const yyjson_val *right = *(yyjson_val *const *)b;
    size_t left_len = unsafe_yyjson_get_len((void *)left);
    size_t right_len = unsafe_yyjson_get_len((void *)right);
    if (left_len != right_len)
        return left_len < right_len ? -1 : 1;
    int order = memcmp(left->uni.str, right->uni.str, left_len);
    if (order != 0)
        return order;
    return (left > right) - (left < right);
}

static bool is_same_key(const yyjson_val *a, const yyjson_val *b)
{
    size_t len = unsafe_yyjson_get_len((void *)a);
    return len == unsafe_yyjson_get_len((void *)b) && memcmp(a->uni.str, b->uni.str, len) == 0;
}

static const yyjson_val *key_after(const yyjson_val *key)
{
    return unsafe_yyjson_get_next((yyjson_val *)(uintptr_t)(key + 1));
}

/* The first key that stood before in a small object, or NULL. */
static const yyjson_val *repeated_key_pairwise(const yyjson_val *object, size_t count)
{
    const yyjson_val *keys[PAIRWISE_MAX];
    const yyjson_val *key = object + 1;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (is_same_key(keys[j], key))
                return key;
        }
        keys[i] = key;
        key = key_after(key);
    }
    return NULL;
}

/* The same for large objects, by sorting, which no choice of keys can make slow. */
static enum err repeated_key_sorted(const yyjson_val *object, size_t count,
                                    const yyjson_val **out_key)
{
    const yyjson_val **keys = malloc(count * sizeof(*keys));
    if (keys == NULL)
        return ERR_NO_MEMORY;
    const yyjson_val *key = object + 1;
    for (size_t i = 0; i < count; i++) {
        keys[i] = key;
        key = key_after(key);
    }
    qsort(keys, count, sizeof(*keys), compare_keys);
    const yyjson_val *first = NULL;
    for (size_t i = 1; i < count; i++) {
        if (is_same_key(keys[i - 1], keys[i]) && (first == NULL || keys[i] < first))
            first = keys[i];
    }
    free(keys);
    *out_key = first;
    return ERR_OK;
}

static enum err check_keys_differ(struct checker *checker, const yyjson_val *object)
{
    size_t count = unsafe_yyjson_get_len((void *)(uintptr_t)object);
    const yyjson_val *repeated = NULL;
    if (count <= PAIRWISE_MAX) {
        repeated = repeated_key_pairwise(object, count);
    } else {
        enum err err = repeated_key_sorted(object, count, &repeated);
        if (err != ERR_OK)
            return fault_set(checker->fault, err, NULL, "out of memory");
    }
    if (repeated == NULL)
        return ERR_OK;
    return json_refuse(value_at(checker, repeated), checker->fault, ERR_INVALID,
                       "is given twice; keep one of them");
}

static void note_offset(struct checker *checker, const yyjson_val *value)
{
    const struct json_document *document = checker->document;
    size_t index = (size_t)(value - document->values->root);
    size_t offset = document->places != NULL
                        ? document->places[index].offset
                        : json_token_offset(document->text, &checker->walk, index);
    ((yyjson_val *)(uintptr_t)value)->tag |= (uint64_t)offset << YYJSON_TAG_BIT;
}

static enum err check_scalar(struct checker *checker, const yyjson_val *value)
{
    switch (unsafe_yyjson_get_type((void *)(uintptr_t)value)) {
    case YYJSON_TYPE_RAW:
        return json_refuse(value_at(checker, value), checker->fault, ERR_INVALID,
                           "is a number too large to be stored exactly");
    case YYJSON_TYPE_STR:
        if (checker->may_have_nul &&
            memchr(value->uni.str, '\0', unsafe_yyjson_get_len((void *)(uintptr_t)value)) != NULL)
            return json_refuse(value_at(checker, value), checker->fault, ERR_INVALID,
                               "holds a NUL character, which no text may");
        return ERR_OK;
    case YYJSON_TYPE_NUM:
        if (unsafe_yyjson_get_subtype((void *)(uintptr_t)value) == YYJSON_SUBTYPE_REAL)
            note_offset(checker, value);
        return ERR_OK;
    default:
        return ERR_OK;
    }
}

/* One pass over all values in their order; containers are followed by a stack of where they end. */
static enum err check_values(struct checker *checker)
{
    const yyjson_val *ends[JSON_DEPTH_MAX];
    size_t depth = 0;
    const yyjson_val *value = checker->document->values->root;
    const yyjson_val *end = value + checker->document->values->val_read;
    for (; value < end; value++) {
        while (depth > 0 && value >= ends[depth - 1])
            depth--;
        enum err err = ERR_OK;
        if (unsafe_yyjson_is_ctn((void *)(uintptr_t)value)) {
            if (depth >= checker->limits->depth)
                return json_refuse(value_at(checker, value), checker->fault, ERR_LIMIT,
                                   "is nested more than %u levels deep", checker->limits->depth);
            ends[depth++] = unsafe_yyjson_get_next((yyjson_val *)(uintptr_t)value);
            if (unsafe_yyjson_get_type((void *)(uintptr_t)value) == YYJSON_TYPE_OBJ)
                err = check_keys_differ(checker, value);
        } else {
            err = check_scalar(checker, value);
        }
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* ---- making documents ---- */

static enum err refuse_syntax(const struct json_document *document, const yyjson_read_err *error,
                              struct fault *fault)
{
    if (error->code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return fault_set(fault, ERR_NO_MEMORY, NULL, "out of memory");
    fault_set(fault, ERR_INVALID, NULL, "is not JSON: %s", error->msg);
    if (fault != NULL && document->places == NULL) {
        struct json_place place =
            json_place_of_offset(slice_make(document->text, document->text_len), error->pos);
        fault->line = place.line;
        fault->column = place.column;
    }
    return ERR_INVALID;
}

static enum err read_values(struct slice json, const struct json_limits *limits,
                            struct json_document *document, struct fault *fault)
{
    struct bounded_memory memory = {memory_bound(json, limits), false};
    const yyjson_alc bounded = {bounded_malloc, bounded_realloc, plain_free, &memory};
    yyjson_read_err error;
    /* Without INSITU the text is only read; yyjson's signature lacks the const. */
    document->values = yyjson_read_opts((char *)(uintptr_t)json.data, json.len,
                                        YYJSON_READ_BIGNUM_AS_RAW, &bounded, &error);
    if (document->values == NULL && memory.is_refused)
        return fault_set(fault, ERR_LIMIT, NULL, "holds more than %u values", limits->values);
    if (document->values == NULL)
        return refuse_syntax(document, &error, fault);
    /* `memory` ends with this function; the document only ever frees. */
    document->values->alc = (yyjson_alc){no_malloc, no_realloc, plain_free, NULL};
    if (document->values->val_read > limits->values)
        return fault_set(fault, ERR_LIMIT, NULL, "holds more than %u values", limits->values);
    struct checker checker = {
        .document = document,
        .limits = limits,
        .may_have_nul = memmem(json.data, json.len, "\\u0000", 6) != NULL,
        .fault = fault,
    };
    return check_values(&checker);
}

enum err json_document_make(struct slice json, const struct json_limits *limits, char *text,
                            size_t text_len, struct json_place *places, size_t place_count,
                            struct json_document **out_document, struct fault *fault)
{
    ASSERT(limits->depth <= JSON_DEPTH_MAX);
    struct json_document *document = calloc(1, sizeof(*document));
    if (document == NULL) {
        free(text);
        free(places);
        return fault_set(fault, ERR_NO_MEMORY, NULL, "out of memory");
    }
    document->text = text;
    document->text_len = text_len;
    document->places = places;
    document->place_count = place_count;
    enum err err = read_values(json, limits, document, fault);
    if (err != ERR_OK) {
        json_document_destroy(document);
        return err;
    }
    *out_document = document;
    return ERR_OK;
}

enum err json_parse(struct slice text, const struct json_limits *limits,
                    struct json_document **out_document, struct fault *fault)
{
    if (text.len > limits->bytes)
        return fault_set(fault, ERR_LIMIT, NULL, "is longer than %zu bytes", limits->bytes);
    if (text.len == 0)
        return fault_set(fault, ERR_INVALID, NULL, "is empty; a JSON value is wanted");
    char *copy = malloc(text.len + 1);
    if (copy == NULL)
        return fault_set(fault, ERR_NO_MEMORY, NULL, "out of memory");
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return json_document_make(text, limits, copy, text.len, NULL, 0, out_document, fault);
}

void json_document_destroy(struct json_document *document)
{
    if (document == NULL)
        return;
    yyjson_doc_free(document->values);
    free(document->text);
    free(document->places);
    free(document);
}

struct json_value json_root(const struct json_document *document)
{
    return (struct json_value){document, document->values->root};
}

/* ---- looking ---- */

static yyjson_val *node_of(struct json_value value)
{
    return (yyjson_val *)(uintptr_t)value.node;
}

enum json_type json_type_of(struct json_value value)
{
    if (value.node == NULL)
        return JSON_MISSING;
    switch (unsafe_yyjson_get_type(node_of(value))) {
    case YYJSON_TYPE_NULL:
        return JSON_NULL;
    case YYJSON_TYPE_BOOL:
        return JSON_BOOL;
    case YYJSON_TYPE_NUM:
        return unsafe_yyjson_get_subtype(node_of(value)) == YYJSON_SUBTYPE_REAL ? JSON_REAL
                                                                                : JSON_INTEGER;
    case YYJSON_TYPE_STR:
        return JSON_STRING;
    case YYJSON_TYPE_ARR:
        return JSON_ARRAY;
    case YYJSON_TYPE_OBJ:
        return JSON_OBJECT;
    default:
        ASSERT(!"a type that check_values lets pass");
        return JSON_MISSING;
    }
}

bool json_is_missing(struct json_value value)
{
    return value.node == NULL;
}

bool json_is_null(struct json_value value)
{
    return json_type_of(value) == JSON_NULL;
}

size_t json_count(struct json_value value)
{
    if (value.node == NULL || !unsafe_yyjson_is_ctn(node_of(value)))
        return 0;
    return unsafe_yyjson_get_len(node_of(value));
}

struct json_value json_object_find(struct json_value object, struct slice name)
{
    struct json_value missing = {object.document, NULL};
    if (json_type_of(object) != JSON_OBJECT)
        return missing;
    const yyjson_val *key = node_of(object) + 1;
    for (size_t left = json_count(object); left > 0; left--) {
        if (unsafe_yyjson_get_len((void *)(uintptr_t)key) == name.len &&
            (name.len == 0 || memcmp(key->uni.str, name.data, name.len) == 0))
            return (struct json_value){object.document, key + 1};
        key = key_after(key);
    }
    return missing;
}

struct json_value json_object_get(struct json_value object, const char *name)
{
    return json_object_find(object, slice_of(name));
}

struct json_value json_array_at(struct json_value array, size_t index)
{
    struct json_iterator iterator = json_iterate(array);
    while (json_type_of(array) == JSON_ARRAY && json_next(&iterator)) {
        if (iterator.index == index)
            return iterator.value;
    }
    return (struct json_value){array.document, NULL};
}

struct json_iterator json_iterate(struct json_value value)
{
    struct json_iterator iterator = {0};
    iterator.value = (struct json_value){value.document, value.node};
    iterator.left = json_count(value);
    iterator.next = iterator.left == 0 ? NULL : node_of(value) + 1;
    iterator.is_object = json_type_of(value) == JSON_OBJECT;
    iterator.index = SIZE_MAX; /* the first step makes it 0 */
    return iterator;
}

bool json_next(struct json_iterator *iterator)
{
    if (iterator->left == 0)
        return false;
    iterator->left--;
    iterator->index++;
    const yyjson_val *node = iterator->next;
    if (iterator->is_object) {
        iterator->key = slice_make(node->uni.str, unsafe_yyjson_get_len((void *)(uintptr_t)node));
        node++;
    }
    iterator->value.node = node;
    iterator->next = unsafe_yyjson_get_next((yyjson_val *)(uintptr_t)node);
    return true;
}

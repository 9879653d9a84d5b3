/* Names and values of headers. */
#include <string.h>

#include "wire/http1_private.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool http1_is_name_equal(struct slice a, const char *b)
{
    for (size_t i = 0; i < a.len; i++) {
        if (b[i] == '\0' || lower(a.data[i]) != lower(b[i]))
            return false;
    }
    return b[a.len] == '\0';
}

/* RFC 9110 section 5.6.2: a bit for each character below 128. */
static bool is_token_char(unsigned char c)
{
    static const uint64_t token_bits[2] = {
        0x03ff6cfa00000000u, /* ! # $ % & ' * + - . 0-9 */
        0x57ffffffc7fffffeu, /* A-Z ^ _ ` a-z | ~ */
    };
    return c < 128 && (token_bits[c >> 6] >> (c & 63) & 1) != 0;
}

bool http1_is_token(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_token_char((unsigned char)text.data[i]))
            return false;
    }
    return text.len > 0;
}

bool http1_has_control(struct slice bytes)
{
    unsigned found = 0; /* no early way out: so the compiler can take many bytes at once */
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        found |= (unsigned)(c < 0x20) & (unsigned)(c != '\t');
        found |= (unsigned)(c == 0x7F);
    }
    return found != 0;
}

bool http1_is_value(struct slice text)
{
    return !http1_has_control(text) && slice_is_equal(text, slice_trim(text));
}

const struct http1_header *http1_head_find(const struct http1_head *head, const char *name)
{
    for (size_t i = 0; i < head->header_count; i++) {
        if (http1_is_name_equal(head->headers[i].name, name))
            return &head->headers[i];
    }
    return NULL;
}

struct slice http1_head_value(const struct http1_head *head, const char *name)
{
    const struct http1_header *header = http1_head_find(head, name);
    return header == NULL ? (struct slice){NULL, 0} : header->value;
}

static bool list_has(struct slice list, const char *token)
{
    struct slice item = list;
    while (slice_cut(list, ',', &item, &list)) {
        if (http1_is_name_equal(slice_trim(item), token))
            return true;
    }
    return http1_is_name_equal(slice_trim(list), token);
}

bool http1_head_has_token(const struct http1_head *head, const char *name, const char *token)
{
    for (size_t i = 0; i < head->header_count; i++) {
        if (http1_is_name_equal(head->headers[i].name, name) &&
            list_has(head->headers[i].value, token))
            return true;
    }
    return false;
}

static const char *const method_names[] = {"GET",   "HEAD",   "POST",    "PUT",
                                           "PATCH", "DELETE", "OPTIONS", "OTHER"};

const char *http1_method_name(enum http1_method method)
{
    return method_names[method <= HTTP1_METHOD_OTHER ? method : HTTP1_METHOD_OTHER];
}

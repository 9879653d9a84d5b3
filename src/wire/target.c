#include "wire/target.h"

#include <string.h>

#include "base/hex.h"

enum { URL_PORT_HTTP = 80, URL_PORT_HTTPS = 443, URL_PORT_DIGITS_MAX = 5 };

static enum err refuse(struct fault *fault, const char *message)
{
    return fault_set(fault, ERR_INVALID, "target", "%s", message);
}

/* ---- percent-encoding ---- */

/* Where a byte stands decides what it may be. */
enum place { IN_SEGMENT, IN_QUERY };

static enum err decode(struct slice text, enum place place, struct arena *arena, struct slice *out,
                       struct fault *fault)
{
    char *bytes = arena_alloc(arena, text.len + 1);
    if (bytes == NULL)
        return fault_set(fault, ERR_NO_MEMORY, "target", "out of memory");
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = (uint8_t)text.data[i];
        if (c == '%') {
            if (text.len - i < 3 || hex_decode(slice_make(text.data + i + 1, 2), &c, 1) != ERR_OK)
                return refuse(fault, "a percent sign is not followed by two hexadecimal digits");
            i += 2;
            if (place == IN_SEGMENT && (c == '/' || c == '\\'))
                return refuse(fault, "a segment of the path holds an encoded slash");
        } else if (c == '+' && place == IN_QUERY) {
            c = ' ';
        } else if (c <= 0x20 || c >= 0x7F || c == '#' || c == '\\') {
            return refuse(fault, "holds a character that must be percent-encoded");
        }
        if (c < 0x20 || c == 0x7F)
            return refuse(fault, "holds an encoded control character");
        bytes[len++] = (char)c;
    }
    struct slice decoded = slice_make(bytes, len);
    if (!slice_is_utf8(decoded))
        return refuse(fault, "does not decode to UTF-8");
    *out = decoded;
    return ERR_OK;
}

static bool is_unreserved(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void target_append_encoded(struct buffer *out, struct slice bytes)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        if (is_unreserved((char)c)) {
            buffer_append_char(out, (char)c);
            continue;
        }
        const char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
        buffer_append_bytes(out, escape, sizeof(escape));
    }
}

/* ---- path ---- */

static enum err add_segment(struct slice text, struct arena *arena, struct target *target,
                            struct fault *fault)
{
    if (text.len == 0)
        return refuse(fault, "the path holds an empty segment (two slashes)");
    if (target->segment_count >= TARGET_SEGMENTS_MAX)
        return fault_set(fault, ERR_LIMIT, "target", "the path has more than %d segments",
                         TARGET_SEGMENTS_MAX);
    struct slice segment;
    enum err err = decode(text, IN_SEGMENT, arena, &segment, fault);
    if (err != ERR_OK)
        return err;
    if (slice_is(segment, ".") || slice_is(segment, ".."))
        return refuse(fault, "the path holds . or ..");
    target->segments[target->segment_count++] = segment;
    return ERR_OK;
}

static enum err read_path(struct slice path, struct arena *arena, struct target *target,
                          struct fault *fault)
{
    if (path.len == 0 || path.data[0] != '/')
        return refuse(fault, "the path must start with a slash");
    struct slice rest = slice_make(path.data + 1, path.len - 1);
    struct slice segment;
    while (slice_cut(rest, '/', &segment, &rest)) {
        enum err err = add_segment(segment, arena, target, fault);
        if (err != ERR_OK)
            return err;
    }
    if (rest.len > 0)
        return add_segment(rest, arena, target, fault);
    target->has_trailing_slash = target->segment_count > 0;
    return ERR_OK;
}

/* ---- query ---- */

static const struct target_pair *find(const struct target *target, struct slice name)
{
    for (size_t i = 0; i < target->pair_count; i++) {
        if (slice_is_equal(target->pairs[i].name, name))
            return &target->pairs[i];
    }
    return NULL;
}

static enum err add_pair(struct slice text, struct arena *arena, struct target *target,
                         struct fault *fault)
{
    struct slice name = text;
    struct slice value = {"", 0};
    struct target_pair pair;
    slice_cut(text, '=', &name, &value);
    if (target->pair_count >= TARGET_PAIRS_MAX)
        return fault_set(fault, ERR_LIMIT, "target", "the query has more than %d parts",
                         TARGET_PAIRS_MAX);
    enum err err = decode(name, IN_QUERY, arena, &pair.name, fault);
    if (err == ERR_OK)
        err = decode(value, IN_QUERY, arena, &pair.value, fault);
    if (err != ERR_OK)
        return err;
    if (pair.name.len == 0)
        return refuse(fault, "the query holds a part without a name");
    if (find(target, pair.name) != NULL)
        return refuse(fault, "the query gives one name twice");
    target->pairs[target->pair_count++] = pair;
    return ERR_OK;
}

static enum err read_query(struct slice query, struct arena *arena, struct target *target,
                           struct fault *fault)
{
    struct slice part;
    while (slice_cut(query, '&', &part, &query)) {
        enum err err = add_pair(part, arena, target, fault);
        if (err != ERR_OK)
            return err;
    }
    return add_pair(query, arena, target, fault);
}

enum err target_parse(struct slice text, struct arena *arena, struct target *out_target,
                      struct fault *fault)
{
    struct slice path = text;
    struct slice query = {NULL, 0};
    struct target target = {0};
    slice_cut(text, '?', &path, &query);
    enum err err = read_path(path, arena, &target, fault);
    if (err == ERR_OK && query.len > 0)
        err = read_query(query, arena, &target, fault);
    if (err == ERR_OK)
        *out_target = target;
    return err;
}

const struct target_pair *target_find(const struct target *target, const char *name)
{
    return find(target, slice_of(name));
}

/* ---- whole URLs ---- */

static enum err refuse_url(struct fault *fault, const char *message)
{
    return fault_set(fault, ERR_INVALID, "url", "%s", message);
}

static bool is_host_name(struct slice host)
{
    for (size_t i = 0; i < host.len; i++) {
        if (!is_unreserved(host.data[i]) || host.data[i] == '~')
            return false;
    }
    return host.len > 0;
}

static bool is_ipv6_text(struct slice host)
{
    for (size_t i = 0; i < host.len; i++) {
        if (host.data[i] == '\0' || strchr("0123456789abcdefABCDEF:.", host.data[i]) == NULL)
            return false;
    }
    return host.len > 0;
}

/* "host", "host:port", "[address]:port". */
static enum err read_authority(struct slice text, struct url *url, struct fault *fault)
{
    struct slice port = {NULL, 0};
    bool has_port = false;
    if (slice_has_prefix(text, SLICE_LITERAL("["))) {
        struct slice rest;
        if (!slice_cut(slice_make(text.data + 1, text.len - 1), ']', &url->host, &rest) ||
            !is_ipv6_text(url->host))
            return refuse_url(fault, "the address in brackets is not one");
        has_port = rest.len > 0;
        if (has_port && rest.data[0] != ':')
            return refuse_url(fault, "a colon and a port must follow the bracket");
        port = slice_make(rest.data + has_port, rest.len - has_port);
    } else {
        url->host = text;
        has_port = slice_cut(text, ':', &url->host, &port);
        if (!is_host_name(url->host))
            return refuse_url(fault, "the host is not a name or address");
    }
    if (!has_port)
        return ERR_OK;
    uint64_t number;
    if (port.len > URL_PORT_DIGITS_MAX || slice_parse_u64(port, &number) != ERR_OK || number == 0 ||
        number > UINT16_MAX)
        return refuse_url(fault, "the port must be a number from 1 to 65535");
    url->port = (uint16_t)number;
    return ERR_OK;
}

enum err url_parse(struct slice text, struct url *out_url, struct fault *fault)
{
    const struct slice http = SLICE_LITERAL("http://");
    const struct slice https = SLICE_LITERAL("https://");
    struct url url = {.is_tls = slice_has_prefix(text, https)};
    if (!url.is_tls && !slice_has_prefix(text, http))
        return refuse_url(fault, "must start with https:// or http://");
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= 0x20 || c >= 0x7F || c == '#' || c == '\\' || c == '"' || c == '<' || c == '>')
            return refuse_url(fault, "holds a character that addresses may not");
    }
    size_t scheme_len = url.is_tls ? https.len : http.len;
    struct slice rest = slice_make(text.data + scheme_len, text.len - scheme_len);
    size_t authority_len = 0;
    while (authority_len < rest.len && rest.data[authority_len] != '/' &&
           rest.data[authority_len] != '?')
        authority_len++;
    url.port = url.is_tls ? URL_PORT_HTTPS : URL_PORT_HTTP;
    enum err err = read_authority(slice_make(rest.data, authority_len), &url, fault);
    if (err != ERR_OK)
        return err;
    url.path = slice_make(rest.data + authority_len, rest.len - authority_len);
    if (url.path.len == 0)
        url.path = SLICE_LITERAL("/");
    if (url.path.data[0] != '/')
        return refuse_url(fault, "a slash must stand before the query");
    *out_url = url;
    return ERR_OK;
}

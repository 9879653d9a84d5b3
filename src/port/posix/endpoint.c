#include <string.h>
#include <sys/un.h>

#include "port/stream.h"

static enum err endpoint_parse_unix(const char *path, char *out_host)
{
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return ERR_INVALID;
    memcpy(out_host, path, len + 1);
    return ERR_OK;
}

static bool endpoint_is_host(struct slice host, bool is_bracketed)
{
    if (host.len == 0 || host.len > 253)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.data[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_';
        if (!is_word && !(is_bracketed && (c == ':' || c == '%')))
            return false;
    }
    return true;
}

enum err endpoint_parse(const char *endpoint, bool *out_is_unix, char *out_host, uint16_t *out_port)
{
    struct slice text = slice_of(endpoint);
    if (slice_has_prefix(text, SLICE_LITERAL("unix:"))) {
        enum err code = endpoint_parse_unix(endpoint + 5, out_host);
        if (code == ERR_OK) {
            *out_is_unix = true;
            *out_port = 0;
        }
        return code;
    }
    const char *colon = endpoint != NULL ? strrchr(endpoint, ':') : NULL;
    if (colon == NULL)
        return ERR_INVALID;
    struct slice host = slice_make(endpoint, (size_t)(colon - endpoint));
    bool is_bracketed = host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']';
    if (is_bracketed)
        host = slice_make(host.data + 1, host.len - 2);
    uint64_t port;
    enum err code = slice_parse_u64(slice_of(colon + 1), &port);
    if (code != ERR_OK || port > UINT16_MAX || !endpoint_is_host(host, is_bracketed))
        return ERR_INVALID;
    memcpy(out_host, host.data, host.len);
    out_host[host.len] = '\0';
    *out_is_unix = false;
    *out_port = (uint16_t)port;
    return ERR_OK;
}

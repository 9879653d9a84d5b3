#include "model/name.h"

#include <stdbool.h>
#include <string.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

enum err name_check(struct slice name, const char *field, struct fault *fault)
{
    if (name.len == 0)
        return fault_set(fault, ERR_INVALID, field, "a name is needed");
    if (name.len > NAME_MAX)
        return fault_set(fault, ERR_LIMIT, field, "a name has at most %d bytes, this one %zu",
                         NAME_MAX, name.len);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (!is_alnum(c) && (c == '\0' || !strchr("._-@+", c)))
            return fault_set(
                fault, ERR_INVALID, field,
                "a name may only have letters, digits and . _ - @ + ; byte %zu (0x%02x) "
                "is none of them",
                i + 1, (unsigned)(unsigned char)c);
    }
    if (!is_alnum(name.data[0]))
        return fault_set(fault, ERR_INVALID, field, "a name begins with a letter or a digit");
    return ERR_OK;
}

/* The code point that starts at `at` in valid UTF-8, and where the next one starts. */
static uint32_t code_point(struct slice text, size_t *at)
{
    unsigned char first = (unsigned char)text.data[*at];
    size_t more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    uint32_t point = more == 0 ? first : first & (0x3fu >> more);

    for (size_t i = 1; i <= more; i++)
        point = point << 6 | ((unsigned char)text.data[*at + i] & 0x3f);
    *at += more + 1;
    return point;
}

/* Control characters, and those that make a line look like another one than it is. */
static bool is_unprintable(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) ||
           (point >= 0x200b && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e) ||
           (point >= 0x2060 && point <= 0x206f) || point == 0xfeff;
}

enum err text_line_check(struct slice text, size_t len_max, const char *field, struct fault *fault)
{
    if (text.len == 0)
        return fault_set(fault, ERR_INVALID, field, "must not be empty");
    if (text.len > len_max)
        return fault_set(fault, ERR_LIMIT, field, "at most %zu bytes are allowed, this has %zu",
                         len_max, text.len);
    if (!slice_is_utf8(text))
        return fault_set(fault, ERR_INVALID, field, "is not valid UTF-8");
    for (size_t at = 0; at < text.len;) {
        uint32_t point = code_point(text, &at);
        if (is_unprintable(point))
            return fault_set(fault, ERR_INVALID, field,
                             "must be one printable line; U+%04X is not allowed", (unsigned)point);
    }
    if (text.data[0] == '-' || text.data[0] == '#')
        return fault_set(fault, ERR_INVALID, field, "must not begin with '%c'", text.data[0]);
    if (text.data[0] == ' ' || text.data[text.len - 1] == ' ')
        return fault_set(fault, ERR_INVALID, field, "must not begin or end with a space");
    return ERR_OK;
}

static enum err path_part_check(struct slice part, const char *field, struct fault *fault)
{
    if (part.len == 0)
        return fault_set(fault, ERR_INVALID, field,
                         "a path must not have an empty part (//, or / at "
                         "the end)");
    if (slice_is(part, ".") || slice_is(part, ".."))
        return fault_set(fault, ERR_INVALID, field,
                         "a path must not have the part '%.*s': name the folder itself",
                         SLICE_ARG(part));
    return ERR_OK;
}

enum err path_check(struct slice path, const char *field, struct fault *fault)
{
    struct slice rest = path, part;

    if (path.len == 0)
        return fault_set(fault, ERR_INVALID, field, "a path is needed");
    if (path.len > PATH_MAX_BYTES)
        return fault_set(fault, ERR_LIMIT, field, "a path has at most %d bytes, this one %zu",
                         PATH_MAX_BYTES, path.len);
    if (path.data[0] == '/')
        return fault_set(fault, ERR_INVALID, field,
                         "must be a path inside the work folder, not an absolute one");
    if (!slice_is_utf8(path))
        return fault_set(fault, ERR_INVALID, field, "is not valid UTF-8");
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.data[i];
        if (c < 0x20 || c == 0x7f || c == '\\')
            return fault_set(fault, ERR_INVALID, field,
                             "a path must not have control characters or backslashes (0x%02x)", c);
    }
    while (slice_cut(rest, '/', &part, &rest)) {
        enum err err = path_part_check(part, field, fault);
        if (err != ERR_OK)
            return err;
    }
    return path_part_check(rest, field, fault);
}

enum err shared_folder_check(struct slice path, const char *field, struct fault *fault)
{
    static const char *const SYSTEM[] = {"proc", "sys",   "dev",   "etc",    "usr",  "bin", "sbin",
                                         "lib",  "lib32", "lib64", "libx32", "boot", "lq",  "job"};
    static const char *const WHOLE[] = {"tmp", "var", "run", "var/tmp"};
    struct slice inner, first, rest;
    if (path.len < 2 || path.data[0] != '/')
        return fault_set(fault, ERR_INVALID, field, "must be an absolute path, such as /data/team");
    inner = slice_make(path.data + 1, path.len - 1);
    enum err err = path_check(inner, field, fault);
    if (err != ERR_OK)
        return err;
    if (!slice_cut(inner, '/', &first, &rest))
        first = inner;
    for (size_t i = 0; i < sizeof(SYSTEM) / sizeof(SYSTEM[0]); i++)
        if (slice_is(first, SYSTEM[i]))
            return fault_set(fault, ERR_INVALID, field, "nothing below /%s can be shared",
                             SYSTEM[i]);
    for (size_t i = 0; i < sizeof(WHOLE) / sizeof(WHOLE[0]); i++)
        if (slice_is(inner, WHOLE[i]))
            return fault_set(fault, ERR_INVALID, field, "/%s as a whole cannot be shared",
                             WHOLE[i]);
    return ERR_OK;
}

enum err jurisdiction_check(struct slice code, const char *field, struct fault *fault)
{
    if (code.len == 0 || code.len > 32)
        return fault_set(fault, ERR_INVALID, field,
                         "a jurisdiction is a code of 1 to 32 characters, such as CN");
    for (size_t i = 0; i < code.len; i++)
        if (!is_alnum(code.data[i]) && code.data[i] != '-')
            return fault_set(fault, ERR_INVALID, field,
                             "a jurisdiction is a code of letters, digits and '-', such as CN");
    return ERR_OK;
}

bool name_is_equal_caseless(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

int name_nearest(struct slice name, const struct slice *candidates, size_t count)
{
    char small[NAME_MAX], other[NAME_MAX];
    int best = -1;
    unsigned best_distance;

    if (name.len == 0 || name.len > NAME_MAX)
        return -1;
    for (size_t i = 0; i < name.len; i++)
        small[i] = lower(name.data[i]);
    best_distance = (unsigned)(name.len / 3 > 1 ? name.len / 3 : 1) + 1;
    for (size_t i = 0; i < count && i < NAME_CANDIDATES_MAX; i++) {
        unsigned distance;
        if (candidates[i].len > NAME_MAX)
            continue;
        for (size_t j = 0; j < candidates[i].len; j++)
            other[j] = lower(candidates[i].data[j]);
        distance =
            slice_distance(slice_make(small, name.len), slice_make(other, candidates[i].len));
        if (distance < best_distance && distance < name.len) {
            best_distance = distance;
            best = (int)i;
        }
    }
    return best;
}

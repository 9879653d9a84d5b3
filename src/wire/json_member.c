/* Members of objects: find, insist or not, convert. The same two steps for every type. */
#include "wire/json.h"

/* ERR_OK with *out_member missing: the member is not there (or null) and may be so. */
static enum err find_member(struct json_value object, const char *name, bool is_required,
                            struct json_value *out_member, struct fault *fault)
{
    struct json_value holder;
    enum err err = json_to_object(object, &holder, fault);
    if (err != ERR_OK)
        return err;
    struct json_value member = json_object_get(holder, name);
    if (json_is_null(member))
        member.node = NULL;
    if (json_is_missing(member) && is_required)
        return json_refuse_member(holder, name, fault, ERR_INVALID, "is required");
    *out_member = member;
    return ERR_OK;
}

static enum err get_member(struct json_value object, const char *name,
                           struct json_value *out_member, struct fault *fault)
{
    return find_member(object, name, true, out_member, fault);
}

static enum err opt_member(struct json_value object, const char *name,
                           struct json_value *out_member, struct fault *fault)
{
    return find_member(object, name, false, out_member, fault);
}

enum err json_get_u64(struct json_value object, const char *name, uint64_t min, uint64_t max,
                      uint64_t *out, struct fault *fault)
{
    struct json_value member;
    enum err err = get_member(object, name, &member, fault);
    return err != ERR_OK ? err : json_to_u64(member, min, max, out, fault);
}

enum err json_opt_u64(struct json_value object, const char *name, uint64_t min, uint64_t max,
                      uint64_t *out, struct fault *fault)
{
    struct json_value member;
    enum err err = opt_member(object, name, &member, fault);
    if (err != ERR_OK || json_is_missing(member))
        return err;
    return json_to_u64(member, min, max, out, fault);
}

enum err json_get_i64(struct json_value object, const char *name, int64_t min, int64_t max,
                      int64_t *out, struct fault *fault)
{
    struct json_value member;
    enum err err = get_member(object, name, &member, fault);
    return err != ERR_OK ? err : json_to_i64(member, min, max, out, fault);
}

enum err json_opt_i64(struct json_value object, const char *name, int64_t min, int64_t max,
                      int64_t *out, struct fault *fault)
{
    struct json_value member;
    enum err err = opt_member(object, name, &member, fault);
    if (err != ERR_OK || json_is_missing(member))
        return err;
    return json_to_i64(member, min, max, out, fault);
}

enum err json_get_f64(struct json_value object, const char *name, double min, double max,
                      double *out, struct fault *fault)
{
    struct json_value member;
    enum err err = get_member(object, name, &member, fault);
    return err != ERR_OK ? err : json_to_f64(member, min, max, out, fault);
}

enum err json_opt_f64(struct json_value object, const char *name, double min, double max,
                      double *out, struct fault *fault)
{
    struct json_value member;
    enum err err = opt_member(object, name, &member, fault);
    if (err != ERR_OK || json_is_missing(member))
        return err;
    return json_to_f64(member, min, max, out, fault);
}

enum err json_get_bool(struct json_value object, const char *name, bool *out, struct fault *fault)
{
    struct json_value member;
    enum err err = get_member(object, name, &member, fault);
    return err != ERR_OK ? err : json_to_bool(member, out, fault);
}

enum err json_opt_bool(struct json_value object, const char *name, bool *out, struct fault *fault)
{
    struct json_value member;
    enum err err = opt_member(object, name, &member, fault);
    if (err != ERR_OK || json_is_missing(member))
        return err;
    return json_to_bool(member, out, fault);
}

enum err json_get_string(struct json_value object, const char *name, size_t len_max,
                         struct slice *out, struct fault *fault)
{
    struct json_value member;
    enum err err = get_member(object, name, &member, fault);
    return err != ERR_OK ? err : json_to_string(member, len_max, out, fault);
}

enum err json_opt_string(struct json_value object, const char *name, size_t len_max,
                         struct slice *out, struct fault *fault)
{
    struct json_value member;
    enum err err = opt_member(object, name, &member, fault);
    if (err != ERR_OK || json_is_missing(member))
        return err;
    return json_to_string(member, len_max, out, fault);
}

enum err json_get_text(struct json_value object, const char *name, size_t len_max,
                       struct arena *arena, struct slice *out, struct fault *fault)
{
    struct json_value member;
    enum err err = get_member(object, name, &member, fault);
    return err != ERR_OK ? err : json_to_text(member, len_max, arena, out, fault);
}

enum err json_opt_text(struct json_value object, const char *name, size_t len_max,
                       struct arena *arena, struct slice *out, struct fault *fault)
{
    struct json_value member;
    enum err err = opt_member(object, name, &member, fault);
    if (err != ERR_OK || json_is_missing(member))
        return err;
    return json_to_text(member, len_max, arena, out, fault);
}

enum err json_get_object(struct json_value object, const char *name, struct json_value *out,
                         struct fault *fault)
{
    struct json_value member;
    enum err err = get_member(object, name, &member, fault);
    return err != ERR_OK ? err : json_to_object(member, out, fault);
}

enum err json_opt_object(struct json_value object, const char *name, struct json_value *out,
                         struct fault *fault)
{
    struct json_value member;
    enum err err = opt_member(object, name, &member, fault);
    if (err != ERR_OK || json_is_missing(member))
        return err;
    return json_to_object(member, out, fault);
}

enum err json_get_array(struct json_value object, const char *name, size_t count_max,
                        struct json_value *out, struct fault *fault)
{
    struct json_value member;
    enum err err = get_member(object, name, &member, fault);
    return err != ERR_OK ? err : json_to_array(member, count_max, out, fault);
}

enum err json_opt_array(struct json_value object, const char *name, size_t count_max,
                        struct json_value *out, struct fault *fault)
{
    struct json_value member;
    enum err err = opt_member(object, name, &member, fault);
    if (err != ERR_OK || json_is_missing(member))
        return err;
    return json_to_array(member, count_max, out, fault);
}

enum err json_get_id(struct json_value object, const char *name, const char *prefix, struct id *out,
                     struct fault *fault)
{
    struct json_value member;
    enum err err = get_member(object, name, &member, fault);
    return err != ERR_OK ? err : json_to_id(member, prefix, out, fault);
}

enum err json_opt_id(struct json_value object, const char *name, const char *prefix, struct id *out,
                     struct fault *fault)
{
    struct json_value member;
    enum err err = opt_member(object, name, &member, fault);
    if (err != ERR_OK || json_is_missing(member))
        return err;
    return json_to_id(member, prefix, out, fault);
}

enum err json_get_money(struct json_value object, const char *name, struct money *out,
                        struct fault *fault)
{
    struct json_value member;
    enum err err = get_member(object, name, &member, fault);
    return err != ERR_OK ? err : json_to_money(member, out, fault);
}

enum err json_opt_money(struct json_value object, const char *name, struct money *out,
                        struct fault *fault)
{
    struct json_value member;
    enum err err = opt_member(object, name, &member, fault);
    if (err != ERR_OK || json_is_missing(member))
        return err;
    return json_to_money(member, out, fault);
}

enum err json_get_span(struct json_value object, const char *name, struct span_ms *out,
                       struct fault *fault)
{
    struct json_value member;
    enum err err = get_member(object, name, &member, fault);
    return err != ERR_OK ? err : json_to_span(member, out, fault);
}

enum err json_opt_span(struct json_value object, const char *name, struct span_ms *out,
                       struct fault *fault)
{
    struct json_value member;
    enum err err = opt_member(object, name, &member, fault);
    if (err != ERR_OK || json_is_missing(member))
        return err;
    return json_to_span(member, out, fault);
}

enum err json_get_wall(struct json_value object, const char *name, struct wall_us *out,
                       struct fault *fault)
{
    struct json_value member;
    enum err err = get_member(object, name, &member, fault);
    return err != ERR_OK ? err : json_to_wall(member, out, fault);
}

enum err json_opt_wall(struct json_value object, const char *name, struct wall_us *out,
                       struct fault *fault)
{
    struct json_value member;
    enum err err = opt_member(object, name, &member, fault);
    if (err != ERR_OK || json_is_missing(member))
        return err;
    return json_to_wall(member, out, fault);
}

enum err json_get_bytes(struct json_value object, const char *name, uint64_t max, uint64_t *out,
                        struct fault *fault)
{
    struct json_value member;
    enum err err = get_member(object, name, &member, fault);
    return err != ERR_OK ? err : json_to_bytes(member, max, out, fault);
}

enum err json_opt_bytes(struct json_value object, const char *name, uint64_t max, uint64_t *out,
                        struct fault *fault)
{
    struct json_value member;
    enum err err = opt_member(object, name, &member, fault);
    if (err != ERR_OK || json_is_missing(member))
        return err;
    return json_to_bytes(member, max, out, fault);
}

enum err json_get_millicpus(struct json_value object, const char *name, uint64_t max, uint64_t *out,
                            struct fault *fault)
{
    struct json_value member;
    enum err err = get_member(object, name, &member, fault);
    return err != ERR_OK ? err : json_to_millicpus(member, max, out, fault);
}

enum err json_opt_millicpus(struct json_value object, const char *name, uint64_t max, uint64_t *out,
                            struct fault *fault)
{
    struct json_value member;
    enum err err = opt_member(object, name, &member, fault);
    if (err != ERR_OK || json_is_missing(member))
        return err;
    return json_to_millicpus(member, max, out, fault);
}

enum err json_get_choice(struct json_value object, const char *name, const char *const names[],
                         size_t count, unsigned *out, struct fault *fault)
{
    struct json_value member;
    enum err err = get_member(object, name, &member, fault);
    return err != ERR_OK ? err : json_to_choice(member, names, count, out, fault);
}

enum err json_opt_choice(struct json_value object, const char *name, const char *const names[],
                         size_t count, unsigned *out, struct fault *fault)
{
    struct json_value member;
    enum err err = opt_member(object, name, &member, fault);
    if (err != ERR_OK || json_is_missing(member))
        return err;
    return json_to_choice(member, names, count, out, fault);
}

enum err json_get_u32(struct json_value object, const char *name, uint32_t min, uint32_t max,
                      uint32_t *out, struct fault *fault)
{
    uint64_t wide = 0;
    enum err err = json_get_u64(object, name, min, max, &wide, fault);
    if (err == ERR_OK)
        *out = (uint32_t)wide;
    return err;
}

enum err json_opt_u32(struct json_value object, const char *name, uint32_t min, uint32_t max,
                      uint32_t *out, struct fault *fault)
{
    uint64_t wide = *out;
    enum err err = json_opt_u64(object, name, min, max, &wide, fault);
    if (err == ERR_OK)
        *out = (uint32_t)wide;
    return err;
}

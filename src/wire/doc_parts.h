/* Private to wire/doc*.c and wire/topology.c: decoders with what the public ones leave out. */
#ifndef LQ_WIRE_DOC_PARTS_H
#define LQ_WIRE_DOC_PARTS_H

#include "model/catalogue.h"
#include "wire/doc.h"
#include "wire/value.h"

/* What a topology file may leave to others. */
struct doc_terms {
    const struct catalogue *catalogue; /* NULL: accelerator names stay as written */
    struct slice default_operator;     /* of a site that names none; empty: it must */
};

/* Without the noun's check, which the caller runs (and traces with value_locate). */
enum err doc_read_region(struct json_value value, struct arena *arena, struct region *out,
                         struct fault *fault) LQ_CHECKED;
enum err doc_read_site(struct json_value value, const struct doc_terms *terms, struct arena *arena,
                       struct site *out, struct fault *fault) LQ_CHECKED;
/* link_order'ed. */
enum err doc_read_link(struct json_value value, struct arena *arena, struct link *out,
                       struct fault *fault) LQ_CHECKED;
enum err doc_read_operator(struct json_value value, struct arena *arena,
                           struct operator_account *out, struct fault *fault) LQ_CHECKED;
/* `parent_name` NULL: the parent is an id; else it is a name, put there. */
enum err doc_read_tenant(struct json_value value, struct arena *arena, struct tenant *out,
                         struct slice *parent_name, struct fault *fault) LQ_CHECKED;
/* Changes what is named; the rest stays. */
enum err doc_read_policy(struct json_value value, struct arena *arena, struct policy *in_out,
                         struct fault *fault) LQ_CHECKED;

#endif

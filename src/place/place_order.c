#include "place/place_order.h"

#include <stddef.h>

#include "base/assert.h"
#include "base/hash.h"

static bool is_before(const struct place_knot *a, const struct place_knot *b)
{
    if (a->key != b->key)
        return a->key < b->key;
    return slice_compare(a->tie, b->tie) < 0;
}

static void join_again(struct place_knot *knot)
{
    knot->all = knot->own;
    if (knot->left != NULL)
        mask_join(&knot->all, &knot->left->all);
    if (knot->right != NULL)
        mask_join(&knot->all, &knot->right->all);
}

/* From the entry to the root, as far as something changes. */
static void join_upwards(struct place_knot *knot)
{
    for (; knot != NULL; knot = knot->up) {
        struct place_mask old = knot->all;
        join_again(knot);
        if (mask_is_equal(&old, &knot->all))
            return;
    }
}

static void child_replace(struct place_order *order, struct place_knot *up, struct place_knot *old,
                          struct place_knot *fresh)
{
    if (up == NULL)
        order->root = fresh;
    else if (up->left == old)
        up->left = fresh;
    else
        up->right = fresh;
    if (fresh != NULL)
        fresh->up = up;
}

/* The child takes its parent's place. */
static void rotate(struct place_order *order, struct place_knot *child)
{
    struct place_knot *parent = child->up;
    child_replace(order, parent->up, parent, child);
    if (parent->left == child) {
        parent->left = child->right;
        if (child->right != NULL)
            child->right->up = parent;
        child->right = parent;
    } else {
        parent->right = child->left;
        if (child->left != NULL)
            child->left->up = parent;
        child->left = parent;
    }
    parent->up = child;
    child->all = parent->all; /* the same entries as before */
    join_again(parent);
}

void order_insert(struct place_order *order, struct place_knot *knot)
{
    struct place_knot *up = NULL, **at = &order->root;
    ASSERT(!knot->is_in);
    while (*at != NULL) {
        up = *at;
        mask_join(&up->all, &knot->own);
        at = is_before(knot, up) ? &up->left : &up->right;
    }
    *at = knot;
    knot->up = up;
    knot->left = knot->right = NULL;
    knot->all = knot->own;
    knot->is_in = true;
    knot->height = (uint32_t)hash_bytes(knot->tie, (uint64_t)knot->key);
    while (knot->up != NULL && knot->up->height < knot->height)
        rotate(order, knot);
}

void order_remove(struct place_order *order, struct place_knot *knot)
{
    ASSERT(knot->is_in);
    while (knot->left != NULL && knot->right != NULL)
        rotate(order, knot->left->height > knot->right->height ? knot->left : knot->right);
    struct place_knot *up = knot->up, *child = knot->left != NULL ? knot->left : knot->right;
    child_replace(order, up, knot, child);
    knot->up = knot->left = knot->right = NULL;
    knot->is_in = false;
    join_upwards(up);
}

void order_remark(struct place_knot *knot, const struct place_mask *own)
{
    ASSERT(knot->is_in);
    knot->own = *own;
    join_upwards(knot);
}

/* The first in a subtree that has one. */
static struct place_knot *first_below(struct place_knot *knot, const struct place_query *query)
{
    for (;;) {
        if (knot->left != NULL && mask_meets(&knot->left->all, query))
            knot = knot->left;
        else if (mask_meets(&knot->own, query))
            return knot;
        else
            knot = knot->right;
    }
}

struct place_knot *order_first(const struct place_order *order, const struct place_query *query)
{
    if (order->root == NULL || !mask_meets(&order->root->all, query))
        return NULL;
    return first_below(order->root, query);
}

struct place_knot *order_next(struct place_knot *knot, const struct place_query *query)
{
    if (knot->right != NULL && mask_meets(&knot->right->all, query))
        return first_below(knot->right, query);
    for (; knot->up != NULL; knot = knot->up) {
        struct place_knot *up = knot->up;
        if (up->left != knot)
            continue;
        if (mask_meets(&up->own, query))
            return up;
        if (up->right != NULL && mask_meets(&up->right->all, query))
            return first_below(up->right, query);
    }
    return NULL;
}

void order_marks(const struct place_order *order, struct place_mask *out)
{
    *out = order->root != NULL ? order->root->all : (struct place_mask){{0}};
}

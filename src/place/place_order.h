/* Entries in a stated order, each with a set of marks; "the first entry that has any of these
 * marks" takes a walk from the root, however many entries there are.
 *
 * Used twice: for the tenants beside each other (in the order of their share) and for the jobs of
 * one tenant (in the order of their age). The marks are shapes of jobs. More shapes than marks may
 * share one, so whoever asks looks at what was found, and goes on to the next where it will not do.
 *
 * A search tree by (key, tie), balanced as a treap: its form depends on random numbers, its order
 * and its answers do not. Each entry holds the union of the marks below it. Private to src/place.
 */
#ifndef LQ_PLACE_ORDER_H
#define LQ_PLACE_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum { PLACE_MASK_WORDS = 16, PLACE_MARKS = PLACE_MASK_WORDS * 64 };

struct place_mask {
    uint64_t words[PLACE_MASK_WORDS];
};

/* Marks that are looked for. Mostly few: only the words that have some are compared. */
struct place_query {
    struct place_mask marks;
    uint32_t filled; /* bits: words that are not zero */
};

struct place_knot {
    struct place_knot *up, *left, *right;
    int64_t key;
    struct slice tie; /* of equal keys the first by these bytes; belongs to the owner */
    void *owner;
    uint32_t height; /* no child's is greater */
    bool is_in;
    struct place_mask own, all; /* all: its own and those of both subtrees */
};

struct place_order {
    struct place_knot *root;
};

/* Key, tie and own are set, and stay while it is in. */
void order_insert(struct place_order *order, struct place_knot *knot);
void order_remove(struct place_order *order, struct place_knot *knot);
/* Its own marks are others now. */
void order_remark(struct place_knot *knot, const struct place_mask *own);
/* The first that has one of the marks, and the next after `knot`; NULL: none. */
struct place_knot *order_first(const struct place_order *order, const struct place_query *query);
struct place_knot *order_next(struct place_knot *knot, const struct place_query *query);
/* All marks of the order; none: zero. */
void order_marks(const struct place_order *order, struct place_mask *out);

static inline struct place_query query_of(const struct place_mask *marks)
{
    struct place_query query = {.marks = *marks};
    for (int i = 0; i < PLACE_MASK_WORDS; i++)
        query.filled |= (uint32_t)(marks->words[i] != 0) << i;
    return query;
}

static inline bool mask_meets(const struct place_mask *mask, const struct place_query *query)
{
    for (uint32_t rest = query->filled; rest != 0; rest &= rest - 1) {
        int i = __builtin_ctz(rest);
        if ((mask->words[i] & query->marks.words[i]) != 0)
            return true;
    }
    return false;
}

static inline bool mask_is_equal(const struct place_mask *a, const struct place_mask *b)
{
    uint64_t any = 0;
    for (int i = 0; i < PLACE_MASK_WORDS; i++)
        any |= a->words[i] ^ b->words[i];
    return any == 0;
}

static inline bool mask_is_empty(const struct place_mask *a)
{
    uint64_t any = 0;
    for (int i = 0; i < PLACE_MASK_WORDS; i++)
        any |= a->words[i];
    return any == 0;
}

static inline void mask_join(struct place_mask *a, const struct place_mask *b)
{
    for (int i = 0; i < PLACE_MASK_WORDS; i++)
        a->words[i] |= b->words[i];
}

static inline void mask_meet(struct place_mask *a, const struct place_mask *b)
{
    for (int i = 0; i < PLACE_MASK_WORDS; i++)
        a->words[i] &= b->words[i];
}

static inline void mask_set(struct place_mask *mask, uint32_t mark, bool is_set)
{
    uint64_t bit = UINT64_C(1) << (mark % 64);
    mask->words[mark / 64] = is_set ? mask->words[mark / 64] | bit : mask->words[mark / 64] & ~bit;
}

static inline bool mask_has(const struct place_mask *mask, uint32_t mark)
{
    return mask->words[mark / 64] >> (mark % 64) & 1;
}

#endif

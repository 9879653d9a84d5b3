/* Nodes by what they have free. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "place/place_state.h"

/* ---- one node */

static uint32_t sub32(uint32_t a, uint32_t b)
{
    return a > b ? a - b : 0;
}

static uint16_t place_mask(const struct rank_place *place)
{
    uint16_t mask = 0;
    for (uint8_t i = 0; i < place->device_count && i < RANK_DEVICES_MAX; i++)
        if (place->devices[i] < RANK_DEVICES_MAX)
            mask |= (uint16_t)(1u << place->devices[i]);
    return mask;
}

void place_node_take(struct place_node *node, uint32_t cpu_milli, uint64_t mem_bytes,
                     const struct rank_place *place)
{
    node->cpu_milli_used += cpu_milli;
    node->mem_bytes_used += mem_bytes;
    node->devices_used |= place_mask(place);
}

void place_node_give(struct place_node *node, uint32_t cpu_milli, uint64_t mem_bytes,
                     const struct rank_place *place)
{
    node->cpu_milli_used = sub32(node->cpu_milli_used, cpu_milli);
    node->mem_bytes_used = node->mem_bytes_used > mem_bytes ? node->mem_bytes_used - mem_bytes : 0;
    node->devices_used &= (uint16_t)~place_mask(place);
}

static void rank_link(struct place_node *node, struct place_hold *hold, uint16_t r)
{
    struct place_rank *rank = &hold->ranks[r];
    rank->previous = NULL;
    rank->next = node->first;
    rank->next_rank = node->first_rank;
    if (node->first != NULL) {
        node->first->ranks[node->first_rank].previous = hold;
        node->first->ranks[node->first_rank].previous_rank = r;
    }
    node->first = hold;
    node->first_rank = r;
}

static void rank_unlink(struct place_node *node, struct place_hold *hold, uint16_t r)
{
    struct place_rank *rank = &hold->ranks[r];
    if (rank->next != NULL) {
        rank->next->ranks[rank->next_rank].previous = rank->previous;
        rank->next->ranks[rank->next_rank].previous_rank = rank->previous_rank;
    }
    if (rank->previous != NULL) {
        rank->previous->ranks[rank->previous_rank].next = rank->next;
        rank->previous->ranks[rank->previous_rank].next_rank = rank->next_rank;
    } else {
        node->first = rank->next;
        node->first_rank = rank->next_rank;
    }
}

static int64_t hold_end_ms(const struct place_hold *hold)
{
    return hold->since.us / 1000 + hold->limit.ms;
}

static void end_raise(struct place_node *node, const struct place_hold *hold)
{
    if (hold_end_ms(hold) > node->end_ms)
        node->end_ms = hold_end_ms(hold);
    if (hold->limit.ms > node->limit_ms)
        node->limit_ms = hold->limit.ms;
}

static void end_find(struct place_node *node)
{
    uint16_t r = node->first_rank;
    node->end_ms = INT64_MIN;
    node->limit_ms = 0;
    for (const struct place_hold *hold = node->first; hold != NULL;) {
        const struct place_rank *rank = &hold->ranks[r];
        end_raise(node, hold);
        r = rank->next_rank;
        hold = rank->next;
    }
}

int64_t place_node_end(const struct place_node *node, int64_t now_ms)
{
    if (node->first == NULL)
        return now_ms;
    if (node->end_ms <= now_ms)
        return now_ms + PLACE_OVERDUE_MS;
    return node->end_ms < now_ms + node->limit_ms ? node->end_ms : now_ms + node->limit_ms;
}

void place_hold_since(struct place_hold *hold, struct wall_us since)
{
    if (hold->since.us == since.us)
        return;
    hold->since = since;
    for (uint16_t r = 0; r < hold->nodes; r++)
        if (hold->ranks[r].place.node < hold->site->node_count)
            end_find(&hold->site->nodes[hold->ranks[r].place.node]);
}

void place_hold_nodes(struct place_hold *hold, bool is_taken)
{
    struct place_site *site = hold->site;
    for (uint16_t r = 0; r < hold->nodes; r++) {
        const struct rank_place *place = &hold->ranks[r].place;
        if (place->node >= site->node_count)
            continue; /* the site has lost nodes since */
        struct place_node *node = &site->nodes[place->node];
        if (is_taken) {
            place_node_take(node, hold->cpu_milli, hold->mem_bytes, place);
            rank_link(node, hold, r);
            end_raise(node, hold);
        } else {
            place_node_give(node, hold->cpu_milli, hold->mem_bytes, place);
            rank_unlink(node, hold, r);
            if (hold_end_ms(hold) >= node->end_ms || hold->limit.ms >= node->limit_ms)
                end_find(node);
        }
        site->has_lent_changed = site->has_lent_changed || node->is_reserved;
        stock_update(site, place->node);
    }
}

/* ---- grades and buckets */

/* 0: under 1/128 of the most; then a grade more for each doubling, up to half and more. */
static uint32_t grade_of(uint64_t amount, uint64_t most)
{
    enum { PARTS = 128 };
    if (most == 0 || amount >= most)
        return PLACE_GRADES - 1;
    uint32_t part = (uint32_t)(amount * PARTS / most);
    return part == 0 ? 0 : 32 - (uint32_t)__builtin_clz(part);
}

static uint32_t bucket_of(const struct place_stock *stock, const struct place_node *node)
{
    return grade_of(place_node_cpu_free(node), stock->cpu_milli_max) * PLACE_GRADES +
           grade_of(place_node_mem_free(node), stock->mem_bytes_max);
}

static uint64_t buckets_from(uint32_t cpu_grade, uint32_t mem_grade)
{
    if (cpu_grade >= PLACE_GRADES || mem_grade >= PLACE_GRADES)
        return 0;
    uint64_t row = (UINT64_C(0xff) << mem_grade & 0xff) * UINT64_C(0x0101010101010101);
    return row & UINT64_MAX << (cpu_grade * PLACE_GRADES);
}

struct place_reach stock_reach(const struct place_stock *stock, const struct place_need *need)
{
    bool suits = need->devices > 0 || need->runtime == RUNTIME_CPU ||
                 need->runtime == RUNTIME_OPENCL || need->runtime == stock->runtime;
    if (!suits || stock->levels <= need->devices)
        return (struct place_reach){0, 0};
    uint32_t cpu = grade_of(need->cpu_milli, stock->cpu_milli_max);
    uint32_t mem = grade_of(need->mem_bytes, stock->mem_bytes_max);
    return (struct place_reach){buckets_from(cpu, mem), buckets_from(cpu + 1, mem + 1)};
}

static uint64_t *bits_of(const struct place_stock *stock, uint32_t level, uint32_t bucket)
{
    return stock->bits + (size_t)(level * PLACE_BUCKETS + bucket) * stock->words;
}

static void node_unlist(struct place_stock *stock, struct place_node *node)
{
    bits_of(stock, node->level, node->bucket)[node->slot / 64] &=
        ~(UINT64_C(1) << (node->slot % 64));
    if (--stock->counts[node->level][node->bucket] == 0)
        stock->filled[node->level] &= ~(UINT64_C(1) << node->bucket);
    for (uint32_t d = 0; d <= node->level; d++)
        stock->at_least[d]--;
    node->is_listed = false;
}

static void node_list(struct place_stock *stock, struct place_node *node)
{
    node->level = (uint8_t)place_node_device_count(node);
    node->bucket = (uint8_t)bucket_of(stock, node);
    bits_of(stock, node->level, node->bucket)[node->slot / 64] |= UINT64_C(1) << (node->slot % 64);
    stock->counts[node->level][node->bucket]++;
    stock->filled[node->level] |= UINT64_C(1) << node->bucket;
    for (uint32_t d = 0; d <= node->level; d++)
        stock->at_least[d]++;
    node->is_listed = true;
}

void stock_update(struct place_site *site, uint32_t index)
{
    struct place_node *node = &site->nodes[index];
    if (node->stock >= site->stock_count)
        return;
    struct place_stock *stock = &site->stocks[node->stock];
    if (node->is_listed)
        node_unlist(stock, node);
    if (node->is_up && !node->is_reserved)
        node_list(stock, node);
}

/* ---- building */

static struct place_stock *stock_of(struct place_site *site, enum runtime runtime,
                                    uint16_t accelerator)
{
    for (uint32_t s = 0; s < site->stock_count; s++)
        if (site->stocks[s].runtime == runtime && site->stocks[s].accelerator == accelerator)
            return &site->stocks[s];
    if (site->stock_count == PLACE_STOCKS_MAX)
        return NULL;
    struct place_stock *stock = &site->stocks[site->stock_count++];
    *stock = (struct place_stock){.runtime = runtime, .accelerator = accelerator};
    return stock;
}

static enum err make_count(struct place_stock *stock, const struct place_node *node)
{
    uint32_t devices = (uint32_t)__builtin_popcount(node->devices);
    for (uint32_t i = 0; i < stock->make_count; i++) {
        struct place_make *make = &stock->makes[i];
        if (make->cpu_milli == node->cpu_milli && make->mem_bytes == node->mem_bytes &&
            make->devices == devices) {
            make->count++;
            return ERR_OK;
        }
    }
    if ((stock->make_count & (stock->make_count - 1)) == 0) { /* full at powers of two */
        size_t cap = stock->make_count == 0 ? 1 : (size_t)stock->make_count * 2;
        struct place_make *grown = realloc(stock->makes, cap * sizeof(*grown));
        if (grown == NULL)
            return ERR_NO_MEMORY;
        stock->makes = grown;
    }
    stock->makes[stock->make_count++] =
        (struct place_make){node->cpu_milli, devices, 1, node->mem_bytes};
    return ERR_OK;
}

/* A node of one chip too many keeps stock_count as its stock, past all others. */
static enum err nodes_sort(struct place_site *site, const uint16_t *accelerators,
                           const enum runtime *runtimes)
{
    for (uint32_t n = 0; n < site->node_count; n++) {
        struct place_node *node = &site->nodes[n];
        struct place_stock *stock = stock_of(site, runtimes[n], accelerators[n]);
        node->stock = UINT8_MAX;
        if (stock == NULL)
            continue;
        node->stock = (uint8_t)(stock - site->stocks);
        node->slot = (uint16_t)stock->node_count++;
        uint8_t levels = (uint8_t)(__builtin_popcount(node->devices) + 1);
        if (levels > stock->levels)
            stock->levels = levels;
        if (node->cpu_milli > stock->cpu_milli_max)
            stock->cpu_milli_max = node->cpu_milli;
        if (node->mem_bytes > stock->mem_bytes_max)
            stock->mem_bytes_max = node->mem_bytes;
        if (make_count(stock, node) != ERR_OK)
            return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

enum err stock_build(struct place_site *site, const uint16_t *accelerators,
                     const enum runtime *runtimes)
{
    enum err err = nodes_sort(site, accelerators, runtimes);
    for (uint32_t s = 0; err == ERR_OK && s < site->stock_count; s++) {
        struct place_stock *stock = &site->stocks[s];
        stock->words = (stock->node_count + 63) / 64;
        stock->nodes = calloc(stock->node_count, sizeof(*stock->nodes));
        stock->counts = calloc(stock->levels, sizeof(*stock->counts));
        stock->bits =
            calloc((size_t)stock->levels * PLACE_BUCKETS * stock->words, sizeof(*stock->bits));
        if (stock->nodes == NULL || stock->counts == NULL || stock->bits == NULL)
            err = ERR_NO_MEMORY;
    }
    for (uint32_t n = 0; err == ERR_OK && n < site->node_count; n++) {
        struct place_node *node = &site->nodes[n];
        if (node->stock < site->stock_count)
            site->stocks[node->stock].nodes[node->slot] = (uint16_t)n;
        stock_update(site, n);
    }
    return err;
}

void stock_free(struct place_site *site)
{
    for (uint32_t s = 0; s < site->stock_count; s++) {
        free(site->stocks[s].nodes);
        free(site->stocks[s].counts);
        free(site->stocks[s].bits);
        free(site->stocks[s].makes);
    }
    site->stock_count = 0;
}

/* ---- asking */

uint32_t stock_capacity(const struct place_stock *stock, const struct place_need *need)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < stock->make_count; i++) {
        const struct place_make *make = &stock->makes[i];
        if (make->cpu_milli >= need->cpu_milli && make->mem_bytes >= need->mem_bytes &&
            make->devices >= need->devices)
            count += make->count;
    }
    return count;
}

bool stock_suits(const struct placer *placer, const struct place_stock *stock,
                 const struct job_variant *variant)
{
    if (variant->accelerators == 0)
        return variant->runtime == RUNTIME_CPU || variant->runtime == RUNTIME_OPENCL ||
               stock->runtime == variant->runtime;
    if (stock->runtime != variant->runtime)
        return false;
    return variant->accelerator.len == 0 ||
           slice_is(variant->accelerator, place_name(placer, stock->accelerator));
}

struct pick {
    const struct place_site *site;
    const struct place_need *need;
    uint32_t first, end; /* stocks */
    uint32_t found, left;
    uint16_t *out_nodes; /* NULL: only counted */
};

/* Nodes of one bucket, in order, until there are enough. */
static void pick_bucket(struct pick *pick, const struct place_stock *stock, uint32_t level,
                        uint32_t bucket, bool is_sure)
{
    const struct place_need *need = pick->need;
    uint32_t before = pick->found;
    if (is_sure && pick->out_nodes == NULL) {
        pick->found += stock->counts[level][bucket];
        if (pick->found > need->ranks)
            pick->found = need->ranks;
    }
    const uint64_t *bits = bits_of(stock, level, bucket);
    for (uint32_t w = 0;
         w < stock->words && pick->found < need->ranks && (!is_sure || pick->out_nodes != NULL);
         w++)
        for (uint64_t rest = bits[w]; rest != 0 && pick->found < need->ranks; rest &= rest - 1) {
            uint16_t node = stock->nodes[w * 64 + (uint32_t)__builtin_ctzll(rest)];
            if (!is_sure && !stock_node_fits(&pick->site->nodes[node], need))
                continue;
            if (pick->out_nodes != NULL)
                pick->out_nodes[pick->found] = node;
            pick->found++;
        }
    pick->left += (pick->found - before) * (level - need->devices);
}

static void pick_level(struct pick *pick, uint32_t level, const struct place_reach *reach)
{
    const struct place_stock *stocks = pick->site->stocks;
    uint64_t any = 0;
    for (uint32_t s = pick->first; s < pick->end; s++)
        if (level < stocks[s].levels)
            any |= stocks[s].filled[level] & reach[s - pick->first].maybe;
    for (; any != 0 && pick->found < pick->need->ranks; any &= any - 1) {
        uint32_t bucket = (uint32_t)__builtin_ctzll(any);
        for (uint32_t s = pick->first; s < pick->end && pick->found < pick->need->ranks; s++)
            if (level < stocks[s].levels &&
                (stocks[s].filled[level] & reach[s - pick->first].maybe) >> bucket & 1)
                pick_bucket(pick, &stocks[s], level, bucket,
                            reach[s - pick->first].surely >> bucket & 1);
    }
}

static void pick_levels(struct pick *pick, const struct place_reach *reach)
{
    uint32_t levels = 0;
    for (uint32_t s = pick->first; s < pick->end; s++)
        if (pick->site->stocks[s].levels > levels)
            levels = pick->site->stocks[s].levels;
    for (uint32_t level = pick->need->devices; level < levels && pick->found < pick->need->ranks;
         level++)
        pick_level(pick, level, reach);
}

/* Nodes with devices enough. */
static uint32_t stock_listed(const struct place_option *option)
{
    const struct place_site *site = option->site;
    uint32_t listed = 0;
    for (uint32_t s = 0; s < site->stock_count; s++)
        if (option->stock == UINT8_MAX || option->stock == s)
            listed += site->stocks[s].at_least[option->need.devices];
    return listed;
}

static struct pick pick_run(const struct place_option *option, const struct place_need *need,
                            uint16_t *out_nodes)
{
    const struct place_site *site = option->site;
    struct place_reach reach[PLACE_STOCKS_MAX];
    bool is_one = option->stock < site->stock_count;
    struct pick pick = {.site = site,
                        .need = need,
                        .first = is_one ? option->stock : 0,
                        .end = is_one ? option->stock + 1u : site->stock_count,
                        .out_nodes = out_nodes};
    for (uint32_t s = 0; s < site->stock_count && !is_one; s++)
        reach[s] = stock_reach(&site->stocks[s], need);
    pick_levels(&pick, is_one ? &option->reach : reach);
    return pick;
}

uint32_t stock_pick(const struct place_option *option, uint16_t *out_nodes)
{
    if (stock_listed(option) < option->need.ranks)
        return UINT32_MAX;
    struct pick pick = pick_run(option, &option->need, out_nodes);
    return pick.found < option->need.ranks ? UINT32_MAX : pick.left;
}

uint32_t stock_count(const struct place_option *option, uint32_t max)
{
    struct place_need need = option->need;
    need.ranks = max;
    return pick_run(option, &need, NULL).found;
}

uint32_t stock_emptiest(const struct place_option *option, uint32_t max, uint16_t *out_nodes)
{
    const struct place_site *site = option->site;
    uint32_t count = 0;
    for (uint32_t level = PLACE_LEVELS; level-- > 0 && count < max;)
        for (uint32_t s = 0; s < site->stock_count; s++) {
            const struct place_stock *stock = &site->stocks[s];
            if ((option->stock != UINT8_MAX && option->stock != s) || level >= stock->levels)
                continue;
            for (uint64_t rest = stock->filled[level]; rest != 0 && count < max;) {
                uint32_t bucket = 63 - (uint32_t)__builtin_clzll(rest);
                const uint64_t *bits = bits_of(stock, level, bucket);
                rest &= ~(UINT64_C(1) << bucket);
                for (uint32_t w = 0; w < stock->words; w++)
                    for (uint64_t slots = bits[w]; slots != 0 && count < max; slots &= slots - 1)
                        out_nodes[count++] =
                            stock->nodes[w * 64 + (uint32_t)__builtin_ctzll(slots)];
            }
        }
    return count;
}

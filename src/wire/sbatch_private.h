/* Private to wire/sbatch_plan.c and wire/sbatch_words.c: one step a subject. Each reads its options
 * and fills its part of the plan. */
#ifndef LQ_WIRE_SBATCH_PRIVATE_H
#define LQ_WIRE_SBATCH_PRIVATE_H

#include "wire/sbatch.h"

struct planner {
    const struct sbatch *sbatch;
    struct arena *arena;
    struct sbatch_plan *out;
    struct fault *fault;
};

/* Refuses the option's value; `must` ends the sentence. ERR_INVALID. */
enum err plan_bad(struct planner *planner, enum sbatch_id id, const char *must) LQ_CHECKED;
bool plan_has(const struct planner *planner, enum sbatch_id id);
struct slice plan_value(const struct planner *planner, enum sbatch_id id);

enum err plan_qos(struct planner *planner) LQ_CHECKED;
enum err plan_signal(struct planner *planner) LQ_CHECKED;
enum err plan_open_mode(struct planner *planner) LQ_CHECKED;
enum err plan_export(struct planner *planner) LQ_CHECKED;
enum err plan_dependency(struct planner *planner) LQ_CHECKED;
enum err plan_texts(struct planner *planner) LQ_CHECKED;

#endif

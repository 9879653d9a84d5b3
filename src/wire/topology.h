/* The topology file (docs/formats/topology.md): regions, sites, links, tenants, operators,
 * currency, settings. */
#ifndef LQ_WIRE_TOPOLOGY_H
#define LQ_WIRE_TOPOLOGY_H

#include "base/arena.h"
#include "model/catalogue.h"
#include "model/topology.h"
#include "wire/json.h"

/* Decodes and runs topology_check. Everything is copied into `arena`. With a catalogue, accelerator
 * names of nodes and asks are looked up and give the runtime; without one (NULL) they are kept as
 * written and a node with accelerators must say its `runtime`. ERR_INVALID, ERR_LIMIT,
 * ERR_NO_MEMORY. */
enum err topology_decode(struct json_value value, const struct catalogue *catalogue,
                         struct arena *arena, struct topology *out, struct fault *fault) LQ_CHECKED;

#endif

/* Event streams to watchers (SSE), with resume by sequence number. */
#ifndef LQ_SERVER_WATCH_H
#define LQ_SERVER_WATCH_H

#include "server/request.h"

enum { WATCHERS_MAX = 1024, WATCH_KEEPALIVE_S = 15 };

/* A change with events is committed: wake the watchers. */
void watch_events(struct server *server, const struct change *change);
void watch_close_all(struct server *server);
/* Turns the request into an event stream, beginning after `after`. */
void watch_begin(struct request *request, const struct store_tenants *tenants, uint64_t after);

#endif

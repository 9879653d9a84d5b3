/* The names in the attempts' folder: all that was launched and has no end of all its ranks. */
#include <stdio.h>
#include <stdlib.h>

#include "base/vector.h"
#include "drive/host_private.h"
#include "port/file.h"
#include "port/worker.h"

enum { LIST_ENTRIES_MAX = 1 << 17, LIST_ARENA_BYTES = 64 << 20 };

struct listing {
    struct host *host;
    struct host_call *call; /* for looking; never answered */
    struct vector tokens;   /* struct attempt_token */
    bool is_known;
};

static enum err list_names(struct listing *listing, struct arena *arena)
{
    char path[HOST_PATH_MAX];
    struct file_entry *entries = NULL;
    size_t count = 0;
    int len = snprintf(path, sizeof(path), "%s/attempts", listing->host->settings.state_dir);
    if (len <= 0 || (size_t)len >= sizeof(path))
        return ERR_LIMIT;
    enum err code = file_list(path, LIST_ENTRIES_MAX, arena, NULL, &entries, &count);
    if (code != ERR_OK)
        return code == ERR_NOT_FOUND ? ERR_OK : code; /* nothing was ever started */
    for (size_t i = 0; code == ERR_OK && i < count; i++) {
        struct attempt_token token;
        if (attempt_name_parse(slice_of(entries[i].name), &token) != ERR_OK)
            continue;
        listing->call->answer.token = token;
        host_look(listing->call);
        bool may_live = listing->call->answer.kind == DRIVE_PRESENT ||
                        listing->call->answer.kind == DRIVE_UNSURE ||
                        (listing->call->answer.kind == DRIVE_ABSENT && listing->call->was_launched);
        if (may_live)
            code = vector_push(&listing->tokens, &token);
    }
    return code;
}

static void run_list(void *context)
{
    struct listing *listing = context;
    struct arena arena;
    arena_init(&arena, LIST_ARENA_BYTES);
    listing->is_known = list_names(listing, &arena) == ERR_OK;
    arena_deinit(&arena);
}

static void on_listed(void *context)
{
    struct listing *listing = context;
    struct host *host = listing->host;
    if (host->events != NULL && host->events->on_names != NULL)
        host->events->on_names(host->context, listing->is_known, listing->tokens.data,
                               listing->is_known ? (uint32_t)listing->tokens.len : 0);
    vector_deinit(&listing->tokens);
    host_call_free(listing->call);
    free(listing);
}

void host_list(struct driver *driver)
{
    struct host *host = (struct host *)driver;
    static const struct attempt_token none;
    struct listing *listing = calloc(1, sizeof(*listing));
    struct host_call *call = host_call_make(host, DRIVE_INSPECT, &none);
    if (listing != NULL && call != NULL) {
        *listing = (struct listing){.host = host, .call = call};
        vector_init(&listing->tokens, sizeof(struct attempt_token), LIST_ENTRIES_MAX);
        if (worker_submit(host->worker, run_list, on_listed, listing) == ERR_OK ||
            loop_post(host->loop, on_listed, listing) == ERR_OK)
            return;
    }
    if (call != NULL)
        host_call_free(call);
    free(listing);
}

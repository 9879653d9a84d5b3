#include "core/rules.h"

const struct protocol_rules PROTOCOL_RULES_ALL = {
    .gate_is_exclusive = true,
    .gate_is_durable_first = true,
    .tombstone_on_revoke = true,
    .end_needs_every_rank = true,
    .epoch_fences_commands = true,
    .restore_raises_epoch = true,
    .restore_waits_for_sites = true,
    .lease_waits_for_drift = true,
    .lease_anchored_at_send = true,
    .lease_restarts_with_leader = true,
    .strict_never_expires = true,
    .journal_loss_is_unknown = true,
    .lookup_before_resubmit = true,
    .intent_before_submit = true,
    .usage_ack_is_contiguous = true,
    .usage_ack_after_commit = true,
    .usage_keeps_key = true,
    .reply_matches_request = true,
    .end_before_next = true,
    .stale_effects_are_refused = true,
};

/* The names of the refusals, as published. */
#include "tunnel/model/refusal.h"

const char *const refusal_names[] = {
    [REFUSAL_NONE] = "accepted",
    [REFUSAL_MALFORMED] = "malformed",
    [REFUSAL_TOO_LARGE] = "too-large",
    [REFUSAL_RETAINED] = "retained",
    [REFUSAL_WRONG_GATEWAY] = "wrong-gateway",
    [REFUSAL_BAD_CHALLENGE] = "bad-challenge",
    [REFUSAL_REPLAYED] = "replayed",
    [REFUSAL_BAD_SIGNATURE] = "bad-signature",
    [REFUSAL_UNKNOWN_SIGNER] = "unknown-signer",
    [REFUSAL_UNKNOWN_SERVICE] = "unknown-service",
    [REFUSAL_BAD_TTL] = "bad-ttl",
    [REFUSAL_NOT_APPROVED] = "not-approved",
    [REFUSAL_ALREADY_OPEN] = "already-open",
    [REFUSAL_NOT_OPEN] = "not-open",
    [REFUSAL_TAMPERED] = "tampered",
    [REFUSAL_RATE_LIMITED] = "rate-limited",
    [REFUSAL_HUB_UNREACHABLE] = "hub-unreachable",
    [REFUSAL_FAILED] = "failed",
    [REFUSAL_JOURNAL] = "journal-failed",
    [REFUSAL_NOT_PERMITTED] = "not-permitted",
};

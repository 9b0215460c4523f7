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

const char *refusal_explain(enum refusal refusal)
{
    static const char *const texts[REFUSAL_COUNT] = {
        [REFUSAL_BAD_TTL] = "the time must be at least one second, more than what is left, and "
                            "within tunnel.max_ttl_s counted from the opening",
        [REFUSAL_ALREADY_OPEN] = "there is a session already, or one is still being closed",
        [REFUSAL_NOT_OPEN] = "there is no session for that",
        [REFUSAL_TAMPERED] = "the firewall is not as it should be; look at `sallyport firewall "
                             "status`, then run `sallyport firewall verify` on site",
        [REFUSAL_JOURNAL] = "the journal cannot be written, so nothing was done",
        [REFUSAL_NOT_APPROVED] = "nobody on site agreed in time",
    };
    return texts[refusal] ? texts[refusal] : "";
}

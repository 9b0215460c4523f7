/*
 * Why a request was refused: one code, never more. netd puts it into the reply, the journal gets
 * its name, and the reply to a signed command as well, so both number and name are for ever.
 */
#ifndef SALLYPORT_TUNNEL_MODEL_REFUSAL_H
#define SALLYPORT_TUNNEL_MODEL_REFUSAL_H

enum refusal {
    REFUSAL_NONE,
    REFUSAL_MALFORMED,
    REFUSAL_TOO_LARGE,
    REFUSAL_RETAINED,
    REFUSAL_WRONG_GATEWAY,
    REFUSAL_BAD_CHALLENGE,
    REFUSAL_REPLAYED,
    REFUSAL_BAD_SIGNATURE,
    REFUSAL_UNKNOWN_SIGNER,
    REFUSAL_UNKNOWN_SERVICE,
    REFUSAL_BAD_TTL,
    REFUSAL_NOT_APPROVED,
    REFUSAL_ALREADY_OPEN,
    REFUSAL_NOT_OPEN,
    REFUSAL_TAMPERED,
    REFUSAL_RATE_LIMITED,
    REFUSAL_HUB_UNREACHABLE,
    REFUSAL_FAILED,        /* the gateway could not do it: interface, firewall */
    REFUSAL_JOURNAL,       /* it could not be written down, so it was not done */
    REFUSAL_NOT_PERMITTED, /* this peer may not ask that */
};
#define REFUSAL_COUNT (REFUSAL_NOT_PERMITTED + 1)
extern const char *const refusal_names[REFUSAL_COUNT]; /* "accepted", "malformed", ... */

/* One sentence for a person on site; "" where there is more to say than the code tells. */
const char *refusal_explain(enum refusal refusal);

#endif

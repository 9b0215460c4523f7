/*
 * Asks stock OpenSSH, `ssh-keygen -Y verify`, who signed a text: in a process without any
 * capability, with an empty environment, fixed arguments, bounded output and a deadline. That
 * process alone decides whether a signature is good. Nothing here waits for it: a verification is a
 * job of the loop, some 30 ms long. netd only, main loop only.
 */
#ifndef SALLYPORT_TUNNEL_COMMAND_SIGNATURE_H
#define SALLYPORT_TUNNEL_COMMAND_SIGNATURE_H

#include "tunnel/config/signers.h"
#include "tunnel/model/command_text.h"

#include <systemd/sd-event.h>

#define SIGNATURE_PROGRAM "/usr/bin/ssh-keygen"
#define SIGNATURE_TIMEOUT_MS 5000 /* for all of its processes together */

enum signature_verdict {
    SIGNATURE_GOOD,    /* by a key that may sign, now */
    SIGNATURE_BAD,     /* not over these bytes, not for our namespace, or no signature at all */
    SIGNATURE_UNKNOWN, /* good, by a key that no line of allowed_signers lets sign */
    SIGNATURE_REVOKED, /* good, by a known key that has been revoked */
    SIGNATURE_EXPIRED, /* or it has a valid-before, and the clock is evidently behind */
    SIGNATURE_NOT_YET, /* the line's valid-after has not come */
    SIGNATURE_FAILED,  /* ssh-keygen could not be asked */
};
extern const char *const signature_verdict_names[]; /* "good", "bad", ... for the journal */

struct signature_settings {
    const char *allowed_signers, *revoked_keys; /* read again each time */
    const char *program;                        /* SIGNATURE_PROGRAM; another one in tests */
    int timeout_ms;
};

struct signature_result {
    enum signature_verdict verdict;
    char signer[SIGNERS_NAME_BYTES]; /* as allowed_signers calls it; "" when it knows none */
    char key[64];                    /* fingerprint, "SHA256:..."; "" when there is none */
    char detail[160];                /* what an auditor or the site's administrator should know */
};

/* Gets the result of a verification, once, from the loop. It may free the job. */
typedef void signature_hook(void *context, const struct signature_result *result);

struct signature; /* opaque: one verification */

/*
 * Begins to verify PARTS; all that is given is copied. Without allowed_signers no signature is
 * accepted; one, or a list of revoked keys, that cannot be trusted (others than root or this user
 * may write it or its folder) or read means the same: the verdict is SIGNATURE_UNKNOWN, and the
 * detail says why. Returns 0, or a negative errno; then ENDED is not called.
 */
int signature_begin(const struct signature_settings *settings, const struct command_parts *parts,
                    sd_event *loop, signature_hook *ended, void *context,
                    struct signature **ret_signature);

/* Ends it, if it has not ended: its process is killed, and ENDED is not called. NULL is fine; NULL.
 */
struct signature *signature_free(struct signature *signature);

/*
 * Reads allowed_signers as a verification does. Returns 0 and the list, or a negative errno
 * (-ENOENT: there is none) with one line for a person in PROBLEM.
 */
int signature_load_signers(const struct signature_settings *settings, struct signers *ret_signers,
                           struct strbuf *problem);

#endif

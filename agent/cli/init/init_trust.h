/*
 * Whom an enrolment makes the gateway trust: shown before anything is written, compared with what
 * is installed, and confirmed by a person. Main thread only.
 */
#ifndef SALLYPORT_AGENT_CLI_INIT_INIT_TRUST_H
#define SALLYPORT_AGENT_CLI_INIT_INIT_TRUST_H

#include "agent/cli/init/init_answers.h"
#include "agent/cli/init/init_files.h"

struct init_trust {
    struct text_list lines; /* one for each thing that is trusted, the same for the same thing */
    bool is_wide;           /* a source is shorter than 16 bits */
};
void init_trust_free(struct init_trust *trust); /* fit for CLEANUP() */

/* What ANSWERS make the gateway trust. *RET_TRUST is the caller's. */
void init_trust_of(const struct init_answers *answers, struct init_trust *ret_trust);

/* What the person who runs init has said in advance. */
struct init_consent {
    const char *from;        /* the enrolment file */
    const char *fingerprint; /* of the hub's enrolment key; NULL: not given */
    bool accepts_all;        /* --accept-signers */
    bool has_signers;        /* --signers FILE: they are chosen here */
    bool has_terminal;       /* to ask on */
};

enum init_trust_verdict {
    INIT_TRUSTED,
    INIT_REFUSED,    /* a message has said why and what to do; nothing is to be written */
    INIT_LEFT_CLOSED /* the same, for a folder (--root) that holds nothing yet: the files may be
                        written without tunnel and signers, so that nobody can open a session */
};

/*
 * Verifies the signature of the enrolment, shows on stderr what ANSWERS trust, and the difference
 * to what is installed at PLACE, and asks. When the file was signed, its key's fingerprint becomes
 * part of ANSWERS, to be remembered.
 */
enum init_trust_verdict init_trust_confirm(const struct init_consent *consent,
                                           const struct init_place *place,
                                           struct init_answers *answers);

#endif

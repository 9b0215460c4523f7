/*
 * The signature of an enrolment file: FILE.sig beside it, as `ssh-keygen -Y sign -n
 * sallyport-enrolment` of stock OpenSSH makes it with the hub's Ed25519 key. Main thread only.
 */
#ifndef SALLYPORT_AGENT_CLI_INIT_INIT_SEAL_H
#define SALLYPORT_AGENT_CLI_INIT_INIT_SEAL_H

#include "agent/base/strbuf.h"

#include <stdbool.h>

#define INIT_SEAL_NAMESPACE "sallyport-enrolment"

struct init_seal {
    bool is_signed;
    char fingerprint[64]; /* of the key that signed: "SHA256:" and 43 characters; "": unsigned */
};

/*
 * Verifies the signature of TEXT, which was read from the file PATH, if PATH.sig exists. Returns 0,
 * also when there is no signature; or a negative errno, and one line for a person in PROBLEM, when
 * it is not valid or cannot be verified. Whose key it is, the caller has to know.
 */
int init_seal_check(const char *path, const char *text, struct init_seal *ret_seal,
                    struct strbuf *problem);

/* Whether TEXT looks like a fingerprint of ssh-keygen: "SHA256:" and 43 characters of base64. */
bool init_seal_is_fingerprint(const char *text);

#endif

/*
 * Who may sign commands: reads an OpenSSH ALLOWED SIGNERS file (ssh-keygen(1)) and prints the part
 * of it that counts here, for ssh-keygen. A line counts when it is for the namespace "sallyport" by
 * name, has an Ed25519 or hardware-backed Ed25519 key, and no option but namespaces, valid-after
 * and valid-before. Pure; any thread. The files are root's own; nothing here comes from afar.
 */
#ifndef SALLYPORT_TUNNEL_CONFIG_SIGNERS_H
#define SALLYPORT_TUNNEL_CONFIG_SIGNERS_H

#include "agent/base/strbuf.h"

#include <stddef.h>
#include <stdint.h>

#define SIGNERS_NAMESPACE "sallyport"
#define SIGNERS_MAX 512
#define SIGNERS_NAME_BYTES 129 /* of an identity, with its NUL */

struct signer {
    char name[SIGNERS_NAME_BYTES]; /* the line's first principal: printable ASCII */
    char after[16], before[16];    /* as written; "" for none */
    const char *type;              /* "ssh-ed25519", ... */
    char *key;                     /* base64 */
    unsigned line;                 /* in the file, from 1 */
};

struct signers {
    struct signer *list;
    size_t length;
    unsigned skipped;       /* lines that do not count, comments aside */
    unsigned first_skipped; /* the first of them */
    const char *why;        /* it was skipped */
    int64_t written_s;      /* when the file was, since 1970; 0 from signers_parse() */
};

/* Reads TEXT, LENGTH bytes. The caller frees *RET_SIGNERS. */
void signers_parse(const char *text, size_t length, struct signers *ret_signers);
void signers_free(struct signers *signers); /* fit for CLEANUP() */

/* Which limits of validity are printed. */
enum signers_limits {
    SIGNERS_NO_LIMITS,
    SIGNERS_BEFORE, /* valid-before only */
    SIGNERS_ALL_LIMITS,
};

/*
 * Appends the list for ssh-keygen. The principal of the entry N is "signerN", so that what it
 * answers names one line, and nothing in the file can be taken for something else.
 */
void signers_print(const struct signers *signers, enum signers_limits limits, struct strbuf *out);

/* The signer that ssh-keygen's answer "signerN\n" means; NULL when it means none. */
const struct signer *signers_find(const struct signers *signers, const char *answer);

/*
 * Revoked keys: appends a KRL as it is, or a list of public keys one a line. Returns 0, or the
 * number of the first line that is no public key: what ssh-keygen would silently pass over.
 */
unsigned signers_print_revoked(const char *text, size_t length, struct strbuf *out);

#endif

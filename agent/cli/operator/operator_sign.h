/*
 * Keys and signatures, by ssh-keygen as a child that has our terminal, so that passphrases, the
 * SSH agent and the touch of a hardware token work as its owner knows them. Blocking; main thread
 * only. Errors are printed on stderr.
 */
#ifndef SALLYPORT_AGENT_CLI_OPERATOR_OPERATOR_SIGN_H
#define SALLYPORT_AGENT_CLI_OPERATOR_OPERATOR_SIGN_H

#include "agent/base/strbuf.h"

#include <stdbool.h>

#define OPERATOR_NAMESPACE "sallyport"

/*
 * Appends the armoured signature of KEY (a file of OpenSSH, absolute) over TEXT to OUT. Returns 0,
 * or -1 after a message.
 */
int operator_sign(const char *name, const char *key, const struct strbuf *text, struct strbuf *out);

/* Makes KEY and KEY.pub, asking for a passphrase. Returns 0, or -1 after a message. */
int operator_make_key(const char *name, const char *key, bool is_hardware, const char *comment);

/*
 * Appends "TYPE BASE64" of the public key in PATH, which must be Ed25519, plain or on a hardware
 * token. Returns 0, -ENOTSUP for another kind of key, or another negative errno.
 */
int operator_read_public_key(const char *path, struct strbuf *out);

#endif

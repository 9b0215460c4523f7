/*
 * A signature of ssh-keygen as the agent looks at it: whose key it claims, and whether that key
 * made it over a text. netd and its ssh-keygen alone decide what a signature is good for; here it
 * is only found out which messages need not be taken to them. Pure; any thread.
 */
#ifndef SALLYPORT_AGENT_NETD_SSHSIG_H
#define SALLYPORT_AGENT_NETD_SSHSIG_H

#include "tunnel/command/armour.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Reads the armour of command_split(), LENGTH bytes. Returns 0, or -EBADMSG: it is no signature for
 * the namespace "sallyport" by an Ed25519 key, in a file or in hardware.
 */
int sshsig_read(const char *text, size_t length, struct armour *ret_armour);

/*
 * Whether the key of ARMOUR, which sshsig_read() filled, has signed TEXT, of LENGTH bytes. True as
 * well when that cannot be found out, because the library knows no Ed25519. Takes some 0.1 ms.
 */
bool sshsig_is_over(const struct armour *armour, const char *text, size_t length);

#endif

/*
 * The keys of allowed_signers as they were when somebody last looked: the file is read again when
 * it, or its folder, is not what it was. For the quick look at who claims to have signed; a
 * verification reads the file itself. netd only, main loop only.
 */
#ifndef SALLYPORT_TUNNEL_COMMAND_SIGNER_LIST_H
#define SALLYPORT_TUNNEL_COMMAND_SIGNER_LIST_H

#include "tunnel/command/armour.h"
#include "tunnel/command/signature.h"

#include <stdbool.h>

struct signer_list; /* opaque */

/* PATH is copied; nothing is read before the first look. */
struct signer_list *signer_list_new(const char *path);
struct signer_list *signer_list_free(struct signer_list *list); /* NULL is fine; NULL */

/* Reads the file if it has changed, and logs what is new. Returns whether it has changed. */
bool signer_list_look(struct signer_list *list);

/* What was read; without an entry when the file may not be believed. */
const struct signers *signer_list_signers(const struct signer_list *list);

/* Why there is no signer, for a person; "" when there is one. */
const char *signer_list_problem(const struct signer_list *list);

/* Whether KEY, decoded, is that of a line that counts. */
bool signer_list_has(const struct signer_list *list, struct armour_part key);

#endif

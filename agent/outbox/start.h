/*
 * The start of the outbox: opens both tiers, sets damaged files aside, finds out which stream and
 * number to continue with (see recovery.h), and takes over what belongs to another stream. Main
 * loop only.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_START_H
#define SALLYPORT_AGENT_OUTBOX_START_H

#include "agent/outbox/tier.h"

/*
 * Opens the tiers of CUSTODY in their folders, which are made when missing, and fills in its
 * numbers and its ledger. What was damaged or does not work is added to WARNING. Fails only when no
 * tier can be used at all: -EBUSY when another process holds one, or a negative errno.
 */
int start_open(struct custody *custody, const char *state_dir, const char *runtime_dir,
               struct strbuf *warning);

/* Eight random hex digits. */
void start_new_stream(char ret_stream[STREAM_DIGITS + 1]);

#endif

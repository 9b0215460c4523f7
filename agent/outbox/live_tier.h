/*
 * The live tier: on tmpfs, so that it survives a kill of the process and costs no flash. One
 * transaction in every pass of the main loop. Main loop only, owned by struct tiers.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_LIVE_TIER_H
#define SALLYPORT_AGENT_OUTBOX_LIVE_TIER_H

#include "agent/outbox/tier.h"

/* Not open yet; its file is "live.db" in FOLDER. CUSTODY must outlive it. */
struct tier *live_tier_new(struct custody *custody, const char *folder);

#endif

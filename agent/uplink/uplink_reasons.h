/*
 * Why there is no session: the last reason, and what was logged about each server, so that the same
 * sentence is not logged at every attempt. One owner, the session; main loop only.
 */
#ifndef SALLYPORT_AGENT_UPLINK_UPLINK_REASONS_H
#define SALLYPORT_AGENT_UPLINK_UPLINK_REASONS_H

#include <stddef.h>
#include <stdint.h>

struct uplink_logged {
    char *sentence; /* NULL for none since the last session */
    int64_t at_ns;
};

struct uplink_reasons {
    char *text; /* the last reason; NULL when there is none */
    struct uplink_logged *logged;
    size_t n_servers;
};

/* Forgets everything; from now on there are N_SERVERS. For a zeroed one as well. */
void uplink_reasons_reset(struct uplink_reasons *reasons, size_t n_servers);
void uplink_reasons_free(struct uplink_reasons *reasons); /* accepts a zeroed one */

/* SENTENCE (copied) is the last reason; logs it, unless it was the last about SERVER, lately. */
void uplink_reasons_add(struct uplink_reasons *reasons, size_t server, const char *sentence,
                        int64_t now_ns);
#define UPLINK_REASONS_REPEAT_S 600 /* after this time the same sentence is logged again */

/* There is a session: forgets the reasons. */
void uplink_reasons_clear(struct uplink_reasons *reasons);

/* The last reason; "" when there is none. Valid until the next call above. */
const char *uplink_reasons_text(const struct uplink_reasons *reasons);

#endif

/*
 * An attempt: from the moment when it is due to the established session, or to the reason why it
 * failed. Main loop only; none of these blocks, and all of them may call the owner.
 */
#ifndef SALLYPORT_AGENT_UPLINK_UPLINK_ATTEMPT_H
#define SALLYPORT_AGENT_UPLINK_UPLINK_ATTEMPT_H

#include "agent/uplink/uplink_session.h"

/* Connects to the server whose turn it is. The phase is UPLINK_CONNECTING. */
void uplink_attempt_make(struct uplink_session *session);

/* Handle what comes of it; each ignores what does not fit the phase. */
void uplink_attempt_on_login(struct uplink_session *session);
void uplink_attempt_on_refused(struct uplink_session *session, int code);
void uplink_attempt_on_subscribed(struct uplink_session *session);
void uplink_attempt_on_denied(struct uplink_session *session, int code);

/* It failed. REASON NULL: unknown, so a probe is started. */
void uplink_attempt_fail(struct uplink_session *session, enum uplink_input input,
                         const char *reason);

/* Ends an attempt that came as far as the login. */
void uplink_attempt_break(struct uplink_session *session, const char *reason);

/* Passes on what a probe has found, when it has ended. */
void uplink_attempt_finish_probe(struct uplink_session *session);

/* Frees what an attempt keeps for its session. */
void uplink_attempt_forget(struct uplink_session *session);

#endif

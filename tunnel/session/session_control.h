/*
 * Keeps the one session: asks session.c what to do, writes it to the journal, and does it with
 * firewall, interface and resolver. Owns every deadline. netd only; main loop only.
 */
#ifndef SALLYPORT_TUNNEL_SESSION_SESSION_CONTROL_H
#define SALLYPORT_TUNNEL_SESSION_SESSION_CONTROL_H

#include "tunnel/config/netd_config.h"
#include "tunnel/firewall/firewall_leases.h"
#include "tunnel/journal/journal.h"
#include "tunnel/model/session.h"
#include "tunnel/session/wireguard.h"

#include <systemd/sd-event.h>

struct session_control; /* opaque */

struct session_control_hooks {
    /* State, deadline or journal changed. */
    void (*changed)(void *context);
    /*
     * The request that was taken by session_control_open() or session_control_approve() has come to
     * an end: open (REFUSAL_NONE) or not; TEXT says why, for a person.
     */
    void (*opened)(void *context, enum refusal refusal, const char *text);
    void *context;
};

/* All of them outlive the session_control. */
struct session_control *session_control_new(const struct netd_config *config,
                                            struct journal *journal, struct firewall *firewall,
                                            const struct session_control_hooks *hooks,
                                            sd_event *loop);

/* Ends the session (`shutdown`) and removes what is there. Accepts NULL, returns NULL. */
struct session_control *session_control_free(struct session_control *control);

struct session_control_request {
    const char (*services)[SESSION_NAME_BYTES];
    size_t n_services;
    int64_t ttl_s;
    const char *opener; /* who asks, for the journal: "root", "uid:1000", a signer's identity */
    const char *reason; /* their words, 1 to 200 characters */
    const char *id;     /* of a signed command; NULL for a local one */
};

/* Who asks for something else; for the journal. */
struct session_control_asker {
    const char *who; /* as session_control_request.opener */
    const char *id;  /* of a signed command; NULL for a local request */
};

/*
 * Each of these writes to the journal what was asked and refused. They return REFUSAL_NONE when
 * it is done, or, opening, when it has begun (`opened` follows, unless
 * session_control_is_waiting()). PROBLEM gets one line for a person. ASKED is the number of
 * the request being approved (session_status.asked): one that took its place is not approved.
 */
enum refusal session_control_open(struct session_control *control,
                                  const struct session_control_request *request,
                                  struct strbuf *problem);
enum refusal session_control_approve(struct session_control *control, uint64_t asked,
                                     const char *who, struct strbuf *problem);
enum refusal session_control_extend(struct session_control *control, int64_t ttl_s,
                                    const struct session_control_asker *asker, const char *reason,
                                    struct strbuf *problem);
enum refusal session_control_close(struct session_control *control, enum session_end end,
                                   const struct session_control_asker *asker,
                                   struct strbuf *problem);

/* Whether the session waits for an approval on site. */
bool session_control_is_waiting(const struct session_control *control);

/* The state of the session. Its texts live until the session changes. */
struct session_status {
    enum session_state state;
    enum session_end last_end;   /* of the last session */
    const char *detail;          /* why the last one failed, for a person; "" */
    uint64_t bytes;              /* payload of this session, or the last one */
    uint64_t asked;              /* number of the present session's request; 0 when closed */
    int64_t remaining_ms;        /* of the present state; 0: none */
    const char *opener, *reason; /* "" when closed */
    size_t n_services;           /* 0 when closed */
    const char *services[SESSION_MAX_SERVICES];
    char hub[WIREGUARD_ENDPOINT_BYTES]; /* "ADDRESS:PORT" in use, "" for none */
    /* While it is open, else 0. */
    int64_t opened_wall_ms;
    int64_t idle_left_ms;  /* until it closes for want of payload */
    int64_t limit_left_ms; /* the furthest that an extension may reach */
};

void session_control_get_status(struct session_control *control, struct session_status *ret_status);

#endif

/*
 * Keeps the one session. session.c decides, the journal is written, and only then something is
 * done; what widens is not done when the journal cannot be written, what narrows always is.
 */
#include "tunnel/session/session_control.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/base/text.h"
#include "tunnel/model/event_text.h"
#include "tunnel/model/lease_time.h"
#include "tunnel/session/tunnel_opening.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TRAFFIC_INTERVAL_MS 10000
#define LAST_TRAFFIC_MS 300 /* before the deadline */
#define LEASE_LATE_MS 500   /* so long may nft take to hand over a lease */
#define LEASE_TRIES 3

struct session_control {
    const struct netd_config *config;
    struct journal *journal;
    struct firewall *firewall;
    struct tunnel_opening *opening; /* interface and handshake */
    struct session_control_hooks hooks;
    struct session session;
    struct session_limits limits;
    sd_event_source *timer;
    int64_t traffic_ms; /* when the payload counter is read next */
    int64_t opened_wall_ms;
    bool is_asked;  /* someone waits for the end of the opening */
    uint64_t asked; /* requests taken since the start: the present one's number */
    /* What was asked for; valid unless the session is closed. */
    const struct tunnel_service *services[NETD_MAX_SERVICES];
    size_t n_services;
    char opener[132], reason[SESSION_REASON_BYTES], id[SESSION_NAME_BYTES];
    char detail[160]; /* why it failed, or the last one did */
};

/* ---- The journal ---- */

static void control_log_event(const struct event *event)
{
    CLEANUP(strbuf_free) struct strbuf members = STRBUF_EMPTY;
    event_text_write_members(event, &members);
    log_info("tunnel", "event=%s %s", event_name(event), strbuf_text(&members));
}

/* What a line says about a session that becomes NEXT. `id` is that of the command that opened it,
 * `command_id` that of another one. */
static void describe(const struct session_control *control, const struct session *next,
                     const struct session_control_asker *asker, struct event *event)
{
    if (control->id[0])
        event_add_text(event, MEMBER_ID, control->id);
    if (asker && asker->id && strcmp(asker->id, control->id) != 0)
        event_add_text(event, MEMBER_COMMAND_ID, asker->id);
    event_add_text(event, MEMBER_BY, asker ? asker->who : control->opener);
    for (size_t i = 0; i < control->n_services; i++)
        event_add_item(event, MEMBER_SERVICES, control->services[i]->name);
    if (next->state == SESSION_CLOSING || next->state == SESSION_CLOSED) {
        event_add_text(event, MEMBER_REASON, session_end_names[next->last_end]);
        if (control->session.opened_ms)
            event_add_number(event, MEMBER_BYTES, (int64_t)control->session.bytes);
        if (control->detail[0])
            event_add_text(event, MEMBER_DETAIL, control->detail);
        return;
    }
    event_add_number(event, MEMBER_TTL_S, next->ttl_s);
    if (next->state == SESSION_OPEN)
        event_add_number(event, MEMBER_EXPIRES_IN_S,
                         (lease_time_left(next->deadline_ms, clock_boot_ms()) + 500) / 1000);
    event_add_text(event, MEMBER_PURPOSE, control->reason);
}

/* ---- Doing it ---- */

static void control_add_lease(const struct session_control *control,
                              const struct tunnel_service *service, struct firewall_lease *leases,
                              size_t *n_leases)
{
    const struct tunnel_config *tunnel = &control->config->tunnel;
    for (size_t i = 0; i < tunnel->n_sources; i++) {
        struct firewall_lease *lease = &leases[(*n_leases)++];
        *lease = (struct firewall_lease){.source = tunnel->sources[i],
                                         .destination =
                                             service->is_behind ? service->target : tunnel->address,
                                         .protocol = service->protocol,
                                         .port = service->port};
        if (service->is_behind)
            memcpy(lease->interface, service->interface.text, sizeof(lease->interface));
    }
}

/*
 * The kernel counts from when it gets the lease, so that a late nft would give it an end after the
 * session's: what came late is given again.
 */
static int extend_lease(struct session_control *control, struct strbuf *problem)
{
    for (unsigned i = 0; i < LEASE_TRIES; i++) {
        int64_t before_ms = clock_boot_ms();
        int64_t left_ms = lease_time_left(control->session.deadline_ms, before_ms);
        int result = firewall_extend_leases(control->firewall, left_ms, problem);
        if (result < 0)
            return result;
        if (clock_boot_ms() - before_ms <= LEASE_LATE_MS)
            return firewall_allow_hub(control->firewall, tunnel_opening_hub(control->opening),
                                      left_ms);
    }
    strbuf_add(problem, "nft takes too long");
    return -ETIMEDOUT;
}

static int lease(struct session_control *control, struct strbuf *problem)
{
    struct firewall_lease leases[FIREWALL_MAX_LEASES];
    size_t n_leases = 0;
    for (size_t i = 0; i < control->n_services; i++)
        control_add_lease(control, control->services[i], leases, &n_leases);
    int64_t before_ms = clock_boot_ms();
    int64_t left_ms = lease_time_left(control->session.deadline_ms, before_ms);
    if (left_ms == 0)
        return -ETIME;
    int result = firewall_add_leases(control->firewall, leases, n_leases, left_ms, problem);
    if (result < 0)
        return result;
    if (clock_boot_ms() - before_ms > LEASE_LATE_MS)
        return extend_lease(control, problem);
    return firewall_allow_hub(control->firewall, tunnel_opening_hub(control->opening), left_ms);
}

/* Leases first: from then on nothing passes, whatever becomes of the rest. */
static int remove_all(struct session_control *control)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    int leases = firewall_remove_leases(control->firewall, &problem);
    int interface = tunnel_opening_stop(control->opening);
    int hub = firewall_forget_hub(control->firewall);
    if (leases < 0 || interface < 0 || hub < 0)
        log_error("tunnel",
                  "leases=%d interface=%d hub=%d not removed: %s; tried again in a second", leases,
                  interface, hub, strbuf_text(&problem));
    return leases < 0 ? leases : interface < 0 ? interface : hub;
}

static void control_arm(struct session_control *control)
{
    int64_t at_ms = session_next_tick_ms(&control->session, &control->limits);
    if (control->session.state == SESSION_OPEN && control->traffic_ms < at_ms)
        at_ms = control->traffic_ms;
    if (at_ms == INT64_MAX) {
        (void)sd_event_source_set_enabled(control->timer, SD_EVENT_OFF);
        return;
    }
    (void)sd_event_source_set_time(control->timer, (uint64_t)at_ms * 1000);
    (void)sd_event_source_set_enabled(control->timer, SD_EVENT_ONESHOT);
}

/* Takes the next state; returns the refusal when the journal forbids it. */
static enum refusal commit(struct session_control *control, const struct session_decision *decision,
                           const struct session_control_asker *asker)
{
    if (decision->journal != EVENT_OTHER) {
        struct event event;
        event_init(&event, decision->journal, clock_wall_ms());
        describe(control, &decision->next, asker, &event);
        int problem = journal_write(control->journal, &event);
        if (problem < 0 && decision->widens)
            return REFUSAL_JOURNAL;
        control_log_event(&event);
    }
    control->session = decision->next;
    return REFUSAL_NONE;
}

/* The answer to the one who asked for a session that has ended this way. */
static enum refusal end_refusal(enum session_end end)
{
    switch (end) {
    case SESSION_END_HUB_UNREACHABLE:
        return REFUSAL_HUB_UNREACHABLE;
    case SESSION_END_NOT_APPROVED:
        return REFUSAL_NOT_APPROVED;
    case SESSION_END_TAMPERED:
        return REFUSAL_TAMPERED;
    case SESSION_END_NONE:
    case SESSION_END_EXPIRED:
    case SESSION_END_IDLE:
    case SESSION_END_CLOSED_BY_OPERATOR:
    case SESSION_END_CLOSED_LOCALLY:
    case SESSION_END_SHUTDOWN:
    case SESSION_END_FAILED:
        return REFUSAL_FAILED;
    }
    return REFUSAL_FAILED;
}

/* Answers the one who asked, once. */
static void control_answer(struct session_control *control, enum refusal refusal)
{
    if (!control->is_asked)
        return;
    control->is_asked = false;
    control->hooks.opened(control->hooks.context, refusal, refusal ? control->detail : "");
}

/* The event that ends the session because something could not be done. */
static struct session_event failure(struct session_control *control, const char *detail)
{
    text_put(control->detail, sizeof(control->detail), detail);
    return (struct session_event){.input = SESSION_END, .end = SESSION_END_FAILED};
}

/* Does what was decided. Returns true when *EVENT has become one that follows from it. */
static bool perform(struct session_control *control, enum session_action action,
                    struct session_event *event, struct strbuf *problem)
{
    switch (action) {
    case SESSION_ACT_NOTHING:
        return false;
    case SESSION_ACT_BRING_UP:
        control->is_asked = true;
        tunnel_opening_start(control->opening);
        return false;
    case SESSION_ACT_LEASE:
        if (lease(control, problem) < 0) {
            *event = failure(control, strbuf_text(problem));
            return true;
        }
        control->opened_wall_ms = clock_wall_ms();
        control->traffic_ms = clock_boot_ms();
        control_answer(control, REFUSAL_NONE);
        return false;
    case SESSION_ACT_RELEASE:
        if (extend_lease(control, problem) == 0)
            return false;
        *event = failure(control, strbuf_text(problem)); /* the kernel keeps the old deadline */
        return true;
    case SESSION_ACT_REMOVE:
        *event = (struct session_event){.input = SESSION_GONE};
        return remove_all(control) == 0;
    }
    return false;
}

/*
 * Feeds one event, and the events that follow from it, until the session rests. Each round either
 * rests or goes one state further, so there are few. Returns what became of the first.
 */
static enum refusal step(struct session_control *control, struct session_event event,
                         const struct session_control_asker *asker, struct strbuf *problem)
{
    enum refusal first = REFUSAL_NONE;
    for (bool is_first = true, goes_on = true; goes_on; is_first = false) {
        struct session_decision decision =
            session_decide(&control->session, &control->limits, &event, clock_boot_ms());
        bool is_gone = event.input == SESSION_GONE;
        enum refusal refusal = decision.refusal;
        if (refusal == REFUSAL_NONE)
            refusal = commit(control, &decision, asker);
        if (is_first)
            first = refusal;
        goes_on = refusal == REFUSAL_NONE && perform(control, decision.action, &event, problem);
        if (refusal != REFUSAL_NONE && event.input == SESSION_READY) {
            event = failure(control, "the journal cannot be written");
            goes_on = true;
        }
        if (is_gone)
            control_answer(control, end_refusal(decision.next.last_end));
    }
    control_arm(control);
    control->hooks.changed(control->hooks.context);
    return first;
}

/* ---- What comes from below ---- */

static void on_ready(void *context)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    (void)step(context, (struct session_event){.input = SESSION_READY}, NULL, &problem);
}

static void control_on_failed(void *context, enum session_end end, const char *detail)
{
    struct session_control *control = context;
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    text_put(control->detail, sizeof(control->detail), detail);
    (void)step(control, (struct session_event){.input = SESSION_END, .end = end}, NULL, &problem);
}

/* When the payload is looked at next: often enough for the idle time, and shortly before the end,
 * when the counters are still there. */
static int64_t next_traffic_ms(const struct session_control *control, int64_t now_ms)
{
    int64_t interval_ms = control->limits.idle_close_s * 1000 / 4;
    int64_t next_ms =
        now_ms + (interval_ms < MAX_TRAFFIC_INTERVAL_MS ? interval_ms : MAX_TRAFFIC_INTERVAL_MS);
    int64_t last_ms = control->session.deadline_ms - LAST_TRAFFIC_MS;
    return now_ms < last_ms && last_ms < next_ms ? last_ms : next_ms;
}

/* The sum over the leases; SESSION_TRAFFIC takes any change for traffic. */
static void read_traffic(struct session_control *control)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct firewall_lease_state leases[FIREWALL_MAX_LEASES];
    const int room = ARRAY_LENGTH(leases); /* another program may have added more than that */
    int n_leases = firewall_list_leases(control->firewall, leases, (size_t)room);
    control->traffic_ms = next_traffic_ms(control, clock_boot_ms());
    if (n_leases <= 0)
        return; /* the idle time keeps running: that is the safe side */
    struct session_event event = {.input = SESSION_TRAFFIC};
    for (int i = 0; i < n_leases && i < room; i++)
        event.bytes += leases[i].bytes;
    if (event.bytes != control->session.bytes)
        (void)step(control, event, NULL, &problem);
}

static int control_on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct session_control *control = context;
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    (void)source, (void)usec;
    if (control->session.state == SESSION_OPEN && clock_boot_ms() < control->session.deadline_ms)
        read_traffic(control);
    if (control->session.state == SESSION_OPENING)
        text_put(control->detail, sizeof(control->detail),
                 tunnel_opening_obstacle(control->opening));
    (void)step(control, (struct session_event){.input = SESSION_TICK}, NULL, &problem);
    return 0;
}

/* ---- Requests ---- */

/* Begins the line about a refused request; what else it says may be added to it. */
static void begin_refusal(struct event *event, enum event_kind kind,
                          const struct session_control_asker *asker, enum refusal refusal)
{
    event_init(event, kind, clock_wall_ms());
    if (asker->id)
        event_add_text(event, MEMBER_ID, asker->id);
    event_add_text(event, MEMBER_BY, asker->who);
    event_add_text(event, MEMBER_REASON, refusal_names[refusal]);
}

static void control_journal_refusal(struct session_control *control, const struct event *event)
{
    (void)journal_write(control->journal, event);
    control_log_event(event);
    control->hooks.changed(control->hooks.context);
}

/* Looks the names up; each may be named once. */
static bool find_services(const struct session_control *control,
                          const struct session_control_request *request,
                          const struct tunnel_service **services, struct strbuf *problem)
{
    for (size_t i = 0; i < request->n_services; i++) {
        services[i] = netd_config_service(control->config, request->services[i]);
        for (size_t j = 0; services[i] && j < i; j++) {
            if (services[j] == services[i])
                services[i] = NULL;
        }
        if (!services[i]) {
            strbuf_addf(problem, "the service \"%s\" is not in netd.conf, or named twice",
                        request->services[i]);
            return false;
        }
    }
    return request->n_services > 0;
}

static bool control_is_tampered(const struct session_control *control)
{
    struct firewall_posture posture;
    firewall_get_posture(control->firewall, &posture);
    return posture.state == FIREWALL_OFF || posture.state == FIREWALL_TAMPERED ||
           posture.state == FIREWALL_FIGHTING;
}

/* What a refused request was for. */
static void describe_request(const struct session_control_request *request, struct event *event)
{
    for (size_t i = 0; i < request->n_services; i++)
        event_add_item(event, MEMBER_SERVICES, request->services[i]);
    event_add_number(event, MEMBER_TTL_S, request->ttl_s);
    event_add_text(event, MEMBER_PURPOSE, request->reason);
}

static void take_request(struct session_control *control,
                         const struct session_control_request *request,
                         const struct tunnel_service *const *services)
{
    memcpy(control->services, services, sizeof(control->services));
    control->n_services = request->n_services;
    control->asked++;
    control->detail[0] = '\0';
    text_put(control->opener, sizeof(control->opener), request->opener);
    text_put(control->reason, sizeof(control->reason), request->reason);
    text_put(control->id, sizeof(control->id), request->id ? request->id : "");
}

enum refusal session_control_open(struct session_control *control,
                                  const struct session_control_request *request,
                                  struct strbuf *problem)
{
    struct event event;
    const struct tunnel_service *services[NETD_MAX_SERVICES] = {0};
    const struct session_control_asker asker = {request->opener, request->id};
    enum refusal refusal = REFUSAL_NONE;
    if (control->session.state != SESSION_CLOSED)
        refusal = REFUSAL_ALREADY_OPEN;
    else if (control_is_tampered(control))
        refusal = REFUSAL_TAMPERED;
    else if (!find_services(control, request, services, problem))
        refusal = REFUSAL_UNKNOWN_SERVICE;
    if (refusal == REFUSAL_NONE) {
        take_request(control, request, services);
        refusal =
            step(control, (struct session_event){.input = SESSION_ASK, .ttl_s = request->ttl_s},
                 &asker, problem);
    }
    if (refusal == REFUSAL_NONE)
        return refusal;
    strbuf_add(problem, refusal_explain(refusal));
    begin_refusal(&event, EVENT_TUNNEL_REFUSED, &asker, refusal);
    describe_request(request, &event);
    control_journal_refusal(control, &event);
    return refusal;
}

enum refusal session_control_approve(struct session_control *control, uint64_t asked,
                                     const char *who, struct strbuf *problem)
{
    const struct session_control_asker asker = {.who = who};
    bool is_another = session_control_is_waiting(control) && control->asked != asked;
    enum refusal refusal = REFUSAL_NOT_APPROVED;
    struct event event;
    if (!is_another)
        refusal =
            control_is_tampered(control)
                ? REFUSAL_TAMPERED
                : step(control, (struct session_event){.input = SESSION_APPROVE}, &asker, problem);
    if (refusal == REFUSAL_NONE)
        return refusal;
    begin_refusal(&event, EVENT_TUNNEL_APPROVAL_REFUSED, &asker, refusal);
    if (is_another)
        event_add_text(&event, MEMBER_DETAIL,
                       "another request had taken the place of the one shown");
    control_journal_refusal(control, &event);
    strbuf_add(problem, is_another
                            ? "the request that was shown has been replaced by another; look again"
                            : refusal_explain(refusal));
    return refusal;
}

enum refusal session_control_extend(struct session_control *control, int64_t ttl_s,
                                    const struct session_control_asker *asker, const char *reason,
                                    struct strbuf *problem)
{
    struct event event;
    enum refusal refusal = REFUSAL_TAMPERED;
    char before[sizeof(control->reason)];
    memcpy(before, control->reason, sizeof(before));
    if (!control_is_tampered(control)) {
        text_put(control->reason, sizeof(control->reason), reason);
        refusal = step(control, (struct session_event){.input = SESSION_EXTEND, .ttl_s = ttl_s},
                       asker, problem);
        memcpy(control->reason, before, sizeof(before)); /* what it was opened for stays */
    }
    if (refusal == REFUSAL_NONE && control->session.state != SESSION_OPEN)
        return REFUSAL_FAILED; /* and closed; the journal says so */
    if (refusal == REFUSAL_NONE)
        return refusal;
    strbuf_add(problem, refusal_explain(refusal));
    begin_refusal(&event, EVENT_TUNNEL_EXTENSION_REFUSED, asker, refusal);
    event_add_number(&event, MEMBER_TTL_S, ttl_s);
    event_add_text(&event, MEMBER_PURPOSE, reason);
    control_journal_refusal(control, &event);
    return refusal;
}

enum refusal session_control_close(struct session_control *control, enum session_end end,
                                   const struct session_control_asker *asker,
                                   struct strbuf *problem)
{
    control->detail[0] = '\0';
    if (control->session.state == SESSION_OPEN)
        read_traffic(control);
    enum refusal refusal =
        step(control, (struct session_event){.input = SESSION_END, .end = end}, asker, problem);
    if (refusal == REFUSAL_NONE)
        return refusal;
    strbuf_add(problem, refusal_explain(refusal));
    if (asker->id) { /* each signed command is accounted for */
        struct event event;
        begin_refusal(&event, EVENT_TUNNEL_REFUSED, asker, refusal);
        control_journal_refusal(control, &event);
    }
    return refusal;
}

bool session_control_is_waiting(const struct session_control *control)
{
    return control->session.state == SESSION_WAIT_APPROVAL;
}

void session_control_get_status(struct session_control *control, struct session_status *ret_status)
{
    const struct session *session = &control->session;
    const struct sockaddr_storage *hub = tunnel_opening_hub(control->opening);
    int64_t now_ms = clock_boot_ms();
    *ret_status = (struct session_status){.state = session->state,
                                          .last_end = session->last_end,
                                          .detail = control->detail,
                                          .bytes = session->bytes,
                                          .opener = "",
                                          .reason = ""};
    if (session->state == SESSION_CLOSED)
        return;
    ret_status->asked = control->asked;
    ret_status->remaining_ms = lease_time_left(session->deadline_ms, now_ms);
    ret_status->n_services = control->n_services;
    for (size_t i = 0; i < control->n_services; i++)
        ret_status->services[i] = control->services[i]->name;
    ret_status->opener = control->opener;
    ret_status->reason = control->reason;
    if (hub->ss_family != AF_UNSPEC)
        (void)wireguard_endpoint(hub, ret_status->hub);
    if (session->state != SESSION_OPEN)
        return;
    ret_status->opened_wall_ms = control->opened_wall_ms;
    ret_status->idle_left_ms =
        lease_time_left(lease_time_after(session->active_ms, control->limits.idle_close_s), now_ms);
    ret_status->limit_left_ms = lease_time_left(session->limit_ms, now_ms);
}

/* ---- Life ---- */

struct session_control *session_control_new(const struct netd_config *config,
                                            struct journal *journal, struct firewall *firewall,
                                            const struct session_control_hooks *hooks,
                                            sd_event *loop)
{
    struct session_control *control = memory_zeroed(1, sizeof(*control));
    control->config = config;
    control->journal = journal;
    control->firewall = firewall;
    control->hooks = *hooks;
    control->limits = (struct session_limits){
        .max_ttl_s = config->tunnel.max_ttl_s,
        .idle_close_s = config->tunnel.idle_close_s,
        .needs_approval = config->tunnel.approval == APPROVAL_LOCAL,
    };
    session_init(&control->session);
    control->opening = tunnel_opening_new(
        &config->tunnel, firewall,
        &(struct tunnel_opening_hooks){on_ready, control_on_failed, control}, loop);
    if (sd_event_add_time(loop, &control->timer, CLOCK_BOOTTIME, 0, 1000, control_on_timer,
                          control) < 0)
        abort();
    (void)sd_event_source_set_enabled(control->timer, SD_EVENT_OFF);
    return control;
}

struct session_control *session_control_free(struct session_control *control)
{
    if (!control)
        return NULL;
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    const struct session_control_asker asker = {.who = "sallyport-netd"};
    (void)session_control_close(control, SESSION_END_SHUTDOWN, &asker, &problem);
    tunnel_opening_free(control->opening);
    sd_event_source_disable_unref(control->timer);
    free(control);
    return NULL;
}

/*
 * The session as netd runs it, with a journal of its own and without a kernel: firewall and opening
 * are replaced here, and note what is asked of them. What widens is in the journal first; what ends
 * takes the leases first, and is tried again until all is gone.
 */
#include "tunnel/session/session_control.h"

#include "tests/support/test.h"
#include "tunnel/model/event_text.h"
#include "tunnel/session/tunnel_opening.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* One gateway: what was asked of the two neighbours, and how they answer. */
static struct world {
    struct netd_config config;
    struct journal *journal;
    sd_event *loop;
    struct session_control *session_control;
    char done[512]; /* what was asked of the neighbours, a letter each; see below */
    int lease_result, extend_result, remove_result;
    enum firewall_state firewall_state;
    uint64_t payload; /* that the leases have counted */
    struct firewall_lease leases[FIREWALL_MAX_LEASES];
    size_t n_leases;
    int64_t lease_ms;
    unsigned changed, answers;
    enum refusal answer;
    char answer_text[256];
    struct tunnel_opening_hooks opening;
} world;

static void note(char what)
{
    size_t length = strlen(world.done);
    if (length < sizeof(world.done) - 1)
        world.done[length] = what;
}

/* ---- The neighbours ---- */

struct tunnel_opening *tunnel_opening_new(const struct tunnel_config *config,
                                          struct firewall *firewall,
                                          const struct tunnel_opening_hooks *hooks, sd_event *loop)
{
    (void)config, (void)firewall, (void)loop;
    world.opening = *hooks;
    return NULL;
}

struct tunnel_opening *tunnel_opening_free(struct tunnel_opening *opening)
{
    (void)opening;
    return NULL;
}

void tunnel_opening_start(struct tunnel_opening *opening)
{
    (void)opening;
    note('o');
}

int tunnel_opening_stop(struct tunnel_opening *opening)
{
    (void)opening;
    note('c');
    return 0;
}

const char *tunnel_opening_obstacle(const struct tunnel_opening *opening)
{
    (void)opening;
    return "no handshake with the hub";
}

const struct sockaddr_storage *tunnel_opening_hub(const struct tunnel_opening *opening)
{
    static const struct sockaddr_in hub = {.sin_family = AF_INET, .sin_port = 0xbb01};
    static struct sockaddr_storage whole;
    (void)opening;
    memcpy(&whole, &hub, sizeof(hub));
    return &whole;
}

int firewall_add_leases(struct firewall *firewall, const struct firewall_lease *leases,
                        size_t n_leases, int64_t ttl_ms, struct strbuf *problem)
{
    (void)firewall;
    note('a');
    if (world.lease_result < 0) {
        strbuf_add(problem, "nft says no");
        return world.lease_result;
    }
    memcpy(world.leases, leases, n_leases * sizeof(*leases));
    world.n_leases = n_leases;
    world.lease_ms = ttl_ms;
    return 0;
}

int firewall_extend_leases(struct firewall *firewall, int64_t ttl_ms, struct strbuf *problem)
{
    (void)firewall;
    note('e');
    if (world.extend_result < 0)
        strbuf_add(problem, "nft says no");
    else
        world.lease_ms = ttl_ms;
    return world.extend_result;
}

int firewall_remove_leases(struct firewall *firewall, struct strbuf *problem)
{
    (void)firewall, (void)problem;
    note('r');
    if (world.remove_result == 0)
        world.n_leases = 0;
    return world.remove_result;
}

int firewall_list_leases(struct firewall *firewall, struct firewall_lease_state *leases,
                         size_t room)
{
    (void)firewall;
    for (size_t i = 0; i < world.n_leases && i < room; i++)
        leases[i] =
            (struct firewall_lease_state){.lease = world.leases[i], .bytes = i ? 0 : world.payload};
    return (int)world.n_leases;
}

int firewall_allow_hub(struct firewall *firewall, const struct sockaddr_storage *hub,
                       int64_t ttl_ms)
{
    (void)firewall, (void)hub, (void)ttl_ms;
    return 0;
}

int firewall_forget_hub(struct firewall *firewall)
{
    (void)firewall;
    return 0;
}

void firewall_get_posture(const struct firewall *firewall, struct firewall_posture *ret_posture)
{
    (void)firewall;
    *ret_posture = (struct firewall_posture){.state = world.firewall_state};
}

static void on_changed(void *context)
{
    (void)context;
    world.changed++;
}

static void on_opened(void *context, enum refusal refusal, const char *text)
{
    (void)context;
    world.answers++;
    world.answer = refusal;
    (void)snprintf(world.answer_text, sizeof(world.answer_text), "%s", text);
}

/* ---- Beginning and end ---- */

static void add_service(const char *name, uint16_t port, const char *interface)
{
    struct tunnel_config *tunnel = &world.config.tunnel;
    struct tunnel_service *service = &tunnel->services[tunnel->n_services++];
    *service = (struct tunnel_service){.protocol = IPPROTO_TCP, .port = port};
    strcpy(service->name, name);
    if (!interface)
        return;
    service->is_behind = true;
    CU_ASSERT_EQUAL(ip_network_parse("192.168.10.5", &service->target), 0);
    strcpy(service->interface.text, interface);
}

static void begin(enum netd_approval approval)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    static unsigned number;
    char folder[32];
    (void)snprintf(folder, sizeof(folder), "journal-%u", number++);
    const struct journal_settings settings = {
        .folder = test_path(folder), .file_bytes = 1 << 20, .files = 2};
    const struct session_control_hooks hooks = {on_changed, on_opened, NULL};
    struct tunnel_config *tunnel = &world.config.tunnel;
    world = (struct world){.firewall_state = FIREWALL_LOCKED};
    tunnel->is_configured = true;
    tunnel->max_ttl_s = 3600;
    tunnel->idle_close_s = 600;
    tunnel->approval = (int)approval;
    tunnel->n_sources = 1;
    CU_ASSERT_EQUAL(ip_network_parse("10.254.0.0/24", &tunnel->sources[0]), 0);
    CU_ASSERT_EQUAL(ip_network_parse("10.254.1.42", &tunnel->address), 0);
    add_service("ssh", 22, NULL);
    add_service("plc1", 502, "eth1");
    CU_ASSERT_EQUAL_FATAL(sd_event_new(&world.loop), 0);
    CU_ASSERT_EQUAL_FATAL(journal_open(&settings, 1, &problem, &world.journal), 0);
    world.session_control =
        session_control_new(&world.config, world.journal, NULL, &hooks, world.loop);
}

static void end(void)
{
    session_control_free(world.session_control);
    journal_close(world.journal);
    sd_event_unref(world.loop);
}

/* Runs the loop for MILLISECONDS at most, until the session is in STATE. */
static void run_until(enum session_state state, int milliseconds)
{
    struct session_status status;
    for (int left = milliseconds; left > 0; left -= 20) {
        session_control_get_status(world.session_control, &status);
        if (status.state == state)
            return;
        CU_ASSERT_TRUE_FATAL(sd_event_run(world.loop, 20000) >= 0);
    }
    session_control_get_status(world.session_control, &status);
    TEST_TEXT_EQUAL(session_state_names[status.state], session_state_names[state]);
}

/* ---- Requests, and what became of them ---- */

static const char both[][SESSION_NAME_BYTES] = {"ssh", "plc1"};

static enum refusal open_as(const char *id, int64_t ttl_s)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    const struct session_control_request request = {.services = both,
                                                    .n_services = 2,
                                                    .ttl_s = ttl_s,
                                                    .opener = id ? "anna@plant-7" : "root",
                                                    .reason = "drive fault",
                                                    .id = id};
    return session_control_open(world.session_control, &request, &problem);
}

static void open_ready(int64_t ttl_s)
{
    CU_ASSERT_EQUAL(open_as(NULL, ttl_s), REFUSAL_NONE);
    world.opening.ready(world.opening.context);
}

static enum refusal close_as(const char *id)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    const struct session_control_asker asker = {.who = "root", .id = id};
    return session_control_close(world.session_control, SESSION_END_CLOSED_LOCALLY, &asker,
                                 &problem);
}

static enum refusal extend_by(int64_t ttl_s)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    const struct session_control_asker asker = {.who = "root"};
    return session_control_extend(world.session_control, ttl_s, &asker, "not done yet", &problem);
}

static void expect_state(enum session_state state)
{
    struct session_status status;
    session_control_get_status(world.session_control, &status);
    TEST_TEXT_EQUAL(session_state_names[status.state], session_state_names[state]);
}

/* The last event of the journal, with its members as text. */
static void expect_event(const char *expected)
{
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY, members = STRBUF_EMPTY;
    struct event event = {.n_members = 0};
    uint64_t cursor = 0, seq;
    bool starts_file;
    while (journal_read(world.journal, cursor, &line, &cursor, &starts_file) == 1) {
        CU_ASSERT_EQUAL_FATAL(event_text_read(line.data, line.length, &seq, &event), 0);
        strbuf_reset(&line);
    }
    event.n_members -= event.n_members > 0; /* without its hash */
    event_text_write_members(&event, &members);
    strbuf_addf(&line, "%s %s", event_name(&event), strbuf_text(&members));
    TEST_TEXT_EQUAL(strbuf_text(&line), expected);
}

/* From now on the disk takes nothing more, or does again. */
static void fill_disk(bool is_full)
{
    static struct rlimit before;
    struct rlimit limit = before;
    if (is_full) {
        (void)getrlimit(RLIMIT_FSIZE, &before);
        limit = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    }
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* ---- The cases ---- */

static void test_session(void)
{
    struct session_status status;
    begin(APPROVAL_NONE);
    CU_ASSERT_EQUAL(open_as("7f-1", 60), REFUSAL_NONE);
    expect_event("tunnel_opening id=7f-1 by=anna@plant-7 services=ssh,plc1 ttl_s=60 "
                 "purpose=\"drive fault\"");
    TEST_TEXT_EQUAL(world.done, "o");
    CU_ASSERT_EQUAL(world.answers, 0);
    world.opening.ready(world.opening.context);
    expect_event("tunnel_opened id=7f-1 by=anna@plant-7 services=ssh,plc1 ttl_s=60 "
                 "expires_in_s=60 purpose=\"drive fault\"");
    TEST_TEXT_EQUAL(world.done, "oa");
    CU_ASSERT_TRUE(world.answers == 1 && world.answer == REFUSAL_NONE);
    CU_ASSERT_TRUE(world.lease_ms > 59000 && world.lease_ms <= 60000);
    CU_ASSERT_EQUAL_FATAL(world.n_leases, 2);
    CU_ASSERT_EQUAL(world.leases[0].port, 22);
    TEST_TEXT_EQUAL(world.leases[0].interface, "");
    CU_ASSERT_EQUAL(world.leases[1].port, 502);
    TEST_TEXT_EQUAL(world.leases[1].interface, "eth1");
    session_control_get_status(world.session_control, &status);
    CU_ASSERT_TRUE(status.state == SESSION_OPEN && status.n_services == 2 && status.asked == 1);
    TEST_TEXT_EQUAL(status.services[1], "plc1");
    TEST_TEXT_EQUAL(status.opener, "anna@plant-7");
    TEST_TEXT_EQUAL(status.hub, "0.0.0.0:443");
    CU_ASSERT_TRUE(status.remaining_ms > 59000 && status.limit_left_ms > 3599000);
    world.payload = 4711;
    CU_ASSERT_EQUAL(close_as("7f-2"), REFUSAL_NONE);
    TEST_TEXT_EQUAL(world.done, "oarc"); /* the leases before the interface */
    expect_event("tunnel_closed id=7f-1 command_id=7f-2 by=root services=ssh,plc1 "
                 "reason=closed-locally bytes=4711");
    session_control_get_status(world.session_control, &status);
    CU_ASSERT_TRUE(status.state == SESSION_CLOSED && status.last_end == SESSION_END_CLOSED_LOCALLY);
    CU_ASSERT_TRUE(status.n_services == 0 && status.asked == 0 && !status.opener[0]);
    end();
}

static void test_refusals(void)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    static const char twice[][SESSION_NAME_BYTES] = {"ssh", "ssh"};
    struct session_control_request request = {
        .services = twice, .n_services = 2, .ttl_s = 60, .opener = "root", .reason = "test"};
    begin(APPROVAL_NONE);
    CU_ASSERT_EQUAL(session_control_open(world.session_control, &request, &problem),
                    REFUSAL_UNKNOWN_SERVICE);
    TEST_CONTAINS(strbuf_text(&problem), "named twice");
    expect_event("tunnel_refused by=root reason=unknown-service services=ssh,ssh ttl_s=60 "
                 "purpose=test");
    CU_ASSERT_EQUAL(open_as(NULL, 3601), REFUSAL_BAD_TTL);
    world.firewall_state = FIREWALL_TAMPERED;
    CU_ASSERT_EQUAL(open_as(NULL, 60), REFUSAL_TAMPERED);
    world.firewall_state = FIREWALL_LOCKED;
    CU_ASSERT_EQUAL(close_as(NULL), REFUSAL_NOT_OPEN);
    expect_event("tunnel_refused by=root reason=tampered services=ssh,plc1 ttl_s=60 "
                 "purpose=\"drive fault\""); /* that there was nothing to close is not recorded */
    CU_ASSERT_EQUAL(close_as("7f-3"), REFUSAL_NOT_OPEN);
    expect_event("tunnel_refused id=7f-3 by=root reason=not-open"); /* of a signed one it is */
    CU_ASSERT_EQUAL(extend_by(60), REFUSAL_NOT_OPEN);
    expect_event("tunnel_extension_refused by=root reason=not-open ttl_s=60 "
                 "purpose=\"not done yet\"");
    TEST_TEXT_EQUAL(world.done, "");
    open_ready(60);
    CU_ASSERT_EQUAL(open_as(NULL, 60), REFUSAL_ALREADY_OPEN);
    expect_state(SESSION_OPEN);
    end();
}

static void test_approval(void)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    begin(APPROVAL_LOCAL);
    CU_ASSERT_EQUAL(open_as("7f-1", 60), REFUSAL_NONE);
    CU_ASSERT_TRUE(session_control_is_waiting(world.session_control));
    expect_event("tunnel_waiting id=7f-1 by=anna@plant-7 services=ssh,plc1 ttl_s=60 "
                 "purpose=\"drive fault\"");
    CU_ASSERT_EQUAL(session_control_approve(world.session_control, 2, "root", &problem),
                    REFUSAL_NOT_APPROVED);
    expect_event("tunnel_approval_refused by=root reason=not-approved "
                 "detail=\"another request had taken the place of the one shown\"");
    TEST_TEXT_EQUAL(world.done, "");
    CU_ASSERT_EQUAL(session_control_approve(world.session_control, 1, "root", &problem),
                    REFUSAL_NONE);
    expect_event("tunnel_opening id=7f-1 by=root services=ssh,plc1 ttl_s=60 "
                 "purpose=\"drive fault\"");
    TEST_TEXT_EQUAL(world.done, "o");
    CU_ASSERT_EQUAL(session_control_approve(world.session_control, 1, "root", &problem),
                    REFUSAL_NOT_OPEN);
    end();
}

static void test_extension(void)
{
    struct session_status status;
    begin(APPROVAL_NONE);
    open_ready(60);
    CU_ASSERT_EQUAL(extend_by(1800), REFUSAL_NONE);
    expect_event("tunnel_extended by=root services=ssh,plc1 ttl_s=1800 expires_in_s=1800 "
                 "purpose=\"not done yet\"");
    TEST_TEXT_EQUAL(world.done, "oae");
    CU_ASSERT_TRUE(world.lease_ms > 1799000);
    session_control_get_status(world.session_control, &status);
    TEST_TEXT_EQUAL(status.reason, "drive fault"); /* what it was opened for stays */
    CU_ASSERT_EQUAL(extend_by(60), REFUSAL_BAD_TTL);
    CU_ASSERT_EQUAL(extend_by(3601), REFUSAL_BAD_TTL);
    world.extend_result = -EIO; /* the kernel keeps the old end: nobody may rely on the new one */
    CU_ASSERT_EQUAL(extend_by(3000), REFUSAL_FAILED);
    expect_event("tunnel_closed by=root services=ssh,plc1 reason=failed bytes=0 "
                 "detail=\"nft says no\"");
    expect_state(SESSION_CLOSED);
    end();
}

/* What widens is not done unless it is on record; what narrows is done all the same. */
static void test_full_disk(void)
{
    begin(APPROVAL_NONE);
    fill_disk(true);
    CU_ASSERT_EQUAL(open_as(NULL, 60), REFUSAL_JOURNAL);
    TEST_TEXT_EQUAL(world.done, "");
    expect_state(SESSION_CLOSED);
    fill_disk(false);
    CU_ASSERT_EQUAL(open_as(NULL, 60), REFUSAL_NONE);
    fill_disk(true);
    world.opening.ready(world.opening.context);
    TEST_TEXT_EQUAL(world.done, "orc"); /* no lease */
    CU_ASSERT_TRUE(world.answers == 1 && world.answer == REFUSAL_FAILED);
    TEST_TEXT_EQUAL(world.answer_text, "the journal cannot be written");
    fill_disk(false);
    open_ready(60);
    fill_disk(true);
    CU_ASSERT_EQUAL(extend_by(600), REFUSAL_JOURNAL);
    expect_state(SESSION_OPEN);
    CU_ASSERT_EQUAL(close_as(NULL), REFUSAL_NONE);
    expect_state(SESSION_CLOSED);
    CU_ASSERT_EQUAL(world.n_leases, 0);
    fill_disk(false);
    CU_ASSERT_EQUAL(open_as(NULL, 60), REFUSAL_NONE);
    end();
}

static void test_failures(void)
{
    begin(APPROVAL_NONE);
    world.lease_result = -EIO;
    open_ready(60);
    expect_event("tunnel_closed by=root services=ssh,plc1 reason=failed bytes=0 "
                 "detail=\"nft says no\"");
    CU_ASSERT_TRUE(world.answers == 1 && world.answer == REFUSAL_FAILED);
    TEST_TEXT_EQUAL(world.answer_text, "nft says no");
    world.lease_result = 0;
    CU_ASSERT_EQUAL(open_as(NULL, 60), REFUSAL_NONE);
    world.opening.failed(world.opening.context, SESSION_END_HUB_UNREACHABLE, "no route: hub");
    expect_event("tunnel_refused by=root services=ssh,plc1 reason=hub-unreachable "
                 "detail=\"no route: hub\"");
    CU_ASSERT_TRUE(world.answers == 2 && world.answer == REFUSAL_HUB_UNREACHABLE);
    TEST_TEXT_EQUAL(world.done, "oarcorc");
    end();
}

/* Its time is over, and what cannot be removed at once is tried again. */
static void test_expiry(void)
{
    begin(APPROVAL_NONE);
    open_ready(1);
    world.remove_result = -EIO;
    run_until(SESSION_CLOSING, 3000);
    expect_event("tunnel_closing by=root services=ssh,plc1 reason=expired bytes=0");
    CU_ASSERT_EQUAL(open_as(NULL, 60), REFUSAL_ALREADY_OPEN);
    world.remove_result = 0;
    run_until(SESSION_CLOSED, 3000);
    TEST_TEXT_EQUAL(world.done, "oarcrc");
    expect_event("tunnel_closed by=root services=ssh,plc1 reason=expired bytes=0");
    end();
}

static void test_idle(void)
{
    begin(APPROVAL_NONE);
    world.config.tunnel.idle_close_s = 1;
    world.session_control = session_control_free(world.session_control);
    const struct session_control_hooks hooks = {on_changed, on_opened, NULL};
    world.session_control =
        session_control_new(&world.config, world.journal, NULL, &hooks, world.loop);
    open_ready(60);
    for (int i = 0; i < 30; i++) { /* payload keeps it open */
        world.payload += 100;
        CU_ASSERT_TRUE_FATAL(sd_event_run(world.loop, 50000) >= 0);
    }
    expect_state(SESSION_OPEN);
    run_until(SESSION_CLOSED, 3000);
    CLEANUP(strbuf_free) struct strbuf expected = STRBUF_EMPTY;
    strbuf_addf(&expected, "tunnel_closed by=root services=ssh,plc1 reason=idle bytes=%llu",
                (unsigned long long)world.payload);
    expect_event(strbuf_text(&expected));
    end();
}

static void test_stop(void)
{
    begin(APPROVAL_NONE);
    open_ready(60);
    world.session_control = session_control_free(world.session_control);
    expect_event("tunnel_closed by=sallyport-netd services=ssh,plc1 reason=shutdown bytes=0");
    CU_ASSERT_EQUAL(world.n_leases, 0);
    end();
}

int main(void)
{
    static const struct test_case cases[] = {
        {"from the request to the end, each step on record", test_session},
        {"what is refused changes nothing, and is on record", test_refusals},
        {"the request that was shown is the one that is approved", test_approval},
        {"an extension holds in the kernel, or the session ends", test_extension},
        {"a full disk opens nothing and keeps nothing open", test_full_disk},
        {"what fails on the way leaves nothing behind", test_failures},
        {"the time runs out, and removing is tried again", test_expiry},
        {"without payload it closes", test_idle},
        {"a stop closes it", test_stop},
    };
    (void)signal(SIGXFSZ, SIG_IGN);
    return test_main("session_control", cases, sizeof(cases) / sizeof(cases[0]));
}

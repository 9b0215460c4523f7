/* Journal lines of netd as events, and what the relay hears. netd's client and the relay are fakes.
 */
#include "agent/netd/netd_watch.h"

#include "agent/base/descriptor.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

static struct {
    struct netd_client_callbacks callbacks;
    uint64_t position; /* that the client was started with */
    bool is_connected;
    char relay[128]; /* what the relay heard */
    bool is_full;    /* no event is taken */
    char event[64];  /* the last one */
    int64_t time_ms;
    unsigned changes;
} fake;

static struct netd_client *const client = (struct netd_client *)&fake; /* only the address counts */

int netd_client_new(const char *socket_path, uint64_t position,
                    const struct netd_client_callbacks *callbacks, sd_event *loop,
                    struct netd_client **ret_client)
{
    (void)loop;
    TEST_TEXT_EQUAL(socket_path, "/run/netd.sock");
    fake.position = position;
    fake.callbacks = *callbacks;
    *ret_client = client;
    return 0;
}

struct netd_client *netd_client_free(struct netd_client *freed)
{
    CU_ASSERT_PTR_EQUAL(freed, client);
    return NULL;
}

bool netd_client_is_connected(const struct netd_client *asked)
{
    CU_ASSERT_PTR_EQUAL(asked, client);
    return fake.is_connected;
}

const struct wire_status *netd_client_status(const struct netd_client *asked)
{
    (void)asked;
    return NULL;
}

const struct wire_counters *netd_client_counters(const struct netd_client *asked)
{
    (void)asked;
    return NULL;
}

static void hear(const char *what, const char *text)
{
    size_t used = strlen(fake.relay);
    (void)snprintf(fake.relay + used, sizeof(fake.relay) - used, "%s%s ", what, text);
}

void command_relay_netd(struct command_relay *relay, struct netd_client *netd, int64_t now_ms)
{
    (void)relay;
    CU_ASSERT_TRUE(now_ms > 0);
    CU_ASSERT_TRUE(netd == NULL || netd == client);
    hear("netd:", netd ? "came" : "went");
}

void command_relay_challenge(struct command_relay *relay, const char *challenge, int64_t now_ms)
{
    (void)relay;
    CU_ASSERT_TRUE(now_ms > 0);
    hear("challenge:", challenge);
}

void command_relay_signers(struct command_relay *relay, const struct wire_signers *signers)
{
    (void)relay;
    hear("signers:", !signers ? "unknown" : signers->n_keys == 2 ? "two" : "others");
}

void command_relay_answered(struct command_relay *relay, enum refusal refusal,
                            const struct wire_signed_reply *reply)
{
    (void)relay;
    CU_ASSERT_EQUAL(refusal, REFUSAL_REPLAYED);
    hear("answer:", reply->id);
}

static bool on_event(void *context, const struct event *event)
{
    (void)context;
    (void)snprintf(fake.event, sizeof(fake.event), "%s %s", event_name(event),
                   event_text(event, MEMBER_BY));
    fake.time_ms = event->time_ms;
    return !fake.is_full;
}

static void on_change(void *context)
{
    (void)context;
    fake.changes++;
}

static struct netd_watch *begin(void)
{
    const struct netd_watch_callbacks callbacks = {.event = on_event, .changed = on_change};
    const struct config_gateway config = {.netd_socket = (char *)"/run/netd.sock",
                                          .state_dir = (char *)test_folder()};
    struct netd_watch *watch = NULL;
    memset(&fake, 0, sizeof(fake));
    CU_ASSERT_EQUAL_FATAL(netd_watch_new(&config, NULL, &callbacks, NULL, &watch), 0);
    return watch;
}

static void say(uint64_t position)
{
    struct event event;
    event_init(&event, EVENT_TUNNEL_OPENED, INT64_C(1795363839412));
    event_add_text(&event, MEMBER_BY, "root");
    fake.event[0] = '\0';
    fake.callbacks.event(fake.callbacks.context, &event, position);
}

static void test_events(void)
{
    struct netd_watch *watch = begin();
    CU_ASSERT_EQUAL(fake.position, 0);
    say(123456789012);
    TEST_TEXT_EQUAL(fake.event, "tunnel_opened root");
    CU_ASSERT_EQUAL(fake.time_ms, INT64_C(1795363839412));
    netd_watch_free(watch);
    watch = begin();
    CU_ASSERT_EQUAL(fake.position, 123456789012);
    fake.is_full = true; /* what was not taken comes again after a restart */
    say(123456789099);
    TEST_TEXT_EQUAL(fake.event, "tunnel_opened root");
    netd_watch_free(watch);
    watch = begin();
    CU_ASSERT_EQUAL(fake.position, 123456789012);
    netd_watch_free(watch);
}

static void test_relay(void)
{
    static const struct wire_signers signers = {.n_keys = 2};
    const struct wire_signed_reply reply = {.id = "job-1"};
    struct netd_watch *watch = begin();
    fake.is_connected = true;
    fake.callbacks.changed(fake.callbacks.context);
    fake.callbacks.signers(fake.callbacks.context, &signers);
    fake.callbacks.challenge(fake.callbacks.context, "0a");
    fake.callbacks.answered(fake.callbacks.context, REFUSAL_REPLAYED, &reply);
    fake.callbacks.signers(fake.callbacks.context, NULL);
    fake.is_connected = false;
    fake.callbacks.changed(fake.callbacks.context);
    CU_ASSERT_EQUAL(fake.changes, 2);
    TEST_TEXT_EQUAL(fake.relay, "netd:came signers:two challenge:0a answer:job-1 signers:unknown "
                                "netd:went ");
    fake.relay[0] = '\0';
    CU_ASSERT_PTR_NULL(netd_watch_free(watch));
    TEST_TEXT_EQUAL(fake.relay, "netd:went ");
    CU_ASSERT_PTR_NULL(netd_watch_free(NULL));
}

TEST_MAIN("netd_watch", {"a journal line becomes an event, once across restarts", test_events},
          {"the relay hears netd come, ask, answer and go", test_relay})

/*
 * The firewall in the kernel, in a network of its own: leases and their time, loading again, trying
 * rules, tampering by another program, and the lockdown before the network.
 */
#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "tests/support/private_network.h"
#include "tests/support/test.h"
#include "tunnel/firewall/firewall_boot.h"
#include "tunnel/firewall/firewall_leases.h"
#include "tunnel/firewall/nft_run.h"
#include "tunnel/model/event_text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct seen {
    unsigned tampered, repaired, exposed, not_exposed;
    char detail[512]; /* of the last tampering or exposure */
};

static void on_tampered(void *context, const struct event *event)
{
    CLEANUP(strbuf_free) struct strbuf members = STRBUF_EMPTY;
    struct seen *seen = context;
    seen->tampered++;
    event_text_write_members(event, &members);
    (void)snprintf(seen->detail, sizeof(seen->detail), "%s", strbuf_text(&members));
}

static void on_repaired(void *context, const struct event *event)
{
    struct seen *seen = context;
    CU_ASSERT_EQUAL(event->kind, EVENT_FIREWALL_REPAIRED);
    CU_ASSERT_EQUAL(strlen(event_text(event, MEMBER_RULESET)), 64);
    seen->repaired++;
}

static void on_exposed(void *context, const struct event *event)
{
    struct seen *seen = context;
    if (event->kind == EVENT_FIREWALL_NOT_EXPOSED) {
        seen->not_exposed++;
        return;
    }
    CU_ASSERT_EQUAL(event->kind, EVENT_FIREWALL_EXPOSED);
    seen->exposed++;
    (void)snprintf(seen->detail, sizeof(seen->detail), "%s", event_text(event, MEMBER_PROBLEM));
}

/* ---- A firewall with a loop ---- */

struct rig {
    struct netd_config *config;
    struct firewall *firewall;
    struct seen seen;
    sd_event *loop;
    struct strbuf problem;
};

static struct netd_config *make_config(void)
{
    struct netd_config *config = memory_zeroed(1, sizeof(*config));
    strcpy(config->firewall.wan[0].text, "eth0");
    config->firewall.n_wan = 1;
    config->tunnel.is_configured = true;
    config->tunnel.mtu = 1420;
    CU_ASSERT_EQUAL(ip_network_parse("10.254.1.42", &config->tunnel.address), 0);
    CU_ASSERT_EQUAL(ip_network_parse("10.254.0.1", &config->tunnel.hub.address), 0);
    CU_ASSERT_EQUAL(ip_network_parse("10.254.0.0/24", &config->tunnel.sources[0]), 0);
    config->tunnel.n_sources = 1;
    return config;
}

static void start(struct rig *rig)
{
    const struct firewall_hooks hooks = {on_tampered, on_repaired, on_exposed, &rig->seen};
    CU_ASSERT_EQUAL_FATAL(sd_event_new(&rig->loop), 0);
    rig->firewall = firewall_new(rig->config, &hooks);
    int result = firewall_start(rig->firewall, &rig->problem);
    if (result < 0)
        printf("%s\n", strbuf_text(&rig->problem));
    CU_ASSERT_EQUAL_FATAL(result, 0);
    CU_ASSERT_EQUAL_FATAL(firewall_watch(rig->firewall, rig->loop), 0);
}

static void stop(struct rig *rig)
{
    (void)firewall_remove_leases(rig->firewall, &rig->problem);
    firewall_free(rig->firewall);
    sd_event_unref(rig->loop);
    strbuf_free(&rig->problem);
    free(rig->config);
}

static enum firewall_state state(const struct rig *rig)
{
    struct firewall_posture posture;
    firewall_get_posture(rig->firewall, &posture);
    return posture.state;
}

/* Runs the loop until the hooks were called COUNT times, or LIMIT_MS have passed. */
static void run_until_tampered(struct rig *rig, unsigned count, int limit_ms)
{
    int64_t deadline_ns = clock_mono_ns() + limit_ms * CLOCK_NS_PER_MS;
    while (rig->seen.tampered < count && clock_mono_ns() < deadline_ns)
        CU_ASSERT_TRUE_FATAL(sd_event_run(rig->loop, 50000) >= 0);
}

static struct firewall_lease lease(const char *source, uint16_t port)
{
    struct firewall_lease lease = {.protocol = IPPROTO_TCP, .port = port};
    CU_ASSERT_EQUAL(ip_network_parse(source, &lease.source), 0);
    CU_ASSERT_EQUAL(ip_network_parse("10.254.1.42", &lease.destination), 0);
    return lease;
}

static void add(struct rig *rig, int64_t timeout_ms)
{
    const struct firewall_lease leases[] = {lease("10.254.0.0/24", 22), lease("10.254.0.7", 22)};
    CU_ASSERT_EQUAL_FATAL(firewall_add_leases(rig->firewall, leases, 2, timeout_ms, &rig->problem),
                          0);
}

static int count_leases(struct rig *rig, struct firewall_lease_state *first)
{
    struct firewall_lease_state leases[FIREWALL_MAX_LEASES] = {0};
    int n = firewall_list_leases(rig->firewall, leases, ARRAY_LENGTH(leases));
    if (first)
        *first = leases[0];
    return n;
}

static bool table_contains(const char *text)
{
    CLEANUP(strbuf_free) struct strbuf listing = STRBUF_EMPTY, problem = STRBUF_EMPTY;
    return nft_run_list_table(FIREWALL_TABLE, &listing, &problem) == 0 &&
           strstr(strbuf_text(&listing), text);
}

/* ---- Leases ---- */

static void test_lease(void)
{
    struct rig rig = {.config = make_config()};
    struct firewall_lease_state first;
    start(&rig);
    CU_ASSERT_EQUAL(state(&rig), FIREWALL_LOCKED);
    CU_ASSERT_EQUAL(count_leases(&rig, NULL), 0);
    add(&rig, 5000);
    CU_ASSERT_EQUAL(count_leases(&rig, &first), 1); /* the second lies inside the first */
    CU_ASSERT_TRUE(first.remaining_ms > 0 && first.remaining_ms <= 5000);
    CU_ASSERT_EQUAL(firewall_extend_leases(rig.firewall, 60000, &rig.problem), 0);
    CU_ASSERT_EQUAL(count_leases(&rig, &first), 1);
    CU_ASSERT_TRUE(first.remaining_ms > 5000 && first.remaining_ms <= 60000);
    CU_ASSERT_EQUAL(firewall_verify(rig.firewall), 0);
    CU_ASSERT_EQUAL(firewall_remove_leases(rig.firewall, &rig.problem), 0);
    CU_ASSERT_EQUAL(count_leases(&rig, NULL), 0);
    CU_ASSERT_EQUAL(firewall_remove_leases(rig.firewall, &rig.problem), 0);
    CU_ASSERT_EQUAL(firewall_verify(rig.firewall), 0);
    CU_ASSERT_EQUAL(rig.seen.tampered, 0);
    stop(&rig);
}

static void test_lease_runs_out(void)
{
    struct rig rig = {.config = make_config()};
    start(&rig);
    add(&rig, 300);
    CU_ASSERT_EQUAL(count_leases(&rig, NULL), 1);
    int64_t deadline_ns = clock_mono_ns() + 5 * CLOCK_NS_PER_S;
    while (count_leases(&rig, NULL) == 1 && clock_mono_ns() < deadline_ns)
        (void)poll(NULL, 0, 20);
    CU_ASSERT_EQUAL(count_leases(&rig, NULL), 0);
    CU_ASSERT_EQUAL(firewall_verify(rig.firewall), 0); /* no tampering: its time was over */
    CU_ASSERT_EQUAL(firewall_extend_leases(rig.firewall, 60000, &rig.problem), 0);
    CU_ASSERT_EQUAL(count_leases(&rig, NULL), 0); /* over is over */
    stop(&rig);
}

static void test_refused_leases(void)
{
    struct rig rig = {.config = make_config()};
    struct firewall_lease good = lease("10.254.0.7", 22),
                          bad[6] = {good, good, good, good, good, good};
    start(&rig);
    bad[0].port = 0;
    bad[1].protocol = IPPROTO_ICMP;
    bad[2].source.family = AF_UNSPEC;
    CU_ASSERT_EQUAL(ip_network_parse("10.254.1.0/24", &bad[3].destination), 0);
    strcpy(bad[4].interface, "eth\"0");
    strcpy(bad[5].interface, "eth*");
    for (size_t i = 0; i < 6; i++)
        CU_ASSERT_EQUAL(firewall_add_leases(rig.firewall, &bad[i], 1, 1000, &rig.problem), -EINVAL);
    CU_ASSERT_EQUAL(firewall_add_leases(rig.firewall, &good, 1, 0, &rig.problem), -EINVAL);
    CU_ASSERT_EQUAL(firewall_add_leases(rig.firewall, &good, 1, -1, &rig.problem), -EINVAL);
    CU_ASSERT_EQUAL(count_leases(&rig, NULL), 0);
    stop(&rig);
}

/* Every service for every source, given and given again: a set must not fill up with what ended. */
static void test_many_leases(void)
{
    struct rig rig = {.config = make_config()};
    struct firewall_lease leases[FIREWALL_MAX_LEASES];
    char source[32];
    start(&rig);
    for (size_t i = 0; i < FIREWALL_MAX_LEASES; i++) {
        (void)snprintf(source, sizeof(source), "10.254.%zu.0/24", i % NETD_MAX_SOURCES);
        leases[i] = lease(source, (uint16_t)(1000 + i / NETD_MAX_SOURCES));
    }
    for (unsigned round = 0; round < 3; round++) {
        CU_ASSERT_EQUAL(
            firewall_add_leases(rig.firewall, leases, FIREWALL_MAX_LEASES, 60000, &rig.problem), 0);
        CU_ASSERT_EQUAL(firewall_add_leases(rig.firewall, leases, 1, 60000, &rig.problem), -E2BIG);
        for (unsigned i = 0; i < 3; i++)
            CU_ASSERT_EQUAL(firewall_extend_leases(rig.firewall, 90000, &rig.problem), 0);
        CU_ASSERT_EQUAL(count_leases(&rig, NULL), FIREWALL_MAX_LEASES);
        CU_ASSERT_EQUAL(firewall_try(rig.firewall, rig.config, &rig.problem), 0);
        CU_ASSERT_EQUAL(firewall_confirm(rig.firewall), 0);
        CU_ASSERT_EQUAL(count_leases(&rig, NULL), FIREWALL_MAX_LEASES);
        CU_ASSERT_EQUAL(firewall_verify(rig.firewall), 0);
        CU_ASSERT_EQUAL(firewall_remove_leases(rig.firewall, &rig.problem), 0);
    }
    stop(&rig);
}

/* An element that somebody slipped in is not taken for ours because ours is extended. */
static void test_extending_adopts_nothing(void)
{
    struct rig rig = {.config = make_config()};
    struct firewall_lease_state first;
    start(&rig);
    add(&rig, 60000);
    CU_ASSERT_EQUAL(test_nft("add element inet sallyport lease_in "
                             "{ \"spt0\" . 10.254.0.9 . 10.254.1.42 . tcp . 23 timeout 1h }\n"),
                    0);
    CU_ASSERT_EQUAL(firewall_extend_leases(rig.firewall, 70000, &rig.problem), 0);
    CU_ASSERT_EQUAL(count_leases(&rig, &first), 1);
    CU_ASSERT_EQUAL(first.lease.port, 22);
    stop(&rig);
}

static void test_leftovers(void)
{
    struct rig rig = {.config = make_config()};
    start(&rig);
    add(&rig, 60000);
    struct firewall *next = firewall_new(rig.config, NULL); /* as if this process had been killed */
    CU_ASSERT_EQUAL(firewall_start(next, &rig.problem), 1);
    CU_ASSERT_EQUAL(count_leases(&rig, NULL), 0);
    firewall_free(next);
    stop(&rig);
}

/* ---- apply ---- */

static void test_try(void)
{
    struct rig rig = {.config = make_config()};
    struct netd_config *fresh = make_config();
    struct firewall_lease_state before, after;
    start(&rig);
    add(&rig, 60000);
    CU_ASSERT_EQUAL(count_leases(&rig, &before), 1);
    fresh->firewall.n_exceptions = 1;
    fresh->firewall.exceptions[0] = (struct firewall_exception){
        .interface = {"eth7"}, .protocol = IPPROTO_TCP, .port = 22, .last_port = 22};
    CU_ASSERT_EQUAL(ip_network_parse("192.168.10.20", &fresh->firewall.exceptions[0].source), 0);
    CU_ASSERT_EQUAL(firewall_confirm(rig.firewall), -ENOENT);
    CU_ASSERT_EQUAL(firewall_rollback(rig.firewall, &rig.problem), -ENOENT);
    CU_ASSERT_EQUAL(firewall_try(rig.firewall, fresh, &rig.problem), 0);
    CU_ASSERT_EQUAL(state(&rig), FIREWALL_EXCEPTED);
    CU_ASSERT_TRUE(table_contains("iifname \"eth7\""));
    CU_ASSERT_EQUAL(count_leases(&rig, &after), 1);
    CU_ASSERT_TRUE(after.remaining_ms > 0 && after.remaining_ms <= before.remaining_ms);
    CU_ASSERT_EQUAL(firewall_rollback(rig.firewall, &rig.problem), 0);
    CU_ASSERT_FALSE(table_contains("iifname \"eth7\""));
    CU_ASSERT_EQUAL(state(&rig), FIREWALL_LOCKED);
    CU_ASSERT_EQUAL(count_leases(&rig, &before), 1);
    CU_ASSERT_TRUE(before.remaining_ms > 0 && before.remaining_ms <= after.remaining_ms);
    CU_ASSERT_EQUAL(firewall_try(rig.firewall, fresh, &rig.problem), 0);
    CU_ASSERT_EQUAL(firewall_confirm(rig.firewall), 0);
    CU_ASSERT_EQUAL(firewall_rollback(rig.firewall, &rig.problem), -ENOENT);
    CU_ASSERT_TRUE(table_contains("iifname \"eth7\""));
    CU_ASSERT_EQUAL(firewall_verify(rig.firewall), 0);
    CU_ASSERT_EQUAL(rig.seen.tampered, 0);
    stop(&rig);
    free(fresh);
}

static void knock(void)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(0x0afe0209)}};
    int socket_ = socket(AF_INET, SOCK_DGRAM, 0);
    CU_ASSERT_EQUAL(sendto(socket_, "x", 1, 0, (const struct sockaddr *)&to, sizeof(to)), -1);
    (void)close(socket_);
}

/* A packet that strict egress drops is counted, and stays counted when the rules are replaced. */
static void test_counters(void)
{
    struct rig rig = {.config = make_config()};
    struct firewall_counters first, second;
    rig.config->firewall.egress = EGRESS_STRICT;
    CU_ASSERT_EQUAL(
        test_ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth0-far", NULL), 0);
    CU_ASSERT_EQUAL(test_ip("addr", "add", "10.254.2.1/24", "dev", "eth0", NULL), 0);
    CU_ASSERT_EQUAL(test_ip("link", "set", "eth0", "up", NULL), 0);
    start(&rig);
    knock();
    CU_ASSERT_EQUAL(firewall_get_counters(rig.firewall, &first), 0);
    CU_ASSERT_TRUE(first.dropped_out >= 1);
    CU_ASSERT_EQUAL(firewall_try(rig.firewall, rig.config, &rig.problem), 0);
    CU_ASSERT_EQUAL(firewall_get_counters(rig.firewall, &second), 0);
    CU_ASSERT_TRUE(second.dropped_out >= first.dropped_out);
    knock();
    CU_ASSERT_EQUAL(firewall_get_counters(rig.firewall, &second), 0);
    CU_ASSERT_TRUE(second.dropped_out > first.dropped_out);
    stop(&rig);
    CU_ASSERT_EQUAL(test_ip("link", "del", "eth0", NULL), 0);
}

static void test_strict_egress(void)
{
    struct rig rig = {.config = make_config()};
    struct sockaddr_storage hub = {0};
    *(struct sockaddr_in *)&hub = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(443), .sin_addr = {htonl(0xcb007107)}};
    struct egress_lease names[2] = {{.protocol = IPPROTO_TCP, .port = 8883, .remaining_ms = 60000},
                                    {.protocol = IPPROTO_UDP, .port = 443, .remaining_ms = 90000}};
    CU_ASSERT_EQUAL(ip_network_parse("2001:db8::7", &names[0].destination), 0);
    CU_ASSERT_EQUAL(ip_network_parse("203.0.113.8", &names[1].destination), 0);
    rig.config->firewall.egress = EGRESS_STRICT;
    start(&rig);
    CU_ASSERT_EQUAL(firewall_allow_hub(rig.firewall, &hub, 60000), 0);
    CU_ASSERT_EQUAL(firewall_set_egress(rig.firewall, names, 2, &rig.problem), 0);
    names[0].remaining_ms = 90000;
    CU_ASSERT_EQUAL(firewall_set_egress(rig.firewall, names, 1, &rig.problem), 0);
    CU_ASSERT_FALSE(table_contains("203.0.113.8"));
    CU_ASSERT_TRUE(table_contains("203.0.113.7 . udp . 443 timeout"));
    CU_ASSERT_TRUE(table_contains("2001:db8::7 . tcp . 8883 timeout 1m30s"));
    CU_ASSERT_EQUAL(firewall_verify(rig.firewall), 0);
    CU_ASSERT_EQUAL(firewall_try(rig.firewall, rig.config, &rig.problem), 0); /* a reload keeps */
    CU_ASSERT_TRUE(table_contains("203.0.113.7 . udp . 443 timeout"));
    CU_ASSERT_EQUAL(firewall_forget_hub(rig.firewall), 0);
    CU_ASSERT_EQUAL(firewall_forget_hub(rig.firewall), 0);
    CU_ASSERT_FALSE(table_contains("203.0.113.7"));
    CU_ASSERT_TRUE(table_contains("2001:db8::7"));
    CU_ASSERT_EQUAL(firewall_allow_hub(rig.firewall, &hub, 0), -EINVAL);
    hub.ss_family = AF_UNIX;
    CU_ASSERT_EQUAL(firewall_allow_hub(rig.firewall, &hub, 1000), -EINVAL);
    CU_ASSERT_EQUAL(firewall_verify(rig.firewall), 0);
    stop(&rig);
}

/* A repair ends what a session had. What names gave stays, or the broker would be out of reach. */
static void test_repair_keeps_egress(void)
{
    struct rig rig = {.config = make_config()};
    struct sockaddr_storage hub = {0};
    *(struct sockaddr_in *)&hub = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(443), .sin_addr = {htonl(0xcb007107)}};
    struct egress_lease name = {.protocol = IPPROTO_TCP, .port = 8883, .remaining_ms = 60000};
    CU_ASSERT_EQUAL(ip_network_parse("203.0.113.9", &name.destination), 0);
    rig.config->firewall.egress = EGRESS_STRICT;
    start(&rig);
    CU_ASSERT_EQUAL(firewall_allow_hub(rig.firewall, &hub, 60000), 0);
    CU_ASSERT_EQUAL(firewall_set_egress(rig.firewall, &name, 1, &rig.problem), 0);
    CU_ASSERT_EQUAL(test_nft("flush ruleset\n"), 0);
    run_until_tampered(&rig, 1, 10000);
    CU_ASSERT_EQUAL(rig.seen.repaired, 1);
    CU_ASSERT_TRUE(table_contains("203.0.113.9 . tcp . 8883 timeout"));
    CU_ASSERT_FALSE(table_contains("203.0.113.7"));
    CU_ASSERT_EQUAL(test_nft("flush set inet sallyport egress4\n"), 0);
    run_until_tampered(&rig, 2, 10000);
    TEST_CONTAINS(rig.seen.detail, "table=lease-lost");
    CU_ASSERT_TRUE(table_contains("203.0.113.9 . tcp . 8883 timeout"));
    CU_ASSERT_EQUAL(test_nft("add element inet sallyport egress4 "
                             "{ 198.51.100.1 . tcp . 80 timeout 1h }\n"),
                    0);
    run_until_tampered(&rig, 3, 10000);
    TEST_CONTAINS(rig.seen.detail, "table=lease-widened");
    CU_ASSERT_FALSE(table_contains("198.51.100.1"));
    stop(&rig);
}

/* All that can be leased at once, renewed again and again; and a name that has the hub's place. */
static void test_much_egress(void)
{
    struct rig rig = {.config = make_config()};
    struct egress_lease leases[FIREWALL_MAX_EGRESS];
    struct sockaddr_storage hub = {0};
    *(struct sockaddr_in *)&hub = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(443), .sin_addr = {htonl(0xcb007107)}};
    rig.config->firewall.egress = EGRESS_STRICT;
    start(&rig);
    for (size_t i = 0; i < FIREWALL_MAX_EGRESS; i++) {
        leases[i] = (struct egress_lease){.protocol = i % 2 ? IPPROTO_TCP : IPPROTO_UDP,
                                          .port = (uint16_t)(443 + i / 2),
                                          .remaining_ms = 60000};
        CU_ASSERT_EQUAL(ip_network_parse("203.0.113.7", &leases[i].destination), 0);
    }
    for (unsigned round = 0; round < 6; round++)
        CU_ASSERT_EQUAL(
            firewall_set_egress(rig.firewall, leases, FIREWALL_MAX_EGRESS, &rig.problem), 0);
    CU_ASSERT_EQUAL(firewall_verify(rig.firewall), 0);
    CU_ASSERT_EQUAL(firewall_allow_hub(rig.firewall, &hub, 60000), 0); /* the place is there */
    CU_ASSERT_EQUAL(firewall_forget_hub(rig.firewall), 0);
    CU_ASSERT_TRUE(table_contains("203.0.113.7 . udp . 443 timeout"));
    ((struct sockaddr_in *)&hub)->sin_port = htons(9);
    CU_ASSERT_EQUAL(firewall_allow_hub(rig.firewall, &hub, 60000), -E2BIG);
    CU_ASSERT_EQUAL(firewall_set_egress(rig.firewall, leases, 2, &rig.problem), 0);
    CU_ASSERT_EQUAL(firewall_allow_hub(rig.firewall, &hub, 60000), 0);
    CU_ASSERT_EQUAL(firewall_verify(rig.firewall), 0);
    stop(&rig);
}

/* Rules on trial that do not know egress leases, and the way back. */
static void test_egress_through_a_trial(void)
{
    struct rig rig = {.config = make_config()};
    struct netd_config *fresh = make_config();
    struct egress_lease name = {.protocol = IPPROTO_TCP, .port = 8883, .remaining_ms = 60000};
    CU_ASSERT_EQUAL(ip_network_parse("203.0.113.9", &name.destination), 0);
    rig.config->firewall.egress = EGRESS_STRICT;
    start(&rig);
    CU_ASSERT_EQUAL(firewall_set_egress(rig.firewall, &name, 1, &rig.problem), 0);
    CU_ASSERT_EQUAL(firewall_try(rig.firewall, fresh, &rig.problem), 0);
    CU_ASSERT_EQUAL(firewall_set_egress(rig.firewall, &name, 1, &rig.problem), 0); /* nothing */
    CU_ASSERT_EQUAL(firewall_verify(rig.firewall), 0);
    CU_ASSERT_EQUAL(firewall_rollback(rig.firewall, &rig.problem), 0);
    CU_ASSERT_EQUAL(firewall_verify(rig.firewall), 0);
    strcpy(fresh->firewall.wan[0].text, "x\"");
    CU_ASSERT_EQUAL(firewall_set_egress(rig.firewall, &name, 1, &rig.problem), 0);
    CU_ASSERT_TRUE(firewall_try(rig.firewall, fresh, &rig.problem) < 0); /* nft refuses it */
    CU_ASSERT_EQUAL(firewall_verify(rig.firewall), 0);
    CU_ASSERT_TRUE(table_contains("203.0.113.9 . tcp . 8883 timeout"));
    CU_ASSERT_EQUAL(rig.seen.tampered, 0);
    stop(&rig);
    free(fresh);
}

/* ---- Tampering ---- */

/* Does it, and expects that it is noticed, undone and latched, that a lease ends, and that ON SITE
 * somebody can end the latch. */
static void expect_tampering(const char *nft, const char *table, const char *program)
{
    struct rig rig = {.config = make_config()};
    const struct firewall_lease one = lease("10.254.0.7", 80);
    struct firewall_posture posture;
    char expected[64];
    start(&rig);
    add(&rig, 60000);
    CU_ASSERT_EQUAL_FATAL(test_nft(nft), 0);
    run_until_tampered(&rig, 1, 10000);
    CU_ASSERT_EQUAL(rig.seen.tampered, 1);
    CU_ASSERT_EQUAL(rig.seen.repaired, 1);
    (void)snprintf(expected, sizeof(expected), "%s", table);
    TEST_CONTAINS(rig.seen.detail, expected);
    (void)snprintf(expected, sizeof(expected), "program=%s", program);
    TEST_CONTAINS(rig.seen.detail, expected);
    TEST_CONTAINS(rig.seen.detail, "pid=");
    firewall_get_posture(rig.firewall, &posture);
    CU_ASSERT_EQUAL(posture.state, FIREWALL_TAMPERED);
    CU_ASSERT_EQUAL(posture.reloads, 1);
    CU_ASSERT_EQUAL(posture.leases, 0);
    TEST_TEXT_EQUAL(posture.changed_by, program);
    CU_ASSERT_TRUE(posture.changed_by_pid > 0);
    CU_ASSERT_TRUE(table_contains("hook input priority filter - 5; policy drop;"));
    CU_ASSERT_EQUAL(count_leases(&rig, NULL), 0);
    CU_ASSERT_EQUAL(firewall_add_leases(rig.firewall, &one, 1, 1000, &rig.problem), -ETXTBSY);
    CU_ASSERT_EQUAL(firewall_verify(rig.firewall), 0);
    CU_ASSERT_EQUAL(state(&rig), FIREWALL_TAMPERED); /* repaired is not acknowledged */
    CU_ASSERT_EQUAL(firewall_acknowledge(rig.firewall, &rig.problem), 0);
    CU_ASSERT_EQUAL(state(&rig), FIREWALL_LOCKED);
    CU_ASSERT_EQUAL(firewall_add_leases(rig.firewall, &one, 1, 1000, &rig.problem), 0);
    CU_ASSERT_EQUAL(firewall_verify(rig.firewall), 0);
    CU_ASSERT_EQUAL(rig.seen.tampered, 1);
    stop(&rig);
}

static void test_tampering(void)
{
    expect_tampering("flush ruleset\n", "table=missing", "nft");
    expect_tampering("delete table inet sallyport\n", "table=missing", "nft");
    expect_tampering("flush chain inet sallyport input_lock\n", "table=changed", "nft");
    expect_tampering("insert rule inet sallyport input_lock tcp dport 22 accept\n", "table=changed",
                     "nft");
    expect_tampering("add chain inet sallyport input_lock { policy accept; }\n", "table=changed",
                     "nft");
    expect_tampering("add table inet sallyport { flags dormant; }\n", "table=changed", "nft");
    expect_tampering("add element inet sallyport lease_in "
                     "{ \"spt0\" . 10.254.0.0/24 . 10.254.1.42 . tcp . 23 timeout 1h }\n",
                     "table=lease-widened", "nft");
    expect_tampering("flush set inet sallyport lease_in\n"
                     "add element inet sallyport lease_in "
                     "{ \"spt0\" . 10.254.0.0/24 . 10.254.1.42 . tcp . 22 timeout 1h }\n",
                     "table=lease-widened", "nft");
    expect_tampering("add element inet sallyport lease_in "
                     "{ \"spt0\" . 10.254.0.0/24 . 10.254.1.42 . tcp . 23 }\n",
                     "table=changed", "nft");
    expect_tampering("flush set inet sallyport lease_in\n", "table=lease-lost", "nft");
}

static void test_device_hook(void)
{
    expect_tampering("table netdev other {\n"
                     "chain in {\ntype filter hook ingress device lo priority 0; policy accept;\n"
                     "}\n}\n",
                     "new_hook=\"table netdev other", "nft");
    CU_ASSERT_EQUAL(test_nft("delete table netdev other\n"), 0);
}

/* What others do with their own tables is no business of ours. */
static void test_others(void)
{
    struct rig rig = {.config = make_config()};
    start(&rig);
    add(&rig, 60000);
    CU_ASSERT_EQUAL(test_nft("table ip docker {\nchain nat {\n"
                             "type nat hook prerouting priority dstnat; policy accept;\n"
                             "tcp dport 8080 dnat to 172.17.0.2:80\n}\n}\n"),
                    0);
    run_until_tampered(&rig, 1, 2500);
    CU_ASSERT_EQUAL(rig.seen.tampered, 0);
    CU_ASSERT_EQUAL(count_leases(&rig, NULL), 1);
    CU_ASSERT_EQUAL(firewall_verify(rig.firewall), 0);
    CU_ASSERT_EQUAL(test_nft("delete table ip docker\n"), 0);
    stop(&rig);
}

static int write_sysctl(const char *value)
{
    int file = open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC);
    bool done = file >= 0 && write(file, value, strlen(value)) > 0;
    (void)close(file);
    return done ? 0 : -1;
}

/* Runs the loop until *COUNT is no longer 0. */
static void run_until(struct rig *rig, const unsigned *count)
{
    int64_t deadline_ns = clock_mono_ns() + 10 * CLOCK_NS_PER_S;
    while (*count == 0 && clock_mono_ns() < deadline_ns)
        CU_ASSERT_TRUE_FATAL(sd_event_run(rig->loop, 50000) >= 0);
}

/* Rules cannot mend an interface that nobody has put on a side: it is told, and it is no tampering.
 */
static void test_exposed(void)
{
    struct rig rig = {.config = make_config()};
    struct firewall_posture posture;
    CU_ASSERT_EQUAL(test_ip("link", "add", "eth9", "type", "bridge", NULL), 0);
    CU_ASSERT_EQUAL(test_ip("link", "set", "eth9", "up", NULL), 0);
    start(&rig);
    firewall_get_posture(rig.firewall, &posture); /* at once, before the first look of the loop */
    CU_ASSERT_EQUAL(posture.state, FIREWALL_EXPOSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(posture.problem, "eth9 is neither"));
    run_until(&rig, &rig.seen.exposed);
    CU_ASSERT_EQUAL(rig.seen.exposed, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.seen.detail, "eth9 is neither"));
    CU_ASSERT_EQUAL(firewall_verify(rig.firewall), 0); /* the rules are what they should be */
    CU_ASSERT_EQUAL(test_ip("link", "del", "eth9", NULL), 0);
    run_until(&rig, &rig.seen.not_exposed);
    CU_ASSERT_EQUAL(rig.seen.not_exposed, 1);
    CU_ASSERT_EQUAL(state(&rig), FIREWALL_LOCKED);
    CU_ASSERT_EQUAL(rig.seen.exposed, 1);
    CU_ASSERT_EQUAL(rig.seen.tampered, 0);
    stop(&rig);
}

static void test_forwarding(void)
{
    struct rig rig = {.config = make_config()};
    char digit = '?';
    start(&rig);
    add(&rig, 60000);
    CU_ASSERT_EQUAL_FATAL(write_sysctl("1\n"), 0);
    run_until_tampered(&rig, 1, 10000);
    CU_ASSERT_EQUAL(rig.seen.tampered, 1);
    TEST_CONTAINS(rig.seen.detail, "loosened=net/ipv4/ip_forward to=1 set_back=yes");
    CU_ASSERT_EQUAL(state(&rig), FIREWALL_TAMPERED);
    CU_ASSERT_EQUAL(count_leases(&rig, NULL), 0);
    int file = open("/proc/sys/net/ipv4/ip_forward", O_RDONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL(read(file, &digit, 1), 1);
    (void)close(file);
    CU_ASSERT_EQUAL(digit, '0');
    stop(&rig);
}

/* So many chains that a list of them is longer than is read: no hook at a device can be seen. */
static void add_many_chains(void)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    for (unsigned i = 0; i < 2500; i++)
        strbuf_addf(&text, "add chain ip crowd a_chain_%0120u\n", i);
    CU_ASSERT_EQUAL_FATAL(test_nft("table ip crowd {\n}\n"), 0);
    CU_ASSERT_EQUAL_FATAL(test_nft(strbuf_text(&text)), 0);
}

/* What others pile up does not hide a change of ours, and what cannot be seen opens nothing. */
static void test_crowd(void)
{
    struct rig rig = {.config = make_config()};
    const struct firewall_lease one = lease("10.254.0.7", 80);
    start(&rig);
    add_many_chains();
    CU_ASSERT_EQUAL(firewall_add_leases(rig.firewall, &one, 1, 60000, &rig.problem), -E2BIG);
    CU_ASSERT_EQUAL(count_leases(&rig, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(test_nft("flush chain inet sallyport input_lock\n"), 0);
    run_until_tampered(&rig, 1, 10000);
    CU_ASSERT_EQUAL(rig.seen.tampered, 1);
    TEST_CONTAINS(rig.seen.detail, "table=changed");
    CU_ASSERT_TRUE(table_contains("jump neighbours"));
    CU_ASSERT_EQUAL(test_nft("delete table ip crowd\n"), 0);
    CU_ASSERT_EQUAL(firewall_acknowledge(rig.firewall, &rig.problem), 0);
    CU_ASSERT_EQUAL(firewall_add_leases(rig.firewall, &one, 1, 60000, &rig.problem), 0);
    stop(&rig);
}

/* From now on nft refuses what is made of this configuration. */
static void spoil(struct netd_config *config)
{
    strcpy(config->firewall.wan[0].text, "no\"name");
}

/* Ours cannot be loaded again: the built-in rules stand in for a table that is gone. */
static void test_panic_instead(void)
{
    struct rig rig = {.config = make_config()};
    start(&rig);
    add(&rig, 60000);
    spoil(rig.config);
    CU_ASSERT_EQUAL_FATAL(test_nft("delete table inet sallyport\n"), 0);
    run_until_tampered(&rig, 1, 10000);
    CU_ASSERT_EQUAL(rig.seen.tampered, 1);
    CU_ASSERT_EQUAL(rig.seen.repaired, 0);
    CU_ASSERT_TRUE(table_contains("hook input priority filter - 5; policy drop;"));
    strcpy(rig.config->firewall.wan[0].text, "eth0");
    run_until_tampered(&rig, 2, 3000); /* and ours comes back as soon as it can */
    CU_ASSERT_EQUAL(rig.seen.repaired, 1);
    CU_ASSERT_TRUE(table_contains("wan_0"));
    stop(&rig);
}

/* The same with a table that is as it was: its leases go. */
static void test_no_lease_without_repair(void)
{
    struct rig rig = {.config = make_config()};
    start(&rig);
    add(&rig, 60000);
    spoil(rig.config);
    CU_ASSERT_EQUAL_FATAL(write_sysctl("1\n"), 0);
    run_until_tampered(&rig, 1, 10000);
    CU_ASSERT_EQUAL(rig.seen.tampered, 1);
    CU_ASSERT_EQUAL(count_leases(&rig, NULL), 0);
    CU_ASSERT_TRUE(table_contains("hook input priority filter - 5; policy drop;"));
    stop(&rig);
}

/* Nor does a start with rules that cannot be loaded leave the machine open. */
static void test_start_fails_closed(void)
{
    struct rig rig = {.config = make_config()};
    CU_ASSERT_EQUAL(test_nft("flush ruleset\n"), 0);
    spoil(rig.config);
    rig.firewall = firewall_new(rig.config, NULL);
    CU_ASSERT_TRUE(firewall_start(rig.firewall, &rig.problem) < 0);
    CU_ASSERT_TRUE(table_contains("hook input priority filter - 5; policy drop;"));
    firewall_free(rig.firewall);
    strbuf_free(&rig.problem);
    free(rig.config);
}

/* Runs the loop until our table is as often loaded again as REPAIRS says. */
static void run_until_repaired(struct rig *rig, uint32_t repairs, int limit_ms)
{
    struct firewall_posture posture = {0};
    int64_t deadline_ns = clock_mono_ns() + limit_ms * CLOCK_NS_PER_MS;
    while (posture.reloads < repairs && clock_mono_ns() < deadline_ns) {
        CU_ASSERT_TRUE_FATAL(sd_event_run(rig->loop, 50000) >= 0);
        firewall_get_posture(rig->firewall, &posture);
    }
    CU_ASSERT_EQUAL(posture.reloads, repairs);
}

/* Three times in a minute is a quarrel: each change is undone all the same, and none is told. */
static void test_fighting(void)
{
    struct rig rig = {.config = make_config()};
    start(&rig);
    for (unsigned i = 1; i <= 3; i++) {
        CU_ASSERT_EQUAL_FATAL(test_nft("delete table inet sallyport\n"), 0);
        run_until_tampered(&rig, i, 10000);
        CU_ASSERT_EQUAL(rig.seen.tampered, i);
    }
    CU_ASSERT_EQUAL(state(&rig), FIREWALL_FIGHTING);
    for (unsigned i = 4; i <= 6; i++) {
        CU_ASSERT_EQUAL_FATAL(test_nft("delete table inet sallyport\n"), 0);
        run_until_repaired(&rig, i, 5000);
        CU_ASSERT_TRUE(table_contains("input_lock"));
    }
    CU_ASSERT_EQUAL_FATAL(test_nft("delete table inet sallyport\n"), 0);
    CU_ASSERT_EQUAL(firewall_verify(rig.firewall), 1); /* which says what it has done */
    CU_ASSERT_TRUE(table_contains("input_lock"));
    CU_ASSERT_EQUAL(rig.seen.tampered, 3);
    CU_ASSERT_EQUAL(rig.seen.repaired, 3);
    CU_ASSERT_EQUAL(state(&rig), FIREWALL_FIGHTING);
    CU_ASSERT_EQUAL(firewall_acknowledge(rig.firewall, &rig.problem), 0);
    CU_ASSERT_EQUAL(state(&rig), FIREWALL_LOCKED);
    CU_ASSERT_EQUAL_FATAL(test_nft("delete table inet sallyport\n"), 0);
    run_until_tampered(&rig, 4, 10000);
    CU_ASSERT_EQUAL(rig.seen.tampered, 4); /* told again */
    stop(&rig);
}

/* The latch ends neither while the rules cannot be repaired, nor for what nobody has seen yet. */
static void test_acknowledging(void)
{
    struct rig rig = {.config = make_config()};
    const struct firewall_lease one = lease("10.254.0.7", 80);
    start(&rig);
    spoil(rig.config);
    CU_ASSERT_EQUAL_FATAL(test_nft("delete table inet sallyport\n"), 0);
    run_until_tampered(&rig, 1, 10000);
    CU_ASSERT_TRUE(firewall_verify(rig.firewall) < 0); /* which mends nothing */
    CU_ASSERT_TRUE(firewall_acknowledge(rig.firewall, &rig.problem) < 0);
    CU_ASSERT_TRUE(rig.problem.length > 0);
    CU_ASSERT_EQUAL(state(&rig), FIREWALL_TAMPERED);
    strcpy(rig.config->firewall.wan[0].text, "eth0");
    CU_ASSERT_EQUAL(firewall_verify(rig.firewall), 1);
    CU_ASSERT_EQUAL_FATAL(test_nft("flush chain inet sallyport input_lock\n"), 0);
    strbuf_reset(&rig.problem);
    CU_ASSERT_EQUAL(firewall_acknowledge(rig.firewall, &rig.problem), -EBUSY);
    TEST_CONTAINS(strbuf_text(&rig.problem), "changed again just now");
    CU_ASSERT_TRUE(state(&rig) != FIREWALL_LOCKED);
    CU_ASSERT_EQUAL(firewall_add_leases(rig.firewall, &one, 1, 1000, &rig.problem), -ETXTBSY);
    CU_ASSERT_EQUAL(firewall_acknowledge(rig.firewall, &rig.problem), 0);
    CU_ASSERT_EQUAL(state(&rig), FIREWALL_LOCKED);
    CU_ASSERT_EQUAL(firewall_add_leases(rig.firewall, &one, 1, 1000, &rig.problem), 0);
    stop(&rig);
}

/* ---- Before the network ---- */

static void test_boot_file(void)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY, content = STRBUF_EMPTY;
    const char *path = test_path("boot.nft");
    struct netd_config *config = make_config();
    CU_ASSERT_EQUAL(test_nft("flush ruleset\n"), 0);
    CU_ASSERT_EQUAL(firewall_write_boot_file(config, path, &problem), 0);
    CU_ASSERT_FALSE(table_contains("input_lock")); /* writing loads nothing */
    CU_ASSERT_EQUAL(file_read(path, 1 << 20, &content), 0);
    TEST_CONTAINS(strbuf_text(&content), "wan_0");
    CU_ASSERT_TRUE(strncmp(content.data, NFT_BOOT_HEADER, strlen(NFT_BOOT_HEADER)) == 0);

    CU_ASSERT_EQUAL(firewall_lockdown(&problem), 0);
    CU_ASSERT_TRUE(table_contains("hook input priority filter - 5; policy drop;"));
    CU_ASSERT_TRUE(table_contains("hook forward priority filter - 5; policy drop;"));
    CU_ASSERT_FALSE(table_contains("wan_0"));
    CU_ASSERT_EQUAL(firewall_lockdown_as(config, &problem), 0);
    TEST_TEXT_EQUAL(strbuf_text(&problem), "");
    CU_ASSERT_TRUE(table_contains("wan_0"));
    CU_ASSERT_EQUAL(firewall_lockdown(&problem), 0);

    struct rig rig = {.config = config}; /* netd takes over from the built-in rules */
    start(&rig);
    CU_ASSERT_TRUE(table_contains("wan_0"));
    stop(&rig);
}

/* Stopping ours, however, leaves everything shut. */
static void test_nothing_opens_at_the_end(void)
{
    struct rig rig = {.config = make_config()};
    start(&rig);
    stop(&rig);
    CU_ASSERT_TRUE(table_contains("hook input priority filter - 5; policy drop;"));
}

int main(void)
{
    static const struct test_case cases[] = {
        {"a lease is added, extended and removed", test_lease},
        {"a lease runs out by itself and stays out", test_lease_runs_out},
        {"a lease that is none is refused", test_refused_leases},
        {"as many leases as can be, again and again", test_many_leases},
        {"extending adopts nothing of others", test_extending_adopts_nothing},
        {"leases of an earlier run are removed at the start", test_leftovers},
        {"tried rules keep leases and their time, and can be undone", test_try},
        {"counters never go down", test_counters},
        {"strict egress leases destinations", test_strict_egress},
        {"a repair keeps what names may reach", test_repair_keeps_egress},
        {"as many destinations as can be, again and again", test_much_egress},
        {"destinations through rules on trial", test_egress_through_a_trial},
        {"changes by another program are undone, latched and named", test_tampering},
        {"a new hook at a device is noticed", test_device_hook},
        {"changes to others' tables are not tampering", test_others},
        {"an interface on no side", test_exposed},
        {"forwarding that was turned on is turned off", test_forwarding},
        {"what others pile up hides no change of ours", test_crowd},
        {"built-in rules when ours cannot be repaired", test_panic_instead},
        {"no lease outlives a repair that failed", test_no_lease_without_repair},
        {"a start that fails leaves the built-in rules", test_start_fails_closed},
        {"a quarrel becomes silent, and every change is undone", test_fighting},
        {"only what is right and seen is acknowledged", test_acknowledging},
        {"the lockdown loads the built-in rules, then those of netd.conf", test_boot_file},
        {"the end of netd opens nothing", test_nothing_opens_at_the_end},
    };
    test_private_network();
    return test_main("firewall_live", cases, ARRAY_LENGTH(cases));
}

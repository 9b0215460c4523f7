/*
 * Names of egress = "strict" become destinations in the kernel. The resolver's process is this
 * program itself, called as netd would be; a network of its own says where addresses lead.
 */
#include "tunnel/egress/egress_resolver.h"

#include "agent/base/clock.h"
#include "agent/base/macros.h"
#include "tests/support/private_network.h"
#include "tests/support/test.h"
#include "tunnel/config/netd_config.h"
#include "tunnel/model/event_text.h"
#include "tunnel/os/resolve.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    struct netd_config *config;
    struct firewall *firewall;
    struct egress_resolver *resolver;
    sd_event *loop;
    struct strbuf events; /* their members, a line each */
} world;

static void on_event(void *context, const struct event *event)
{
    (void)context;
    strbuf_addf(&world.events, "%s ", event_name(event));
    event_text_write_members(event, &world.events);
    strbuf_add(&world.events, "\n");
}

#define STRICT "egress = \"strict\"; dns = [ \"192.0.2.53\" ];"

/* FIREWALL: keys of that group; REST: other groups. */
static struct netd_config *load_text(const char *firewall, const char *rest)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct netd_config *config = NULL;
    strbuf_addf(&text, "firewall: { wan = [ \"wan0\" ]; plant = [ \"plant0\" ]; %s };\n%s\n",
                firewall, rest);
    const char *path = test_file("netd.conf", strbuf_text(&text));
    CU_ASSERT_EQUAL_FATAL(chmod(path, 0600), 0);
    CU_ASSERT_EQUAL_FATAL(netd_config_load(path, &findings, &config), 0);
    return config;
}

static struct netd_config *load(const char *names)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    strbuf_addf(&text, STRICT " egress_allow = ( %s );", names);
    return load_text(strbuf_text(&text), "");
}

/* Takes CONFIG over. */
static void start_with(struct netd_config *config)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    world.config = config;
    CU_ASSERT_EQUAL_FATAL(sd_event_new(&world.loop), 0);
    world.firewall = firewall_new(world.config, NULL);
    CU_ASSERT_EQUAL_FATAL(firewall_start(world.firewall, &problem), 0);
    const struct egress_resolver_hooks hooks = {.journal = on_event};
    world.resolver = egress_resolver_new(world.config, &world.config->tunnel, world.firewall,
                                         &hooks, world.loop);
}

static void start(const char *names)
{
    start_with(load(names));
}

static void stop(void)
{
    egress_resolver_free(world.resolver);
    firewall_free(world.firewall);
    sd_event_unref(world.loop);
    netd_config_free(world.config);
    strbuf_free(&world.events);
}

static bool is_reachable_for(const char *address, uint16_t port, bool is_agents)
{
    struct egress_lease all[FIREWALL_MAX_EGRESS];
    struct egress_lease wanted = {.protocol = IPPROTO_TCP, .port = port, .is_agents = is_agents};
    CU_ASSERT_EQUAL(ip_network_parse(address, &wanted.destination), 0);
    size_t n = nft_state_egress(firewall_rules(world.firewall), all, ARRAY_LENGTH(all));
    for (size_t i = 0; i < n; i++) {
        if (egress_lease_equal(&all[i], &wanted) && all[i].remaining_ms > 0)
            return true;
    }
    return false;
}

static bool is_reachable(const char *address, uint16_t port)
{
    return is_reachable_for(address, port, false);
}

static void run_until_for(const char *address, uint16_t port, bool is_agents)
{
    int64_t deadline_ns = clock_mono_ns() + 20 * CLOCK_NS_PER_S;
    while (!is_reachable_for(address, port, is_agents) && clock_mono_ns() < deadline_ns)
        CU_ASSERT_TRUE_FATAL(sd_event_run(world.loop, 20000) >= 0);
    CU_ASSERT_TRUE(is_reachable_for(address, port, is_agents));
}

static void run_until(const char *address, uint16_t port)
{
    run_until_for(address, port, false);
}

#define NAME(host, port) "{ destination = \"" host "\"; port = " port "; }"

static void test_names(void)
{
    start(NAME("none.test", "1") ", " NAME("killed.test", "2") ", " NAME(
        "plant.test", "3") ", " NAME("silent.test", "4") ", " NAME("broker.test", "8883"));
    run_until("198.51.100.7", 8883);
    run_until("198.51.100.8", 8883);
    CU_ASSERT_FALSE(is_reachable("192.168.10.5", 3)); /* a name server cannot open the plant */
    TEST_CONTAINS(strbuf_text(&world.events),
                  "egress_changed name=broker.test addresses=\"198.51.100.7 198.51.100.8\"\n");
    TEST_CONTAINS(strbuf_text(&world.events),
                  "egress_refused name=plant.test address=192.168.10.5");
    stop();
}

/* Other rules, other names; what is being asked for is given up. */
static void test_follow(void)
{
    start(NAME("silent.test", "4") ", " NAME("broker.test", "8883"));
    run_until("198.51.100.7", 8883);
    struct netd_config *fresh = load(NAME("other.test", "443"));
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    CU_ASSERT_EQUAL(firewall_try(world.firewall, fresh, &problem), 0);
    CU_ASSERT_EQUAL(firewall_confirm(world.firewall), 0);
    egress_resolver_follow(world.resolver, fresh);
    run_until("198.51.100.7", 443);
    CU_ASSERT_FALSE(is_reachable("198.51.100.7", 8883));
    egress_resolver_follow(NULL, fresh);
    stop();
    netd_config_free(fresh);
}

/*
 * The agent's names with egress = "open": each on its side, and for nobody else. A name server that
 * says of the broker that it is in the plant, or of a device that it is outside, is refused.
 */
static void test_agent(void)
{
    start_with(load_text(
        "egress_allow = ( " NAME("broker.test", "3128") " );",
        "access: { agent_user = \"64002\"; };\n"
        "agent: { may_reach = ( " NAME("plant.test", "8883") ", " NAME(
            "broker.test", "443") ", "
                                  "{ destination = \"plant.test\"; port = 502; side = "
                                  "\"plant\"; }, { destination = \"broker.test\"; port = 503; "
                                  "side = \"plant\"; } ); };"));
    run_until_for("192.168.10.5", 502, true);
    run_until_for("198.51.100.7", 443, true);
    run_until_for("198.51.100.7", 3128, true);
    CU_ASSERT_FALSE(is_reachable("198.51.100.7", 443));
    CU_ASSERT_FALSE(is_reachable_for("192.168.10.5", 8883, true));
    CU_ASSERT_FALSE(is_reachable_for("198.51.100.7", 503, true));
    TEST_CONTAINS(strbuf_text(&world.events),
                  "name=plant.test address=192.168.10.5 why=\"it lies in the plant\"");
    TEST_CONTAINS(strbuf_text(&world.events),
                  "name=broker.test address=198.51.100.7 why=\"it does not lie in the plant\"");
    /* Without the group nobody asks for them any more, and what they had is taken back. */
    struct netd_config *fresh = load_text("", "access: { agent_user = \"64002\"; };\n");
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    CU_ASSERT_EQUAL(firewall_try(world.firewall, fresh, &problem), 0);
    CU_ASSERT_EQUAL(firewall_confirm(world.firewall), 0);
    egress_resolver_follow(world.resolver, fresh);
    int64_t deadline_ns = clock_mono_ns() + 20 * CLOCK_NS_PER_S;
    while (is_reachable_for("192.168.10.5", 502, true) && clock_mono_ns() < deadline_ns)
        CU_ASSERT_TRUE_FATAL(sd_event_run(world.loop, 20000) >= 0);
    CU_ASSERT_FALSE(is_reachable_for("192.168.10.5", 502, true));
    stop();
    netd_config_free(fresh);
}

/* The resolver's process. */
static int resolve(const char *host)
{
    if (strcmp(host, "none.test") == 0)
        return RESOLVE_NO_NAME;
    if (strcmp(host, "killed.test") == 0)
        (void)raise(SIGKILL);
    if (strcmp(host, "silent.test") == 0)
        (void)sleep(600);
    puts(strcmp(host, "plant.test") == 0 ? "192.168.10.5" : "198.51.100.7\n198.51.100.8");
    return RESOLVE_DONE;
}

static bool make_networks(void)
{
    return test_ip("link", "add", "wan0", "type", "bridge", NULL) == 0 &&
           test_ip("link", "add", "plant0", "type", "bridge", NULL) == 0 &&
           test_ip("link", "set", "wan0", "up", NULL) == 0 &&
           test_ip("link", "set", "plant0", "up", NULL) == 0 &&
           test_ip("addr", "add", "192.0.2.2/24", "dev", "wan0", NULL) == 0 &&
           test_ip("addr", "add", "192.168.10.1/24", "dev", "plant0", NULL) == 0 &&
           test_ip("route", "add", "default", "via", "192.0.2.1", NULL) == 0;
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"the addresses of a name may be reached, but not in the plant", test_names},
        {"other rules have other names", test_follow},
        {"the agent's names are on the side that root said", test_agent},
    };
    if (argc == 4 && strcmp(argv[1], "--resolve") == 0)
        test_helper_end(resolve(argv[2]));
    test_private_network();
    if (!make_networks())
        return 1;
    return test_main("egress_resolver", cases, ARRAY_LENGTH(cases));
}

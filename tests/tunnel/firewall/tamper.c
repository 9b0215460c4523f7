/*
 * What is noticed beside changes of our table: switches of the kernel, hooks at devices, tunnels of
 * others. In a network of its own, with a kind of interface that every kernel has for WireGuard.
 */
#include "tunnel/firewall/tamper.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "tests/support/private_network.h"
#include "tests/support/test.h"
#include "tunnel/model/event_text.h"

#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIND "ifb" /* stands for "wireguard" */

static struct tamper *start(const char *proc_folder)
{
    struct tamper *tamper = NULL;
    CU_ASSERT_EQUAL_FATAL(tamper_new(proc_folder, KIND, &tamper), 0);
    return tamper;
}

static size_t look(struct tamper *tamper, unsigned own_index, struct strbuf *detail)
{
    struct event event;
    event_init(&event, EVENT_FIREWALL_TAMPERED, 0);
    size_t found = tamper_look_at_switches(tamper, own_index, &event);
    strbuf_reset(detail);
    event_text_write_members(&event, detail);
    return found;
}

/* ---- Switches ---- */

/* Folders as below /proc/sys, so that a kernel without a switch can be tested as well. */
static void make_proc(void)
{
    static const char *const folders[] = {"proc",
                                          "proc/net",
                                          "proc/net/netfilter",
                                          "proc/net/ipv4",
                                          "proc/net/ipv4/conf",
                                          "proc/net/ipv4/conf/all",
                                          "proc/net/ipv4/conf/eth7",
                                          "proc/net/ipv6",
                                          "proc/net/ipv6/conf",
                                          "proc/net/ipv6/conf/all"};
    for (size_t i = 0; i < ARRAY_LENGTH(folders); i++)
        (void)mkdir(test_path(folders[i]), 0700);
}

static void set(const char *name, const char *value)
{
    char path[128], text[8];
    (void)snprintf(path, sizeof(path), "proc/net/%s", name);
    (void)snprintf(text, sizeof(text), "%s\n", value);
    (void)test_file(path, text);
}

static char get(const char *name)
{
    char path[128], digit = '?';
    (void)snprintf(path, sizeof(path), "proc/net/%s", name);
    CLEANUP(descriptor_close) int file = open(test_path(path), O_RDONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL(read(file, &digit, 1), 1);
    return digit;
}

static void test_switches(void)
{
    static const struct {
        const char *name, *before, *after;
        bool is_looser;
    } cases[] = {
        {"ipv4/ip_forward", "0", "1", true},
        {"ipv4/ip_forward", "1", "0", false},
        {"ipv6/conf/all/forwarding", "0", "1", true},
        {"ipv4/conf/all/route_localnet", "0", "1", true},
        {"ipv4/conf/all/rp_filter", "1", "0", true},
        {"ipv4/conf/all/rp_filter", "1", "2", true},
        {"ipv4/conf/all/rp_filter", "2", "0", true},
        {"ipv4/conf/all/rp_filter", "2", "1", false},
        {"ipv4/conf/all/rp_filter", "0", "2", false},
        {"netfilter/nf_conntrack_helper", "0", "1", true},
        {"netfilter/nf_conntrack_tcp_be_liberal", "0", "1", true},
        {"netfilter/nf_conntrack_tcp_loose", "0", "1", false}, /* switches.h says why */
    };
    CLEANUP(strbuf_free) struct strbuf detail = STRBUF_EMPTY;
    make_proc();
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        set(cases[i].name, cases[i].before);
        struct tamper *tamper = start(test_path("proc"));
        CU_ASSERT_EQUAL(look(tamper, 0, &detail), 0);
        set(cases[i].name, cases[i].after);
        CU_ASSERT_EQUAL(look(tamper, 0, &detail), cases[i].is_looser);
        CU_ASSERT_EQUAL(get(cases[i].name),
                        cases[i].is_looser ? cases[i].before[0] : cases[i].after[0]);
        if (cases[i].is_looser) {
            TEST_CONTAINS(strbuf_text(&detail), cases[i].name);
            TEST_CONTAINS(strbuf_text(&detail), "set_back=yes");
        }
        CU_ASSERT_EQUAL(look(tamper, 0, &detail), 0);
        set(cases[i].name, cases[i].after);
        tamper_accept(tamper); /* somebody on site says that it is right */
        CU_ASSERT_EQUAL(look(tamper, 0, &detail), 0);
        CU_ASSERT_EQUAL(get(cases[i].name), cases[i].after[0]);
        tamper_free(tamper);
        set(cases[i].name, "0");
    }
}

static void test_switch_that_stays(void)
{
    CLEANUP(strbuf_free) struct strbuf detail = STRBUF_EMPTY;
    struct tamper *tamper;
    make_proc();
    set("netfilter/nf_conntrack_helper", "0");
    tamper = start(test_path("proc"));
    set("netfilter/nf_conntrack_helper", "1");
    const char *path = test_path("proc/net/netfilter/nf_conntrack_helper");
    CU_ASSERT_EQUAL(chmod(path, 0400), 0); /* as where /proc/sys is read-only; we are no root */
    CU_ASSERT_EQUAL(look(tamper, 0, &detail), 1);
    TEST_CONTAINS(strbuf_text(&detail), "set_back=\"Permission denied\"");
    CU_ASSERT_EQUAL(look(tamper, 0, &detail), 0); /* told once */
    CU_ASSERT_EQUAL(chmod(path, 0600), 0);
    tamper_free(tamper);
}

/* rp_filter has a value for each interface; a new one is right as it comes. */
static void test_interfaces(void)
{
    CLEANUP(strbuf_free) struct strbuf detail = STRBUF_EMPTY;
    make_proc();
    struct tamper *tamper = start(test_path("proc"));
    set("ipv4/conf/eth7/rp_filter", "2");
    CU_ASSERT_EQUAL(test_ip("link", "add", "eth7", "type", "bridge", NULL), 0);
    CU_ASSERT_EQUAL(look(tamper, 0, &detail), 0);
    set("ipv4/conf/eth7/rp_filter", "0");
    CU_ASSERT_EQUAL(look(tamper, 0, &detail), 1);
    TEST_CONTAINS(strbuf_text(&detail), "loosened=net/ipv4/conf/eth7/rp_filter to=0 set_back=yes");
    CU_ASSERT_EQUAL(get("ipv4/conf/eth7/rp_filter"), '2');
    CU_ASSERT_EQUAL(test_ip("link", "del", "eth7", NULL), 0);
    CU_ASSERT_EQUAL(look(tamper, 0, &detail), 0);
    set("ipv4/conf/eth7/rp_filter", "0");
    CU_ASSERT_EQUAL(test_ip("link", "add", "eth7", "type", "bridge", NULL), 0);
    CU_ASSERT_EQUAL(look(tamper, 0, &detail), 0); /* another interface of that name */
    CU_ASSERT_EQUAL(test_ip("link", "del", "eth7", NULL), 0);
    tamper_free(tamper);
}

/* ---- Hooks ---- */

/* Not every kernel has flowtables: here is what nft says where there are some. */
static void test_listing(void)
{
    CLEANUP(strbuf_free) struct strbuf hooks = STRBUF_EMPTY;
    nft_run_pick_device_hooks(
        "table ip docker {\n"
        "\tchain nat {\n"
        "\t\ttype nat hook prerouting priority dstnat; policy accept;\n"
        "\t}\n"
        "}\n"
        "table netdev other {\n"
        "\tchain in {\n"
        "\t\ttype filter hook ingress device \"eth0\" priority 0; policy accept;\n"
        "\t}\n"
        "\tchain out {\n"
        "\t\ttype filter hook egress device \"eth0\" priority 0; policy accept;\n"
        "\t}\n"
        "}\n"
        "table inet fast {\n"
        "\tflowtable f {\n"
        "\t\thook ingress priority filter\n"
        "\t\tdevices = { eth0, eth1 }\n"
        "\t}\n"
        "}\n",
        &hooks);
    TEST_TEXT_EQUAL(strbuf_text(&hooks),
                    "table netdev other { chain in { type filter hook ingress device \"eth0\" "
                    "priority 0; policy "
                    "accept;\n"
                    "table netdev other { chain out { type filter hook egress device \"eth0\" "
                    "priority 0; policy "
                    "accept;\n"
                    "table inet fast { flowtable f { hook ingress priority filter\n"
                    "table inet fast { flowtable f { devices = { eth0, eth1 }\n");
}

static void test_hooks(void)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct tamper *tamper = start("/proc/sys");
    struct event event;
    event_init(&event, EVENT_FIREWALL_TAMPERED, 0);
    CU_ASSERT_EQUAL(tamper_look_at_hooks(tamper, &event, &problem), 0);
    CU_ASSERT_EQUAL_FATAL(test_nft("table netdev other {\nchain in {\n"
                                   "type filter hook ingress device lo priority 0;\n}\n"
                                   "chain out {\n"
                                   "type filter hook egress device lo priority 0;\n}\n}\n"),
                          0);
    CU_ASSERT_EQUAL(tamper_look_at_hooks(tamper, &event, &problem), 2);
    TEST_CONTAINS(event_text(&event, MEMBER_NEW_HOOK), "table netdev other");
    CU_ASSERT_EQUAL(tamper_look_at_hooks(tamper, &event, &problem), 0);
    CU_ASSERT_EQUAL(test_nft("delete table netdev other\n"), 0);
    CU_ASSERT_EQUAL(tamper_look_at_hooks(tamper, &event, &problem), 0);
    tamper_free(tamper);
}

/* ---- Tunnels ---- */

static void expect_foreign(const struct tamper *tamper, const char *expected)
{
    CLEANUP(strbuf_free) struct strbuf names = STRBUF_EMPTY;
    tamper_foreign_tunnels(tamper, &names);
    TEST_TEXT_EQUAL(strbuf_text(&names), expected);
}

/* Somebody's own tunnel is told once and let be; one that was there first is no news. */
static void test_tunnels(void)
{
    CLEANUP(strbuf_free) struct strbuf detail = STRBUF_EMPTY;
    CU_ASSERT_EQUAL_FATAL(test_ip("link", "add", "wg0", "type", KIND, NULL), 0);
    struct tamper *tamper = start("/proc/sys");
    expect_foreign(tamper, "wg0");
    CU_ASSERT_EQUAL(look(tamper, 0, &detail), 0);
    CU_ASSERT_EQUAL(test_ip("link", "add", "harmless", "type", "bridge", NULL), 0);
    CU_ASSERT_EQUAL(look(tamper, 0, &detail), 0);
    CU_ASSERT_EQUAL(test_ip("link", "add", "wg1", "type", KIND, NULL), 0);
    CU_ASSERT_EQUAL(look(tamper, 0, &detail), 1);
    TEST_TEXT_EQUAL(strbuf_text(&detail), "foreign_tunnel=wg1 kind=" KIND);
    CU_ASSERT_EQUAL(look(tamper, 0, &detail), 0);
    expect_foreign(tamper, "wg0,wg1");
    CU_ASSERT_NOT_EQUAL(if_nametoindex("wg1"), 0);
    CU_ASSERT_EQUAL(test_ip("link", "del", "wg1", NULL), 0);
    CU_ASSERT_EQUAL(look(tamper, 0, &detail), 0);
    expect_foreign(tamper, "wg0");
    CU_ASSERT_EQUAL(test_ip("link", "add", "wg1", "type", KIND, NULL), 0);
    CU_ASSERT_EQUAL(look(tamper, 0, &detail), 1); /* another one */
    CU_ASSERT_EQUAL(test_ip("link", "del", "wg1", NULL), 0);
    CU_ASSERT_EQUAL(test_ip("link", "del", "wg0", NULL), 0);
    CU_ASSERT_EQUAL(test_ip("link", "del", "harmless", NULL), 0);
    tamper_free(tamper);
}

/* A name of ours belongs to us: whatever else has it is removed, but our own interface is not. */
static void test_pretenders(void)
{
    CLEANUP(strbuf_free) struct strbuf detail = STRBUF_EMPTY;
    CU_ASSERT_EQUAL_FATAL(test_ip("link", "add", "spt3", "type", "bridge", NULL), 0);
    struct tamper *tamper = start("/proc/sys");
    CU_ASSERT_EQUAL(look(tamper, 0, &detail), 1); /* also when it was there first */
    TEST_CONTAINS(strbuf_text(&detail), "foreign_tunnel=spt3 kind=bridge removed=yes");
    CU_ASSERT_EQUAL(if_nametoindex("spt3"), 0);
    CU_ASSERT_EQUAL(look(tamper, 0, &detail), 0);
    expect_foreign(tamper, "");
    CU_ASSERT_EQUAL(test_ip("link", "add", "spt0", "type", KIND, NULL), 0);
    unsigned own = if_nametoindex("spt0");
    CU_ASSERT_EQUAL(look(tamper, own, &detail), 0);
    CU_ASSERT_EQUAL(if_nametoindex("spt0"), own);
    CU_ASSERT_EQUAL(test_ip("link", "del", "spt0", NULL), 0);
    CU_ASSERT_EQUAL(test_ip("link", "add", "spt0", "type", KIND, NULL), 0); /* put in its place */
    CU_ASSERT_EQUAL(look(tamper, own, &detail), 1);
    CU_ASSERT_EQUAL(if_nametoindex("spt0"), 0);
    tamper_free(tamper);
}

int main(void)
{
    static const struct test_case cases[] = {
        {"a switch that becomes looser is set back and told", test_switches},
        {"one that cannot be set back is told once", test_switch_that_stays},
        {"each interface has its own filter of sources", test_interfaces},
        {"hooks at devices and flowtables are found in what nft says", test_listing},
        {"a new hook at a device is told once", test_hooks},
        {"a tunnel of somebody else is told, and let be", test_tunnels},
        {"whoever takes a name of ours is removed", test_pretenders},
    };
    test_private_network();
    return test_main("tamper", cases, ARRAY_LENGTH(cases));
}

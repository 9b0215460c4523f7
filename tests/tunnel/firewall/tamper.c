/*
 * What is noticed beside changes of our table: sysctls of the kernel, hooks at devices, tunnels of
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
    size_t found = tamper_look_at_machine(tamper, own_index, &event);
    strbuf_reset(detail);
    event_text_write_members(&event, detail);
    return found;
}

/* ---- Hooks ---- */

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
        {"a new hook at a device is told once", test_hooks},
        {"a tunnel of somebody else is told, and let be", test_tunnels},
        {"whoever takes a name of ours is removed", test_pretenders},
    };
    test_private_network();
    return test_main("tamper", cases, ARRAY_LENGTH(cases));
}

/* The nft program, and the kernel's count of rule changes with what it says of each. */
#include "tunnel/firewall/nft_run.h"

#include "agent/base/descriptor.h"
#include "tests/support/private_network.h"
#include "tests/support/test.h"
#include "tunnel/os/netlink.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <unistd.h>

static void test_load(void)
{
    CLEANUP(strbuf_free) struct strbuf listing = STRBUF_EMPTY, problem = STRBUF_EMPTY;
    CU_ASSERT_EQUAL(nft_run_list_table("mine", &listing, &problem), -ENOENT);
    CU_ASSERT_EQUAL(nft_run_check("table inet mine {\n}\n", &problem), 0);
    CU_ASSERT_EQUAL(nft_run_list_table("mine", &listing, &problem), -ENOENT); /* changes nothing */
    CU_ASSERT_EQUAL(nft_run_load("table inet mine {\n}\n", &problem), 0);
    CU_ASSERT_EQUAL(nft_run_list_table("mine", &listing, &problem), 0);
    TEST_CONTAINS(strbuf_text(&listing), "table inet mine");
    TEST_TEXT_EQUAL(strbuf_text(&problem), "");
    /* All of it or nothing, and the reason in one printable line. */
    CU_ASSERT_EQUAL(nft_run_load("delete table inet mine\nno such word\n", &problem), -EINVAL);
    CU_ASSERT_PTR_NULL(strchr(strbuf_text(&problem), '\n'));
    TEST_CONTAINS(strbuf_text(&problem), "nft: ");
    strbuf_reset(&listing);
    CU_ASSERT_EQUAL(nft_run_list_table("mine", &listing, &problem), 0);
    CU_ASSERT_EQUAL(nft_run_load("delete table inet mine\n", &problem), 0);
}

static void test_generation(void)
{
    CLEANUP(descriptor_close) int socket = netlink_open(NETLINK_NETFILTER, 0);
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    uint32_t before = 0, after = 0;
    CU_ASSERT_EQUAL_FATAL(nft_run_generation(socket, &before), 0);
    CU_ASSERT_EQUAL(nft_run_load("table inet mine {\n}\n", &problem), 0);
    CU_ASSERT_EQUAL(nft_run_generation(socket, &after), 0);
    CU_ASSERT_EQUAL(after, before + 1);
    CU_ASSERT_EQUAL(nft_run_list_table("mine", &problem, &problem), 0);
    CU_ASSERT_EQUAL(nft_run_generation(socket, &after), 0);
    CU_ASSERT_EQUAL(after, before + 1); /* looking is no change */
    CU_ASSERT_EQUAL(nft_run_load("delete table inet mine\n", &problem), 0);
}

struct changes {
    struct nft_change running, ended[4];
    size_t n;
};

static void take(const struct nlmsghdr *message, void *context)
{
    struct changes *changes = context;
    if (!nft_change_read(message, "mine", &changes->running) || changes->n == 4)
        return;
    changes->ended[changes->n++] = changes->running;
    changes->running = (struct nft_change){0};
}

static void test_changes(void)
{
    CLEANUP(descriptor_close) int events = netlink_open(NETLINK_NETFILTER, NFNLGRP_NFTABLES);
    struct changes changes = {0};
    CU_ASSERT_TRUE_FATAL(events >= 0);
    CU_ASSERT_EQUAL(test_nft("table inet other {\n}\n"), 0);
    CU_ASSERT_EQUAL(test_nft("table inet mine {\n}\n"), 0);
    CU_ASSERT_EQUAL(test_nft("delete table inet other\ndelete table inet mine\n"), 0);
    CU_ASSERT_TRUE(netlink_drain(events, take, &changes) > 0);
    CU_ASSERT_EQUAL_FATAL(changes.n, 3);
    CU_ASSERT_FALSE(changes.ended[0].is_on_table);
    CU_ASSERT_TRUE(changes.ended[1].is_on_table);
    CU_ASSERT_TRUE(changes.ended[2].is_on_table);
    CU_ASSERT_STRING_EQUAL(changes.ended[1].program, "nft");
    CU_ASSERT_TRUE(changes.ended[1].pid > 0);
    CU_ASSERT_EQUAL(changes.ended[2].generation, changes.ended[1].generation + 1);
}

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

int main(void)
{
    static const struct test_case cases[] = {
        {"rules are loaded whole or not at all", test_load},
        {"each transaction raises the generation by one", test_generation},
        {"who changed which table is read", test_changes},
        {"hooks at devices and flowtables are found in what nft says", test_listing},
    };
    test_private_network();
    return test_main("nft_run", cases, sizeof(cases) / sizeof(cases[0]));
}

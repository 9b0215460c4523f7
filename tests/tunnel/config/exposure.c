/* Interfaces that join WAN and plant, or are on neither side. */
#include "tunnel/config/exposure.h"

#include "agent/base/macros.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

/* eth0 is WAN, eth1 and br* are plant. */
static const struct firewall_config sides = {
    .wan = {{"eth0"}}, .n_wan = 1, .plant = {{"eth1"}, {"plant*"}}, .n_plant = 2};

/* What is said about LINKS; "" for nothing. */
static const char *said(const struct firewall_config *firewall, const struct rtnl_link_info *links,
                        size_t n)
{
    static char text[256];
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct rtnl_link_info copy[8];
    memcpy(copy, links, n * sizeof(*links));
    const struct rtnl_link_list list = {.items = copy, .length = n, .room = n};
    bool is_found = exposure_find(firewall, &list, &problem);
    CU_ASSERT_EQUAL(is_found, problem.length > 0);
    (void)snprintf(text, sizeof(text), "%s", strbuf_text(&problem));
    return text;
}

#define SAID(...)                                                                                  \
    said(&sides, (const struct rtnl_link_info[]){__VA_ARGS__},                                     \
         sizeof((const struct rtnl_link_info[]){__VA_ARGS__}) / sizeof(struct rtnl_link_info))

#define LO                                                                                         \
    {                                                                                              \
        .index = 1, .name = "lo", .is_up = true                                                    \
    }
#define WAN                                                                                        \
    {                                                                                              \
        .index = 2, .name = "eth0", .is_up = true                                                  \
    }
#define PLANT                                                                                      \
    {                                                                                              \
        .index = 3, .name = "eth1", .is_up = true                                                  \
    }

static void test_apart(void)
{
    CU_ASSERT_STRING_EQUAL(SAID(LO, WAN, PLANT), "");
    CU_ASSERT_STRING_EQUAL(SAID(LO), "");
    /* Our own tunnel, and what nobody switched on. */
    CU_ASSERT_STRING_EQUAL(SAID(LO, WAN, PLANT, {.index = 4, .name = "spt0", .is_up = true},
                                {.index = 5, .name = "eth2"}),
                           "");
    /* A bridge of plant interfaces counts, its members need not be listed. */
    CU_ASSERT_STRING_EQUAL(SAID(WAN,
                                {.index = 4, .name = "plantbr", .kind = "bridge", .is_up = true},
                                {.index = 5, .name = "eth2", .master = 4, .is_up = true},
                                {.index = 6, .name = "eth3", .master = 4, .is_up = true}),
                           "");
    /* A VRF has routes only. */
    CU_ASSERT_STRING_EQUAL(SAID({.index = 4, .name = "red", .kind = "vrf", .is_up = true},
                                {.index = 2, .name = "eth0", .master = 4, .is_up = true},
                                {.index = 3, .name = "eth1", .master = 4, .is_up = true}),
                           "");
    /* Two VLANs of a wire that is itself on no side, and not used. */
    CU_ASSERT_STRING_EQUAL(
        SAID({.index = 4, .name = "trunk"},
             {.index = 2, .name = "eth0", .kind = "vlan", .parent = 4, .is_up = true},
             {.index = 3, .name = "eth1", .kind = "vlan", .parent = 4, .is_up = true}),
        "");
}

static void test_joined(void)
{
    static const char joins[] = " joins eth0 of the WAN and ";
    /* A bridge or a bond, itself listed or not. */
    static const char *const kinds[] = {"bridge", "bond", "team"};
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        struct rtnl_link_info links[] = {WAN, PLANT, {.index = 9, .name = "x0", .is_up = true}};
        links[0].master = links[1].master = 9;
        (void)snprintf(links[2].kind, sizeof(links[2].kind), "%s", kinds[i]);
        CU_ASSERT_PTR_NOT_NULL(strstr(said(&sides, links, 3), joins));
        CU_ASSERT_PTR_NOT_NULL(strstr(said(&sides, links, 3), "x0"));
        links[1].master = 0;
        (void)snprintf(links[2].name, sizeof(links[2].name), "plantbr");
        CU_ASSERT_PTR_NOT_NULL(strstr(said(&sides, links, 3), joins));
    }
    /* A VLAN of the plant on the wire of the WAN; and one that is a member of the plant's bridge.
     */
    CU_ASSERT_PTR_NOT_NULL(
        strstr(SAID(WAN, {.index = 3, .name = "eth1", .kind = "vlan", .parent = 2, .is_up = true}),
               joins));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(SAID(WAN, {.index = 4, .name = "eth0.7", .kind = "vlan", .parent = 2, .master = 5},
                    {.index = 5, .name = "plantbr", .kind = "bridge"}),
               joins));
    /* A veth pair between two bridges; indexes in a circle. */
    CU_ASSERT_PTR_NOT_NULL(strstr(
        SAID({.index = 2, .name = "eth0", .master = 4}, {.index = 3, .name = "eth1", .master = 5},
             {.index = 4, .name = "br0"}, {.index = 5, .name = "br1"},
             {.index = 6, .name = "v0", .kind = "veth", .parent = 7, .master = 4},
             {.index = 7, .name = "v1", .kind = "veth", .parent = 6, .master = 5}),
        joins));
    /* A bridge that is a member of a VRF. */
    CU_ASSERT_PTR_NOT_NULL(strstr(
        SAID({.index = 4, .name = "red", .kind = "vrf"}, {.index = 5, .name = "br0", .master = 4},
             {.index = 2, .name = "eth0", .master = 5}, {.index = 3, .name = "eth1", .master = 5}),
        joins));
    /* A pattern that takes in both. */
    const struct firewall_config both = {
        .wan = {{"eth*"}}, .n_wan = 1, .plant = {{"eth1"}}, .n_plant = 1};
    const struct rtnl_link_info eth1 = PLANT;
    CU_ASSERT_PTR_NOT_NULL(strstr(said(&both, &eth1, 1), "joins eth1 of the WAN and eth1 of the"));
}

static void test_unlisted(void)
{
    static const char neither[] = "neither in firewall.wan nor in firewall.plant";
    CU_ASSERT_PTR_NOT_NULL(
        strstr(SAID(LO, WAN, PLANT, {.index = 4, .name = "eth2", .is_up = true}), neither));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(SAID(WAN, {.index = 4, .name = "wg0", .kind = "wireguard", .is_up = true}),
               "wg0 is neither"));
    /* Of a bridge that is on no side the bridge is named: packets come in at it. */
    CU_ASSERT_PTR_NOT_NULL(
        strstr(SAID({.index = 2, .name = "eth0", .master = 4, .is_up = true},
                    {.index = 4, .name = "br0", .kind = "bridge", .is_up = true}),
               "br0 is neither"));
    /* A member of a VRF receives its packets itself. */
    CU_ASSERT_PTR_NOT_NULL(strstr(SAID({.index = 4, .name = "red", .kind = "vrf", .is_up = true},
                                       {.index = 2, .name = "eth2", .master = 4, .is_up = true}),
                                  "eth2 is neither"));
    /* A name that only begins like a listed one. */
    CU_ASSERT_PTR_NOT_NULL(
        strstr(SAID(WAN, {.index = 4, .name = "eth10", .is_up = true}), "eth10 is neither"));
}

static void test_machine(void)
{
    struct rtnl_link_info links[] = {
        LO, {.index = 2, .name = "enp3s0"}, {.index = 3, .name = "plant7"}};
    const struct rtnl_link_list here = {.items = links, .length = 3},
                                other = {.items = links, .length = 2};
    CU_ASSERT_TRUE(exposure_is_machine(&sides, &here));
    CU_ASSERT_FALSE(exposure_is_machine(&sides, &other));
}

TEST_MAIN("exposure", {"interfaces that are apart", test_apart},
          {"interfaces that are joined", test_joined},
          {"interfaces on neither side", test_unlisted},
          {"the machine that is meant", test_machine})

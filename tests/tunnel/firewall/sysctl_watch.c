/*
 * Sysctls that must not become looser, in folders as below /proc/sys. Without root's privileges, so
 * that one can be made that cannot be written.
 */
#include "tunnel/firewall/sysctl_watch.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "tests/support/private_network.h"
#include "tests/support/test.h"
#include "tunnel/model/event_text.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* One look, LINK (may be NULL) included. */
static size_t look(struct sysctl_watch *watch, const struct rtnl_link_info *link,
                   struct strbuf *detail)
{
    struct event event;
    event_init(&event, EVENT_FIREWALL_TAMPERED, 0);
    size_t found = sysctl_watch_look(watch, &event);
    if (link)
        found += sysctl_watch_look_at(watch, link, &event);
    sysctl_watch_end_look(watch);
    strbuf_reset(detail);
    event_text_write_members(&event, detail);
    return found;
}

/* Folders as below /proc/sys, so that a kernel without a sysctl can be tested as well. */
static void make_proc(void)
{
    static const char *const folders[] = {"proc",
                                          "proc/net",
                                          "proc/net/netfilter",
                                          "proc/net/ipv4",
                                          "proc/net/ipv4/conf",
                                          "proc/net/ipv4/conf/all",
                                          "proc/net/ipv4/conf/default",
                                          "proc/net/ipv4/conf/eth7",
                                          "proc/net/ipv4/conf/lo",
                                          "proc/net/ipv6",
                                          "proc/net/ipv6/conf",
                                          "proc/net/ipv6/conf/all",
                                          "proc/net/ipv6/conf/default",
                                          "proc/net/ipv6/conf/eth7"};
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

static void test_sysctls(void)
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
        {"netfilter/nf_conntrack_tcp_loose", "0", "1", false}, /* sysctl_watch.h says why */
    };
    CLEANUP(strbuf_free) struct strbuf detail = STRBUF_EMPTY;
    make_proc();
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        set(cases[i].name, cases[i].before);
        struct sysctl_watch *watch = sysctl_watch_new(test_path("proc"));
        CU_ASSERT_EQUAL(look(watch, NULL, &detail), 0);
        set(cases[i].name, cases[i].after);
        CU_ASSERT_EQUAL(look(watch, NULL, &detail), cases[i].is_looser);
        CU_ASSERT_EQUAL(get(cases[i].name),
                        cases[i].is_looser ? cases[i].before[0] : cases[i].after[0]);
        if (cases[i].is_looser) {
            TEST_CONTAINS(strbuf_text(&detail), cases[i].name);
            TEST_CONTAINS(strbuf_text(&detail), "set_back=yes");
        }
        CU_ASSERT_EQUAL(look(watch, NULL, &detail), 0);
        set(cases[i].name, cases[i].after);
        sysctl_watch_accept(watch); /* somebody on site says that it is right */
        CU_ASSERT_EQUAL(look(watch, NULL, &detail), 0);
        CU_ASSERT_EQUAL(get(cases[i].name), cases[i].after[0]);
        sysctl_watch_free(watch);
        set(cases[i].name, "0");
    }
}

static void test_sysctl_that_stays(void)
{
    CLEANUP(strbuf_free) struct strbuf detail = STRBUF_EMPTY;
    make_proc();
    set("netfilter/nf_conntrack_helper", "0");
    struct sysctl_watch *watch = sysctl_watch_new(test_path("proc"));
    set("netfilter/nf_conntrack_helper", "1");
    const char *path = test_path("proc/net/netfilter/nf_conntrack_helper");
    CU_ASSERT_EQUAL(chmod(path, 0400), 0); /* as where /proc/sys is read-only; we are no root */
    CU_ASSERT_EQUAL(look(watch, NULL, &detail), 1);
    TEST_CONTAINS(strbuf_text(&detail), "set_back=\"Permission denied\"");
    CU_ASSERT_EQUAL(look(watch, NULL, &detail), 0); /* told once */
    CU_ASSERT_EQUAL(chmod(path, 0600), 0);
    sysctl_watch_free(watch);
}

/* rp_filter has a value for each interface; a new one is right as it comes. */
static void test_interfaces(void)
{
    CLEANUP(strbuf_free) struct strbuf detail = STRBUF_EMPTY;
    const struct rtnl_link_info first = {.index = 7, .name = "eth7"};
    const struct rtnl_link_info second = {.index = 8, .name = "eth7"};
    make_proc();
    struct sysctl_watch *watch = sysctl_watch_new(test_path("proc"));
    set("ipv4/conf/eth7/rp_filter", "2");
    CU_ASSERT_EQUAL(look(watch, &first, &detail), 0);
    set("ipv4/conf/eth7/rp_filter", "0");
    CU_ASSERT_EQUAL(look(watch, &first, &detail), 1);
    TEST_CONTAINS(strbuf_text(&detail), "loosened=net/ipv4/conf/eth7/rp_filter to=0 set_back=yes");
    CU_ASSERT_EQUAL(get("ipv4/conf/eth7/rp_filter"), '2');
    CU_ASSERT_EQUAL(look(watch, NULL, &detail), 0); /* it is gone */
    set("ipv4/conf/eth7/rp_filter", "0");
    CU_ASSERT_EQUAL(look(watch, &second, &detail), 0); /* another interface of that name */
    CU_ASSERT_EQUAL(look(watch, &first, &detail), 0);
    CU_ASSERT_EQUAL(get("ipv4/conf/eth7/rp_filter"), '0');
    sysctl_watch_free(watch);
}

/* A sysctl that is required of each place; LOOSE is what a kernel or an administrator may set. */
static const struct {
    const char *family, *name, *loose, *tight;
} required[] = {
    {"ipv4", "accept_redirects", "1", "0"},    {"ipv4", "secure_redirects", "0", "1"},
    {"ipv4", "shared_media", "1", "0"},        {"ipv4", "send_redirects", "1", "0"},
    {"ipv4", "accept_source_route", "1", "0"}, {"ipv4", "proxy_arp", "1", "0"},
    {"ipv4", "arp_ignore", "0", "1"},          {"ipv4", "arp_ignore", "3", "1"},
    {"ipv4", "arp_announce", "0", "2"},        {"ipv6", "accept_redirects", "1", "0"},
    {"ipv6", "accept_source_route", "1", "0"}, {"ipv6", "proxy_ndp", "1", "0"},
};

static const char *conf_path(size_t row, const char *where)
{
    static char path[96];
    (void)snprintf(path, sizeof(path), "%s/conf/%s/%s", required[row].family, where,
                   required[row].name);
    return path;
}

/* Set when the place is first seen, which is no tampering; set back afterwards, which is. */
static void test_required(void)
{
    static const char *const places[] = {"all", "default", "eth7"};
    const struct rtnl_link_info link = {.index = 7, .name = "eth7"};
    CLEANUP(strbuf_free) struct strbuf detail = STRBUF_EMPTY;
    make_proc();
    for (size_t i = 0; i < ARRAY_LENGTH(required); i++) {
        for (size_t j = 0; j < ARRAY_LENGTH(places); j++)
            set(conf_path(i, places[j]), required[i].loose);
        struct sysctl_watch *watch = sysctl_watch_new(test_path("proc"));
        CU_ASSERT_EQUAL(look(watch, &link, &detail), 0);
        for (size_t j = 0; j < ARRAY_LENGTH(places); j++) {
            CU_ASSERT_EQUAL(get(conf_path(i, places[j])), required[i].tight[0]);
            set(conf_path(i, places[j]), required[i].loose);
            CU_ASSERT_EQUAL(look(watch, &link, &detail), 1);
            TEST_CONTAINS(strbuf_text(&detail), conf_path(i, places[j]));
            TEST_CONTAINS(strbuf_text(&detail), "set_back=yes");
            CU_ASSERT_EQUAL(get(conf_path(i, places[j])), required[i].tight[0]);
        }
        CU_ASSERT_EQUAL(look(watch, &link, &detail), 0);
        set(conf_path(i, "all"), required[i].loose);
        sysctl_watch_accept(watch); /* nobody on site can say that it is right */
        CU_ASSERT_EQUAL(get(conf_path(i, "all")), required[i].tight[0]);
        CU_ASSERT_EQUAL(look(watch, &link, &detail), 0);
        sysctl_watch_free(watch);
    }
}

/* What is tighter than we would set it stays. */
static void test_required_enough(void)
{
    static const struct {
        const char *name, *value;
    } cases[] = {{"ipv4/conf/all/arp_ignore", "2"},
                 {"ipv4/conf/all/arp_ignore", "8"},
                 {"ipv4/conf/all/arp_announce", "1"},
                 {"ipv6/conf/all/accept_source_route", "-1"}};
    CLEANUP(strbuf_free) struct strbuf detail = STRBUF_EMPTY;
    make_proc();
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        set(cases[i].name, cases[i].value);
        struct sysctl_watch *watch = sysctl_watch_new(test_path("proc"));
        CU_ASSERT_EQUAL(look(watch, NULL, &detail), 0);
        CU_ASSERT_EQUAL(get(cases[i].name), cases[i].value[0]);
        sysctl_watch_free(watch);
    }
}

/* Loopback has them as well, but no filter of sources that matters. */
static void test_loopback(void)
{
    const struct rtnl_link_info loopback = {.index = 1, .name = "lo"};
    CLEANUP(strbuf_free) struct strbuf detail = STRBUF_EMPTY;
    make_proc();
    set("ipv4/conf/lo/accept_redirects", "1");
    set("ipv4/conf/lo/rp_filter", "1");
    struct sysctl_watch *watch = sysctl_watch_new(test_path("proc"));
    CU_ASSERT_EQUAL(look(watch, &loopback, &detail), 0);
    CU_ASSERT_EQUAL(get("ipv4/conf/lo/accept_redirects"), '0');
    set("ipv4/conf/lo/rp_filter", "0");
    CU_ASSERT_EQUAL(look(watch, &loopback, &detail), 0);
    sysctl_watch_free(watch);
}

/* The kernel sets all/accept_redirects to the opposite whenever ip_forward changes. */
static void test_forward_and_redirects(void)
{
    CLEANUP(strbuf_free) struct strbuf detail = STRBUF_EMPTY;
    make_proc();
    set("ipv4/ip_forward", "1");
    struct sysctl_watch *watch = sysctl_watch_new(test_path("proc"));
    set("ipv4/ip_forward", "0");
    set("ipv4/conf/all/accept_redirects", "1");
    CU_ASSERT_EQUAL(look(watch, NULL, &detail), 0); /* a tighter one is no tampering */
    CU_ASSERT_EQUAL(get("ipv4/conf/all/accept_redirects"), '0');
    sysctl_watch_free(watch);
}

/* Where it cannot be set, as where /proc/sys is read-only: no tampering, not even each second. */
static void test_required_that_stays(void)
{
    static const char name[] = "ipv4/conf/all/accept_redirects";
    CLEANUP(strbuf_free) struct strbuf detail = STRBUF_EMPTY;
    make_proc();
    set(name, "1");
    const char *path = test_path("proc/net/ipv4/conf/all/accept_redirects");
    CU_ASSERT_EQUAL(chmod(path, 0400), 0);
    struct sysctl_watch *watch = sysctl_watch_new(test_path("proc"));
    CU_ASSERT_EQUAL(look(watch, NULL, &detail), 0);
    CU_ASSERT_EQUAL(get(name), '1');
    CU_ASSERT_EQUAL(chmod(path, 0600), 0);
    CU_ASSERT_EQUAL(look(watch, NULL, &detail), 0); /* set now, without a word */
    CU_ASSERT_EQUAL(get(name), '0');
    CU_ASSERT_EQUAL(chmod(path, 0400), 0);
    sysctl_watch_free(watch);
    CU_ASSERT_EQUAL(chmod(path, 0600), 0);
}

/* By the kernel itself: setting ip_forward back lets redirects in, and they are refused again. */
static void test_forward_of_kernel(void)
{
    static const char forward[] = "/proc/sys/net/ipv4/ip_forward";
    CLEANUP(strbuf_free) struct strbuf detail = STRBUF_EMPTY, redirects = STRBUF_EMPTY;
    if (access(forward, W_OK) < 0)
        return;
    struct sysctl_watch *watch = sysctl_watch_new("/proc/sys");
    CLEANUP(descriptor_close) int file = open(forward, O_WRONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL(write(file, "1\n", 2), 2);
    CU_ASSERT_EQUAL(look(watch, NULL, &detail), 1);
    CU_ASSERT_EQUAL(file_read("/proc/sys/net/ipv4/conf/all/accept_redirects", 10, &redirects), 0);
    TEST_TEXT_EQUAL(strbuf_text(&redirects), "0\n");
    CU_ASSERT_EQUAL(look(watch, NULL, &detail), 0);
    sysctl_watch_free(watch);
}

/* Much at once makes one line that can be read. */
static void test_many(void)
{
    static const char *const places[] = {"all", "default"};
    const size_t many = 2 * ARRAY_LENGTH(required);
    struct event event;
    make_proc();
    struct sysctl_watch *watch = sysctl_watch_new(test_path("proc"));
    for (size_t i = 0; i < many; i++)
        set(conf_path(i / 2, places[i % 2]), required[i / 2].loose);
    event_init(&event, EVENT_FIREWALL_TAMPERED, 0);
    CU_ASSERT_TRUE(3 * sysctl_watch_look(watch, &event) > EVENT_MANY + 2); /* members for each */
    CU_ASSERT_TRUE(event.n_members <= EVENT_MANY + 2);
    for (size_t i = 0; i < many; i++)
        CU_ASSERT_EQUAL(get(conf_path(i / 2, places[i % 2])), required[i / 2].tight[0]);
    sysctl_watch_free(watch);
}

int main(void)
{
    static const struct test_case cases[] = {
        {"a sysctl that becomes looser is set back and reported", test_sysctls},
        {"one that cannot be set back is reported once", test_sysctl_that_stays},
        {"each interface has its own filter of sources", test_interfaces},
        {"redirects, source routes and ARP are set everywhere, and watched", test_required},
        {"what is tighter stays", test_required_enough},
        {"loopback is set as well", test_loopback},
        {"redirects that the kernel lets in with ip_forward are no tampering",
         test_forward_and_redirects},
        {"what cannot be set is no tampering", test_required_that_stays},
        {"the kernel lets redirects in when ip_forward is set back", test_forward_of_kernel},
        {"much at once makes a short line", test_many},
    };
    test_private_network();
    return test_main("sysctl_watch", cases, ARRAY_LENGTH(cases));
}

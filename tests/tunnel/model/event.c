/* The record of an event: its tables, and what happens at its bounds. */
#include "tunnel/model/event.h"

#include "tests/support/test.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WALL INT64_C(1795343987123)

/* A hole in a table would be a NULL, and a name that is there twice could not be read back. */
static void test_tables(void)
{
    for (size_t kind = EVENT_OTHER + 1; kind < EVENT_KIND_COUNT; kind++) {
        const char *name = event_kind_name((enum event_kind)kind);
        CU_ASSERT_PTR_NOT_NULL_FATAL(name);
        CU_ASSERT_TRUE(name[0] != '\0');
        CU_ASSERT_EQUAL(event_kind_find(name), kind);
    }
    for (size_t key = MEMBER_OTHER + 1; key < MEMBER_COUNT; key++) {
        bool is_used = false;
        CU_ASSERT_PTR_NOT_NULL_FATAL(event_key_name((enum event_key)key));
        for (size_t kind = EVENT_OTHER + 1; kind < EVENT_KIND_COUNT; kind++)
            is_used |=
                event_key_find((enum event_kind)kind, event_key_name((enum event_key)key)) == key;
        if (!is_used)
            TEST_TEXT_EQUAL(event_key_name((enum event_key)key), "(used by an event)");
    }
    CU_ASSERT_EQUAL(event_kind_find("tunnel_closd"), EVENT_OTHER);
    CU_ASSERT_EQUAL(event_key_find(EVENT_LINE_UP, "reason"), MEMBER_OTHER);
    CU_ASSERT_EQUAL(event_key_find(EVENT_LINE_UP, "hash"), MEMBER_HASH);
}

/* "interfaces" is a number in one event and a list of names in another. */
static void test_same_name(void)
{
    CU_ASSERT_EQUAL(event_key_find(EVENT_LEFTOVERS_REMOVED, "interfaces"), MEMBER_INTERFACES);
    CU_ASSERT_EQUAL(event_key_find(EVENT_FOREIGN_TUNNEL, "interfaces"), MEMBER_INTERFACE_NAMES);
    CU_ASSERT_EQUAL(event_key_type(MEMBER_INTERFACES), EVENT_TYPE_NUMBER);
    CU_ASSERT_EQUAL(event_key_type(MEMBER_INTERFACE_NAMES), EVENT_TYPE_LIST);
}

static void test_members(void)
{
    struct event event;
    event_init(&event, EVENT_TUNNEL_OPENED, WALL);
    event_add_text(&event, MEMBER_BY, "root");
    event_add_item(&event, MEMBER_SERVICES, "ssh");
    event_add_item(&event, MEMBER_SERVICES, "plc1");
    event_add_number(&event, MEMBER_TTL_S, -3);
    TEST_TEXT_EQUAL(event_name(&event), "tunnel_opened");
    CU_ASSERT_EQUAL_FATAL(event.n_members, 3);
    TEST_TEXT_EQUAL(event_member_name(&event, &event.members[1]), "services");
    TEST_TEXT_EQUAL(event_member_text(&event, &event.members[1]), "ssh,plc1");
    TEST_TEXT_EQUAL(event_text(&event, MEMBER_BY), "root");
    TEST_TEXT_EQUAL(event_text(&event, MEMBER_TTL_S), "");
    TEST_TEXT_EQUAL(event_text(&event, MEMBER_PURPOSE), "");
    CU_ASSERT_EQUAL(event_find(&event, MEMBER_TTL_S)->number, -3);
    CU_ASSERT_PTR_NULL(event_find(&event, MEMBER_PURPOSE));
    CU_ASSERT_FALSE(event.is_cut);
}

static void test_copy(void)
{
    struct event event, detail, copy;
    event_init(&detail, EVENT_TUNNEL_REFUSED, 0);
    event_add_text(&detail, MEMBER_DETAIL, "bad");
    event_add_number(&detail, MEMBER_MAX_TTL_S, 60);
    event_init(&event, EVENT_TUNNEL_REFUSED, WALL);
    event_add_text(&event, MEMBER_BY, "unknown");
    event_add_members(&event, &detail);
    copy = event;
    memset(&event, 0xa5, sizeof(event));
    CU_ASSERT_EQUAL(copy.n_members, 3);
    TEST_TEXT_EQUAL(event_text(&copy, MEMBER_BY), "unknown");
    TEST_TEXT_EQUAL(event_text(&copy, MEMBER_DETAIL), "bad");
    CU_ASSERT_EQUAL(event_find(&copy, MEMBER_MAX_TTL_S)->number, 60);
}

/* What does not fit is cut where a character ends, and the event says so. */
static void test_bounds(void)
{
    static char longest[EVENT_TEXT_BYTES + 8];
    struct event event;
    for (size_t i = 0; i + 2 < sizeof(longest); i += 2)
        memcpy(longest + i, "\xc3\xb6", 2);
    event_init(&event, EVENT_CERTIFICATE_EXPIRING, WALL);
    event_add_text(&event, MEMBER_FILE, longest);
    CU_ASSERT_TRUE(event.is_cut);
    CU_ASSERT_EQUAL(strlen(event_text(&event, MEMBER_FILE)), EVENT_TEXT_BYTES - 2);
    event_add_text(&event, MEMBER_SUBJECT, "x");
    CU_ASSERT_EQUAL(event.n_members, 2);
    TEST_TEXT_EQUAL(event_text(&event, MEMBER_SUBJECT), "");
    event_add_text(&event, MEMBER_SUBJECT, "y");
    CU_ASSERT_EQUAL(event.n_members, 2);
    event_add_number(&event, MEMBER_DAYS_LEFT, 7);
    CU_ASSERT_EQUAL(event_find(&event, MEMBER_DAYS_LEFT)->number, 7);
}

static void test_many(void)
{
    struct event event;
    event_init(&event, EVENT_FIREWALL_TAMPERED, WALL);
    for (int i = 0; i < EVENT_MAX_MEMBERS; i++)
        event_add_number(&event, MEMBER_TO, i);
    CU_ASSERT_FALSE(event.is_cut);
    event_add_text(&event, MEMBER_LOOSENED, "net/ipv4/ip_forward");
    event_add_number(&event, MEMBER_TO, 1);
    CU_ASSERT_EQUAL(event.n_members, EVENT_MAX_MEMBERS);
    CU_ASSERT_TRUE(event.is_cut);
}

static void test_long_list(void)
{
    struct event event;
    event_init(&event, EVENT_FOREIGN_TUNNEL, WALL);
    for (int i = 0; i < 1000; i++)
        event_add_item(&event, MEMBER_INTERFACE_NAMES, "wg-service");
    CU_ASSERT_TRUE(event.is_cut);
    CU_ASSERT_EQUAL(event.n_members, 1);
    CU_ASSERT_EQUAL(strlen(event_text(&event, MEMBER_INTERFACE_NAMES)), EVENT_TEXT_BYTES - 1);
}

TEST_MAIN("event", {"each kind and each member has a name that leads back to it", test_tables},
          {"one name may mean two members, each in its event", test_same_name},
          {"members keep their order and type", test_members},
          {"a record may be copied", test_copy}, {"a text that is too long is cut", test_bounds},
          {"more members than fit are left out", test_many},
          {"a list that is too long is cut", test_long_list})

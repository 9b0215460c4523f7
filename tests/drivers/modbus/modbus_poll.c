/*
 * One poll of one unit, with an invented unit in place of a wire: which requests are made, what
 * becomes of their replies, and how tags that the unit refuses are found and left out.
 */
#include "drivers/modbus/modbus_poll.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "tests/support/driven.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Register A holds A + 1000; coil A is on where A is divisible by 3. */
struct unit {
    uint16_t illegal[64]; /* addresses that do not exist */
    size_t n_illegal;
    uint16_t most;             /* refuses to deliver more at once, with exception 3; 0: no limit */
    uint8_t exception;         /* refuses everything */
    enum outcome outcomes[16]; /* of the next exchanges */
    size_t n_outcomes;
    size_t late;     /* so many of the next good replies come late */
    size_t requests; /* since the last look */
    struct modbus_request latest;
    uint8_t data[256];
};

static bool refuses(const struct unit *unit, const struct modbus_request *request)
{
    for (size_t i = 0; i < unit->n_illegal; i++) {
        if (unit->illegal[i] >= request->address &&
            unit->illegal[i] < request->address + request->count)
            return true;
    }
    return false;
}

static void fill(struct unit *unit, const struct modbus_request *request)
{
    memset(unit->data, 0, sizeof(unit->data));
    for (size_t i = 0; i < request->count; i++) {
        size_t address = request->address + i;
        if (modbus_request_is_bits(request)) {
            unit->data[i / 8] |= (uint8_t)((address % 3 == 0) << i % 8);
        } else {
            unit->data[2 * i] = (uint8_t)((address + 1000) >> 8);
            unit->data[2 * i + 1] = (uint8_t)(address + 1000);
        }
    }
}

static enum outcome exchange(void *line, const struct modbus_request *request,
                             struct pdu_reply *reply, struct driver_error *error)
{
    struct unit *unit = line;
    CU_ASSERT_TRUE(modbus_request_is_valid(request));
    unit->requests++;
    unit->latest = *request;
    if (unit->n_outcomes > 0) {
        enum outcome outcome = unit->outcomes[0];
        memmove(unit->outcomes, unit->outcomes + 1, sizeof(unit->outcomes) - sizeof(outcome));
        unit->n_outcomes--;
        if (outcome != OUTCOME_OK) {
            driver_explain(error, "as told");
            return outcome;
        }
    }
    if (unit->late > 0) {
        unit->late--;
        driver_explain(error, "late");
    }
    fill(unit, request);
    memset(reply, 0, sizeof(*reply));
    memcpy(reply->data, unit->data, sizeof(reply->data));
    if (unit->exception || refuses(unit, request))
        reply->exception = unit->exception ? unit->exception : 2;
    else if (unit->most && request->count > unit->most)
        reply->exception = 3;
    return OUTCOME_OK;
}

static struct driven driven;
static struct unit unit;
static int64_t now_ns;
static bool must_ask;

/* A device with these keys and tags, on a unit that is well. */
static void begin(const char *keys, const char *tags)
{
    CLEANUP(memory_free_pointer)
    char *text =
        memory_printf("buses: ( { name = \"b\"; driver = \"modbus_tcp\"; host = \"h\"; } );\n"
                      "devices: ( { name = \"d\"; bus = \"b\"; unit = 5; %s tags = ( %s ); } );\n",
                      keys, tags);
    driven_open(&driven, text);
    memset(&unit, 0, sizeof(unit));
    now_ns = 1000 * CLOCK_NS_PER_S;
    must_ask = false;
}

/* N tags "t0", "t1", ... at FIRST, FIRST + STEP, ... */
static void begin_row(const char *keys, const char *table, unsigned n, unsigned first,
                      unsigned step)
{
    CLEANUP(strbuf_free) struct strbuf tags = STRBUF_EMPTY;
    for (unsigned i = 0; i < n; i++)
        strbuf_addf(&tags, "%s{ name = \"t%u\"; table = \"%s\"; address = %u; }", i ? "," : "", i,
                    table, first + i * step);
    begin(keys, strbuf_text(&tags));
}

static enum outcome poll(void)
{
    unit.requests = 0;
    driven_begin(&driven, 0);
    struct modbus_poll_wish wish = {now_ns, must_ask};
    enum outcome outcome =
        modbus_poll_read(driven.polls[0], exchange, &unit, &wish, &driven.batch, &driven.error);
    now_ns += CLOCK_NS_PER_S;
    return outcome;
}

static const char *values(void)
{
    return driven_values(&driven, 0);
}

/* What a row of N registers reads like; BAD, a mask, shows `exception-2`. */
static const char *row(unsigned n, unsigned first, unsigned step, uint64_t bad)
{
    static char text[8192];
    size_t used = 0;
    for (unsigned i = 0; i < n; i++) {
        const char *space = i ? " " : "";
        if (bad >> i & 1)
            used +=
                (size_t)snprintf(text + used, sizeof(text) - used, "%st%u=exception-2", space, i);
        else
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%st%u=%u", space, i,
                                     first + i * step + 1000);
    }
    return text;
}

static void test_tables(void)
{
    begin("", "{ name = \"a\"; address = 10; }, { name = \"b\"; address = 12; type = \"int32\"; },"
              "{ name = \"c\"; table = \"coil\"; address = 3; },"
              "{ name = \"e\"; table = \"coil\"; address = 11; },"
              "{ name = \"f\"; table = \"coil\"; address = 12; },"
              "{ name = \"g\"; table = \"input\"; address = 500; scale = 0.5; },"
              "{ name = \"h\"; address = 13; bit = 0; }, { name = \"i\"; address = 13; bit = 1; },"
              "{ name = \"j\"; table = \"discrete\"; address = 99; }");
    CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
    CU_ASSERT_EQUAL(unit.requests, 4);
    CU_ASSERT_EQUAL(unit.latest.unit, 5);
    TEST_TEXT_EQUAL(values(),
                    "a=1010 b=66323445 c=true e=false f=true g=750 h=true i=false j=true");
    driven_close(&driven);
}

static void test_one_guilty(void)
{
    for (unsigned guilty = 0; guilty < 40; guilty++) {
        begin_row("", "holding", 40, 0, 1);
        unit.illegal[0] = (uint16_t)guilty;
        unit.n_illegal = 1;
        CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
        TEST_TEXT_EQUAL(values(), row(40, 0, 1, UINT64_C(1) << guilty)); /* in the same poll */
        CU_ASSERT_TRUE(unit.requests <= 13);
        CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
        TEST_TEXT_EQUAL(values(), row(40, 0, 1, UINT64_C(1) << guilty));
        CU_ASSERT_EQUAL(unit.requests, guilty == 0 || guilty == 39 ? 1 : 2); /* merged again */
        driven_close(&driven);
    }
}

static void test_recovers(void)
{
    begin_row("", "holding", 40, 0, 1);
    unit.illegal[0] = 17;
    unit.n_illegal = 1;
    CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
    size_t asked = 0;
    for (int i = 0; i < 3600; i++) { /* an hour of polls */
        CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
        asked += unit.requests - 2;
    }
    CU_ASSERT_TRUE(asked >= 10 && asked <= 20); /* 10 s, 20 s, ... at most 300 s apart */
    TEST_TEXT_EQUAL(values(), row(40, 0, 1, UINT64_C(1) << 17));
    unit.n_illegal = 0;
    for (int i = 0; i < 301; i++)
        CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
    TEST_TEXT_EQUAL(values(), row(40, 0, 1, 0));
    CU_ASSERT_EQUAL(unit.requests, 1);
    driven_close(&driven);
}

/* A unit that was reprogrammed: what was refused for long comes back with what was refused lately.
 */
static void test_recover_together(void)
{
    begin_row("", "holding", 40, 0, 1);
    unit.illegal[0] = 5;
    unit.n_illegal = 1;
    for (int i = 0; i < 200; i++)
        CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
    unit.illegal[1] = 30;
    unit.n_illegal = 2;
    CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
    TEST_TEXT_EQUAL(values(), row(40, 0, 1, UINT64_C(1) << 5 | UINT64_C(1) << 30));
    unit.n_illegal = 0;
    for (int i = 0; i < 13; i++)
        CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
    TEST_TEXT_EQUAL(values(), row(40, 0, 1, 0));
    driven_close(&driven);
}

static void test_many_guilty(void)
{
    begin_row("", "holding", 60, 0, 2);
    uint64_t bad = 0;
    for (unsigned i = 0; i < 60; i += 3) {
        unit.illegal[unit.n_illegal++] = (uint16_t)(2 * i);
        bad |= UINT64_C(1) << i;
    }
    size_t polls = 0;
    do {
        CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
        CU_ASSERT_TRUE(unit.requests <= 60); /* a poll stays bounded */
    } while (++polls < 10 && strcmp(values(), row(60, 0, 2, bad)) != 0);
    CU_ASSERT_TRUE(polls < 10);
    driven_close(&driven);
}

static void test_gap(void)
{
    begin("", "{ name = \"t0\"; address = 0; }, { name = \"t1\"; address = 1; },"
              "{ name = \"t2\"; address = 5; }, { name = \"t3\"; address = 6; }");
    unit.illegal[0] = 3; /* nobody asked for it */
    unit.n_illegal = 1;
    CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
    TEST_TEXT_EQUAL(values(), "t0=1000 t1=1001 t2=1005 t3=1006");
    CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
    TEST_TEXT_EQUAL(values(), "t0=1000 t1=1001 t2=1005 t3=1006");
    CU_ASSERT_EQUAL(unit.requests, 2); /* kept apart from now on */
    driven_close(&driven);
}

static void test_too_many_at_once(void)
{
    begin_row("", "holding", 60, 0, 1);
    unit.most = 20;
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
        TEST_TEXT_EQUAL(values(), row(60, 0, 1, 0));
    }
    CU_ASSERT_EQUAL(unit.requests, 4); /* 15 each: found by halving */
    driven_close(&driven);
}

static void test_bit_tags(void)
{
    CLEANUP(strbuf_free) struct strbuf tags = STRBUF_EMPTY;
    strbuf_add(&tags, "{ name = \"x\"; address = 8; }");
    for (unsigned i = 0; i < 16; i++)
        strbuf_addf(&tags, ", { name = \"b%u\"; address = 7; bit = %u; }", i, i);
    begin("", strbuf_text(&tags));
    unit.illegal[0] = 7;
    unit.n_illegal = 1;
    for (int i = 0; i < 4; i++) /* sixteen tags are guilty */
        CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
    TEST_CONTAINS(values(), "x=1008 b0=exception-2 b1=exception-2");
    unit.n_illegal = 0;
    for (int i = 0; i < 30; i++)
        CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
    TEST_CONTAINS(values(), "x=1008 b0=true b1=true b2=true b3=true b4=false b5=true b6=true");
    CU_ASSERT_EQUAL(unit.requests, 1);
    driven_close(&driven);
}

static void test_all_left_out(void)
{
    begin("", "{ name = \"t0\"; address = 0; }");
    unit.illegal[0] = 0;
    unit.n_illegal = 1;
    for (int i = 0; i < 40; i++) { /* a second apart */
        CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
        CU_ASSERT_EQUAL(unit.requests, i % 10 == 0); /* or nobody would notice that it is dead */
        TEST_TEXT_EQUAL(values(), "t0=exception-2");
    }
    CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
    must_ask = true;
    for (int i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
        CU_ASSERT_EQUAL(unit.requests, 1);
    }
    unit.outcomes[0] = OUTCOME_TIMEOUT;
    unit.n_outcomes = 1;
    CU_ASSERT_EQUAL(poll(), OUTCOME_TIMEOUT);
    TEST_TEXT_EQUAL(values(), "t0=timeout");
    driven_close(&driven);
}

/* Every register is refused: finding that out takes two requests for each, then one every 10 s. */
static void test_everything_refused(void)
{
    begin_row("", "holding", 16, 0, 1);
    for (uint16_t i = 0; i < 16; i++)
        unit.illegal[unit.n_illegal++] = i;
    size_t asked = 0;
    for (int i = 0; i < 40; i++) {
        CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
        TEST_TEXT_EQUAL(values(), row(16, 0, 1, 0xFFFF));
        asked += unit.requests;
    }
    CU_ASSERT_TRUE(asked <= 2 * 16 + 4);
    for (int i = 0; i < 100; i++)
        CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
    unit.n_illegal = 0; /* reprogrammed: the first that is answered draws the others with it */
    for (int i = 0; i < 20; i++)
        CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
    TEST_TEXT_EQUAL(values(), row(16, 0, 1, 0));
    CU_ASSERT_EQUAL(unit.requests, 1);
    driven_close(&driven);
}

/* One register of a unit that refused everything exists now: its turn comes. */
static void test_one_of_all_comes_back(void)
{
    begin_row("", "holding", 16, 0, 1);
    for (uint16_t i = 0; i < 16; i++)
        unit.illegal[unit.n_illegal++] = i;
    for (int i = 0; i < 100; i++)
        CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
    unit.illegal[7] = 1000;
    for (int i = 0; i < 16 * 10 + 10; i++)
        CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
    TEST_TEXT_EQUAL(values(), row(16, 0, 1, 0xFFFF & ~(1U << 7)));
    driven_close(&driven);
}

static void test_other_exceptions(void)
{
    begin_row("", "holding", 8, 0, 1);
    unit.exception = 6; /* busy */
    CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
    CU_ASSERT_EQUAL(unit.requests, 1);
    TEST_CONTAINS(values(), "t0=exception-6 t1=exception-6");
    unit.exception = 0;
    CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
    TEST_TEXT_EQUAL(values(), row(8, 0, 1, 0));
    driven_close(&driven);
}

/* Four requests: t0; t1; t2; t3. */
static void begin_four(void)
{
    begin_row("", "input", 4, 0, 100);
}

static void test_gateway(void)
{
    begin_four();
    unit.exception = 11; /* the gateway gets no answer */
    CU_ASSERT_EQUAL(poll(), OUTCOME_TIMEOUT);
    CU_ASSERT_EQUAL(unit.requests, 1);
    TEST_TEXT_EQUAL(values(), "t0=exception-11 t1=exception-11 t2=exception-11 t3=exception-11");
    TEST_CONTAINS(driven.error.text, "unit 5");
    driven_close(&driven);
}

static void expect_after(enum outcome first, enum outcome second, enum outcome third,
                         enum outcome expected, const char *text)
{
    begin_four();
    unit.outcomes[0] = first;
    unit.outcomes[1] = second;
    unit.outcomes[2] = third;
    unit.n_outcomes = 3;
    CU_ASSERT_EQUAL(poll(), expected);
    TEST_TEXT_EQUAL(values(), text);
    CU_ASSERT_STRING_EQUAL(driven.error.text, "as told");
    unit.n_outcomes = 0;
    CU_ASSERT_EQUAL(poll(), OUTCOME_OK); /* nothing stays behind */
    TEST_TEXT_EQUAL(values(), "t0=1000 t1=1100 t2=1200 t3=1300");
    driven_close(&driven);
}

static void test_failures(void)
{
    const enum outcome ok = OUTCOME_OK, bad = OUTCOME_BAD_REPLY, silent = OUTCOME_TIMEOUT,
                       gone = OUTCOME_DISCONNECTED;
    expect_after(silent, ok, ok, silent, "t0=timeout t1=timeout t2=timeout t3=timeout");
    expect_after(ok, silent, ok, silent, "t0=1000 t1=timeout t2=timeout t3=timeout");
    expect_after(bad, ok, ok, bad, "t0=bad-reply t1=1100 t2=1200 t3=1300");
    expect_after(bad, ok, bad, bad, "t0=bad-reply t1=1100 t2=bad-reply t3=1300");
    expect_after(bad, bad, ok, bad, "t0=bad-reply t1=bad-reply t2=bad-reply t3=bad-reply");
    expect_after(bad, silent, ok, silent, "t0=bad-reply t1=timeout t2=timeout t3=timeout");
    expect_after(ok, gone, ok, gone, "t0=1000 t1=disconnected t2=disconnected t3=disconnected");
}

/* A good poll says that a reply was late; a bad one says why it is bad. */
static void test_late(void)
{
    begin_four();
    unit.late = 1;
    CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
    TEST_TEXT_EQUAL(values(), "t0=1000 t1=1100 t2=1200 t3=1300");
    TEST_TEXT_EQUAL(driven.error.text, "late");
    driven.error.text[0] = 0;
    unit.outcomes[0] = OUTCOME_BAD_REPLY;
    unit.n_outcomes = 1;
    unit.late = 1;
    CU_ASSERT_EQUAL(poll(), OUTCOME_BAD_REPLY);
    TEST_TEXT_EQUAL(driven.error.text, "as told");
    driven_close(&driven);
}

/* The search for a guilty tag is cut short by silence; each tag still gets its one sample. */
static void test_silence_while_searching(void)
{
    begin_row("", "holding", 8, 0, 1);
    unit.illegal[0] = 6;
    unit.n_illegal = 1;
    unit.outcomes[2] = OUTCOME_TIMEOUT;
    unit.n_outcomes = 3;
    CU_ASSERT_EQUAL(poll(), OUTCOME_TIMEOUT);
    TEST_TEXT_EQUAL(values(), "t0=1000 t1=1001 t2=1002 t3=1003 t4=timeout t5=timeout t6=timeout "
                              "t7=timeout");
    CU_ASSERT_EQUAL(poll(), OUTCOME_OK);
    TEST_TEXT_EQUAL(values(), row(8, 0, 1, 1 << 6));
    driven_close(&driven);
}

static void test_request(void)
{
    static struct modbus_call call;
    struct driver_error error = {""};
    memset(&unit, 0, sizeof(unit));
    call.request = modbus_read_request(5, MODBUS_HOLDING, 65500, 36);
    CU_ASSERT_EQUAL(modbus_request_once(exchange, &unit, &call, &error), OUTCOME_OK);
    CU_ASSERT_EQUAL(call.reply.values[35], (65535 + 1000) & 0xFFFF);
    call.request = modbus_read_request(5, MODBUS_COIL, 0, 2000);
    CU_ASSERT_EQUAL(modbus_request_once(exchange, &unit, &call, &error), OUTCOME_OK);
    CU_ASSERT_EQUAL(call.reply.values[1998], 1);
    CU_ASSERT_EQUAL(call.reply.values[1999], 0);
    unit.exception = 4;
    CU_ASSERT_EQUAL(modbus_request_once(exchange, &unit, &call, &error), OUTCOME_OK);
    CU_ASSERT_EQUAL(call.reply.exception, 4);
    call.request.count = 2001;
    unit.requests = 0;
    CU_ASSERT_EQUAL(modbus_request_once(exchange, &unit, &call, &error), OUTCOME_UNSUPPORTED);
    CU_ASSERT_EQUAL(unit.requests, 0);
    TEST_CONTAINS(error.text, "1 to 2000");
}

TEST_MAIN("modbus_poll", {"tags of all tables arrive with as few requests as can be", test_tables},
          {"one guilty tag is found in the same poll and costs nobody else", test_one_guilty},
          {"a tag left out is tried ever more rarely, and comes back", test_recovers},
          {"what comes back draws the others with it", test_recover_together},
          {"many guilty tags are found within a few polls", test_many_guilty},
          {"a hole between two tags keeps them apart", test_gap},
          {"a unit that delivers less at once is asked for less", test_too_many_at_once},
          {"the bits of a refused register go and come together", test_bit_tags},
          {"a unit is asked even when all its tags are left out", test_all_left_out},
          {"a unit that refuses everything is asked every 10 s", test_everything_refused},
          {"one tag of a unit that refused everything comes back", test_one_of_all_comes_back},
          {"a late reply is told of", test_late},
          {"other exceptions are told and leave no trace", test_other_exceptions},
          {"a gateway's silent unit is asked once", test_gateway},
          {"a failure costs its request; silence ends the poll", test_failures},
          {"silence may cut short the search for a guilty tag", test_silence_while_searching},
          {"single requests are carried out within the limits", test_request})

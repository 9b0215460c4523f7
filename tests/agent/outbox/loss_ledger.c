/* Runs of numbers: outages and gaps. */
#include "agent/outbox/loss_ledger.h"
#include "tests/support/test.h"

static const struct run_list none_in_flight;

static void test_outages(void)
{
    struct loss_ledger ledger = {.version = 0};
    CU_ASSERT_FALSE(loss_ledger_is_historical(&ledger, 1));
    loss_ledger_outage_begins(&ledger, 5);
    CU_ASSERT_FALSE(loss_ledger_is_historical(&ledger, 4));
    CU_ASSERT_TRUE(loss_ledger_is_historical(&ledger, 5));
    CU_ASSERT_TRUE(loss_ledger_is_historical(&ledger, 1000000));
    loss_ledger_outage_ends(&ledger, 8);
    CU_ASSERT_TRUE(loss_ledger_is_historical(&ledger, 7));
    CU_ASSERT_FALSE(loss_ledger_is_historical(&ledger, 8));
    loss_ledger_outage_begins(&ledger, 20);
    loss_ledger_outage_ends(&ledger, 30);
    loss_ledger_outage_begins(&ledger, 40);
    loss_ledger_outage_ends(&ledger, 50);
    for (uint64_t seq = 1; seq < 60; seq++) {
        bool expected = (seq >= 5 && seq < 8) || (seq >= 20 && seq < 30) || (seq >= 40 && seq < 50);
        CU_ASSERT_EQUAL(loss_ledger_is_historical(&ledger, seq), expected);
    }
    uint64_t version = ledger.version;
    loss_ledger_forget_below(&ledger, 29);
    CU_ASSERT(ledger.version > version);
    CU_ASSERT_EQUAL(ledger.historical.n, 2);
    CU_ASSERT_TRUE(loss_ledger_is_historical(&ledger, 29));
    loss_ledger_free(&ledger);
}

static void test_outages_that_adjoin(void)
{
    struct loss_ledger ledger = {.version = 0};
    loss_ledger_outage_begins(&ledger, 5);
    loss_ledger_outage_ends(&ledger, 8);
    loss_ledger_outage_begins(&ledger, 8); /* nothing was handed out in between */
    loss_ledger_outage_ends(&ledger, 10);
    CU_ASSERT_EQUAL(ledger.historical.n, 1);
    CU_ASSERT_TRUE(loss_ledger_is_historical(&ledger, 9));
    CU_ASSERT_FALSE(loss_ledger_is_historical(&ledger, 10));
    loss_ledger_outage_begins(&ledger, 12);
    loss_ledger_outage_ends(&ledger, 12); /* nothing was taken */
    CU_ASSERT_EQUAL(ledger.historical.n, 1);
    loss_ledger_outage_begins(&ledger, 15);
    uint64_t version = ledger.version;
    loss_ledger_outage_begins(&ledger, 17); /* it goes on since before a restart */
    CU_ASSERT_EQUAL(ledger.version, version);
    CU_ASSERT_TRUE(loss_ledger_is_historical(&ledger, 15));
    loss_ledger_free(&ledger);
}

/* A link that flaps for ever with a backlog that never drains: memory stays bounded. */
static void test_outages_without_end(void)
{
    struct loss_ledger ledger = {.version = 0};
    for (uint64_t i = 1; i <= 3 * LOSS_LEDGER_MAX_SPANS; i++) {
        loss_ledger_outage_begins(&ledger, i * 10);
        loss_ledger_outage_ends(&ledger, i * 10 + 5);
    }
    CU_ASSERT_EQUAL(ledger.historical.n, LOSS_LEDGER_MAX_SPANS);
    CU_ASSERT_TRUE(loss_ledger_is_historical(&ledger, 10));
    CU_ASSERT_TRUE(loss_ledger_is_historical(&ledger, 10 * LOSS_LEDGER_MAX_SPANS + 4));
    CU_ASSERT_FALSE(loss_ledger_is_historical(&ledger, 10 * LOSS_LEDGER_MAX_SPANS + 5));
    loss_ledger_free(&ledger);
}

static void test_gaps_merge(void)
{
    struct loss_ledger ledger = {.version = 0};
    CU_ASSERT_PTR_NULL(loss_ledger_next_gap(&ledger, &none_in_flight));
    loss_ledger_add_gap(&ledger, SPAN_FULL, 1, 10, 1000, 2000);
    loss_ledger_add_gap(&ledger, SPAN_FULL, 11, 20, 2100, 3000);
    const struct span *gap = loss_ledger_next_gap(&ledger, &none_in_flight);
    CU_ASSERT_PTR_NOT_NULL_FATAL(gap);
    CU_ASSERT(gap->first == 1 && gap->last == 20);
    CU_ASSERT(gap->from_ms == 1000 && gap->to_ms == 3000);
    TEST_TEXT_EQUAL(span_kind_name(gap->kind), "full");
    loss_ledger_add_gap(&ledger, SPAN_FULL, 25, 26, 0, 0);    /* 21..24 arrived */
    loss_ledger_add_gap(&ledger, SPAN_DAMAGED, 27, 27, 0, 0); /* another reason */
    CU_ASSERT_EQUAL(ledger.gaps.n, 3);
    loss_ledger_gap_reported(&ledger, &none_in_flight, 100);
    loss_ledger_add_gap(&ledger, SPAN_FULL, 21, 21, 0, 0); /* the report says 1..20 already */
    CU_ASSERT_EQUAL(ledger.gaps.n, 4);
    CU_ASSERT_EQUAL(loss_ledger_next_gap(&ledger, &none_in_flight)->first, 25);
    loss_ledger_free(&ledger);
}

static void test_reports(void)
{
    struct loss_ledger ledger = {.version = 0};
    loss_ledger_add_gap(&ledger, SPAN_FULL, 1, 10, 0, 0);
    loss_ledger_add_gap(&ledger, SPAN_POWER_LOSS, 50, 60, 0, 0);
    loss_ledger_gap_reported(&ledger, &none_in_flight, 100);
    CU_ASSERT_EQUAL(loss_ledger_next_gap(&ledger, &none_in_flight)->first, 50);
    loss_ledger_gap_reported(&ledger, &none_in_flight, 101);
    CU_ASSERT_PTR_NULL(loss_ledger_next_gap(&ledger, &none_in_flight));
    loss_ledger_reports_lost(&ledger, 101,
                             200); /* 101 was in the live tier when the power failed */
    CU_ASSERT_EQUAL(loss_ledger_next_gap(&ledger, &none_in_flight)->first, 50);
    loss_ledger_arrived(&ledger, 100);
    CU_ASSERT_EQUAL(ledger.gaps.n, 1);
    loss_ledger_arrived(&ledger, 101); /* of another start: no report of this one */
    CU_ASSERT_EQUAL(ledger.gaps.n, 1);
    loss_ledger_gap_reported(&ledger, &none_in_flight, 300);
    loss_ledger_add_gap(&ledger, SPAN_FULL, 290, 310, 0, 0); /* the report is dropped itself */
    CU_ASSERT_EQUAL(loss_ledger_next_gap(&ledger, &none_in_flight)->first, 290);
    loss_ledger_gap_reported(&ledger, &none_in_flight, 311);
    CU_ASSERT_EQUAL(loss_ledger_next_gap(&ledger, &none_in_flight)->first, 50);
    loss_ledger_free(&ledger);
}

static void expect_unreported(const struct loss_ledger *ledger, size_t at, uint64_t first,
                              uint64_t last)
{
    CU_ASSERT_FATAL(at < ledger->gaps.n);
    CU_ASSERT_EQUAL(ledger->gaps.spans[at].first, first);
    CU_ASSERT_EQUAL(ledger->gaps.spans[at].last, last);
    CU_ASSERT_EQUAL(ledger->gaps.spans[at].event_seq, 0);
}

/* What is in a gap already is not lost again. */
static void test_each_number_once(void)
{
    struct loss_ledger ledger = {.version = 0};
    loss_ledger_add_gap(&ledger, SPAN_FULL, 10, 20, 0, 0);
    loss_ledger_gap_reported(&ledger, &none_in_flight, 100);
    loss_ledger_add_gap(&ledger, SPAN_FULL, 30, 40, 0, 0);
    loss_ledger_add_gap(&ledger, SPAN_DAMAGED, 5, 45, 0, 0);
    CU_ASSERT_EQUAL(ledger.gaps.n, 5);
    expect_unreported(&ledger, 1, 30, 40);
    expect_unreported(&ledger, 2, 5, 9);
    expect_unreported(&ledger, 3, 21, 29);
    expect_unreported(&ledger, 4, 41, 45);
    loss_ledger_add_gap(&ledger, SPAN_DAMAGED, 12, 18, 0, 0);
    CU_ASSERT_EQUAL(ledger.gaps.n, 5);
    loss_ledger_free(&ledger);
}

/* What may still be acknowledged is not reported, and what is acknowledged is in no gap. */
static void test_in_flight(void)
{
    struct loss_ledger ledger = {.version = 0};
    struct run_list in_flight = {.version = 0};
    run_list_add(&in_flight, 15, 16);
    loss_ledger_add_gap(&ledger, SPAN_DAMAGED, 10, 20, 0, 0);
    CU_ASSERT_PTR_NULL(loss_ledger_next_gap(&ledger, &in_flight));
    loss_ledger_arrived(&ledger, 15);
    run_list_remove(&in_flight, 15, 15);
    expect_unreported(&ledger, 0, 10, 14);
    expect_unreported(&ledger, 1, 16, 20);
    CU_ASSERT_EQUAL(loss_ledger_next_gap(&ledger, &in_flight)->first, 10);
    loss_ledger_gap_reported(&ledger, &in_flight, 100);
    CU_ASSERT_PTR_NULL(loss_ledger_next_gap(&ledger, &in_flight));
    run_list_reset(&in_flight); /* the link went down */
    CU_ASSERT_EQUAL(loss_ledger_next_gap(&ledger, &in_flight)->first, 16);
    loss_ledger_arrived(&ledger, 20);
    loss_ledger_arrived(&ledger, 16);
    expect_unreported(&ledger, 1, 17, 19);
    loss_ledger_arrived(&ledger, 18);
    loss_ledger_arrived(&ledger, 17);
    loss_ledger_arrived(&ledger, 19);
    CU_ASSERT_PTR_NULL(loss_ledger_next_gap(&ledger, &in_flight));
    CU_ASSERT_EQUAL(ledger.gaps.n, 1);
    loss_ledger_arrived(&ledger, 12); /* it is reported already */
    CU_ASSERT_EQUAL(ledger.gaps.n, 1);
    run_list_free(&in_flight);
    loss_ledger_free(&ledger);
}

static void test_gaps_without_end(void)
{
    struct loss_ledger ledger = {.version = 0};
    for (uint64_t i = 1; i <= 2 * LOSS_LEDGER_MAX_SPANS; i++)
        loss_ledger_add_gap(&ledger, SPAN_FULL, i * 10, i * 10 + 1, 0, 0);
    CU_ASSERT(ledger.gaps.n <= LOSS_LEDGER_MAX_SPANS);
    CU_ASSERT_EQUAL(loss_ledger_next_gap(&ledger, &none_in_flight)->first, 10);
    bool covered = false;
    for (size_t i = 0; i < ledger.gaps.n; i++)
        covered |= ledger.gaps.spans[i].last >= 20 * LOSS_LEDGER_MAX_SPANS;
    CU_ASSERT_TRUE(covered); /* none is forgotten: they are joined instead */
    loss_ledger_free(&ledger);
}

TEST_MAIN("ledger", {"outages are runs of numbers", test_outages},
          {"outages that adjoin are one, empty ones none", test_outages_that_adjoin},
          {"outages without end stay bounded", test_outages_without_end},
          {"gaps that adjoin are one", test_gaps_merge},
          {"a gap stays until its report is safe", test_reports},
          {"a number is in one gap only", test_each_number_once},
          {"what is in flight is not reported, what arrived is in no gap", test_in_flight},
          {"gaps without end stay bounded, and none is forgotten", test_gaps_without_end})

/* Report on change: what a subscriber sees. */
#include "agent/flow/change_filter.h"

#include "tests/support/test.h"

#include <string.h>

enum { LEVEL, COUNT, ALARM, MODEL };

static struct config_tag tags[] = {
    {.name = "level", .type = VALUE_FLOAT64, .deadband = 0.5},
    {.name = "count", .type = VALUE_UINT64},
    {.name = "alarm", .type = VALUE_BOOL},
    {.name = "model", .type = VALUE_STRING, .length = 20},
};
static struct config_device devices[] = {
    {.name = "d", .report = REPORT_CHANGE, .heartbeat_s = 60, .tags = tags, .n_tags = 4},
    {.name = "e", .report = REPORT_ALWAYS, .heartbeat_s = 60, .tags = tags, .n_tags = 4},
};
static const struct config config = {.devices = devices, .n_devices = 2};
static union slot slots[64];

/* One poll; returns the picked tags as letters, "*" for all. */
static const char *poll_once(struct change_filter *report, uint16_t device, int64_t now_ms,
                             double level, uint64_t count, bool alarm, const char *model)
{
    static char letters[5];
    struct batch batch = {.slots = slots, .capacity = 64, .used = 0};
    batch_begin(&batch, device);
    if (level < 0)
        batch_put_bad(&batch, LEVEL, QUALITY_EXCEPTION, (uint8_t)-level);
    else
        batch_put_f64(&batch, LEVEL, level);
    batch_put_u64(&batch, COUNT, count);
    batch_put_bool(&batch, ALARM, alarm);
    batch_put_text(&batch, MODEL, model, strlen(model));
    batch_end(&batch, 0);
    bool any;
    const bool *picked =
        change_filter_pick(report, slots[0].header.owner, slots, batch.used, now_ms, &any);
    if (!picked)
        return any ? "*" : "";
    size_t used = 0;
    for (size_t i = 0; i < 4; i++) {
        if (picked[i])
            letters[used++] = "lcam"[i];
    }
    letters[used] = '\0';
    CU_ASSERT_EQUAL(any, used > 0);
    return letters;
}

static void test_change(void)
{
    struct change_filter *report = change_filter_new(&config);
    TEST_TEXT_EQUAL(poll_once(report, 0, 0, 10, 5, false, "PM5110 of the second row"), "lcam");
    TEST_TEXT_EQUAL(poll_once(report, 0, 1, 10, 5, false, "PM5110 of the second row"), "");
    TEST_TEXT_EQUAL(poll_once(report, 0, 2, 10, 5, true, "PM5110 of the second roW"), "am");
    TEST_TEXT_EQUAL(poll_once(report, 0, 3, 10, UINT64_MAX, true, "x"), "cm");
    TEST_TEXT_EQUAL(poll_once(report, 0, 4, 10, UINT64_MAX - 1, true, "x"), "c");
    change_filter_free(report);
}

static void test_deadband(void)
{
    struct change_filter *report = change_filter_new(&config);
    (void)poll_once(report, 0, 0, 10, 5, false, "x");
    TEST_TEXT_EQUAL(poll_once(report, 0, 1, 10.4, 5, false, "x"), "");
    TEST_TEXT_EQUAL(poll_once(report, 0, 2, 10.5, 5, false, "x"), "");
    /* a slow drift is measured from the value sent last, not from the last poll */
    TEST_TEXT_EQUAL(poll_once(report, 0, 3, 10.6, 5, false, "x"), "l");
    TEST_TEXT_EQUAL(poll_once(report, 0, 4, 10.2, 5, false, "x"), "");
    change_filter_free(report);
}

static void test_quality(void)
{
    struct change_filter *report = change_filter_new(&config);
    (void)poll_once(report, 0, 0, 10, 5, false, "x");
    TEST_TEXT_EQUAL(poll_once(report, 0, 1, -2, 5, false, "x"), "l");
    TEST_TEXT_EQUAL(poll_once(report, 0, 2, -2, 5, false, "x"), "");
    TEST_TEXT_EQUAL(poll_once(report, 0, 3, -4, 5, false, "x"), "l");
    TEST_TEXT_EQUAL(poll_once(report, 0, 4, 10, 5, false, "x"), "l");
    change_filter_free(report);
}

static void test_heartbeat(void)
{
    struct change_filter *report = change_filter_new(&config);
    (void)poll_once(report, 0, 0, 10, 5, false, "x");
    TEST_TEXT_EQUAL(poll_once(report, 0, 30000, 10, 6, false, "x"), "c");
    TEST_TEXT_EQUAL(poll_once(report, 0, 59999, 10, 6, false, "x"), "");
    TEST_TEXT_EQUAL(poll_once(report, 0, 60000, 10, 6, false, "x"), "lam");
    TEST_TEXT_EQUAL(poll_once(report, 0, 90000, 10, 6, false, "x"), "c");
    change_filter_free(report);
}

static void test_always(void)
{
    struct change_filter *report = change_filter_new(&config);
    TEST_TEXT_EQUAL(poll_once(report, 1, 0, 10, 5, false, "x"), "*");
    TEST_TEXT_EQUAL(poll_once(report, 1, 1, 10, 5, false, "x"), "*");
    change_filter_free(report);
}

static void test_carry(void)
{
    struct change_filter *old = change_filter_new(&config);
    (void)poll_once(old, 0, 0, 10, 5, false, "x");
    struct change_filter *report = change_filter_new(&config);
    change_filter_carry(report, 0, old, 0);
    change_filter_free(old);
    TEST_TEXT_EQUAL(poll_once(report, 0, 1, 10, 5, false, "x"), "");
    TEST_TEXT_EQUAL(poll_once(report, 0, 2, 10, 6, false, "y"), "cm");
    change_filter_free(report);
}

TEST_MAIN("change_filter", {"a changed tag goes out, an unchanged one does not", test_change},
          {"a value within its deadband stays home", test_deadband},
          {"a change of quality always goes out", test_quality},
          {"a heartbeat comes for each tag by itself", test_heartbeat},
          {"a device that reports always is never filtered", test_always},
          {"what was sent before a reload is not sent again", test_carry})

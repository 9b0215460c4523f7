/* The latest values, as the local socket gives them. */
#include "agent/local/values_json.h"
#include "tests/support/test.h"

#include "drivers/sample.h"

#include <errno.h>

static struct config_tag tags[] = {{.name = (char *)"total", .type = VALUE_UINT64},
                                   {.name = (char *)"alarm", .type = VALUE_UINT16},
                                   {.name = (char *)"never", .type = VALUE_UINT16}};
static struct config_device devices[] = {
    {.name = (char *)"boiler", .tags = tags, .n_tags = ARRAY_LENGTH(tags)}};
static const struct config config = {.devices = devices, .n_devices = 1};

static void test_view(void)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    struct json_text json = JSON_TEXT(&out);
    union slot slots[8];
    struct batch batch = {.slots = slots, .capacity = ARRAY_LENGTH(slots)};
    struct value_table *values = value_table_new(&config);
    batch_begin(&batch, 0);
    batch_put_u64(&batch, 0, UINT64_MAX);
    batch_put_bad(&batch, 1, QUALITY_TIMEOUT, 0);
    value_table_put(values, 0, &slots[1], 17);
    value_table_put(values, 0, &slots[2], 18);
    CU_ASSERT_EQUAL(values_json(&config, values, "boiler", &json), 0);
    TEST_TEXT_EQUAL(strbuf_text(&out),
                    "{\"device\":\"boiler\",\"tags\":["
                    "{\"tag\":\"total\",\"timestamp\":17,\"value\":\"18446744073709551615\"},"
                    "{\"tag\":\"alarm\",\"timestamp\":18,\"error\":\"timeout\"}]}");
    CU_ASSERT_EQUAL(values_json(&config, values, "none", &json), -ENOENT);
    value_table_free(values);
}

TEST_MAIN("values_json", {"all digits, errors, and nothing of what was never read", test_view})

/* `sallyport scan`: which units it is told to ask, and what counts as an answer. */
#include "agent/cli/scan.h"
#include "agent/cli/cli.h"
#include "tests/support/test.h"

#include "agent/base/descriptor.h"

/* The frame is not linked. */
int cli_fail(int code, const char *name, const char *format, ...)
{
    (void)name, (void)format;
    return code;
}

int cli_usage(const struct cli_context *context)
{
    (void)context;
    return CLI_USAGE;
}

static void test_units(void)
{
    unsigned first = 9, last = 9;
    CU_ASSERT(scan_parse_units("1-247", &first, &last));
    CU_ASSERT(first == 1 && last == 247);
    CU_ASSERT(scan_parse_units("0", &first, &last));
    CU_ASSERT(first == 0 && last == 0);
    CU_ASSERT(scan_parse_units("7-255", &first, &last));
    static const char *const bad[] = {"",    "-", "1-",    "-1",  "1-256",
                                      "9-8", "a", "1-2-3", "1,3", "999999999999999999999"};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        CU_ASSERT_FALSE(scan_parse_units(bad[i], &first, &last));
    CU_ASSERT(first == 7 && last == 255); /* untouched */
}

/* A driver that answers as told. */
static enum outcome outcome_now;
static uint8_t exception_now;

static enum outcome answer(void *line, void *body, struct driver_error *error)
{
    (void)line;
    ((struct modbus_call *)body)->reply.exception = exception_now;
    driver_explain(error, "as told");
    return outcome_now;
}

static int create(const struct driver_host *host, void **ret_line)
{
    *ret_line = (void *)(uintptr_t)host;
    return 0;
}

static void ignore(void *line)
{
    (void)line;
}

static int connect_at_once(void *line, struct driver_error *error)
{
    (void)line, (void)error;
    return 0;
}

static struct driver_link link_of(const void *line)
{
    (void)line;
    return (struct driver_link){.outlives_timeout = true};
}

static void test_verdicts(void)
{
    static const struct driver driver = {.create = create,
                                         .free = ignore,
                                         .connect = connect_at_once,
                                         .disconnect = ignore,
                                         .request = answer,
                                         .service = &modbus_service,
                                         .link = link_of};
    static const struct {
        enum outcome outcome;
        uint8_t exception;
        enum scan_verdict verdict;
    } cases[] = {
        {OUTCOME_OK, 0, SCAN_ANSWERS},          {OUTCOME_OK, 2, SCAN_ANSWERS},
        {OUTCOME_OK, 10, SCAN_SILENT}, /* a gateway says that there is no such unit */
        {OUTCOME_OK, 11, SCAN_SILENT},          {OUTCOME_TIMEOUT, 0, SCAN_SILENT},
        {OUTCOME_BAD_REPLY, 0, SCAN_GARBLED},   {OUTCOME_DISCONNECTED, 0, SCAN_NO_LINE},
        {OUTCOME_UNSUPPORTED, 0, SCAN_NO_LINE},
    };
    struct plant_line line = {.name = "scan", .agent = -1, .driver = &driver};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct driver_error error;
        unsigned exception;
        outcome_now = cases[i].outcome;
        exception_now = cases[i].exception;
        CU_ASSERT_EQUAL(scan_unit(&line, 1, &exception, &error), cases[i].verdict);
        CU_ASSERT_EQUAL(exception, cases[i].outcome == OUTCOME_OK ? cases[i].exception : 0u);
    }
    plant_close(&line);
}

TEST_MAIN("scan", {"units are a range or one", test_units},
          {"any well-formed answer of the unit itself counts", test_verdicts})

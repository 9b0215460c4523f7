/* Tables of keys, and the list of findings. */
#include "config/schema/option.h"

#include "config/schema/finding.h"
#include "tests/support/test.h"

static const struct option rows[] = {{.key = "first"}, {.key = "second"}};
static const struct option_table table = {.path = "x", .rows = rows, .n_rows = 2};

static void test_find(void)
{
    CU_ASSERT_PTR_EQUAL(option_find(&table, "second"), &rows[1]);
    CU_ASSERT_PTR_NULL(option_find(&table, "secon"));
    CU_ASSERT_EQUAL(option_bit(&table, "second"), 2);
}

static void test_findings(void)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    findings_add(&findings, FINDING_ERROR, (struct where){"b.conf", 9}, "k", "nine");
    findings_add(&findings, FINDING_WARNING, (struct where){"a.conf", 12}, "",
                 "line\nbreak \xb0 \xc2\xb0");
    findings_add(&findings, FINDING_ERROR, (struct where){"b.conf", 2}, "k", "two, %s", "first");
    findings_add(&findings, FINDING_ERROR, (struct where){"b.conf", 2}, "j", "two, second");
    findings_sort(&findings);
    findings_print(&findings, &out);
    TEST_TEXT_EQUAL(strbuf_text(&out), "a.conf:12: warning: line\\x0abreak \\xb0 \xc2\xb0\n"
                                       "b.conf:2: k: two, first\n"
                                       "b.conf:2: j: two, second\n"
                                       "b.conf:9: k: nine\n");
    CU_ASSERT_EQUAL(findings.errors, 3);
}

TEST_MAIN("option", {"a key finds its row and its bit", test_find},
          {"findings come out by file and line, each on one line", test_findings})

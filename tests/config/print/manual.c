/* Text and tables of keys in the language of manual pages. */
#include "config/print/manual.h"

#include "agent/base/strbuf.h"
#include "config/schema/table.h"
#include "tests/support/test.h"

#include <stdbool.h>
#include <string.h>

static void test_text(void)
{
    static const struct {
        const char *text, *page;
    } rows[] = {
        {"One word.", "One word.\n"},
        {"One. Two? Three", "One.\nTwo?\nThree\n"},
        {"run `sallyport firewall apply --confirm 60` now",
         "run \\fBsallyport firewall apply \\-\\-confirm 60\\fR now\n"},
        {".hidden 'quoted", "\\&.hidden \\(aqquoted\n"},
        {"a\\r, -1, well-known, 1-2, ~/x, ^b", "a\\er, \\-1, well-known, 1\\-2, \\(ti/x, \\(hab\n"},
        {"12345678 12345678 12345678 12345678 12345678 12345678 12345678 12345678 123456 .x",
         "12345678 12345678 12345678 12345678 12345678 12345678 12345678 12345678 123456\n"
         "\\&.x\n"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CLEANUP(strbuf_free) struct strbuf page = STRBUF_EMPTY;
        manual_print_text(rows[i].text, &page);
        TEST_TEXT_EQUAL(strbuf_text(&page), rows[i].page);
    }
}

static const char *change(const struct option_table *table, const struct option *row)
{
    (void)table;
    return row->reload == RELOAD_LIVE ? NULL : "stops the plant";
}

static void test_table(void)
{
    struct values {
        int64_t count;
        char *name;
    };
    static const struct option rows[] = {
        {.key = "count",
         .type = OPTION_INT,
         .unit = "ms",
         .min = 1,
         .max = 9,
         .fallback = "5",
         .reload = RELOAD_LINE,
         .offset = offsetof(struct values, count),
         .help = "How many."},
        {.key = "name",
         .type = OPTION_TEXT,
         .max = 8,
         .flags = OPTION_REQUIRED,
         .offset = offsetof(struct values, name),
         .help = "Which one."},
    };
    static const struct option_table table = {
        .path = "a", .help = "Unused.", .rows = rows, .n_rows = 2, .size = sizeof(struct values)};
    CLEANUP(strbuf_free) struct strbuf page = STRBUF_EMPTY;
    manual_print_table(&table, "a.b", "The keys.", change, &page);
    TEST_TEXT_EQUAL(strbuf_text(&page),
                    ".Ss a.b\nThe keys.\n.Bl -tag -width Ds\n"
                    ".It Ic count\nHow many.\nValue: whole number, 1 to 9 ms; default: 5.\n"
                    "A change: stops the plant.\n"
                    ".It Ic name\nWhich one.\nValue: text, 0 to 8 bytes; required.\n.El\n");
}

TEST_MAIN("manual", {"no text is taken for markup", test_text},
          {"a table becomes a list of keys", test_table})

/* The documents made from the tables of keys, and those tables with all real drivers. */
#include "config/load/load.h"
#include "config/print/key_docs.h"
#include "config/print/reference.h"
#include "drivers/driver.h"
#include "tests/support/dictionary.h"
#include "tests/support/test.h"

#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "config/print/manual.h"
#include "config/schema/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_fresh(const char *name, const struct strbuf *expected)
{
    CLEANUP(strbuf_free) struct strbuf actual = STRBUF_EMPTY;
    char path[512];
    (void)snprintf(path, sizeof(path), SOURCE_FOLDER "/%s", name);
    CU_ASSERT_EQUAL_FATAL(file_read(path, 1 << 20, &actual), 0);
    int fresh = strcmp(strbuf_text(&actual), strbuf_text(expected)) == 0;
    CU_ASSERT_TRUE(fresh);
    if (!fresh)
        printf("\n%s is stale: build the target generate-docs\n", name);
}

static void test_example(void)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    config_example(drivers_for_config(), &text);
    check_fresh("config/sallyport.conf", &text);
}

static void test_reference(void)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    config_reference(drivers_for_config(), &text);
    check_fresh("config/REFERENCE.md", &text);
}

static void test_manual(void)
{
    CLEANUP(strbuf_free) struct strbuf keys = STRBUF_EMPTY, page = STRBUF_EMPTY;
    manual_print_config(drivers_for_config(), &keys);
    CU_ASSERT_EQUAL_FATAL(
        file_read(SOURCE_FOLDER "/packaging/man/sallyport.conf.5", 1 << 20, &page), 0);
    bool is_fresh = strstr(strbuf_text(&page), strbuf_text(&keys)) != NULL;
    CU_ASSERT_TRUE(is_fresh);
    if (!is_fresh)
        printf("\npackaging/man/sallyport.conf.5 is stale: build the target generate-docs\n");
}

static void test_dictionary(void)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    dictionary_print(&text);
    check_fresh("tests/fuzz/config.dict", &text);
}

static void test_example_loads(void)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    struct config *config = NULL;
    CU_ASSERT_EQUAL(config_load(SOURCE_FOLDER "/config/sallyport.conf", drivers_for_config(),
                                &findings, &config),
                    0);
    findings_print(&findings, &out);
    TEST_TEXT_EQUAL(strbuf_text(&out), "");
    config_free(config);
}

/* Every default and every example must be accepted by its own row. */
static void check_row(const struct key_doc *topic, const struct option *row)
{
    struct problem problem = {.text = ""};
    void *values = table_new(topic->table);
    size_t help = strlen(row->help);
    bool good = help > 0 && row->help[help - 1] == '.' && row->min <= row->max;
    good = good && row->offset < topic->table->size;
    good = good && (row->type != OPTION_ENUM || (row->names && row->names[0]));
    good = good && ((row->flags & OPTION_REQUIRED) || row->fallback || row->type != OPTION_ENUM);
    good = good && !((row->flags & OPTION_REQUIRED) && row->fallback);
    if (row->example && row->type != OPTION_TEXT_LIST && row->example[0] != '"')
        good = good && value_store_text(row, row->example, "/", values, &problem) == 0;
    CU_ASSERT_TRUE(good);
    if (!good)
        printf("\n%s.%s: %s\n", topic->path, row->key, problem.text);
    table_free(topic->table, values);
    free(values);
}

static void test_rows(void)
{
    CLEANUP(key_docs_free) struct key_docs topics;
    key_docs_make(drivers_for_config(), &topics);
    for (size_t i = 0; i < topics.length; i++) {
        CU_ASSERT_TRUE(topics.items[i].table->n_rows <= 64);
        for (size_t j = 0; j < topics.items[i].table->n_rows; j++) {
            const struct option *row = &topics.items[i].table->rows[j];
            CU_ASSERT_PTR_EQUAL(option_find(topics.items[i].table, row->key), row); /* no double */
            check_row(&topics.items[i], row);
        }
    }
}

static void check_apart(const struct option_table *general, const struct option_table *driver)
{
    for (size_t i = 0; i < driver->n_rows; i++) {
        if (option_find(general, driver->rows[i].key))
            printf("\n%s: the driver repeats a general key\n", driver->rows[i].key);
        CU_ASSERT_PTR_NULL(option_find(general, driver->rows[i].key));
    }
}

static void test_apart(void)
{
    const struct config_driver *const *drivers = drivers_for_config();
    for (size_t i = 0; drivers[i]; i++) {
        check_apart(&config_bus_table, &drivers[i]->bus);
        check_apart(&config_device_table, &drivers[i]->device);
        check_apart(&config_tag_table, &drivers[i]->tag);
    }
}

TEST_MAIN("generated", {"config/sallyport.conf is fresh", test_example},
          {"config/REFERENCE.md is fresh", test_reference},
          {"sallyport.conf(5) has every key", test_manual},
          {"tests/fuzz/config.dict is fresh", test_dictionary},
          {"config/sallyport.conf loads without a finding", test_example_loads},
          {"every row is sound", test_rows}, {"no driver repeats a general key", test_apart})

/* Loading configurations that a test writes down as text. */
#include "tests/support/config_text.h"

#include "config/load/load.h"
#include "tests/support/fake_drivers.h"
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

static struct strbuf said = STRBUF_EMPTY;

static void forget(void)
{
    strbuf_free(&said);
}

/* Copies TEXT without the name of the test's folder. */
static void put_without_folder(const char *text)
{
    const char *folder = test_folder(), *found;
    size_t length = strlen(folder) + 1;
    while ((found = strstr(text, folder)) != NULL) {
        strbuf_append(&said, text, (size_t)(found - text));
        text = found + length;
    }
    strbuf_add(&said, text);
}

const char *config_text_load(const char *name, struct config **ret_config)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    struct config *config = NULL;
    static bool registered;
    if (!registered)
        registered = atexit(forget) == 0;
    int result = config_load(test_path(name), fake_drivers, &findings, &config);
    CU_ASSERT_EQUAL(result == 0, findings.errors == 0);
    CU_ASSERT_EQUAL(result == 0, config != NULL);
    findings_sort(&findings);
    findings_print(&findings, &out);
    strbuf_reset(&said);
    put_without_folder(strbuf_text(&out));
    if (ret_config)
        *ret_config = config;
    else
        config_free(config);
    return strbuf_text(&said);
}

const char *config_text_check(const char *text)
{
    test_file("c.conf", text);
    return config_text_load("c.conf", NULL);
}

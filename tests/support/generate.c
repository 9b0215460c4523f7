/*
 * Writes config/sallyport.conf, config/netd.conf, config/REFERENCE.md, tests/fuzz/config.dict and
 * the lists of keys in packaging/man again from the tables of keys: `cmake --build build/...
 * --target generate-docs`. The tests config/generated, tunnel/config/netd_config and
 * agent/cli/operator/operator_config fail when that was forgotten.
 */
#include "agent/base/descriptor.h"
#include "agent/cli/operator/operator_config.h"
#include "config/print/manual.h"
#include "config/print/reference.h"
#include "drivers/driver.h"
#include "tests/support/dictionary.h"
#include "tunnel/config/netd_reference.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int replace(const char *folder, const char *name, const struct strbuf *text)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    int result = file_replace(path, text->data, text->length, 0644);
    if (result < 0)
        (void)fprintf(stderr, "%s: %s\n", path, strerror(-result));
    return result;
}

/* Puts KEYS, which has the marks, in place of what stands between the marks of the page NAME. */
static int replace_keys(const char *folder, const char *name, const struct strbuf *keys)
{
    CLEANUP(strbuf_free) struct strbuf page = STRBUF_EMPTY, fresh = STRBUF_EMPTY;
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    int problem = file_read(path, 1 << 20, &page);
    const char *begin = problem < 0 ? NULL : strstr(strbuf_text(&page), MANUAL_BEGIN);
    const char *end = begin ? strstr(begin, MANUAL_END) : NULL;
    if (!end) {
        (void)fprintf(stderr,
                      "%s: cannot be read, or has not the two marks of config/print/manual.h\n",
                      path);
        return problem < 0 ? problem : -EINVAL;
    }
    strbuf_addf(&fresh, "%.*s%s%s", (int)(begin - page.data), page.data, strbuf_text(keys),
                end + strlen(MANUAL_END));
    return replace(folder, name, &fresh);
}

static int replace_manual(const char *folder)
{
    CLEANUP(strbuf_free) struct strbuf agent = STRBUF_EMPTY, netd = STRBUF_EMPTY;
    CLEANUP(strbuf_free) struct strbuf technician = STRBUF_EMPTY;
    manual_print_config(drivers_for_config(), &agent);
    netd_reference_manual(&netd);
    operator_config_manual(&technician);
    int problem = replace_keys(folder, "packaging/man/sallyport.conf.5", &agent);
    if (!problem)
        problem = replace_keys(folder, "packaging/man/netd.conf.5", &netd);
    return problem ? problem : replace_keys(folder, "packaging/man/operator.conf.5", &technician);
}

int main(int argc, char **argv)
{
    CLEANUP(strbuf_free) struct strbuf example = STRBUF_EMPTY, reference = STRBUF_EMPTY;
    CLEANUP(strbuf_free) struct strbuf dictionary = STRBUF_EMPTY, netd = STRBUF_EMPTY;
    if (argc != 2) {
        (void)fprintf(stderr, "usage: generate FOLDER\n");
        return 2;
    }
    config_example(drivers_for_config(), &example);
    config_reference(drivers_for_config(), &reference);
    dictionary_print(&dictionary);
    netd_reference_example(&netd);
    if (replace(argv[1], "config/sallyport.conf", &example) < 0 ||
        replace(argv[1], "config/netd.conf", &netd) < 0 ||
        replace(argv[1], "config/REFERENCE.md", &reference) < 0 ||
        replace(argv[1], "tests/fuzz/config.dict", &dictionary) < 0 || replace_manual(argv[1]) < 0)
        return 1;
    return 0;
}

/*
 * Writes config/sallyport.conf, config/REFERENCE.md and tests/fuzz/config.dict anew from the tables
 * of keys: `cmake --build build/... --target generate-docs`. The test config/generated fails when
 * that was forgotten.
 */
#include "agent/base/descriptor.h"
#include "drivers/driver.h"
#include "tests/support/dictionary.h"

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

int main(int argc, char **argv)
{
    CLEANUP(strbuf_free) struct strbuf example = STRBUF_EMPTY, reference = STRBUF_EMPTY;
    CLEANUP(strbuf_free) struct strbuf dictionary = STRBUF_EMPTY;
    if (argc != 2) {
        (void)fprintf(stderr, "usage: generate FOLDER\n");
        return 2;
    }
    config_example(drivers_for_config(), &example);
    config_reference(drivers_for_config(), &reference);
    dictionary_print(&dictionary);
    if (replace(argv[1], "config/sallyport.conf", &example) < 0 ||
        replace(argv[1], "config/REFERENCE.md", &reference) < 0 ||
        replace(argv[1], "tests/fuzz/config.dict", &dictionary) < 0)
        return 1;
    return 0;
}

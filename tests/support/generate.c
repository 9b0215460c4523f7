/*
 * Writes config/sallyport.conf and config/REFERENCE.md anew from the tables of keys:
 * `cmake --build build/... --target generate-docs`. The test config/generated fails when that was
 * forgotten.
 */
#include "agent/base/descriptor.h"
#include "drivers/driver.h"

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
    if (argc != 2) {
        (void)fprintf(stderr, "usage: generate FOLDER\n");
        return 2;
    }
    config_example(drivers_for_config(), &example);
    config_reference(drivers_for_config(), &reference);
    if (replace(argv[1], "sallyport.conf", &example) < 0 ||
        replace(argv[1], "REFERENCE.md", &reference) < 0)
        return 1;
    return 0;
}

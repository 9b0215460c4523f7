/*
 * A whole configuration file of any content, with the tables of the real drivers. What loads must
 * dump as a file that loads again and is the same. For long runs: -dict=tests/fuzz/config.dict.
 */
#include "config/schema/config.h"
#include "config/load/diff.h"
#include "config/load/load.h"
#include "config/print/dump.h"
#include "drivers/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Loads BYTES as if they were a file. */
static struct config *load(const void *bytes, size_t length, struct findings *findings)
{
    char path[64];
    struct config *config = NULL;
    int file = memfd_create("config", MFD_CLOEXEC);
    if (file < 0 || write(file, bytes, length) != (ssize_t)length)
        abort();
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    int result = config_load(path, drivers_for_config(), findings, &config);
    if ((result == 0) != (findings->errors == 0) || (result == 0) != (config != NULL))
        abort();
    close(file);
    return config;
}

/* What our own scanner accepts, libconfig has to accept too: it leaks what it refuses. */
static void check_findings(const struct findings *findings)
{
    static const char *const texts[] = {"syntax error", "duplicate setting name",
                                        "mismatched element type in array"};
    for (size_t i = 0; i < findings->length; i++) {
        for (size_t j = 0; j < sizeof(texts) / sizeof(texts[0]); j++) {
            if (strcmp(findings->items[i].text, texts[j]) == 0)
                abort();
        }
    }
}

static void check_dump(const struct config *config)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf dump = STRBUF_EMPTY, again = STRBUF_EMPTY;
    config_dump(config, &dump);
    struct config *reloaded = load(dump.data, dump.length, &findings);
    if (!reloaded) {
        findings_print(&findings, &again);
        (void)fputs(strbuf_text(&again), stderr);
        abort();
    }
    config_dump(reloaded, &again);
    if (strcmp(strbuf_text(&dump), strbuf_text(&again)) != 0)
        abort();
    struct config_diff diff;
    config_diff(config, reloaded, &diff);
    config_diff_free(&diff);
    config_free(reloaded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    struct config *config = load(data, size, &findings);
    check_findings(&findings);
    findings_sort(&findings);
    findings_print(&findings, &out);
    if (config && !config->uplink.proxy) /* a proxy is secret: its dump does not load */
        check_dump(config);
    config_free(config);
    return 0;
}

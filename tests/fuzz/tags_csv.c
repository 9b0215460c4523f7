/* A tags_file of any content, for a device of a real driver. */
#include "config/load/csv.h"
#include "config/load/load.h"
#include "config/print/dump.h"
#include "config/schema/config.h"
#include "drivers/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int make_file(const void *bytes, size_t length)
{
    int file = memfd_create("file", MFD_CLOEXEC);
    if (file < 0 || write(file, bytes, length) != (ssize_t)length)
        abort();
    return file;
}

/* The reader alone: lines never go back, fields are texts within the row. */
static void walk(const char *text, size_t length)
{
    struct csv csv;
    CLEANUP(csv_row_free) struct csv_row row = CSV_ROW_EMPTY;
    const char *reason;
    unsigned line = 0, last = 0;
    csv_begin(&csv, text, length);
    while (csv_next(&csv, &row, &reason, &line) > 0) {
        if (row.line <= last || row.n_fields == 0 || csv.at > csv.end)
            abort();
        for (size_t i = 0; i < row.n_fields; i++) {
            if (csv_field(&row, i) + strlen(csv_field(&row, i)) > row.text.data + row.text.length)
                abort();
        }
        last = row.line;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY, out = STRBUF_EMPTY;
    char path[64];
    struct config *config = NULL;
    int tags = make_file(data, size);
    walk((const char *)data, size);
    strbuf_addf(&text,
                "gateway: { id = \"g\"; site = \"s\"; };\n"
                "uplink: { servers = [ \"mqtts://b\" ]; ca = \"system\"; };\n"
                "buses: ( { name = \"b\"; driver = \"modbus_tcp\"; host = \"h\"; } );\n"
                "devices: ( { name = \"d\"; bus = \"b\"; tags_file = \"%d\"; } );\n",
                tags);
    int file = make_file(text.data, text.length);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    if (config_load(path, drivers_for_config(), &findings, &config) == 0)
        config_dump(config, &out);
    findings_sort(&findings);
    findings_print(&findings, &out);
    config_free(config);
    close(tags);
    close(file);
    return 0;
}

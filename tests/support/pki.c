/* Certificates for tests. */
#include "tests/support/pki.h"

#include "agent/base/child.h"
#include "agent/base/memory.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_NAMES 64

static void make(const char *folder)
{
    const char *arguments[] = {"/bin/sh", SOURCE_FOLDER "/tests/support/pki", folder, NULL};
    const char *environment[] = {"PATH=/usr/bin:/bin", NULL};
    struct child_job job = {.arguments = arguments,
                            .environment = environment,
                            .output_max_bytes = 65536,
                            .timeout_ms = 60000};
    struct strbuf output = STRBUF_EMPTY;
    int status = mkdir(folder, 0700) == 0 ? child_run(&job, &output) : -1;
    if (status != 0) {
        (void)fprintf(stderr, "the test certificates cannot be made (%d): %s\n", status,
                      strbuf_text(&output));
        abort();
    }
    strbuf_free(&output);
}

const char *pki_path(const char *name)
{
    static char folder[512];
    static char paths[MAX_NAMES][600];
    static size_t n_paths;
    if (!folder[0]) {
        (void)snprintf(folder, sizeof(folder), "%s/pki", test_folder());
        make(folder);
    }
    char path[600];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    for (size_t i = 0; i < n_paths; i++) {
        if (strcmp(paths[i], path) == 0)
            return paths[i];
    }
    if (n_paths == MAX_NAMES)
        abort();
    return strcpy(paths[n_paths++], path);
}

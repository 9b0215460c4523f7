/*
 * What is wrong with a configuration: all of it at once, each with file and line, so that a
 * person corrects a file in one go. One owner; not thread safe.
 */
#ifndef SALLYPORT_CONFIG_SCHEMA_FINDING_H
#define SALLYPORT_CONFIG_SCHEMA_FINDING_H

#include "agent/base/macros.h"
#include "agent/base/strbuf.h"

#include <stdbool.h>
#include <stddef.h>

enum severity {
    FINDING_ERROR,   /* the configuration is refused */
    FINDING_WARNING, /* it is accepted, but should be looked at */
};

/* A place in a configuration file. FILE belongs to the configuration or the findings' caller. */
struct where {
    const char *file;
    unsigned line; /* counts from 1; 0: the file as a whole */
};

struct finding {
    enum severity severity;
    char *file; /* owned copy */
    unsigned line;
    char *key;    /* the full key, "devices.boiler.tags.alarm.bit"; "" when none applies */
    char *text;   /* what is wrong and what to do, one line */
    size_t order; /* of discovery */
};

struct findings {
    struct finding *items; /* in the order they were found */
    size_t length, capacity;
    size_t errors;  /* how many of them are FINDING_ERROR */
    size_t dropped; /* found beyond FINDINGS_MAX; the errors among them count */
};

#define FINDINGS_MAX 1000 /* more would not help */

#define FINDINGS_EMPTY                                                                             \
    {                                                                                              \
        NULL, 0, 0, 0, 0                                                                           \
    }

void findings_free(struct findings *findings); /* fit for CLEANUP() */
void findings_add(struct findings *findings, enum severity severity, struct where where,
                  const char *key, const char *format, ...) PRINTF_LIKE(5, 6);

/* Orders by file and line, keeping the order of discovery among equals. */
void findings_sort(struct findings *findings);

/*
 * Appends "FILE:LINE: key: text\n" for each; warnings say "warning: " before the text. A last line
 * says how many were dropped.
 */
void findings_print(const struct findings *findings, struct strbuf *out);

#endif

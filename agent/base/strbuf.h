/*
 * A byte buffer that grows, is reused and never shrinks, so that the steady state allocates
 * nothing. Always NUL-terminated. One owner; not thread safe.
 */
#ifndef SALLYPORT_AGENT_BASE_STRBUF_H
#define SALLYPORT_AGENT_BASE_STRBUF_H

#include "agent/base/macros.h"

#include <stddef.h>
#include <stdint.h>

struct strbuf {
    char *data;      /* NULL until the first append */
    size_t length;   /* bytes used, without the terminating NUL */
    size_t capacity; /* bytes allocated */
};

#define STRBUF_EMPTY                                                                               \
    {                                                                                              \
        NULL, 0, 0                                                                                 \
    }

void strbuf_free(struct strbuf *buffer);  /* fit for CLEANUP(); leaves an empty buffer */
void strbuf_wipe(struct strbuf *buffer);  /* the same for a secret, which is overwritten first */
void strbuf_reset(struct strbuf *buffer); /* length 0, memory kept */

/* Makes room for EXTRA more bytes and returns the place where they go. */
char *strbuf_reserve(struct strbuf *buffer, size_t extra);

void strbuf_append(struct strbuf *buffer, const void *bytes, size_t length);
void strbuf_add(struct strbuf *buffer, const char *text);
void strbuf_add_char(struct strbuf *buffer, char byte);
void strbuf_addf(struct strbuf *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
void strbuf_add_u64(struct strbuf *buffer, uint64_t value);
void strbuf_add_i64(struct strbuf *buffer, int64_t value);

/* The text, "" when nothing was appended yet. Valid until the next append. */
const char *strbuf_text(const struct strbuf *buffer);

#endif

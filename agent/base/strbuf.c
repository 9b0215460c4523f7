/* A byte buffer that grows and is reused. */
#include "agent/base/strbuf.h"

#include "agent/base/memory.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void strbuf_free(struct strbuf *buffer)
{
    free(buffer->data);
    *buffer = (struct strbuf)STRBUF_EMPTY;
}

void strbuf_wipe(struct strbuf *buffer)
{
    if (buffer->data)
        memory_wipe(buffer->data, buffer->capacity);
    strbuf_free(buffer);
}

void strbuf_reset(struct strbuf *buffer)
{
    buffer->length = 0;
    if (buffer->data)
        buffer->data[0] = '\0';
}

char *strbuf_reserve(struct strbuf *buffer, size_t extra)
{
    assert(extra < SIZE_MAX / 4 && buffer->length < SIZE_MAX / 4);
    size_t needed = buffer->length + extra + 1;
    if (needed > buffer->capacity) {
        size_t capacity = buffer->capacity ? buffer->capacity : 64;
        while (capacity < needed)
            capacity *= 2;
        buffer->data = memory_resize(buffer->data, capacity, 1);
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->length;
}

void strbuf_append(struct strbuf *buffer, const void *bytes, size_t length)
{
    char *place = strbuf_reserve(buffer, length);
    if (length)
        memcpy(place, bytes, length);
    place[length] = '\0';
    buffer->length += length;
}

void strbuf_add(struct strbuf *buffer, const char *text)
{
    strbuf_append(buffer, text, strlen(text));
}

void strbuf_add_char(struct strbuf *buffer, char byte)
{
    char *place = strbuf_reserve(buffer, 1);
    place[0] = byte;
    place[1] = '\0';
    buffer->length++;
}

void strbuf_addf(struct strbuf *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    assert(length >= 0);
    char *place = strbuf_reserve(buffer, (size_t)length);
    va_start(arguments, format);
    (void)vsnprintf(place, (size_t)length + 1, format, arguments);
    va_end(arguments);
    buffer->length += (size_t)length;
}

void strbuf_add_u64(struct strbuf *buffer, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    strbuf_append(buffer, digits + at, sizeof(digits) - at);
}

void strbuf_add_i64(struct strbuf *buffer, int64_t value)
{
    if (value < 0) {
        strbuf_add_char(buffer, '-');
        strbuf_add_u64(buffer, -(uint64_t)value);
    } else {
        strbuf_add_u64(buffer, (uint64_t)value);
    }
}

const char *strbuf_text(const struct strbuf *buffer)
{
    return buffer->data ? buffer->data : "";
}

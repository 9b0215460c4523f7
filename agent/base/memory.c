/* Allocation that does not fail, and wiping of secrets. */
#include "agent/base/memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *or_die(void *block)
{
    if (!block) {
        static const char message[] = "sallyport: out of memory\n";
        (void)fputs(message, stderr);
        abort();
    }
    return block;
}

void *memory_zeroed(size_t count, size_t size)
{
    return or_die(calloc(count ? count : 1, size ? size : 1));
}

void *memory_resize(void *block, size_t count, size_t size)
{
    if (count == 0)
        count = 1;
    return or_die(reallocarray(block, count, size));
}

char *memory_text(const char *text)
{
    return or_die(strdup(text));
}

char *memory_text_n(const char *text, size_t length)
{
    return or_die(strndup(text, length));
}

char *memory_printf(const char *format, ...)
{
    va_list arguments;
    char *text = NULL;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    return or_die(length < 0 ? NULL : text);
}

void memory_wipe(void *block, size_t length)
{
    explicit_bzero(block, length);
}

void memory_free_pointer(void *variable)
{
    void *block;
    memcpy(&block, variable, sizeof(block));
    free(block);
}

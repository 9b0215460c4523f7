/* The log. */
#include "agent/base/log.h"

#include "agent/base/text.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static atomic_int max_level = LOG_LEVEL_INFO;
static int for_journal;

void log_open(enum log_level level)
{
    log_set_level(level);
    for_journal = getenv("JOURNAL_STREAM") != NULL;
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&max_level, (int)level, memory_order_relaxed);
}

int log_is_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&max_level, memory_order_relaxed);
}

/* Priorities of syslog(3), as the journal reads them from the start of a line. */
static int put_prefix(char *line, size_t size, enum log_level level)
{
    static const int priority[] = {[LOG_LEVEL_ERROR] = 3,
                                   [LOG_LEVEL_WARNING] = 4,
                                   [LOG_LEVEL_INFO] = 6,
                                   [LOG_LEVEL_DEBUG] = 7};
    static const char *const name[] = {[LOG_LEVEL_ERROR] = "error",
                                       [LOG_LEVEL_WARNING] = "warning",
                                       [LOG_LEVEL_INFO] = "info",
                                       [LOG_LEVEL_DEBUG] = "debug"};
    if (for_journal)
        return snprintf(line, size, "<%d>", priority[level]);
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    return snprintf(line, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %-7s ", utc.tm_year + 1900,
                    utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                    now.tv_nsec / 1000000, name[level]);
}

void log_write(enum log_level level, const char *subsystem, const char *format, ...)
{
    if (!log_is_enabled(level))
        return;
    char line[LINE_MAX_BYTES], message[LINE_MAX_BYTES];
    size_t room = sizeof(line) - 1; /* for the newline */
    size_t used = (size_t)put_prefix(line, room, level);
    used += (size_t)snprintf(line + used, room - used, "%s: ", subsystem);
    if (used >= room)
        return; /* names of subsystems are short */
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(message, sizeof(message), format, arguments) < 0)
        message[0] = '\0';
    va_end(arguments);
    text_show(line + used, room - used, message); /* a device or a broker must not forge a line */
    used += strlen(line + used);
    line[used++] = '\n';
    if (write(STDERR_FILENO, line, used) < 0)
        return; /* there is no other place to report it */
}

/*
 * The log: one line per record on stderr, for the journal or for a person. Every line names its
 * subsystem, carries key=value ids, and says what happens next. The function that decides logs; all
 * below it return an error. Any thread; a record is written with one write().
 */
#ifndef SALLYPORT_AGENT_BASE_LOG_H
#define SALLYPORT_AGENT_BASE_LOG_H

#include "agent/base/macros.h"

enum log_level {
    LOG_LEVEL_ERROR,   /* someone has to act */
    LOG_LEVEL_WARNING, /* something was lost or is degraded */
    LOG_LEVEL_INFO,    /* a change of state worth keeping */
    LOG_LEVEL_DEBUG,   /* for a developer; off by default */
};

/*
 * Chooses the form: with the journal's <N> priority prefix when JOURNAL_STREAM is set, else with
 * a UTC time. Call once, before the first thread starts. LEVEL: the most detailed level to write.
 */
void log_open(enum log_level level);

/* Changes the most detailed level at run time. */
void log_set_level(enum log_level level);
int log_is_enabled(enum log_level level);

/* Writes one line: "SUBSYSTEM: MESSAGE". The message is escaped as TEXT_SHOWN. */
void log_write(enum log_level level, const char *subsystem, const char *format, ...)
    PRINTF_LIKE(3, 4);

#define log_error(subsystem, ...) log_write(LOG_LEVEL_ERROR, subsystem, __VA_ARGS__)
#define log_warning(subsystem, ...) log_write(LOG_LEVEL_WARNING, subsystem, __VA_ARGS__)
#define log_info(subsystem, ...) log_write(LOG_LEVEL_INFO, subsystem, __VA_ARGS__)
#define log_debug(subsystem, ...)                                                                  \
    do {                                                                                           \
        if (log_is_enabled(LOG_LEVEL_DEBUG))                                                       \
            log_write(LOG_LEVEL_DEBUG, subsystem, __VA_ARGS__);                                    \
    } while (0)

#endif

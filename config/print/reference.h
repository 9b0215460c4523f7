/*
 * The two documents that are generated from the tables: the reference and the example file. Pure;
 * any thread.
 */
#ifndef SALLYPORT_CONFIG_PRINT_REFERENCE_H
#define SALLYPORT_CONFIG_PRINT_REFERENCE_H

#include "config/schema/config.h"

/* Appends the reference of all keys in Markdown; what config/REFERENCE.md must equal. */
void config_reference(const struct config_driver *const *drivers, struct strbuf *out);

/* Appends the commented example file; what config/sallyport.conf must equal. */
void config_example(const struct config_driver *const *drivers, struct strbuf *out);

/* A key of a generated file, with its value as libconfig writes it. */
struct config_given {
    const char *key, *value;
};

/*
 * Appends every key of TABLE with its comment: those of GIVEN (ends with a key NULL) with their
 * values, the others commented out with default or example.
 */
void config_print_rows(const struct option_table *table, const struct config_given *given,
                       const char *indent, struct strbuf *out);

#endif

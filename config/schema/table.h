/*
 * A struct filled by an option table: defaults, presence, unknown keys, comparing, printing. It
 * does not know which file the values come from: section.h reads libconfig files, load_tags.c reads
 * CSV. One owner; not thread safe.
 */
#ifndef SALLYPORT_CONFIG_SCHEMA_TABLE_H
#define SALLYPORT_CONFIG_SCHEMA_TABLE_H

#include "config/schema/finding.h"
#include "config/schema/option.h"
#include "config/schema/value.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A table and the struct that its keys go to. A group of a file may feed several. */
struct part {
    const struct option_table *table;
    void *values;     /* table->size bytes; may be NULL when the table has no rows */
    uint64_t present; /* bit per row that the file gave, even if its value was refused */
    uint64_t refused; /* of these, the ones whose value did not fit: they keep their default */
};

/* Stores all defaults. VALUES is zeroed, or preset where a row has no default. */
void table_set_defaults(const struct option_table *table, void *values);

/* Zeroed memory with all defaults; NULL for a table without a struct. */
void *table_new(const struct option_table *table);

/* Frees what the members own; VALUES itself stays the caller's. Accepts NULL. */
void table_free(const struct option_table *table, void *values);

/* Finds KEY in the parts. Returns its row, and the part through RET_PART; or NULL. */
const struct option *parts_find(struct part *parts, size_t n_parts, const char *key,
                                struct part **ret_part);

/* Stores one value and updates the masks of the part; a refusal becomes a finding. */
void part_store(struct part *part, const struct option *row, const struct given *given,
                const char *folder, struct where where, const char *key, struct findings *findings);
void part_store_text(struct part *part, const struct option *row, const char *text,
                     const char *folder, struct where where, const char *key,
                     struct findings *findings);

/* A finding for every required key that was not given. PREFIX: the group's full key. */
void part_check_required(const struct part *part, struct where where, const char *prefix,
                         struct findings *findings);

/* Whether every required key was given and accepted, so that no required member is unset. */
bool part_is_complete(const struct part *part);

/* The finding for an unknown key, with the nearest key of the parts and of OTHERS. */
void parts_unknown_key(const struct part *parts, size_t n_parts, const char *const *others,
                       const char *key, struct where where, const char *full_key,
                       struct findings *findings);

/* Appends "INDENTkey = value;\n" for each key that is set and not in SKIPPED (or NULL). */
void table_print(const struct option_table *table, const void *values, const char *indent,
                 const char *const *skipped, struct strbuf *out);

/*
 * Appends "PREFIX.key: old -> new\n" for each difference (secrets redacted), and sets the flag of
 * its class in CLASSES, an array of RELOAD_CLASSES. Returns the number of differences.
 */
size_t table_compare(const struct option_table *table, const void *old, const void *fresh,
                     const char *prefix, struct strbuf *out, bool *classes);

/* "PREFIX.KEY", or KEY when the prefix is empty, into BUFFER of SIZE bytes; returns BUFFER. */
const char *full_key(const char *prefix, const char *key, char *buffer, size_t size);

#define FULL_KEY_BYTES 320 /* more than the longest path of names */

#endif

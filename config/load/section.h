/*
 * Configuration files read group by group with option tables, for any program of the project:
 *
 *   struct source *source;
 *   source_open(path, &findings, &source);             0, or the findings say why not
 *   source_root(source, &findings, &root);
 *   section_expect(&root, (const char *[]){"paths", "firewall", NULL});  reports unknown groups
 *   section_child(&root, "paths", &paths);
 *   struct part parts[] = {{.table = &paths_table, .values = &config->paths}};
 *   section_read(&paths, parts, ARRAY_LENGTH(parts), NULL);
 *
 * No function stops at a problem: each one reports to the findings and leaves something that the
 * next one can work with. Afterwards findings.errors tells whether the result may be used. The
 * values are copies; a source may be closed as soon as its groups were read.
 */
#ifndef SALLYPORT_CONFIG_LOAD_SECTION_H
#define SALLYPORT_CONFIG_LOAD_SECTION_H

#include "config/schema/table.h"

#include <stdbool.h>
#include <stddef.h>

struct config_setting_t; /* libconfig's; only section.c knows it */
struct source;           /* opaque: one parsed file */

/*
 * Reads and parses the file at PATH (absolute; it must outlive every `where` made from it). At
 * most MAX_BYTES. Returns 0 and the owned source; or -EINVAL after adding the findings that say
 * what is wrong with the file as such.
 */
int source_open(const char *path, size_t max_bytes, struct findings *findings,
                struct source **ret_source);
struct source *source_close(struct source *source); /* accepts NULL, returns NULL */

/* The file's text as it was read; lives as long as the source. */
const char *source_text(const struct source *source);

/* A group of a file. A group that is absent can be read too: defaults and missing keys. */
struct section {
    const struct config_setting_t *setting; /* NULL: absent */
    struct where where;                     /* of the group; when absent, of what it belongs in */
    const char *folder;                     /* where relative file names begin; the source's */
    struct findings *findings;
    bool unusable; /* the file has something else of this name, which has been reported */
    char key[FULL_KEY_BYTES]; /* its full key; "" for the whole file */
};

void source_root(const struct source *source, struct findings *findings, struct section *ret_root);

/* Reports every member of SECTION that is not in NAMES (NULL-terminated), with the nearest match.
 */
void section_expect(const struct section *section, const char *const *names);

/* The sub-group NAME. Returns whether the file has it; *RET_CHILD can be read in any case. */
bool section_child(const struct section *section, const char *name, struct section *ret_child);

/* How many elements the list of groups NAME has; 0 when absent, or reported, or over MAX. */
size_t section_list(const struct section *section, const char *name, size_t max);

/*
 * Element INDEX of the list NAME. Its key is "list.NAME-OF-THE-ELEMENT", or "list[INDEX]" as long
 * as it has no good `name`. Returns false, after reporting, when it is not a group.
 */
bool section_element(const struct section *section, const char *name, size_t index,
                     struct section *ret_element);

/*
 * Reads all members: each goes to the part whose table has its key. Sets the defaults first, and
 * reports unknown keys (but not those in OTHERS, NULL-terminated or NULL: sub-groups and lists
 * which the caller reads himself), values that do not fit, and required keys that are missing.
 */
void section_read(const struct section *section, struct part *parts, size_t n_parts,
                  const char *const *others);

/* How many members the group has. */
size_t section_length(const struct section *section);

/* The text of KEY, or NULL when it is absent or no text; nothing is reported. */
const char *section_peek(const struct section *section, const char *key);

/* Where KEY stands; where the group begins when it is absent. */
struct where section_where(const struct section *section, const char *key);

/* Adds a finding at KEY of this group. */
void section_report(const struct section *section, enum severity severity, const char *key,
                    const char *format, ...) PRINTF_LIKE(4, 5);

#endif

/* The tags of a device: from the list in the configuration file, and from the rows of a CSV. */
#include "config/load/load_tags.h"

#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "config/load/csv.h"
#include "config/load/loading.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PROBLEMS 100 /* of one tags_file: with more its columns are wrong altogether */

/* A tag being read, and the two structs that its keys go to. */
struct new_tag {
    struct config_tag *tag;
    struct part parts[2];
    struct loading_tag *loading;
    size_t errors; /* in the findings, before it */
};

static void begin_tag(struct loading *loading, size_t index, struct where where,
                      struct new_tag *ret_tag)
{
    struct config_device *device = &loading->config->devices[index];
    struct loading_device *origin = &loading->devices[index];
    size_t n_tags = device->n_tags;
    if ((n_tags & (n_tags - 1)) == 0) { /* grows at each power of two, beginning with 0 */
        size_t capacity = n_tags ? 2 * n_tags : 1;
        device->tags = memory_resize(device->tags, capacity, sizeof(*device->tags));
        origin->tags = memory_resize(origin->tags, capacity, sizeof(*origin->tags));
    }
    struct config_tag *tag = &device->tags[n_tags];
    *tag = (struct config_tag){.min = NAN, .max = NAN, .where = where};
    const struct option_table *table = config_driver_table(origin->driver, DRIVER_TAG);
    tag->options = table_new(table);
    *ret_tag = (struct new_tag){
        .tag = tag,
        .parts = {{.table = &config_tag_table, .values = tag},
                  {.table = table, .values = tag->options}},
        .loading = &origin->tags[n_tags],
        .errors = loading->findings->errors,
    };
    *ret_tag->loading = (struct loading_tag){.setting = NULL};
    device->n_tags++;
}

static void end_tag(struct loading *loading, size_t index, struct new_tag *new_tag)
{
    new_tag->tag->present = new_tag->parts[0].present;
    if (new_tag->tag->interval_ms == 0)
        new_tag->tag->interval_ms = loading->config->devices[index].interval_ms;
    bool accepted = !new_tag->parts[0].refused && !new_tag->parts[1].refused;
    new_tag->loading->sound =
        accepted && part_is_complete(&new_tag->parts[0]) && part_is_complete(&new_tag->parts[1]);
}

static void read_inline(struct loading *loading, size_t index)
{
    const struct loading_device *origin = &loading->devices[index];
    struct section device = origin->section;
    CLEANUP(memory_free_pointer)
    const char **others = loading_other_keys(loading, origin->driver, DRIVER_TAG, NULL);
    size_t length = section_list(&device, "tags", CONFIG_MAX_TAGS);
    for (size_t i = 0; i < length; i++) {
        struct section element;
        struct new_tag tag;
        if (!section_element(&device, "tags", i, &element))
            continue;
        begin_tag(loading, index, element.where, &tag);
        tag.loading->setting = element.setting;
        section_read(&element, tag.parts, ARRAY_LENGTH(tag.parts), others);
        end_tag(loading, index, &tag);
    }
}

/* A tags_file being read. */
struct tags_file {
    struct loading *loading;
    size_t device;
    const char *path;
    char *folder;             /* owned */
    char key[FULL_KEY_BYTES]; /* "devices.NAME" */
    struct csv csv;
    struct csv_row header, row;
    const char **others; /* owned: the keys that pass when the driver is not known */
};

static void tags_file_free(struct tags_file *file)
{
    free(file->folder);
    free(file->others);
    csv_row_free(&file->header);
    csv_row_free(&file->row);
}

PRINTF_LIKE(4, 5)
static void report(const struct tags_file *file, unsigned line, const char *key, const char *format,
                   ...)
{
    char text[512], whole_key[FULL_KEY_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    findings_add(file->loading->findings, FINDING_ERROR, (struct where){file->path, line},
                 full_key(file->key, key, whole_key, sizeof(whole_key)), "%s", text);
}

/* The next row into ROW; false at the end and after a row that cannot be read. */
static bool next_row(struct tags_file *file, struct csv_row *row)
{
    const char *reason;
    unsigned line;
    int result = csv_next(&file->csv, row, &reason, &line);
    if (result < 0)
        report(file, line, "tags_file", "%s", reason);
    return result > 0;
}

static bool is_other(const struct tags_file *file, const char *key)
{
    for (size_t i = 0; file->others[i]; i++) {
        if (strcmp(file->others[i], key) == 0)
            return true;
    }
    return false;
}

static bool is_repeated(const struct csv_row *header, size_t column)
{
    for (size_t i = 0; i < column; i++) {
        if (strcmp(csv_field(header, i), csv_field(header, column)) == 0)
            return true;
    }
    return false;
}

static void check_column(const struct tags_file *file, const struct part *parts, size_t column)
{
    const char *key = csv_field(&file->header, column);
    unsigned line = file->header.fields[column].line;
    struct part copies[2] = {parts[0], parts[1]}, *part;
    char whole_key[FULL_KEY_BYTES];
    if (key[0] == '\0')
        report(file, line, "tags_file", "column %zu has no key in the header row", column + 1);
    else if (is_repeated(&file->header, column))
        report(file, line, "tags_file", "the header row names \"%.64s\" twice", key);
    else if (!parts_find(copies, 2, key, &part) && !is_other(file, key))
        parts_unknown_key(parts, 2, NULL, key, (struct where){file->path, line},
                          full_key(file->key, "tags", whole_key, sizeof(whole_key)),
                          file->loading->findings);
}

/* Reads the header row. Returns whether the rows after it can be parsed. */
static bool read_header(struct tags_file *file)
{
    struct findings *findings = file->loading->findings;
    size_t errors = findings->errors;
    const struct config_driver *driver = file->loading->devices[file->device].driver;
    const struct part parts[] = {{.table = &config_tag_table},
                                 {.table = config_driver_table(driver, DRIVER_TAG)}};
    if (!next_row(file, &file->header)) {
        if (findings->errors == errors)
            report(file, 1, "tags_file", "the file is empty; its first row names the keys");
        return false;
    }
    const char *first = csv_field(&file->header, 0);
    if (file->header.n_fields == 1 && strpbrk(first, ";\t")) {
        report(file, file->header.line, "tags_file", "columns are separated by commas, not by %s",
               strchr(first, ';') ? "semicolons" : "tabs");
        return false;
    }
    for (size_t i = 0; i < file->header.n_fields; i++)
        check_column(file, parts, i);
    return findings->errors == errors;
}

/* "devices.NAME.tags.TAG", or with the row's line for a tag without a name. */
static void name_row(const struct tags_file *file, char *ret_key, size_t size)
{
    for (size_t i = 0; i < file->header.n_fields; i++) {
        const char *name = csv_field(&file->row, i);
        if (strcmp(csv_field(&file->header, i), "name") == 0 && name[0] && strlen(name) <= 64) {
            (void)snprintf(ret_key, size, "%.180s.tags.%s", file->key, name);
            return;
        }
    }
    (void)snprintf(ret_key, size, "%.180s.tags", file->key);
}

static void read_row(struct tags_file *file)
{
    struct loading *loading = file->loading;
    struct where where = {file->path, file->row.line};
    struct new_tag tag;
    char tag_key[FULL_KEY_BYTES], key[FULL_KEY_BYTES];
    if (file->row.n_fields > file->header.n_fields) {
        report(file, file->row.line, "tags_file", "the row has %zu fields, the header row only %zu",
               file->row.n_fields, file->header.n_fields);
        return;
    }
    name_row(file, tag_key, sizeof(tag_key));
    begin_tag(loading, file->device, where, &tag);
    for (size_t i = 0; i < ARRAY_LENGTH(tag.parts); i++)
        table_set_defaults(tag.parts[i].table, tag.parts[i].values);
    for (size_t i = 0; i < file->row.n_fields; i++) {
        const char *cell = csv_field(&file->row, i), *name = csv_field(&file->header, i);
        struct part *part;
        const struct option *row = parts_find(tag.parts, ARRAY_LENGTH(tag.parts), name, &part);
        if (!row || cell[0] == '\0')
            continue; /* an empty cell: not given */
        part_store_text(part, row, cell, file->folder,
                        (struct where){file->path, file->row.fields[i].line},
                        full_key(tag_key, name, key, sizeof(key)), loading->findings);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(tag.parts); i++)
        part_check_required(&tag.parts[i], where, tag_key, loading->findings);
    end_tag(loading, file->device, &tag);
}

static void read_rows(struct tags_file *file)
{
    const struct config_device *device = &file->loading->config->devices[file->device];
    const struct findings *findings = file->loading->findings;
    size_t errors = findings->errors;
    while (next_row(file, &file->row)) {
        if (device->n_tags == CONFIG_MAX_TAGS) {
            report(file, file->row.line, "tags_file",
                   "too many tags in one device; the limit is %d", CONFIG_MAX_TAGS);
            return;
        }
        read_row(file);
        if (findings->errors - errors >= MAX_PROBLEMS) {
            report(file, file->row.line, "tags_file", "too many problems; the rest was not read");
            return;
        }
    }
}

/* The content of the file; what cannot be read at all is reported at the key that names it. */
static bool open_tags_file(struct tags_file *file, struct strbuf *content)
{
    const struct section *section = &file->loading->devices[file->device].section;
    int result = file_read(file->path, CONFIG_MAX_BYTES, content);
    if (result < 0) {
        section_report(section, FINDING_ERROR, "tags_file", "%.200s cannot be read: %s", file->path,
                       result == -EFBIG    ? "larger than 8 MiB"
                       : result == -EINVAL ? "not a regular file"
                                           : strerror(-result));
        return false;
    }
    const char *nul = content->length ? memchr(content->data, '\0', content->length) : NULL;
    if (!nul)
        return true;
    unsigned line = 1;
    for (const char *at = content->data; at < nul; at++)
        line += *at == '\n';
    report(file, line, "tags_file", "not a text file: byte 0x00 (binary, or UTF-16?)");
    return false;
}

static void read_tags_file(struct loading *loading, size_t index, const char *path)
{
    CLEANUP(strbuf_free) struct strbuf content = STRBUF_EMPTY;
    CLEANUP(tags_file_free)
    struct tags_file file = {
        .loading = loading,
        .device = index,
        .path = loading_add_file(loading, memory_text(path)),
        .header = CSV_ROW_EMPTY,
        .row = CSV_ROW_EMPTY,
        .others = loading_other_keys(loading, loading->devices[index].driver, DRIVER_TAG, NULL),
    };
    file.folder = memory_text_n(path, (size_t)(strrchr(path, '/') - path));
    (void)snprintf(file.key, sizeof(file.key), "%s", loading->devices[index].section.key);
    if (!open_tags_file(&file, &content))
        return;
    csv_begin(&file.csv, strbuf_text(&content), content.length);
    if (read_header(&file))
        read_rows(&file);
}

void loading_read_tags(struct loading *loading, size_t index)
{
    read_inline(loading, index);
    const char *path = loading->config->devices[index].tags_file;
    if (path)
        read_tags_file(loading, index, path);
}

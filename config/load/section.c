/* The only file that knows libconfig: opens configuration files and reads their groups. */
#include "config/load/section.h"

#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "config/load/lexer.h"

#include <errno.h>
#include <libconfig.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct source {
    config_t parsed;
    const char *file;
    char *folder;
    struct strbuf content; /* as it was read */
};

static int report_unreadable(const char *path, size_t max_bytes, int error,
                             struct findings *findings)
{
    struct where where = {path, 0};
    if (error == -EINVAL)
        findings_add(findings, FINDING_ERROR, where, "", "cannot be read: not a regular file");
    else if (error == -EFBIG)
        findings_add(findings, FINDING_ERROR, where, "", "too large: the limit is %zu KiB",
                     max_bytes / 1024);
    else
        findings_add(findings, FINDING_ERROR, where, "", "cannot be read: %s", strerror(-error));
    return -EINVAL;
}

static int parse(struct source *source, const struct strbuf *text, struct findings *findings)
{
    config_init(&source->parsed);
    config_set_include_dir(&source->parsed, "/dev/null"); /* nothing can be found in there */
    if (config_read_string(&source->parsed, strbuf_text(text)) == CONFIG_TRUE)
        return 0;
    int line = config_error_line(&source->parsed);
    const char *reason = config_error_text(&source->parsed); /* of what lexer_scan() let pass */
    findings_add(findings, FINDING_ERROR,
                 (struct where){source->file, line > 0 ? (unsigned)line : 1}, "", "%s",
                 reason ? reason : "syntax error");
    return -EINVAL;
}

int source_open(const char *path, size_t max_bytes, struct findings *findings,
                struct source **ret_source)
{
    CLEANUP(strbuf_free) struct strbuf content = STRBUF_EMPTY;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    int result = file_read(path, max_bytes, &content);
    if (result < 0)
        return report_unreadable(path, max_bytes, result, findings);
    result = lexer_scan(strbuf_text(&content), content.length, path, findings, &text);
    if (result < 0)
        return result;
    struct source *source = memory_zeroed(1, sizeof(*source));
    const char *slash = strrchr(path, '/');
    source->file = path;
    source->content = content;
    content = (struct strbuf)STRBUF_EMPTY;
    source->folder = slash ? memory_text_n(path, (size_t)(slash - path)) : memory_text(".");
    result = parse(source, &text, findings);
    if (result < 0) {
        source_close(source);
        return result;
    }
    *ret_source = source;
    return 0;
}

struct source *source_close(struct source *source)
{
    if (!source)
        return NULL;
    config_destroy(&source->parsed);
    strbuf_free(&source->content);
    free(source->folder);
    free(source);
    return NULL;
}

const char *source_text(const struct source *source)
{
    return strbuf_text(&source->content);
}

void source_root(const struct source *source, struct findings *findings, struct section *ret_root)
{
    *ret_root = (struct section){.setting = config_root_setting(&source->parsed),
                                 .where = {source->file, 1},
                                 .folder = source->folder,
                                 .findings = findings};
}

/* Reported by lexer_scan() already, and renamed so that libconfig continues. */
static bool is_double(const char *name)
{
    return strstr(name, LEXER_DOUBLE) != NULL;
}

static struct where where_of(const struct section *section, const config_setting_t *setting)
{
    return (struct where){section->where.file, config_setting_source_line(setting)};
}

static bool is_in(const char *const *names, const char *name)
{
    for (; names && *names; names++) {
        if (strcmp(*names, name) == 0)
            return true;
    }
    return false;
}

size_t section_length(const struct section *section)
{
    return section->setting ? (size_t)config_setting_length(section->setting) : 0;
}

static const config_setting_t *member_at(const struct section *section, size_t index)
{
    return config_setting_get_elem(section->setting, (unsigned)index);
}

static const config_setting_t *find(const struct section *section, const char *name)
{
    return section->setting ? config_setting_get_member(section->setting, name) : NULL;
}

static void report_unknown(const struct section *section, const struct part *parts, size_t n_parts,
                           const char *const *others, const config_setting_t *member)
{
    char key[FULL_KEY_BYTES];
    const char *name = config_setting_name(member);
    parts_unknown_key(parts, n_parts, others, name, where_of(section, member),
                      full_key(section->key, name, key, sizeof(key)), section->findings);
}

void section_expect(const struct section *section, const char *const *names)
{
    for (size_t i = 0; i < section_length(section); i++) {
        const config_setting_t *member = member_at(section, i);
        const char *name = config_setting_name(member);
        if (!is_in(names, name) && !is_double(name))
            report_unknown(section, NULL, 0, names, member);
    }
}

static const char *kind_name(const config_setting_t *setting)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_GROUP:
        return "a group { }";
    case CONFIG_TYPE_ARRAY:
        return "an array [ ]";
    case CONFIG_TYPE_LIST:
        return "a list ( )";
    case CONFIG_TYPE_STRING:
        return "a text";
    case CONFIG_TYPE_BOOL:
        return "true or false";
    default:
        return "a number";
    }
}

bool section_child(const struct section *section, const char *name, struct section *ret_child)
{
    const config_setting_t *member = find(section, name);
    *ret_child = *section;
    ret_child->setting = NULL;
    (void)full_key(section->key, name, ret_child->key, sizeof(ret_child->key));
    if (!member)
        return false;
    ret_child->where = where_of(section, member);
    ret_child->unusable = !config_setting_is_group(member);
    if (ret_child->unusable) {
        findings_add(section->findings, FINDING_ERROR, ret_child->where, ret_child->key,
                     "expected a group { ... }, found %s", kind_name(member));
        return false;
    }
    ret_child->setting = member;
    return true;
}

size_t section_list(const struct section *section, const char *name, size_t max)
{
    const config_setting_t *member = find(section, name);
    if (!member)
        return 0;
    size_t length = config_setting_is_aggregate(member) ? (size_t)config_setting_length(member) : 0;
    if (!config_setting_is_list(member))
        section_report(section, FINDING_ERROR, name,
                       "expected a list of groups ( { ... }, { ... } ), found %s",
                       kind_name(member));
    else if (length > max)
        section_report(section, FINDING_ERROR, name, "%zu elements are too many; the limit is %zu",
                       length, max);
    else
        return length;
    return 0;
}

/* Whether NAME is clear enough for the full key of a finding. */
static bool is_plain(const char *name)
{
    size_t length = strlen(name);
    if (length < 1 || length > 64)
        return false;
    for (; *name; name++) {
        if ((unsigned char)*name <= 0x20 || *name == 0x7f || *name == ':')
            return false;
    }
    return true;
}

bool section_element(const struct section *section, const char *name, size_t index,
                     struct section *ret_element)
{
    const config_setting_t *list = find(section, name);
    const config_setting_t *element = config_setting_get_elem(list, (unsigned)index);
    char list_key[FULL_KEY_BYTES], place[32];
    *ret_element = *section;
    ret_element->setting = NULL;
    ret_element->where = where_of(section, element);
    (void)full_key(section->key, name, list_key, sizeof(list_key));
    if (config_setting_is_group(element)) {
        ret_element->setting = element;
        const char *own_name = section_peek(ret_element, "name");
        if (own_name && is_plain(own_name)) {
            char own_key[65];
            (void)snprintf(own_key, sizeof(own_key), "%s", own_name);
            (void)snprintf(ret_element->key, sizeof(ret_element->key), "%.254s.%s", list_key,
                           own_key);
            return true;
        }
    }
    (void)snprintf(place, sizeof(place), "[%zu]", index);
    (void)snprintf(ret_element->key, sizeof(ret_element->key), "%.256s%s", list_key, place);
    if (ret_element->setting)
        return true;
    ret_element->unusable = true;
    findings_add(section->findings, FINDING_ERROR, ret_element->where, ret_element->key,
                 "expected a group { ... }, found %s", kind_name(element));
    return false;
}

/* The texts of an array, borrowed from libconfig; NULL when it holds anything else. */
static const char **texts_of(const config_setting_t *array)
{
    size_t length = (size_t)config_setting_length(array);
    const char **texts = memory_zeroed(length, sizeof(*texts));
    for (size_t i = 0; i < length; i++) {
        texts[i] = config_setting_get_string_elem(array, (int)i);
        if (!texts[i]) {
            free(texts);
            return NULL;
        }
    }
    return texts;
}

static void store(const struct section *section, const config_setting_t *setting, struct part *part,
                  const struct option *row)
{
    CLEANUP(memory_free_pointer) const char **texts = NULL;
    struct given given = {.kind = GIVEN_OTHER, .text = kind_name(setting)};
    char key[FULL_KEY_BYTES];
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_BOOL:
        given.kind = GIVEN_BOOL;
        given.truth = config_setting_get_bool(setting) == CONFIG_TRUE;
        break;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        given.kind = GIVEN_INT;
        given.integer = config_setting_get_int64(setting);
        break;
    case CONFIG_TYPE_FLOAT:
        given.kind = GIVEN_FLOAT;
        given.real = config_setting_get_float(setting);
        break;
    case CONFIG_TYPE_STRING:
        given.kind = GIVEN_TEXT;
        given.text = config_setting_get_string(setting);
        break;
    case CONFIG_TYPE_ARRAY:
        texts = texts_of(setting);
        if (!texts)
            break;
        given.kind = GIVEN_TEXTS;
        given.texts = texts;
        given.n_texts = (size_t)config_setting_length(setting);
        break;
    default: /* a group or a list, or any type that libconfig may add */
        break;
    }
    part_store(part, row, &given, section->folder, where_of(section, setting),
               full_key(section->key, row->key, key, sizeof(key)), section->findings);
}

void section_read(const struct section *section, struct part *parts, size_t n_parts,
                  const char *const *others)
{
    for (size_t i = 0; i < n_parts; i++)
        table_set_defaults(parts[i].table, parts[i].values);
    for (size_t i = 0; i < section_length(section); i++) {
        const config_setting_t *member = member_at(section, i);
        const char *name = config_setting_name(member);
        struct part *part;
        const struct option *row = parts_find(parts, n_parts, name, &part);
        if (row)
            store(section, member, part, row);
        else if (!is_in(others, name) && !is_double(name))
            report_unknown(section, parts, n_parts, others, member);
    }
    for (size_t i = 0; i < n_parts && !section->unusable; i++)
        part_check_required(&parts[i], section->where, section->key, section->findings);
}

const char *section_peek(const struct section *section, const char *key)
{
    const config_setting_t *member = find(section, key);
    return member ? config_setting_get_string(member) : NULL;
}

struct where section_where(const struct section *section, const char *key)
{
    const config_setting_t *member = find(section, key);
    return member ? where_of(section, member) : section->where;
}

void section_report(const struct section *section, enum severity severity, const char *key,
                    const char *format, ...)
{
    char text[512], whole_key[FULL_KEY_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    findings_add(section->findings, severity, section_where(section, key),
                 full_key(section->key, key, whole_key, sizeof(whole_key)), "%s", text);
}

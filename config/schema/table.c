/* Structs that option tables describe. */
#include "config/schema/table.h"

#include "agent/base/memory.h"
#include "config/schema/did_you_mean.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void table_set_defaults(const struct option_table *table, void *values)
{
    for (size_t i = 0; i < table->n_rows; i++)
        value_set_default(&table->rows[i], values);
}

void *table_new(const struct option_table *table)
{
    if (table->size == 0)
        return NULL;
    void *values = memory_zeroed(1, table->size);
    table_set_defaults(table, values);
    return values;
}

void table_free(const struct option_table *table, void *values)
{
    for (size_t i = 0; values && i < table->n_rows; i++)
        value_free(&table->rows[i], values);
}

const struct option *parts_find(struct part *parts, size_t n_parts, const char *key,
                                struct part **ret_part)
{
    for (size_t i = 0; i < n_parts; i++) {
        const struct option *row = option_find(parts[i].table, key);
        if (row) {
            *ret_part = &parts[i];
            return row;
        }
    }
    return NULL;
}

static uint64_t row_bit(const struct part *part, const struct option *row)
{
    return UINT64_C(1) << (row - part->table->rows);
}

static void table_note(struct part *part, const struct option *row, int result,
                       const struct problem *problem, struct where where, const char *key,
                       struct findings *findings)
{
    part->present |= row_bit(part, row);
    if (result == 0)
        return;
    part->refused |= row_bit(part, row);
    findings_add(findings, FINDING_ERROR, where, key, "%s", problem->text);
}

void part_store(struct part *part, const struct option *row, const struct given *given,
                const char *folder, struct where where, const char *key, struct findings *findings)
{
    struct problem problem;
    int result = value_store(row, given, folder, part->values, &problem);
    table_note(part, row, result, &problem, where, key, findings);
}

void part_store_text(struct part *part, const struct option *row, const char *text,
                     const char *folder, struct where where, const char *key,
                     struct findings *findings)
{
    struct problem problem;
    int result = value_store_text(row, text, folder, part->values, &problem);
    table_note(part, row, result, &problem, where, key, findings);
}

void part_check_required(const struct part *part, struct where where, const char *prefix,
                         struct findings *findings)
{
    for (size_t i = 0; i < part->table->n_rows; i++) {
        const struct option *row = &part->table->rows[i];
        char key[FULL_KEY_BYTES];
        if (!(row->flags & OPTION_REQUIRED) || (part->present & row_bit(part, row)))
            continue;
        findings_add(findings, FINDING_ERROR, where, full_key(prefix, row->key, key, sizeof(key)),
                     "missing; it is required: %s", row->help);
    }
}

bool part_is_complete(const struct part *part)
{
    for (size_t i = 0; i < part->table->n_rows; i++) {
        const struct option *row = &part->table->rows[i];
        uint64_t bit = row_bit(part, row);
        if ((row->flags & OPTION_REQUIRED) && (!(part->present & bit) || (part->refused & bit)))
            return false;
    }
    return true;
}

void parts_unknown_key(const struct part *parts, size_t n_parts, const char *const *others,
                       const char *key, struct where where, const char *whole_key,
                       struct findings *findings)
{
    struct did_you_mean nearest = {.word = key};
    for (size_t i = 0; i < n_parts; i++) {
        for (size_t j = 0; j < parts[i].table->n_rows; j++)
            did_you_mean_offer(&nearest, parts[i].table->rows[j].key);
    }
    for (size_t i = 0; others && others[i]; i++)
        did_you_mean_offer(&nearest, others[i]);
    if (nearest.best)
        findings_add(findings, FINDING_ERROR, where, whole_key,
                     "unknown key \"%.64s\"; did you mean \"%s\"?", key, nearest.best);
    else
        findings_add(findings, FINDING_ERROR, where, whole_key, "unknown key \"%.64s\"", key);
}

static bool table_is_in(const char *const *keys, const char *key)
{
    for (; keys && *keys; keys++) {
        if (strcmp(*keys, key) == 0)
            return true;
    }
    return false;
}

void table_print(const struct option_table *table, const void *values, const char *indent,
                 const char *const *skipped, struct strbuf *out)
{
    for (size_t i = 0; values && i < table->n_rows; i++) {
        const struct option *row = &table->rows[i];
        if (!value_is_set(row, values) || table_is_in(skipped, row->key))
            continue;
        strbuf_addf(out, "%s%s = ", indent, row->key);
        value_print(row, values, out);
        strbuf_add(out, ";\n");
    }
}

static void print_or_unset(const struct option *row, const void *values, struct strbuf *out)
{
    if (value_is_set(row, values))
        value_print(row, values, out);
    else
        strbuf_add(out, "(unset)");
}

size_t table_compare(const struct option_table *table, const void *old, const void *fresh,
                     const char *prefix, struct strbuf *out, bool *classes)
{
    size_t changes = 0;
    for (size_t i = 0; i < table->n_rows; i++) {
        const struct option *row = &table->rows[i];
        char key[FULL_KEY_BYTES];
        if (value_equal(row, old, fresh) || (!value_is_set(row, old) && !value_is_set(row, fresh)))
            continue;
        strbuf_addf(out, "%s: ", full_key(prefix, row->key, key, sizeof(key)));
        print_or_unset(row, old, out);
        strbuf_add(out, " -> ");
        print_or_unset(row, fresh, out);
        strbuf_add_char(out, '\n');
        classes[row->reload] = true;
        changes++;
    }
    return changes;
}

const char *full_key(const char *prefix, const char *key, char *buffer, size_t size)
{
    (void)snprintf(buffer, size, "%.256s%s%.60s", prefix, prefix[0] ? "." : "", key);
    return buffer;
}

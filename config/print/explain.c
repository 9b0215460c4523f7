/* The reference of the configuration, for the terminal. */
#include "config/print/explain.h"

#include "config/print/key_docs.h"
#include "config/schema/did_you_mean.h"
#include "config/schema/table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void explain_row(const struct key_doc *topic, const struct option *row, struct strbuf *out)
{
    strbuf_addf(out, "%s.%s\n  %s\n  type:    ", topic->path, row->key, row->help);
    option_print_type(row, out);
    strbuf_add(out, "\n  default: ");
    option_print_default(topic->table, row, out);
    if (row->example) {
        strbuf_add(out, "\n  example: ");
        value_print_literal(row, row->example, out);
    }
    strbuf_addf(out, "\n  reload:  %s\n", option_reload_text(row));
}

static void explain_topic(const struct key_doc *topic, struct strbuf *out)
{
    strbuf_addf(out, "%s\n  %s\n", topic->path, topic->help);
    for (size_t i = 0; i < topic->table->n_rows; i++) {
        const struct option *row = &topic->table->rows[i];
        strbuf_addf(out, "  %-18s %s\n", row->key, row->help);
    }
}

/* Explains KEY if it is exactly a topic, or a key of one. */
static bool explain_exactly(const struct key_docs *topics, const char *key, struct strbuf *out)
{
    bool found = false;
    for (size_t i = 0; i < topics->length; i++) {
        const struct key_doc *topic = &topics->items[i];
        size_t length = strlen(topic->path);
        if (strcmp(key, topic->path) == 0) {
            explain_topic(topic, out);
            found = true;
        } else if (strncmp(key, topic->path, length) == 0 && key[length] == '.') {
            const struct option *row = option_find(topic->table, key + length + 1);
            if (row)
                explain_row(topic, row, out);
            found |= row != NULL;
        }
    }
    return found;
}

/* Explains every key whose last word is KEY: "port" finds the port of each driver. */
static bool explain_word(const struct key_docs *topics, const char *key, struct strbuf *out)
{
    bool found = false;
    for (size_t i = 0; i < topics->length; i++) {
        const struct option *row = option_find(topics->items[i].table, key);
        if (row)
            explain_row(&topics->items[i], row, out);
        found |= row != NULL;
    }
    return found;
}

/* The full key that KEY most likely means. */
struct guess {
    struct did_you_mean whole, word; /* of the full keys, of their last words */
    char whole_best[FULL_KEY_BYTES], word_best[FULL_KEY_BYTES];
};

static void offer(struct guess *guess, const char *path, const char *word)
{
    size_t whole_before = guess->whole.best ? guess->whole.distance : SIZE_MAX;
    size_t word_before = guess->word.best ? guess->word.distance : SIZE_MAX;
    did_you_mean_offer(&guess->whole, path);
    did_you_mean_offer(&guess->word, word);
    if (guess->whole.best && guess->whole.distance < whole_before)
        (void)snprintf(guess->whole_best, sizeof(guess->whole_best), "%s", path);
    if (guess->word.best && guess->word.distance < word_before)
        (void)snprintf(guess->word_best, sizeof(guess->word_best), "%s", path);
}

static void explain_nearest(const struct key_docs *topics, const char *key, struct strbuf *out)
{
    const char *dot = strrchr(key, '.');
    struct guess guess = {.whole = {.word = key}, .word = {.word = dot ? dot + 1 : key}};
    for (size_t i = 0; i < topics->length; i++) {
        const struct key_doc *topic = &topics->items[i];
        offer(&guess, topic->path, topic->path);
        for (size_t j = 0; j < topic->table->n_rows; j++) {
            char path[FULL_KEY_BYTES];
            offer(&guess, full_key(topic->path, topic->table->rows[j].key, path, sizeof(path)),
                  topic->table->rows[j].key);
        }
    }
    const char *best = guess.whole.best ? guess.whole_best : guess.word_best;
    strbuf_addf(out, "there is no key \"%.64s\"", key);
    if (best[0])
        strbuf_addf(out, "; did you mean \"%s\"?", best);
    strbuf_add_char(out, '\n');
}

int config_explain(const char *key, const struct config_driver *const *drivers, struct strbuf *out)
{
    CLEANUP(key_docs_free) struct key_docs topics;
    key_docs_make(drivers, &topics);
    for (size_t i = 0; !key && i < topics.length; i++) {
        strbuf_add(out, i ? "\n" : "");
        explain_topic(&topics.items[i], out);
    }
    if (!key || explain_exactly(&topics, key, out) || explain_word(&topics, key, out))
        return 0;
    explain_nearest(&topics, key, out);
    return -ENOENT;
}

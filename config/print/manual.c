/* Tables of keys as sections of a manual page. */
#include "config/print/manual.h"

#include "agent/base/strbuf.h"
#include "config/print/key_docs.h"
#include "config/schema/table.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define COLUMNS 78

/* ---- text ---- */

static void put_char(char character, bool *is_bold, struct strbuf *out)
{
    static const struct {
        char character;
        const char *markup;
    } special[] = {{'\\', "\\e"}, {'\'', "\\(aq"}, {'~', "\\(ti"}, {'^', "\\(ha"}, {'-', "\\-"}};
    if (character == '`') {
        *is_bold = !*is_bold;
        strbuf_add(out, *is_bold ? "\\fB" : "\\fR");
        return;
    }
    for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
        if (special[i].character == character) {
            strbuf_add(out, special[i].markup);
            return;
        }
    }
    strbuf_add_char(out, character);
}

/* A word of the text; a hyphen between two letters stays one. */
static void put_word(const char *word, size_t length, bool *is_bold, struct strbuf *out)
{
    for (size_t i = 0; i < length; i++) {
        bool is_hyphen = word[i] == '-' && !*is_bold && i > 0 && i + 1 < length &&
                         isalpha((unsigned char)word[i - 1]) && isalpha((unsigned char)word[i + 1]);
        if (is_hyphen)
            strbuf_add_char(out, '-');
        else
            put_char(word[i], is_bold, out);
    }
}

static bool ends_sentence(const char *word, size_t length)
{
    return length > 0 && strchr(".!?", word[length - 1]) != NULL;
}

void manual_print_text(const char *text, struct strbuf *out)
{
    size_t line = 0; /* bytes in this line of the page */
    bool is_bold = false, is_new = true;
    while (*text) {
        CLEANUP(strbuf_free) struct strbuf word = STRBUF_EMPTY;
        size_t length = strcspn(text, " ");
        put_word(text, length, &is_bold, &word);
        if (!is_new && line + 1 + word.length > COLUMNS)
            is_new = true;
        if (is_new && line > 0)
            strbuf_add_char(out, '\n');
        if (is_new && (word.length == 0 || strchr(".'", word.data[0])))
            strbuf_add(out, "\\&"); /* a line that begins with a point would be a macro */
        if (!is_new)
            strbuf_add_char(out, ' ');
        line = (is_new ? 0 : line + 1) + word.length;
        strbuf_add(out, strbuf_text(&word));
        is_new = ends_sentence(text, length);
        text += length;
        text += strspn(text, " ");
    }
    if (line > 0)
        strbuf_add_char(out, '\n');
}

/* ---- keys ---- */

static void print_key(const struct option_table *table, const struct option *row,
                      manual_change *change, struct strbuf *out)
{
    CLEANUP(strbuf_free) struct strbuf facts = STRBUF_EMPTY;
    const char *effect = change(table, row);
    strbuf_addf(out, ".It Ic %s\n", row->key);
    manual_print_text(row->help, out);
    strbuf_add(&facts, "Value: ");
    option_print_type(row, &facts);
    if (row->flags & OPTION_REQUIRED) {
        strbuf_add(&facts, "; required.");
    } else {
        strbuf_add(&facts, "; default: ");
        option_print_default(table, row, &facts);
        strbuf_add_char(&facts, '.');
    }
    if (effect)
        strbuf_addf(&facts, " A change: %s.", effect);
    manual_print_text(strbuf_text(&facts), out);
}

void manual_print_table(const struct option_table *table, const char *path, const char *help,
                        manual_change *change, struct strbuf *out)
{
    strbuf_addf(out, ".Ss %s\n", path);
    manual_print_text(help, out);
    strbuf_add(out, ".Bl -tag -width Ds\n");
    for (size_t i = 0; i < table->n_rows; i++)
        print_key(table, &table->rows[i], change, out);
    strbuf_add(out, ".El\n");
}

/* ---- sallyport.conf ---- */

static const char *config_change(const struct option_table *table, const struct option *row)
{
    (void)table;
    return option_reload_text(row);
}

void manual_print_config(const struct config_driver *const *drivers, struct strbuf *out)
{
    CLEANUP(key_docs_free) struct key_docs topics;
    key_docs_make(drivers, &topics);
    strbuf_add(out, MANUAL_BEGIN);
    for (size_t i = 0; i < topics.length; i++)
        manual_print_table(topics.items[i].table, topics.items[i].path, topics.items[i].help,
                           config_change, out);
    strbuf_add(out, MANUAL_END);
}

/* The pass over a configuration file's text that precedes libconfig. */
#include "config/load/lexer.h"

#include "agent/base/memory.h"
#include "config/load/syntax.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_PROBLEMS 20 /* of one file: a file with more is not a configuration */
#define SHOWN_BYTES 60

/* A key of a group that is still open. */
struct seen_key {
    const char *name;
    size_t length;
    unsigned line;
};

struct scanner {
    const char *at, *end;
    unsigned line;
    const char *file;
    struct findings *findings;
    struct strbuf *out;
    struct syntax syntax;
    struct seen_key keys[(SYNTAX_MAX_DEPTH + 1) * LEXER_MAX_KEYS];
    size_t n_keys, first_key[SYNTAX_MAX_DEPTH + 1]; /* where the keys of each depth begin */
    struct seen_key word; /* the last name; a key if an equals sign follows */
    size_t word_end;      /* length of OUT after it */
    size_t problems, doubles;
    bool broken; /* libconfig could not parse it either */
};

PRINTF_LIKE(4, 5)
static void complain(struct scanner *scanner, unsigned line, const char *key, const char *format,
                     ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    findings_add(scanner->findings, FINDING_ERROR, (struct where){scanner->file, line}, key, "%s",
                 text);
    scanner->problems++;
}

/* Reports a mistake after which the rest cannot be parsed. */
static void give_up(struct scanner *scanner, unsigned line, const char *text)
{
    complain(scanner, line, "", "%s", text);
    scanner->broken = true;
    scanner->at = scanner->end;
}

/* Passes a token to the grammar. */
static bool accept(struct scanner *scanner, enum token token, char mark)
{
    struct syntax_error error;
    if (syntax_take(&scanner->syntax, token, mark, scanner->line, &error))
        return true;
    give_up(scanner, scanner->line, error.text);
    return false;
}

/* Moves past END, counting lines, and copies what was passed. */
static void take(struct scanner *scanner, const char *end)
{
    strbuf_append(scanner->out, scanner->at, (size_t)(end - scanner->at));
    for (; scanner->at < end; scanner->at++)
        scanner->line += *scanner->at == '\n';
}

/* Moves past END and copies only the line breaks: comments are of no use to libconfig. */
static void skip(struct scanner *scanner, const char *end)
{
    for (; scanner->at < end; scanner->at++) {
        if (*scanner->at == '\n') {
            scanner->line++;
            strbuf_add_char(scanner->out, '\n');
        }
    }
}

static void skip_comment(struct scanner *scanner)
{
    size_t left = (size_t)(scanner->end - scanner->at);
    if (scanner->at[0] == '#' || (left >= 2 && scanner->at[1] == '/')) {
        const char *newline = memchr(scanner->at, '\n', left);
        skip(scanner, newline ? newline : scanner->end);
        return;
    }
    if (left < 2 || scanner->at[1] != '*') {
        give_up(scanner, scanner->line, "unexpected \"/\"; texts and file names need quotes");
        return;
    }
    const char *close = memmem(scanner->at + 2, left - 2, "*/", 2);
    if (!close) {
        give_up(scanner, scanner->line, "the comment that begins here with /* is never closed");
        return;
    }
    strbuf_add_char(scanner->out, ' '); /* a comment separates tokens, too */
    skip(scanner, close + 2);
}

static void take_text(struct scanner *scanner)
{
    const char *at = scanner->at + 1;
    for (; at < scanner->end && *at != '"'; at++) {
        if (*at != '\\' || at + 1 == scanner->end)
            continue;
        if (scanner->end - at >= 4 && strncasecmp(at, "\\x00", 4) == 0) {
            give_up(scanner, scanner->line, "a text cannot contain \\x00");
            return;
        }
        at++;
    }
    if (at >= scanner->end) {
        give_up(scanner, scanner->line, "the text that begins here with a quote is never closed");
        return;
    }
    if (accept(scanner, TOKEN_TEXT, '"'))
        take(scanner, at + 1);
}

static bool is_name_byte(char byte)
{
    return isalnum((unsigned char)byte) || byte == '_' || byte == '-' || byte == '*';
}

static bool is_switch(const char *word, size_t length)
{
    return (length == 4 && strncasecmp(word, "true", 4) == 0) ||
           (length == 5 && strncasecmp(word, "false", 5) == 0);
}

static bool is_value_expected(const struct scanner *scanner)
{
    return scanner->syntax.open[scanner->syntax.depth].state == SYNTAX_VALUE;
}

static void take_word(struct scanner *scanner)
{
    const char *start = scanner->at, *at = start;
    while (at < scanner->end && is_name_byte(*at))
        at++;
    size_t length = (size_t)(at - start);
    enum token token = is_switch(start, length) ? TOKEN_BOOL : TOKEN_NAME;
    if (token == TOKEN_NAME && is_value_expected(scanner)) {
        complain(scanner, scanner->line, "",
                 "the word %.*s needs quotes; a switch is written as true or false",
                 length < SHOWN_BYTES ? (int)length : SHOWN_BYTES, start);
        scanner->broken = true;
        token = TOKEN_TEXT; /* continues as if the word had quotes */
    }
    if (!accept(scanner, token, 'a'))
        return;
    scanner->word = (struct seen_key){start, length, scanner->line};
    take(scanner, at);
    scanner->word_end = scanner->out->length;
}

static const char *skip_digits(const struct scanner *scanner, const char *at, bool hexadecimal)
{
    while (at < scanner->end && (hexadecimal ? isxdigit((unsigned char)*at) : isdigit(*at)))
        at++;
    return at;
}

/*
 * An integer of LENGTH bytes. libconfig cuts what does not fit into 32 bits unless an L follows;
 * what does not fit into 64 bits either keeps its size as a float.
 */
static void take_integer(struct scanner *scanner, size_t length, int base)
{
    char digits[32];
    const char *end = scanner->at + length;
    (void)snprintf(digits, sizeof(digits), "%.*s", (int)(length < 31 ? length : 31), scanner->at);
    errno = 0;
    long long value = strtoll(digits, NULL, base);
    bool huge = length >= sizeof(digits) || errno == ERANGE;
    bool wide = value < INT32_MIN || value > INT32_MAX, marked = end < scanner->end && *end == 'L';
    if (huge && base == 16) {
        give_up(scanner, scanner->line, "the number does not fit into 64 bits");
        return;
    }
    if (!accept(scanner, huge ? TOKEN_FLOAT : wide || marked ? TOKEN_INT64 : TOKEN_INT, '0'))
        return;
    take(scanner, end);
    strbuf_add(scanner->out, huge ? ".0" : wide || marked ? "L" : "");
    for (int i = 0; i < 2 && scanner->at < scanner->end && *scanner->at == 'L'; i++)
        scanner->at++;
}

static void take_number(struct scanner *scanner)
{
    const char *start = scanner->at;
    const char *first = start + (*start == '-' || *start == '+');
    if (scanner->end - first > 2 && first == start && first[0] == '0' &&
        (first[1] == 'x' || first[1] == 'X') && isxdigit((unsigned char)first[2])) {
        const char *end = skip_digits(scanner, first + 2, true);
        take_integer(scanner, (size_t)(end - start), 16);
        return;
    }
    const char *at = skip_digits(scanner, first, false);
    size_t digits = (size_t)(at - first);
    bool point = at < scanner->end && *at == '.';
    if (point) {
        const char *fraction = at + 1;
        at = skip_digits(scanner, fraction, false);
        digits += (size_t)(at - fraction);
    }
    if (digits == 0) {
        give_up(scanner, scanner->line, "expected a number");
        return;
    }
    bool exponent = false;
    if (at < scanner->end && (*at == 'e' || *at == 'E')) {
        const char *power = at + 1;
        power += power < scanner->end && (*power == '-' || *power == '+');
        const char *end = skip_digits(scanner, power, false);
        exponent = end > power;
        at = exponent ? end : at;
    }
    if (!point && !exponent)
        take_integer(scanner, (size_t)(at - start), 10);
    else if (accept(scanner, TOKEN_FLOAT, '0'))
        take(scanner, at);
}

/* An equals sign after a name: the name is a key of the innermost group. */
static void note_key(struct scanner *scanner)
{
    const struct seen_key *word = &scanner->word;
    for (size_t i = scanner->first_key[scanner->syntax.depth]; i < scanner->n_keys; i++) {
        const struct seen_key *seen = &scanner->keys[i];
        if (seen->length != word->length || memcmp(seen->name, word->name, word->length) != 0)
            continue;
        char name[65];
        (void)snprintf(name, sizeof(name), "%.*s", (int)(word->length < 64 ? word->length : 64),
                       word->name);
        complain(scanner, word->line, name, "given twice in the same group; first on line %u",
                 seen->line);
        char suffix[32];
        int length = snprintf(suffix, sizeof(suffix), LEXER_DOUBLE "%zu", ++scanner->doubles);
        strbuf_append(scanner->out, suffix, (size_t)length);
        size_t moved = scanner->out->length - (size_t)length - scanner->word_end;
        char *behind = scanner->out->data + scanner->word_end;
        memmove(behind + length, behind, moved); /* the blanks before the equals sign */
        memcpy(behind, suffix, (size_t)length);
        return;
    }
    if (scanner->n_keys - scanner->first_key[scanner->syntax.depth] == LEXER_MAX_KEYS) {
        give_up(scanner, word->line, "too many keys in one group; the limit is 256");
        return;
    }
    scanner->keys[scanner->n_keys++] = *word;
}

static void take_mark(struct scanner *scanner)
{
    static const char marks[] = "=:,;{([})]";
    static const enum token tokens[] = {TOKEN_EQUALS, TOKEN_EQUALS, TOKEN_COMMA, TOKEN_SEMICOLON,
                                        TOKEN_OPEN,   TOKEN_OPEN,   TOKEN_OPEN,  TOKEN_CLOSE,
                                        TOKEN_CLOSE,  TOKEN_CLOSE};
    enum token token = tokens[strchr(marks, *scanner->at) - marks];
    size_t depth = scanner->syntax.depth;
    if (!accept(scanner, token, *scanner->at))
        return;
    if (token == TOKEN_EQUALS)
        note_key(scanner);
    else if (token == TOKEN_OPEN)
        scanner->first_key[depth + 1] = scanner->n_keys;
    else if (token == TOKEN_CLOSE)
        scanner->n_keys = scanner->first_key[depth];
    if (scanner->at < scanner->end) /* note_key() may have stopped the scan */
        take(scanner, scanner->at + 1);
}

static void refuse_byte(struct scanner *scanner)
{
    unsigned char byte = (unsigned char)*scanner->at;
    char text[120];
    if (byte == '@')
        (void)snprintf(text, sizeof(text), "@include is not supported; put files into conf.d/");
    else if (byte == '\'')
        (void)snprintf(text, sizeof(text), "texts are written in double quotes: \"...\"");
    else if (byte > 0x20 && byte < 0x7f)
        (void)snprintf(text, sizeof(text), "unexpected \"%c\"", byte);
    else
        (void)snprintf(text, sizeof(text), "unexpected byte 0x%02x outside of a text", byte);
    give_up(scanner, scanner->line, text);
}

/* libconfig does not treat a vertical tab as white space. */
static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r' || byte == '\f';
}

static void skip_blank(struct scanner *scanner)
{
    if (*scanner->at != '\n')
        strbuf_add_char(scanner->out, ' ');
    skip(scanner, scanner->at + 1);
}

static void take_token(struct scanner *scanner)
{
    char first = *scanner->at;
    if (first == '#' || first == '/')
        skip_comment(scanner);
    else if (first == '"')
        take_text(scanner);
    else if (isalpha((unsigned char)first) || first == '*')
        take_word(scanner);
    else if (isdigit((unsigned char)first) || strchr("+-.", first))
        take_number(scanner);
    else if (strchr("=:,;{}()[]", first))
        take_mark(scanner);
    else if (is_blank(first))
        skip_blank(scanner);
    else
        refuse_byte(scanner);
}

/* Whether all of it is text; a stray control character is what a binary file has first. */
static bool is_text(struct scanner *scanner)
{
    unsigned line = 1;
    for (const char *at = scanner->at; at < scanner->end; at++) {
        line += *at == '\n';
        if (((unsigned char)*at >= 0x20 && *at != 0x7f) || is_blank(*at))
            continue;
        complain(scanner, line, "", "not a text file: byte 0x%02x (binary, or not UTF-8?)",
                 (unsigned char)*at);
        return false;
    }
    return true;
}

static void run(struct scanner *scanner)
{
    while (scanner->at < scanner->end) {
        take_token(scanner);
        if (scanner->problems >= MAX_PROBLEMS)
            give_up(scanner, scanner->line, "too many problems; the rest was not checked");
    }
    struct syntax_error error;
    unsigned line = scanner->line;
    if (!scanner->broken && !syntax_end(&scanner->syntax, &line, &error))
        give_up(scanner, line, error.text);
}

int lexer_scan(const char *text, size_t length, const char *file, struct findings *findings,
               struct strbuf *out)
{
    struct scanner *scanner = memory_zeroed(1, sizeof(*scanner));
    *scanner = (struct scanner){.at = text,
                                .end = text + length,
                                .line = 1,
                                .file = file,
                                .findings = findings,
                                .out = out};
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        scanner->at += 3; /* the byte order mark of some editors */
    bool sound = is_text(scanner);
    if (sound)
        run(scanner);
    sound = sound && !scanner->broken;
    free(scanner);
    return sound ? 0 : -EINVAL;
}

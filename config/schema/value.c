/* One value of one key: checked, stored, compared, printed, as its row says. */
#include "config/schema/value.h"

#include "agent/base/memory.h"
#include "agent/base/text.h"
#include "config/schema/did_you_mean.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TEXT_MAX_BYTES 1024 /* of a text without bounds, and of an element of a list */
#define SHOWN_BYTES 60      /* of a refused text in a message */

/* libconfig's escapes: what follows the backslash, and what it means. */
static const char escape_letters[] = "\"\\nrtf", escape_plain[] = "\"\\\n\r\t\f";

static void *member(const struct option *row, void *values)
{
    return (char *)values + row->offset;
}

static const void *member_const(const struct option *row, const void *values)
{
    return (const char *)values + row->offset;
}

/* A text of the member; texts are the only pointers, so one place does the copying. */
static char *get_text(const struct option *row, const void *values)
{
    char *text;
    memcpy(&text, member_const(row, values), sizeof(text));
    return text;
}

static void value_put_text(const struct option *row, void *values, char *text)
{
    free(get_text(row, values));
    memcpy(member(row, values), &text, sizeof(text));
}

int problem_say(struct problem *problem, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(problem->text, sizeof(problem->text), format, arguments);
    va_end(arguments);
    return -EINVAL;
}

/* What a message asks for as a value of each type. */
static const char *const expected[] = {
    [OPTION_BOOL] = "true or false",
    [OPTION_INT] = "a whole number",
    [OPTION_FLOAT] = "a number",
    [OPTION_ENUM] = "a text in quotes",
    [OPTION_TEXT] = "a text in quotes",
    [OPTION_NAME] = "a text in quotes",
    [OPTION_ID] = "a text in quotes",
    [OPTION_PATH] = "a text in quotes",
    [OPTION_TEXT_LIST] = "a list of texts: [ \"...\", \"...\" ]",
    [OPTION_PORTS] = "a number, or a range as a text: \"5000-5010\"",
    [OPTION_BYTES] = "a text in quotes",
};

static const char *given_name(const struct given *given)
{
    switch (given->kind) {
    case GIVEN_BOOL:
        return "true or false";
    case GIVEN_INT:
        return "a number";
    case GIVEN_FLOAT:
        return "a number with a fraction";
    case GIVEN_TEXT:
        return "a text";
    case GIVEN_TEXTS:
        return "a list";
    case GIVEN_OTHER:
        return given->text;
    }
    return "";
}

static int wrong_type(const struct option *row, const struct given *given, struct problem *problem)
{
    return problem_say(problem, "expected %s, found %s", expected[row->type], given_name(given));
}

static int out_of_range(const struct option *row, double number, struct problem *problem)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    value_print_number(number, &text);
    strbuf_add(&text, " is out of range; allowed is ");
    value_print_range(row, &text);
    return problem_say(problem, "%s", strbuf_text(&text));
}

static int store_bool(const struct option *row, const struct given *given, const char *folder,
                      void *values, struct problem *problem)
{
    (void)folder;
    if (given->kind != GIVEN_BOOL)
        return wrong_type(row, given, problem);
    memcpy(member(row, values), &given->truth, sizeof(bool));
    return 0;
}

static int store_int(const struct option *row, const struct given *given, const char *folder,
                     void *values, struct problem *problem)
{
    (void)folder;
    if (given->kind == GIVEN_FLOAT && fabs(given->real) >= 0x1p63)
        return out_of_range(row, given->real, problem); /* it was written without a point */
    if (given->kind != GIVEN_INT)
        return wrong_type(row, given, problem);
    if ((double)given->integer < row->min || (double)given->integer > row->max)
        return out_of_range(row, (double)given->integer, problem);
    memcpy(member(row, values), &given->integer, sizeof(int64_t));
    return 0;
}

static int store_float(const struct option *row, const struct given *given, const char *folder,
                       void *values, struct problem *problem)
{
    (void)folder;
    if (given->kind != GIVEN_INT && given->kind != GIVEN_FLOAT)
        return wrong_type(row, given, problem);
    double real = given->kind == GIVEN_INT ? (double)given->integer : given->real;
    if (!isfinite(real))
        return problem_say(problem, "the number is too large");
    if (real < row->min || real > row->max)
        return out_of_range(row, real, problem);
    memcpy(member(row, values), &real, sizeof(double));
    return 0;
}

static int unknown_name(const struct option *row, const char *text, struct problem *problem)
{
    struct did_you_mean nearest = {.word = text};
    CLEANUP(strbuf_free) struct strbuf all = STRBUF_EMPTY;
    for (size_t i = 0; row->names[i]; i++) {
        did_you_mean_offer(&nearest, row->names[i]);
        strbuf_addf(&all, "%s\"%s\"", i ? ", " : "", row->names[i]);
    }
    if (nearest.best)
        return problem_say(problem, "unknown value \"%.*s\"; did you mean \"%s\"? Allowed: %s",
                           SHOWN_BYTES, text, nearest.best, strbuf_text(&all));
    return problem_say(problem, "unknown value \"%.*s\"; allowed: %s", SHOWN_BYTES, text,
                       strbuf_text(&all));
}

static int store_enum(const struct option *row, const struct given *given, const char *folder,
                      void *values, struct problem *problem)
{
    (void)folder;
    if (given->kind != GIVEN_TEXT)
        return wrong_type(row, given, problem);
    for (int i = 0; row->names[i]; i++) {
        if (strcmp(given->text, row->names[i]) == 0) {
            memcpy(member(row, values), &i, sizeof(int));
            return 0;
        }
    }
    return unknown_name(row, given->text, problem);
}

static bool consists_of_id(const char *text, bool dots)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    for (; *text; text++) {
        if (!strchr(letters, *text) && !(dots && *text == '.'))
            return false;
    }
    return true;
}

static int check_name(const struct option *row, const char *text, struct problem *problem)
{
    bool dots = row->type == OPTION_NAME;
    size_t length = strlen(text);
    if (length >= 1 && length <= 64 && consists_of_id(text, dots))
        return 0;
    if (length == 0)
        return problem_say(problem, "must not be empty");
    return problem_say(
        problem, "\"%.*s\" does not fit: 1 to 64 of letters, digits, \"_\", %s\"-\"%s", SHOWN_BYTES,
        text, dots ? "\".\", " : "", dots ? "" : " (it is a level of every topic)");
}

static int check_length(const struct option *row, const char *text, struct problem *problem)
{
    double length = (double)strlen(text);
    double max = row->max > 0 ? row->max : TEXT_MAX_BYTES;
    if (length >= row->min && length <= max)
        return 0;
    if (length == 0)
        return problem_say(problem, "must not be empty");
    return problem_say(problem, "the text has %.0f bytes; allowed is %.0f to %.0f", length,
                       row->min, max);
}

static int check_text(const struct option *row, const char *text, struct problem *problem)
{
    if (row->type == OPTION_NAME || row->type == OPTION_ID)
        return check_name(row, text, problem);
    if (row->type == OPTION_PATH && text[0] == '\0')
        return problem_say(problem, "must not be empty");
    if (check_length(row, text, problem) < 0)
        return -EINVAL;
    if (row->type == OPTION_BYTES)
        return 0;
    if (text_has_control(text))
        return problem_say(problem, "the text contains a control character or a line break");
    if (!text_is_utf8(text))
        return problem_say(problem, "the text is not UTF-8; save the file as UTF-8");
    return 0;
}

static bool value_is_word(const struct option *row, const char *text)
{
    for (size_t i = 0; row->names && row->names[i]; i++) {
        if (strcmp(row->names[i], text) == 0)
            return true;
    }
    return false;
}

static int store_text(const struct option *row, const struct given *given, const char *folder,
                      void *values, struct problem *problem)
{
    if (given->kind != GIVEN_TEXT)
        return wrong_type(row, given, problem);
    const char *text = given->text;
    if (check_text(row, text, problem) < 0)
        return -EINVAL;
    if (row->type == OPTION_PATH && text[0] != '/' && !value_is_word(row, text))
        value_put_text(row, values, memory_printf("%s/%s", folder, text));
    else
        value_put_text(row, values, memory_text(text));
    return 0;
}

/* The number that TEXT begins with, ended by END; NULL, or what follows END. */
static const char *read_port(const char *text, char end, unsigned long *ret_port)
{
    size_t length = strspn(text, "0123456789");
    if (length < 1 || length > 5 || text[length] != end)
        return NULL;
    *ret_port = strtoul(text, NULL, 10);
    return text + length + 1;
}

static int store_port_range(const struct option *row, const char *text, void *values,
                            struct problem *problem)
{
    unsigned long first, last;
    const char *second = read_port(text, '-', &first);
    if (!second || !read_port(second, '\0', &last))
        return problem_say(problem,
                           "\"%.*s\" is not a range: \"FIRST-LAST\", such as \"5000-5010\"",
                           SHOWN_BYTES, text);
    if ((double)first < row->min || (double)first > row->max)
        return out_of_range(row, (double)first, problem);
    if ((double)last < row->min || (double)last > row->max)
        return out_of_range(row, (double)last, problem);
    if (first > last)
        return problem_say(problem, "\"%.*s\" ends before it begins", SHOWN_BYTES, text);
    value_put_text(row, values, memory_printf("%lu-%lu", first, last));
    return 0;
}

static int store_ports(const struct option *row, const struct given *given, const char *folder,
                       void *values, struct problem *problem)
{
    (void)folder;
    if (given->kind == GIVEN_TEXT)
        return store_port_range(row, given->text, values, problem);
    if (given->kind != GIVEN_INT)
        return wrong_type(row, given, problem);
    if ((double)given->integer < row->min || (double)given->integer > row->max)
        return out_of_range(row, (double)given->integer, problem);
    value_put_text(row, values, memory_printf("%" PRId64, given->integer));
    return 0;
}

static void free_list(const struct option *row, void *values)
{
    struct text_list list;
    memcpy(&list, member(row, values), sizeof(list));
    for (size_t i = 0; i < list.length; i++)
        free(list.items[i]);
    free(list.items);
    memset(member(row, values), 0, sizeof(list));
}

static int store_list(const struct option *row, const struct given *given, const char *folder,
                      void *values, struct problem *problem)
{
    (void)folder;
    static const struct option element = {.type = OPTION_TEXT, .min = 1, .max = TEXT_MAX_BYTES};
    if (given->kind == GIVEN_TEXT)
        return problem_say(problem, "expected a list; write it as [ \"%.*s\" ]", SHOWN_BYTES,
                           given->text);
    if (given->kind != GIVEN_TEXTS)
        return wrong_type(row, given, problem);
    double max = row->max > 0 ? row->max : TEXT_MAX_BYTES;
    if ((double)given->n_texts < row->min || (double)given->n_texts > max)
        return problem_say(problem, "the list has %zu elements; allowed is %.0f to %.0f",
                           given->n_texts, row->min, max);
    for (size_t i = 0; i < given->n_texts; i++) {
        if (check_text(&element, given->texts[i], problem) < 0)
            return -EINVAL;
    }
    free_list(row, values);
    struct text_list list = {.items = memory_zeroed(given->n_texts, sizeof(char *)),
                             .length = given->n_texts};
    for (size_t i = 0; i < given->n_texts; i++)
        list.items[i] = memory_text(given->texts[i]);
    memcpy(member(row, values), &list, sizeof(list));
    return 0;
}

static void value_free_text(const struct option *row, void *values)
{
    value_put_text(row, values, NULL);
}

static void free_nothing(const struct option *row, void *values)
{
    (void)row, (void)values;
}

static void load_bool(const struct option *row, const void *from, struct given *ret_given)
{
    (void)row;
    ret_given->kind = GIVEN_BOOL;
    memcpy(&ret_given->truth, from, sizeof(bool));
}

static void load_int(const struct option *row, const void *from, struct given *ret_given)
{
    (void)row;
    ret_given->kind = GIVEN_INT;
    memcpy(&ret_given->integer, from, sizeof(int64_t));
}

static void load_float(const struct option *row, const void *from, struct given *ret_given)
{
    (void)row;
    ret_given->kind = GIVEN_FLOAT;
    memcpy(&ret_given->real, from, sizeof(double));
}

static void load_enum(const struct option *row, const void *from, struct given *ret_given)
{
    int index;
    memcpy(&index, from, sizeof(index));
    ret_given->kind = GIVEN_TEXT;
    ret_given->text = row->names[index];
}

static void load_text(const struct option *row, const void *from, struct given *ret_given)
{
    (void)row;
    ret_given->kind = GIVEN_TEXT;
    memcpy(&ret_given->text, from, sizeof(ret_given->text));
}

static void load_list(const struct option *row, const void *from, struct given *ret_given)
{
    struct text_list list;
    (void)row;
    memcpy(&list, from, sizeof(list));
    ret_given->kind = GIVEN_TEXTS;
    ret_given->texts = (const char *const *)list.items;
    ret_given->n_texts = list.length;
}

/* How the member of a type is filled, emptied and read: the only place where types differ. */
static const struct {
    int (*store)(const struct option *row, const struct given *given, const char *folder,
                 void *values, struct problem *problem);
    void (*free)(const struct option *row, void *values);
    void (*load)(const struct option *row, const void *from, struct given *ret_given);
} types[] = {
    [OPTION_BOOL] = {store_bool, free_nothing, load_bool},
    [OPTION_INT] = {store_int, free_nothing, load_int},
    [OPTION_FLOAT] = {store_float, free_nothing, load_float},
    [OPTION_ENUM] = {store_enum, free_nothing, load_enum},
    [OPTION_TEXT] = {store_text, value_free_text, load_text},
    [OPTION_NAME] = {store_text, value_free_text, load_text},
    [OPTION_ID] = {store_text, value_free_text, load_text},
    [OPTION_PATH] = {store_text, value_free_text, load_text},
    [OPTION_TEXT_LIST] = {store_list, free_list, load_list},
    [OPTION_PORTS] = {store_ports, value_free_text, load_text},
    [OPTION_BYTES] = {store_text, value_free_text, load_text},
};

int value_store(const struct option *row, const struct given *given, const char *folder,
                void *values, struct problem *ret_problem)
{
    return types[row->type].store(row, given, folder, values, ret_problem);
}

void value_free(const struct option *row, void *values)
{
    types[row->type].free(row, values);
}

/* The member as a struct given, the one form that the readers below share. */
static struct given value_load(const struct option *row, const void *values)
{
    struct given given = {.kind = GIVEN_OTHER, .text = NULL};
    types[row->type].load(row, member_const(row, values), &given);
    return given;
}

static bool parse_bool(const char *text, bool *ret_truth)
{
    bool yes = strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0;
    bool no = strcasecmp(text, "false") == 0 || strcmp(text, "0") == 0;
    if (yes || no)
        *ret_truth = yes;
    return yes || no;
}

/* Decimal or 0x-hexadecimal, as in the file. */
static bool parse_int(const char *text, int64_t *ret_integer)
{
    const char *digits = text + (*text == '-' || *text == '+');
    int base = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X') ? 16 : 10;
    char *end;
    errno = 0;
    long long integer = strtoll(text, &end, base);
    if (digits[0] < '0' || digits[0] > '9' || *end != '\0' || errno)
        return false;
    *ret_integer = integer;
    return true;
}

static bool parse_float(const char *text, double *ret_real)
{
    char *end;
    if (text[0] == '\0' || strspn(text, "0123456789+-.eE") != strlen(text))
        return false; /* no hexadecimal floats, no "inf", no blanks */
    double real = strtod(text, &end);
    if (*end != '\0')
        return false;
    *ret_real = real;
    return true;
}

/* What TEXT means for this row; a text that is not a number stays a text, and is refused as one. */
static struct given value_read_text(const struct option *row, const char *text)
{
    struct given given = {.kind = GIVEN_TEXT, .text = text};
    if (row->type == OPTION_BOOL && parse_bool(text, &given.truth))
        given.kind = GIVEN_BOOL;
    else if ((row->type == OPTION_INT || row->type == OPTION_PORTS) &&
             parse_int(text, &given.integer))
        given.kind = GIVEN_INT;
    else if (row->type == OPTION_FLOAT && parse_float(text, &given.real))
        given.kind = GIVEN_FLOAT;
    return given;
}

int value_store_text(const struct option *row, const char *text, const char *folder, void *values,
                     struct problem *ret_problem)
{
    struct given given = value_read_text(row, text);
    bool number = row->type == OPTION_INT || row->type == OPTION_FLOAT;
    if (given.kind == GIVEN_TEXT && (number || row->type == OPTION_BOOL))
        return problem_say(ret_problem, "expected %s, found \"%.*s\"", expected[row->type],
                           SHOWN_BYTES, text);
    return value_store(row, &given, folder, values, ret_problem);
}

/* Resolves the escape after the backslash at AT into *RET; returns how many bytes it takes. */
static size_t resolve_escape(const char *at, char *ret)
{
    const char *letter = at[1] ? strchr(escape_letters, at[1]) : NULL;
    unsigned code;
    if (letter) {
        *ret = escape_plain[letter - escape_letters];
        return 2;
    }
    if (at[1] == 'x' && isxdigit((unsigned char)at[2]) && isxdigit((unsigned char)at[3]) &&
        sscanf(at + 2, "%2x", &code) == 1) {
        *ret = (char)code;
        return 4;
    }
    *ret = *at; /* libconfig does not change the others either */
    return 1;
}

/* Drops the opening quote of TEXT and resolves its escapes, in place. */
static void unescape(char *text)
{
    char *out = text;
    for (const char *at = text + 1; *at; out++) {
        if (*at == '\\')
            at += resolve_escape(at, out);
        else
            *out = *at++;
    }
    *out = '\0';
}

void value_set_default(const struct option *row, void *values)
{
    if (!row->fallback)
        return;
    size_t length = strlen(row->fallback);
    bool quoted = length >= 2 && row->fallback[0] == '"' && row->fallback[length - 1] == '"';
    CLEANUP(memory_free_pointer) char *text = memory_text(row->fallback);
    if (quoted) {
        text[length - 1] = '\0';
        unescape(text);
    }
    struct option boundless = *row; /* a default out of bounds is how a number is unset */
    boundless.min = row->type == OPTION_INT || row->type == OPTION_FLOAT ? -INFINITY : row->min;
    boundless.max = row->type == OPTION_INT || row->type == OPTION_FLOAT ? INFINITY : row->max;
    struct problem problem;
    int result = row->type == OPTION_TEXT_LIST
                     ? value_store(row,
                                   &(struct given){.kind = GIVEN_TEXTS,
                                                   .texts = (const char *const *)&text,
                                                   .n_texts = 1},
                                   "", values, &problem)
                     : value_store_text(&boundless, text, "", values, &problem);
    assert(result == 0); /* a wrong row is our own mistake */
}

bool value_is_set(const struct option *row, const void *values)
{
    struct given given = value_load(row, values);
    switch (given.kind) {
    case GIVEN_BOOL:
        return true;
    case GIVEN_INT:
        return (double)given.integer >= row->min && (double)given.integer <= row->max;
    case GIVEN_FLOAT:
        return given.real >= row->min && given.real <= row->max; /* false for NaN */
    case GIVEN_TEXT:
        return given.text != NULL;
    case GIVEN_TEXTS:
        return given.n_texts > 0;
    case GIVEN_OTHER:
        break;
    }
    return false;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool value_equal(const struct option *row, const void *a, const void *b)
{
    struct given left = value_load(row, a), right = value_load(row, b);
    switch (left.kind) {
    case GIVEN_BOOL:
        return left.truth == right.truth;
    case GIVEN_INT:
        return left.integer == right.integer;
    case GIVEN_FLOAT:
        return left.real == right.real || (isnan(left.real) && isnan(right.real));
    case GIVEN_TEXT:
        return same_text(left.text, right.text);
    case GIVEN_TEXTS:
        for (size_t i = 0; i < left.n_texts && i < right.n_texts; i++) {
            if (!same_text(left.texts[i], right.texts[i]))
                return false;
        }
        return left.n_texts == right.n_texts;
    case GIVEN_OTHER:
        break;
    }
    return false;
}

void value_print_literal(const struct option *row, const char *written, struct strbuf *out)
{
    bool bare = row->type == OPTION_BOOL || row->type == OPTION_INT || row->type == OPTION_FLOAT ||
                row->type == OPTION_TEXT_LIST ||
                (row->type == OPTION_PORTS && !strchr(written, '-'));
    if (bare || written[0] == '"')
        strbuf_add(out, written);
    else
        value_print_text(written, out);
}

void value_print_text(const char *text, struct strbuf *out)
{
    strbuf_add_char(out, '"');
    for (; *text; text++) {
        const char *escaped = strchr(escape_plain, *text);
        if (escaped)
            strbuf_addf(out, "\\%c", escape_letters[escaped - escape_plain]);
        else if ((unsigned char)*text < 0x20 || *text == 0x7f)
            strbuf_addf(out, "\\x%02x", (unsigned char)*text);
        else
            strbuf_add_char(out, *text);
    }
    strbuf_add_char(out, '"');
}

void value_print_range(const struct option *row, struct strbuf *out)
{
    if (isfinite(row->min))
        value_print_number(row->min, out);
    if (isfinite(row->min) && isfinite(row->max))
        strbuf_add(out, " to ");
    if (!isfinite(row->min) && isfinite(row->max))
        strbuf_add(out, "up to ");
    if (isfinite(row->max))
        value_print_number(row->max, out);
    else
        strbuf_add(out, isfinite(row->min) ? " or more" : "any");
    if (row->unit)
        strbuf_addf(out, " %s", row->unit);
}

void value_print_number(double number, struct strbuf *out)
{
    char text[40];
    if (number == trunc(number) && fabs(number) < 1e15) {
        strbuf_addf(out, "%.0f", number);
        return;
    }
    for (int digits = 6; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break; /* the shortest form that reads back as the same number */
    }
    strbuf_add(out, text);
}

static void value_print_list(const struct given *given, struct strbuf *out)
{
    strbuf_add(out, "[ ");
    for (size_t i = 0; i < given->n_texts; i++) {
        strbuf_add(out, i ? ", " : "");
        value_print_text(given->texts[i], out);
    }
    strbuf_add(out, " ]");
}

void value_print(const struct option *row, const void *values, struct strbuf *out)
{
    struct given given = value_load(row, values);
    if (row->flags & OPTION_SECRET) {
        strbuf_add(out, "\"(secret)\"");
        return;
    }
    switch (given.kind) {
    case GIVEN_BOOL:
        strbuf_add(out, given.truth ? "true" : "false");
        return;
    case GIVEN_INT:
        strbuf_addf(out, "%" PRId64 "%s", given.integer,
                    given.integer < INT32_MIN || given.integer > INT32_MAX ? "L" : "");
        return;
    case GIVEN_FLOAT:
        value_print_number(given.real, out);
        return;
    case GIVEN_TEXT:
        if (row->type == OPTION_PORTS && given.text)
            value_print_literal(row, given.text, out);
        else
            value_print_text(given.text ? given.text : "", out);
        return;
    case GIVEN_TEXTS:
        value_print_list(&given, out);
        return;
    case GIVEN_OTHER:
        return;
    }
}

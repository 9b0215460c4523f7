/* What may follow what in a configuration file. */
#include "config/load/syntax.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char openers[] = "{([", closers[] = "})]";

__attribute__((format(printf, 2, 3))) static bool refuse(struct syntax_error *error,
                                                         const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    return false;
}

static char opener_of(const struct bracket *bracket)
{
    return openers[strchr(closers, bracket->closer) - closers];
}

static bool is_value(enum token token)
{
    return token >= TOKEN_BOOL && token <= TOKEN_TEXT;
}

static bool wants_value(enum syntax_state state)
{
    return state == SYNTAX_VALUE || state == SYNTAX_FIRST_ELEMENT || state == SYNTAX_ELEMENT;
}

static const char *token_name(enum token token, char mark, char *buffer, size_t size)
{
    switch (token) {
    case TOKEN_NAME:
        return "a word";
    case TOKEN_BOOL:
        return "true or false";
    case TOKEN_INT:
    case TOKEN_INT64:
    case TOKEN_FLOAT:
        return "a number";
    case TOKEN_TEXT:
        return "a text";
    case TOKEN_OPEN:
    case TOKEN_CLOSE:
        (void)snprintf(buffer, size, "\"%c\"", mark);
        return buffer;
    case TOKEN_EQUALS:
        return "\"=\"";
    case TOKEN_COMMA:
        return "\",\"";
    case TOKEN_SEMICOLON:
        return "\";\"";
    }
    return "";
}

static bool unexpected(const struct bracket *in, enum token token, char mark,
                       struct syntax_error *error)
{
    char buffer[8];
    const char *found = token_name(token, mark, buffer, sizeof(buffer));
    switch (in->state) {
    case SYNTAX_KEY:
        return refuse(error, "expected a key, found %s", found);
    case SYNTAX_EQUALS:
        return refuse(error, "expected \"=\" after the key, found %s", found);
    case SYNTAX_VALUE:
        return refuse(error, "expected a value, found %s", found);
    case SYNTAX_AFTER_VALUE:
        return refuse(error, "expected \";\" or a key, found %s", found);
    case SYNTAX_FIRST_ELEMENT:
    case SYNTAX_ELEMENT:
        return refuse(error, "expected an element of the \"%c\" of line %u, found %s",
                      opener_of(in), in->line, found);
    case SYNTAX_AFTER_ELEMENT:
        return refuse(error, "expected \",\" or \"%c\" for the \"%c\" of line %u, found %s",
                      in->closer, opener_of(in), in->line, found);
    }
    return false;
}

/* A value is complete, or an inner bracket was closed. */
static void finish_value(struct bracket *in, bool text)
{
    bool keyed = in->state == SYNTAX_VALUE;
    in->state = keyed ? SYNTAX_AFTER_VALUE : SYNTAX_AFTER_ELEMENT;
    in->after_text = text;
}

static bool take_value(struct bracket *in, enum token token, struct syntax_error *error)
{
    bool continues = in->after_text && token == TOKEN_TEXT &&
                     (in->state == SYNTAX_AFTER_VALUE || in->state == SYNTAX_AFTER_ELEMENT);
    if (continues)
        return true;
    if (!wants_value(in->state))
        return unexpected(in, token, '\0', error);
    if (in->closer == ']') {
        if (in->has_element && in->element != token)
            return refuse(error, "all elements of an array [ ] must be of the same kind");
        in->has_element = true;
        in->element = token;
    }
    finish_value(in, token == TOKEN_TEXT);
    return true;
}

static bool take_open(struct syntax *syntax, char mark, unsigned line, struct syntax_error *error)
{
    struct bracket *in = &syntax->open[syntax->depth];
    if (!wants_value(in->state))
        return unexpected(in, TOKEN_OPEN, mark, error);
    if (in->closer == ']')
        return refuse(error, "an array [ ] holds plain values only; a list ( ) holds anything");
    if (syntax->depth == SYNTAX_MAX_DEPTH)
        return refuse(error, "brackets are nested too deeply; the limit is %d", SYNTAX_MAX_DEPTH);
    syntax->open[++syntax->depth] =
        (struct bracket){.closer = closers[strchr(openers, mark) - openers],
                         .line = line,
                         .state = mark == '{' ? SYNTAX_KEY : SYNTAX_FIRST_ELEMENT};
    return true;
}

static bool take_close(struct syntax *syntax, char mark, struct syntax_error *error)
{
    const struct bracket *in = &syntax->open[syntax->depth];
    if (syntax->depth == 0)
        return refuse(error, "\"%c\" closes nothing", mark);
    if (in->closer != mark)
        return refuse(error, "found \"%c\", but the \"%c\" of line %u is still open", mark,
                      opener_of(in), in->line);
    if (in->state == SYNTAX_EQUALS || in->state == SYNTAX_VALUE || in->state == SYNTAX_ELEMENT)
        return unexpected(in, TOKEN_CLOSE, mark, error);
    syntax->depth--;
    finish_value(&syntax->open[syntax->depth], false);
    return true;
}

bool syntax_take(struct syntax *syntax, enum token token, char mark, unsigned line,
                 struct syntax_error *ret_error)
{
    struct bracket *in = &syntax->open[syntax->depth];
    if (token == TOKEN_OPEN)
        return take_open(syntax, mark, line, ret_error);
    if (token == TOKEN_CLOSE)
        return take_close(syntax, mark, ret_error);
    if (is_value(token))
        return take_value(in, token, ret_error);
    if (token == TOKEN_NAME && (in->state == SYNTAX_KEY || in->state == SYNTAX_AFTER_VALUE))
        in->state = SYNTAX_EQUALS;
    else if (token == TOKEN_EQUALS && in->state == SYNTAX_EQUALS)
        in->state = SYNTAX_VALUE;
    else if (token == TOKEN_COMMA && in->state == SYNTAX_AFTER_ELEMENT)
        in->state = SYNTAX_ELEMENT;
    else if (token != TOKEN_NAME && token != TOKEN_EQUALS && in->state == SYNTAX_AFTER_VALUE)
        in->state = SYNTAX_KEY;
    else
        return unexpected(in, token, mark, ret_error);
    return true;
}

bool syntax_end(const struct syntax *syntax, unsigned *ret_line, struct syntax_error *ret_error)
{
    const struct bracket *in = &syntax->open[syntax->depth];
    if (syntax->depth > 0) {
        *ret_line = in->line;
        return refuse(ret_error, "the \"%c\" that begins here is never closed", opener_of(in));
    }
    if (in->state == SYNTAX_KEY || in->state == SYNTAX_AFTER_VALUE)
        return true;
    return refuse(ret_error, "the file ends in the middle of a value");
}

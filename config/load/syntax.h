/*
 * The grammar of libconfig files as a state machine over tokens, so that lexer_scan() can say what
 * was expected where, and libconfig is only given what it accepts: its parser has one message for
 * everything, and leaks the texts of a file that it refuses. Pure.
 */
#ifndef SALLYPORT_CONFIG_LOAD_SYNTAX_H
#define SALLYPORT_CONFIG_LOAD_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>

#define SYNTAX_MAX_DEPTH 16 /* brackets inside brackets; the deepest of our files needs 6 */

enum token {
    TOKEN_NAME,
    TOKEN_BOOL, /* the kinds of values, up to TOKEN_TEXT */
    TOKEN_INT,
    TOKEN_INT64,
    TOKEN_FLOAT,
    TOKEN_TEXT,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_EQUALS,    /* = or : */
    TOKEN_COMMA,     /* ends a value, and separates elements */
    TOKEN_SEMICOLON, /* ends a value */
};

enum syntax_state {
    SYNTAX_KEY,           /* a key, or the end of the group */
    SYNTAX_EQUALS,        /* what follows a key */
    SYNTAX_VALUE,         /* what follows that */
    SYNTAX_AFTER_VALUE,   /* a separator, the next key, or the end */
    SYNTAX_FIRST_ELEMENT, /* an element, or the end of the list or array */
    SYNTAX_ELEMENT,       /* an element: a comma was before */
    SYNTAX_AFTER_ELEMENT, /* a comma or the end */
};

struct bracket {
    char closer; /* what closes it; '\0' for the file itself */
    unsigned line;
    enum syntax_state state;
    bool after_text;  /* the value was a text: another one continues it */
    bool has_element; /* of an array: `element` is the kind of all of them */
    enum token element;
};

struct syntax {
    struct bracket open[SYNTAX_MAX_DEPTH + 1]; /* open[0] is the file itself */
    size_t depth;
};

/* What was wrong with a token: one sentence. */
struct syntax_error {
    char text[160];
};

/*
 * Takes the next token, which is on LINE. MARK is its character for brackets, else ignored.
 * Returns false, with the error filled, when it is not allowed here.
 */
bool syntax_take(struct syntax *syntax, enum token token, char mark, unsigned line,
                 struct syntax_error *ret_error);

/* The end of the file. *RET_LINE: where what is not finished begins. */
bool syntax_end(const struct syntax *syntax, unsigned *ret_line, struct syntax_error *ret_error);

#endif

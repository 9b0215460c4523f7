/*
 * One value of one key: from what a file gave to the member that the key's row describes, and
 * back to text. Knows nothing of files. Pure but for allocation; any thread.
 */
#ifndef SALLYPORT_CONFIG_SCHEMA_VALUE_H
#define SALLYPORT_CONFIG_SCHEMA_VALUE_H

#include "agent/base/strbuf.h"
#include "config/schema/option.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A value as it was in a file, not checked yet. */
enum given_kind { GIVEN_BOOL, GIVEN_INT, GIVEN_FLOAT, GIVEN_TEXT, GIVEN_TEXTS, GIVEN_OTHER };

struct given {
    enum given_kind kind;
    bool truth;
    int64_t integer;
    double real;
    const char *text; /* GIVEN_TEXT; GIVEN_OTHER: what it is, "a group" */
    const char *const *texts;
    size_t n_texts;
};

/* Why a value was refused: one sentence, without the key. */
struct problem {
    char text[512];
};

/* Fills PROBLEM with one sentence; always returns -EINVAL. */
int problem_say(struct problem *problem, const char *format, ...) PRINTF_LIKE(2, 3);

/*
 * Checks GIVEN against ROW and stores it in VALUES (the table's struct); an older value is freed.
 * FOLDER: where relative paths begin. Returns 0, or -EINVAL with PROBLEM filled.
 */
int value_store(const struct option *row, const struct given *given, const char *folder,
                void *values, struct problem *ret_problem);

/* The same for a value written as bare text: a cell of a CSV file. */
int value_store_text(const struct option *row, const char *text, const char *folder, void *values,
                     struct problem *ret_problem);

/* Stores the row's default. A row without one leaves the member alone. */
void value_set_default(const struct option *row, void *values);

/* Frees what the member owns and leaves it unset. */
void value_free(const struct option *row, void *values);

/* Whether the member holds something that a file could have given. */
bool value_is_set(const struct option *row, const void *values);

bool value_equal(const struct option *row, const void *a, const void *b);

/* Appends the value as a configuration file would write it; secrets as "(secret)". */
void value_print(const struct option *row, const void *values, struct strbuf *out);

/* Appends a value that a row declares as it would be written, with quotes added if they are
 * missing. */
void value_print_literal(const struct option *row, const char *written, struct strbuf *out);

/* Appends the bounds of a number: "1 to 1024 messages", "0 or more". */
void value_print_range(const struct option *row, struct strbuf *out);

/* Appends TEXT quoted and escaped as libconfig reads it. */
void value_print_text(const char *text, struct strbuf *out);

/* Appends NUMBER so that reading it gives the same number; without a point when it is whole. */
void value_print_number(double number, struct strbuf *out);

#endif

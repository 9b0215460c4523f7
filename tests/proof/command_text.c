/*
 * Two readers of a signed command, the length of a lease and the action: no byte outside of the
 * value and the LF after it is read, and what is accepted is what the grammar says. Bounds: values
 * of up to LENGTH bytes, any bytes. The others, which copy, are too much for the solver.
 */
#include "tunnel/model/command_text.c"

#include <stdlib.h>

#define LENGTH 6

static void prove_ttl(const char *value, size_t length, struct command *command)
{
    if (!read_ttl(value, length, command))
        return;
    int64_t number = 0;
    __CPROVER_assert(length >= 1, "not empty");
    for (size_t i = 0; i < length; i++) {
        __CPROVER_assert(value[i] >= '0' && value[i] <= '9', "digits only");
        number = number * 10 + (value[i] - '0');
    }
    __CPROVER_assert(command->ttl_s == number, "the number that is written");
    __CPROVER_assert(length == 1 || value[0] != '0', "written in one way only");
}

static void prove_action(const char *value, size_t length, struct command *command)
{
    if (read_action(value, length, command))
        __CPROVER_assert(length == strlen(command_kinds[command->action].name) &&
                             memcmp(command_kinds[command->action].name, value, length) == 0,
                         "one of the words, as a whole");
}

int main(void)
{
    static void (*const cases[])(const char *, size_t, struct command *) = {prove_ttl,
                                                                            prove_action};
    struct command command = {0};
    size_t length;
    __CPROVER_assume(length <= LENGTH);
    char *value = malloc(length + 1); /* exact: a read beyond it is found */
    __CPROVER_assume(value);
    for (size_t i = 0; i < length; i++) {
        char any;
        __CPROVER_assume(any != '\n'); /* the line has been cut there */
        value[i] = any;
    }
    value[length] = '\n';
    cases[CASE](value, length, &command);
    return 0;
}

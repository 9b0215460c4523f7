/*
 * The readers of a signed command: no byte outside of the value is read, none outside of the field
 * is written, nothing overflows, and what is accepted is what the grammar says. Bounds: values of
 * up to LENGTH bytes, any bytes; CASE chooses the reader.
 */
#include "tunnel/model/command_text.c"

/* Exact sizes: a read or write beyond them is found. The LF ends every value, as in a command. */
#define LENGTH 6

static bool is_one_of(char c, const char *fit)
{
    for (size_t i = 0; fit[i]; i++) {
        if (fit[i] == c)
            return true;
    }
    return false;
}

int main(void)
{
    char value[LENGTH + 1];
    size_t length;
    struct command command = {0};
    __CPROVER_assume(length <= LENGTH);
    value[length] = '\n';
#if CASE == 0 /* ttl: the exact number, whatever its size; nothing but digits */
    if (read_ttl(value, length, &command)) {
        int64_t number = 0;
        __CPROVER_assert(length >= 1, "not empty");
        for (size_t i = 0; i < length; i++) {
            __CPROVER_assert(value[i] >= '0' && value[i] <= '9', "digits only");
            number = number * 10 + (value[i] - '0');
        }
        __CPROVER_assert(command.ttl_s == number && number >= 0, "the number that is written");
        __CPROVER_assert(length == 1 || value[0] != '0', "written in one way only");
    }
#elif CASE == 1 /* gateway: SITE/ID */
    if (read_gateway(value, length, &command)) {
        size_t slashes = 0;
        for (size_t i = 0; i < length; i++) {
            slashes += value[i] == '/';
            __CPROVER_assert(value[i] == '/' || is_one_of(value[i], UPPER LOWER DIGITS "_-"),
                             "letters, digits, _ and -");
            __CPROVER_assert(command.gateway[i] == value[i], "copied");
        }
        __CPROVER_assert(slashes == 1 && value[0] != '/' && value[length - 1] != '/', "two parts");
        __CPROVER_assert(command.gateway[length] == '\0', "terminated");
    }
#elif CASE == 2 /* services: names between commas, none empty */
    if (read_services(value, length, &command)) {
        size_t commas = 0;
        for (size_t i = 0; i < length; i++)
            commas += value[i] == ',';
        __CPROVER_assert(command.n_services == commas + 1, "each is counted");
        __CPROVER_assert(command.n_services <= SESSION_MAX_SERVICES, "no more than there is room");
        for (size_t i = 0; i < command.n_services && i <= LENGTH; i++)
            __CPROVER_assert(command.services[i][0] != '\0', "none is empty");
    }
#elif CASE == 3 /* the challenge: 64 digits, so none of this length */
    __CPROVER_assert(!read_challenge(value, length, &command), "too short");
#elif CASE == 4 /* the action: one of three words */
    if (read_action(value, length, &command))
        __CPROVER_assert(length == strlen(command_kinds[command.action].name), "the whole word");
#elif CASE == 5 /* a message: the text and the armour are both inside, one after the other */
    struct command_parts parts;
    if (command_split(value, length, &parts) == 0) {
        __CPROVER_assert(parts.text == value, "the text comes first");
        __CPROVER_assert(parts.text_length + parts.armour_length == length, "nothing is left over");
    }
#endif
    return 0;
}

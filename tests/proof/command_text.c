/* All texts of up to LENGTH bytes, read as a signed command. */
#include "tunnel/model/command_text.h"

#include <__fc_builtin.h>

#define LENGTH 600

int main(void)
{
    static char text[LENGTH];
    struct command command;
    struct command_parts parts;
    Frama_C_make_unknown(text, sizeof(text));
    size_t length = Frama_C_interval(0, LENGTH);
    if (command_split(text, length, &parts) == 0) {
        //@ assert parts.text_length <= length;
        (void)command_parse(parts.text, parts.text_length, &command);
    }
    if (command_parse(text, length, &command) == 0) {
        //@ assert command.n_services <= 16;
        //@ assert 0 <= command.ttl_s;
    }
    return 0;
}

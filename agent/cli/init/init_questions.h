/* Questions at the terminal. */
#ifndef SALLYPORT_AGENT_CLI_INIT_INIT_QUESTIONS_H
#define SALLYPORT_AGENT_CLI_INIT_INIT_QUESTIONS_H

#include "agent/cli/init/init_answers.h"

#include <stddef.h>

/* Asks on the terminal for what is missing. Returns CLI_DONE, or CLI_FAILED at the end of input. */
int init_ask(struct init_answers *answers);

/* One line from the terminal without its end, at most SIZE - 1 bytes; false at the end of input. */
bool init_read_line(char *line, size_t size);

/* Whether the answer to QUESTION is "yes", and nothing else. */
bool init_ask_yes(const char *question);

#endif

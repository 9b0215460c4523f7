/* The questions of `sallyport init`, on a terminal. What an option or the enrolment file gave is
 * not asked. */

#include "agent/cli/init/init_questions.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "agent/cli/cli.h"
#include "agent/cli/init/init_answers.h"
#include "agent/cli/init/init_guess.h"
#include "agent/cli/init/init_notation.h"
#include "config/load/broker_url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define LINE_BYTES 1024
#define PEM_MAX_BYTES 65536

bool init_read_line(char *line, size_t size)
{
    size_t length = 0;
    for (;;) { /* byte by byte: what follows the line is left for the next reader */
        char byte;
        ssize_t got = read(STDIN_FILENO, &byte, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        if (byte == '\n')
            break;
        if (length < size - 1)
            line[length++] = byte;
    }
    while (length > 0 && (line[length - 1] == '\r' || line[length - 1] == ' '))
        length--;
    line[length] = '\0';
    return true;
}

bool init_ask_yes(const char *question)
{
    char line[16];
    cli_print(stdout, "%s [yes/no] ", question);
    (void)fflush(stdout);
    return init_read_line(line, sizeof(line)) && strcmp(line, "yes") == 0;
}

/* One answer; an empty line means OTHERWISE. False at the end of input. */
static bool questions_ask(const char *question, const char *otherwise, char *line)
{
    cli_print(stdout, "%s%s%s%s ", question, otherwise ? " [" : "", otherwise ? otherwise : "",
              otherwise ? "]:" : ":");
    (void)fflush(stdout);
    if (!init_read_line(line, LINE_BYTES))
        return false;
    if (!line[0] && otherwise)
        (void)snprintf(line, LINE_BYTES, "%s", otherwise);
    return true;
}

/* The same for a secret: nothing of it is shown. */
static bool ask_secret(const char *question, char *line)
{
    struct termios before, quiet;
    bool changed = tcgetattr(STDIN_FILENO, &before) == 0;
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    changed = changed && tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) == 0;
    bool answered = questions_ask(question, NULL, line);
    if (changed)
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    cli_print(stdout, "\n");
    return answered;
}

/* ---- checks of single answers: NULL, or what is wrong ---- */

static const char *check_id(const char *text)
{
    static const char fit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    size_t length = strlen(text);
    return length >= 1 && length <= 64 && strspn(text, fit) == length
               ? NULL
               : "1 to 64 letters, digits, - or _";
}

/* Asks until CHECK accepts the answer; false at the end of input. */
static bool ask_text(const char *question, const char *otherwise,
                     const char *(*check)(const char *), char **ret_text)
{
    char line[LINE_BYTES];
    if (*ret_text)
        return true;
    for (;;) {
        if (!questions_ask(question, otherwise, line))
            return false;
        const char *problem = check ? check(line) : NULL;
        if (!problem)
            break;
        cli_print(stdout, "  %s\n", problem);
    }
    if (line[0])
        init_set(ret_text, line);
    return true;
}

static bool ask_server(struct init_answers *answers)
{
    char line[LINE_BYTES];
    struct broker_url server;
    struct problem problem;
    while (answers->uplink.servers.length == 0) {
        if (!questions_ask("Broker, mqtts://HOST[:PORT] or wss://HOST/PATH", NULL, line))
            return false;
        if (broker_url_parse(line, &server, &problem) == 0)
            init_add(&answers->uplink.servers, line);
        else
            cli_print(stdout, "  %s\n", problem.text);
    }
    return true;
}

static bool ask_ca(struct init_answers *answers)
{
    char line[LINE_BYTES];
    while (!answers->uplink.ca_pem && !answers->ca_is_system) {
        CLEANUP(strbuf_free) struct strbuf pem = STRBUF_EMPTY;
        if (!questions_ask(
                "File of the authority that signed the broker's certificate, or \"system\"",
                "system", line))
            return false;
        answers->ca_is_system = strcmp(line, "system") == 0;
        int problem = answers->ca_is_system ? 0 : file_read(line, PEM_MAX_BYTES, &pem);
        if (problem < 0)
            cli_print(stdout, "  %s: %s\n", line, strerror(-problem));
        else if (!answers->ca_is_system)
            init_set(&answers->uplink.ca_pem, strbuf_text(&pem));
    }
    return true;
}

static bool ask_login(struct init_answers *answers)
{
    struct init_uplink *uplink = &answers->uplink;
    char line[LINE_BYTES];
    if (uplink->certificate_pem || answers->wants_request || uplink->password)
        return true;
    if (!ask_text("User name for the broker, or empty to use a certificate", NULL, NULL,
                  &uplink->username))
        return false;
    if (!uplink->username) {
        answers->wants_request = true;
        return true;
    }
    bool answered = ask_secret("Password", line);
    if (answered && line[0])
        init_set(&uplink->password, line);
    memory_wipe(line, sizeof(line));
    return answered;
}

/* Lines until an empty one; PARSE checks each. */
static bool ask_lines(const char *question, struct text_list *list,
                      bool (*parse)(const char *line, size_t count))
{
    char line[LINE_BYTES];
    if (list->length > 0)
        return true;
    for (;;) {
        if (!questions_ask(question, NULL, line))
            return false;
        if (!line[0])
            return true;
        if (parse(line, list->length))
            init_add(list, line);
    }
}

static bool is_bus(const char *line, size_t count)
{
    struct init_bus bus;
    struct problem problem;
    int result = init_parse_bus(line, (unsigned)count, &bus, &problem);
    if (result < 0)
        cli_print(stdout, "  %s\n", problem.text);
    else
        cli_print(stdout, "  called %s\n", bus.name);
    return result == 0;
}

static bool is_tag(const char *line, size_t count)
{
    struct init_tag tag;
    struct problem problem;
    (void)count;
    int result = init_parse_tag(line, &tag, &problem);
    if (result < 0)
        cli_print(stdout, "  %s\n", problem.text);
    return result == 0;
}

/* Shows the guess; an empty line accepts it. */
static bool ask_interfaces(const char *question, struct text_list *list)
{
    CLEANUP(strbuf_free) struct strbuf guess = STRBUF_EMPTY;
    char line[LINE_BYTES];
    for (size_t i = 0; i < list->length; i++)
        strbuf_addf(&guess, "%s%s", i > 0 ? " " : "", list->items[i]);
    if (!questions_ask(question, strbuf_text(&guess), line))
        return false;
    init_list_free(list);
    for (char *save = NULL, *word = strtok_r(line, " ,", &save); word;
         word = strtok_r(NULL, " ,", &save))
        init_add(list, word);
    return true;
}

static bool ask_network(struct init_answers *answers)
{
    bool has_wan = answers->wan.length > 0, has_plant = answers->plant.length > 0;
    init_guess_interfaces(answers);
    return (has_wan || ask_interfaces("Interfaces towards the internet", &answers->wan)) &&
           (has_plant || ask_interfaces("Interfaces towards the plant", &answers->plant));
}

int init_ask(struct init_answers *answers)
{
    char host[65] = "";
    (void)gethostname(host, sizeof(host) - 1);
    if (ask_text("Name of the site", NULL, check_id, &answers->gateway.site) &&
        ask_text("Name of this gateway, unique within the site", check_id(host) ? NULL : host,
                 check_id, &answers->gateway.id) &&
        ask_server(answers) && ask_ca(answers) && ask_login(answers) &&
        ask_lines("A line, tcp:HOST[:PORT] or rtu:/dev/DEVICE[,BAUD[,8E1]]; empty to continue",
                  &answers->buses, is_bus) &&
        ask_lines("A value, DEVICE.TAG=LINE/UNIT/TABLE/ADDRESS[/TYPE[/ORDER]]; empty to continue",
                  &answers->tags, is_tag) &&
        ask_network(answers))
        return CLI_DONE;
    return cli_fail(CLI_FAILED, INIT, "the questions were not answered; nothing was written");
}

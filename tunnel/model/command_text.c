/*
 * The text of a signed command: one small reader per line, and one table of lines. A reader takes
 * the value between ": " and the LF, and says whether it is fit.
 */
#include "tunnel/model/command_text.h"

#include "agent/base/macros.h"
#include "agent/base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#define BEGIN_MARK "-----BEGIN SSH SIGNATURE-----\n"
#define END_MARK "\n-----END SSH SIGNATURE-----"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

const struct command_kind command_kinds[] = {
    [COMMAND_OPEN] = {"open", COMMAND_SERVICE | COMMAND_TTL | COMMAND_REASON, COMMAND_WIDENS},
    [COMMAND_EXTEND] = {"extend", COMMAND_TTL | COMMAND_REASON, COMMAND_WIDENS},
    [COMMAND_CLOSE] = {"close", 0, COMMAND_NARROWS},
};

bool command_find_action(const char *name, size_t length, enum command_action *ret_action)
{
    for (size_t i = 0; i < ARRAY_LENGTH(command_kinds); i++) {
        if (strlen(command_kinds[i].name) == length &&
            memcmp(command_kinds[i].name, name, length) == 0) {
            *ret_action = (enum command_action)i;
            return true;
        }
    }
    return false;
}

/* ---- The two parts ---- */

/* How many bytes of TEXT, of LENGTH, are of the set FIT. */
static size_t command_text_span(const char *text, size_t length, const char *fit)
{
    size_t at = 0;
    while (at < length && text[at] && strchr(fit, text[at]))
        at++;
    return at;
}

/* The first line of MESSAGE that is BEGIN_MARK; NULL when there is none. */
static const char *find_armour(const char *message, size_t length)
{
    const char *at = message, *end = message + length;
    while (at && (size_t)(end - at) >= sizeof(BEGIN_MARK) - 1) {
        if (memcmp(at, BEGIN_MARK, sizeof(BEGIN_MARK) - 1) == 0)
            return at;
        at = memchr(at, '\n', (size_t)(end - at));
        at = at ? at + 1 : NULL;
    }
    return NULL;
}

/* Whether what begins with BEGIN_MARK is lines of base64, END_MARK, and nothing else. */
static bool command_text_is_armour(const char *armour, size_t length)
{
    static const char fit[] = UPPER LOWER DIGITS "+/=\n";
    if (length < sizeof(BEGIN_MARK) - 1) /* its LF is the last of the message */
        return false;
    const char *at = armour + sizeof(BEGIN_MARK) - 1;
    size_t left = length - (sizeof(BEGIN_MARK) - 1), inside = command_text_span(at, left, fit);
    if (inside < 2 || at[0] == '\n' || memmem(at, inside, "\n\n", 2))
        return false;
    at += inside - 1; /* the LF before the END_MARK is of both */
    left -= inside - 1;
    return left == sizeof(END_MARK) - 1 && memcmp(at, END_MARK, left) == 0;
}

int command_split(const char *message, size_t length, struct command_parts *ret_parts)
{
    const char *armour = length ? find_armour(message, length) : NULL;
    size_t text_length = armour ? (size_t)(armour - message) : length;
    if (text_length > COMMAND_TEXT_BYTES)
        return -EFBIG;
    if (!armour || text_length == 0)
        return -EBADMSG;
    size_t rest = length - text_length;
    if (!command_text_is_armour(armour, armour[rest - 1] == '\n' ? rest - 1 : rest))
        return -EBADMSG;
    *ret_parts = (struct command_parts){message, armour, text_length, rest};
    return 0;
}

/* ---- The values ---- */

typedef bool reader(const char *value, size_t length, struct command *command);

/* Copies a value of 1 to SIZE - 1 bytes, all of FIT. FIELD is zero before. */
static bool command_text_take(const char *value, size_t length, const char *fit, char *field,
                              size_t size)
{
    if (length < 1 || length >= size || command_text_span(value, length, fit) != length)
        return false;
    memcpy(field, value, length);
    return true;
}

static bool read_version(const char *value, size_t length, struct command *command)
{
    (void)command;
    return length == 1 && value[0] == '1';
}

static bool read_gateway(const char *value, size_t length, struct command *command)
{
    static const char fit[] = UPPER LOWER DIGITS "_-";
    size_t site = command_text_span(value, length, fit);
    if (site < 1 || site > 64 || site == length || value[site] != '/')
        return false;
    size_t id = length - site - 1;
    if (id < 1 || id > 64 || command_text_span(value + site + 1, id, fit) != id)
        return false;
    memcpy(command->gateway, value, length);
    return true;
}

static bool read_challenge(const char *value, size_t length, struct command *command)
{
    return length == COMMAND_CHALLENGE_BYTES - 1 &&
           command_text_take(value, length, DIGITS "abcdef", command->challenge,
                             sizeof(command->challenge));
}

static bool read_id(const char *value, size_t length, struct command *command)
{
    return command_text_take(value, length, UPPER LOWER DIGITS "-", command->id,
                             sizeof(command->id));
}

static bool read_action(const char *value, size_t length, struct command *command)
{
    return command_find_action(value, length, &command->action);
}

static bool read_services(const char *value, size_t length, struct command *command)
{
    for (;;) {
        const char *comma = memchr(value, ',', length);
        size_t name = comma ? (size_t)(comma - value) : length;
        if (command->n_services == SESSION_MAX_SERVICES ||
            !command_text_take(value, name, UPPER LOWER DIGITS "_.-",
                               command->services[command->n_services], SESSION_NAME_BYTES))
            return false;
        command->n_services++;
        if (!comma)
            return true;
        value += name + 1;
        length -= name + 1;
    }
}

/* Zero and too much are read, so that they are refused for what they are. */
static bool read_ttl(const char *value, size_t length, struct command *command)
{
    if (length < 1 || command_text_span(value, length, DIGITS) != length ||
        (value[0] == '0' && length > 1))
        return false;
    if (length > 18) {
        command->ttl_s = COMMAND_MAX_TTL_S;
        return true;
    }
    for (size_t i = 0; i < length; i++)
        command->ttl_s = command->ttl_s * 10 + (value[i] - '0');
    return true;
}

static bool command_text_read_reason(const char *value, size_t length, struct command *command)
{
    size_t characters = 0, at = 0;
    for (; at < length; characters++) { /* the LF that follows ends every character */
        size_t step = text_printable(value + at);
        if (step == 0 || characters == 200)
            return false;
        at += step;
    }
    memcpy(command->reason, value, length);
    return characters >= 1;
}

/* ---- The lines ---- */

struct command_text_line {
    const char *key; /* with its colon and space */
    reader *read;
    enum command_field field; /* which it is; of `head`: 0 */
};

/* What every command begins with. */
static const struct command_text_line head[] = {
    {"sallyport-command: ", read_version, 0},
    {"gateway: ", read_gateway, 0},
    {"challenge: ", read_challenge, 0},
    {"id: ", read_id, 0},
    {"action: ", read_action, 0},
};

/* What follows when the action has it. */
static const struct command_text_line fields[] = {
    {"service: ", read_services, COMMAND_SERVICE},
    {"ttl: ", read_ttl, COMMAND_TTL},
    {"reason: ", command_text_read_reason, COMMAND_REASON},
};

/* Reads one line at *AT, and goes past it. */
static bool command_text_read_line(const struct command_text_line *line, const char **at,
                                   const char *end, struct command *command)
{
    size_t key = strlen(line->key);
    if ((size_t)(end - *at) <= key || memcmp(*at, line->key, key) != 0)
        return false;
    const char *value = *at + key, *newline = memchr(value, '\n', (size_t)(end - value));
    if (!newline || !line->read(value, (size_t)(newline - value), command))
        return false;
    *at = newline + 1;
    return true;
}

int command_parse(const char *text, size_t length, struct command *ret_command)
{
    struct command command = {0};
    const char *at = text, *end = text + length;
    if (length > COMMAND_TEXT_BYTES)
        return -EBADMSG;
    for (size_t i = 0; i < ARRAY_LENGTH(head); i++) {
        if (!command_text_read_line(&head[i], &at, end, &command))
            return -EBADMSG;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(fields); i++) {
        if (command_has(command.action, fields[i].field) &&
            !command_text_read_line(&fields[i], &at, end, &command))
            return -EBADMSG;
    }
    if (at != end)
        return -EBADMSG;
    *ret_command = command;
    return 0;
}

void command_print(const struct command *command, struct strbuf *out)
{
    strbuf_addf(out, "sallyport-command: 1\ngateway: %s\nchallenge: %s\nid: %s\naction: %s\n",
                command->gateway, command->challenge, command->id,
                command_kinds[command->action].name);
    for (size_t i = 0; i < command->n_services; i++)
        strbuf_addf(out, "%s%s", i ? "," : "service: ", command->services[i]);
    if (command->n_services)
        strbuf_add_char(out, '\n');
    if (command_has(command->action, COMMAND_TTL))
        strbuf_addf(out, "ttl: %" PRId64 "\n", command->ttl_s);
    if (command_has(command->action, COMMAND_REASON))
        strbuf_addf(out, "reason: %s\n", command->reason);
}

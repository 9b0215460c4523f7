/* Who may sign commands: each line of the file is read strictly and printed again. */
#include "tunnel/config/signers.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEY_BYTES 8192 /* of base64: what the largest RSA key that may be revoked needs */
#define BASE64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
#define TOKEN "signer"

static const char *const key_types[] = {"ssh-ed25519", "sk-ssh-ed25519@openssh.com"};

/* A part of a line: not terminated. */
struct signers_part {
    const char *text;
    size_t length;
};

static bool part_is(struct signers_part part, const char *word)
{
    return part.length == strlen(word) && strncasecmp(part.text, word, part.length) == 0;
}

/* Cuts the next line off REST, without its end; false when there is none left. */
static bool next_line(struct signers_part *rest, struct signers_part *ret_line)
{
    if (rest->length == 0)
        return false;
    const char *end = memchr(rest->text, '\n', rest->length);
    size_t length = end ? (size_t)(end - rest->text) : rest->length;
    *ret_line = (struct signers_part){rest->text, length};
    if (length > 0 && rest->text[length - 1] == '\r')
        ret_line->length--;
    rest->text += length + (end ? 1 : 0);
    rest->length -= length + (end ? 1 : 0);
    return true;
}

/* Cuts the next word off LINE: up to a blank outside of quotes. Empty at the end. */
static struct signers_part next_word(struct signers_part *line)
{
    bool is_quoted = false;
    size_t at = 0, begin = 0;
    while (begin < line->length && (line->text[begin] == ' ' || line->text[begin] == '\t'))
        begin++;
    for (at = begin; at < line->length; at++) {
        if (line->text[at] == '"')
            is_quoted = !is_quoted;
        else if (!is_quoted && (line->text[at] == ' ' || line->text[at] == '\t'))
            break;
    }
    struct signers_part word = {line->text + begin, at - begin};
    line->text += at;
    line->length -= at;
    return word;
}

/* Cuts the next item off a list: up to a comma outside of quotes. */
static struct signers_part next_item(struct signers_part *list)
{
    bool is_quoted = false;
    size_t at = 0;
    for (; at < list->length && (is_quoted || list->text[at] != ','); at++)
        is_quoted ^= list->text[at] == '"';
    struct signers_part item = {list->text, at};
    size_t step = at < list->length ? at + 1 : at;
    list->text += step;
    list->length -= step;
    return item;
}

static struct signers_part unquoted(struct signers_part part)
{
    if (part.length >= 2 && part.text[0] == '"' && part.text[part.length - 1] == '"')
        return (struct signers_part){part.text + 1, part.length - 2};
    return part;
}

/* YYYYMMDD[HHMM[SS]][Z], as ssh-keygen(1) wants it. */
static bool signers_read_time(struct signers_part value, char field[16])
{
    size_t digits = 0;
    while (digits < value.length && value.text[digits] >= '0' && value.text[digits] <= '9')
        digits++;
    bool has_zone = digits + 1 == value.length && value.text[digits] == 'Z';
    if ((digits != 8 && digits != 12 && digits != 14) || digits + has_zone != value.length)
        return false;
    memcpy(field, value.text, value.length);
    field[value.length] = '\0';
    return true;
}

/* Whether the list has the namespace by name; one with an exclusion counts as without. */
static bool has_namespace(struct signers_part value)
{
    bool found = false;
    while (value.length > 0) {
        struct signers_part item = next_item(&value);
        if (item.length > 0 && item.text[0] == '!')
            return false;
        found = found || (item.length == strlen(SIGNERS_NAMESPACE) &&
                          memcmp(item.text, SIGNERS_NAMESPACE, item.length) == 0);
    }
    return found;
}

static bool read_limit(struct signers_part name, struct signers_part value, struct signer *signer)
{
    char *field = part_is(name, "valid-after")    ? signer->after
                  : part_is(name, "valid-before") ? signer->before
                                                  : NULL;
    return field && !field[0] &&
           signers_read_time(value, field); /* each once, as ssh-keygen has it */
}

/* Returns NULL, or why the line does not count. */
static const char *read_options(struct signers_part options, struct signer *signer)
{
    bool has_list = false, is_ours = false;
    while (options.length > 0) {
        struct signers_part item = next_item(&options);
        const char *equals = memchr(item.text, '=', item.length);
        struct signers_part name = {item.text, equals ? (size_t)(equals - item.text) : item.length};
        struct signers_part value = {item.text + item.length, 0};
        if (equals)
            value = unquoted((struct signers_part){equals + 1, item.length - name.length - 1});
        if (part_is(name, "cert-authority"))
            return "certificates are not accepted";
        bool is_list = part_is(name, "namespaces") && !has_list;
        if (!is_list && !read_limit(name, value, signer))
            return "an option is unknown, given twice or not well-formed";
        if (is_list)
            is_ours = has_namespace(value);
        has_list = has_list || is_list;
    }
    return is_ours ? NULL : "it lacks namespaces=\"" SIGNERS_NAMESPACE "\"";
}

/* The first principal: what the journal calls whoever signs with this key. */
static bool signers_read_name(struct signers_part principals, struct signer *signer)
{
    principals = unquoted(principals);
    struct signers_part name = next_item(&principals);
    if (name.length < 1 || name.length >= sizeof(signer->name) || name.text[0] == '!')
        return false;
    for (size_t i = 0; i < name.length; i++) {
        if (name.text[i] < 0x20 || name.text[i] > 0x7e || name.text[i] == '"')
            return false;
    }
    memcpy(signer->name, name.text, name.length);
    signer->name[name.length] = '\0';
    return true;
}

static bool is_base64(struct signers_part part)
{
    for (size_t i = 0; i < part.length; i++) {
        if (!part.text[i] || !strchr(BASE64, part.text[i]))
            return false;
    }
    return part.length >= 16 && part.length <= KEY_BYTES;
}

static const char *find_type(struct signers_part word)
{
    for (size_t i = 0; i < ARRAY_LENGTH(key_types); i++) {
        if (part_is(word, key_types[i]))
            return key_types[i];
    }
    return NULL;
}

/* Every word that begins a public key, of whatever type. */
static bool is_type(struct signers_part word)
{
    static const char *const families[] = {"ssh-", "sk-", "ecdsa-"};
    for (size_t i = 0; i < ARRAY_LENGTH(families); i++) {
        size_t length = strlen(families[i]);
        if (word.length > length && strncasecmp(word.text, families[i], length) == 0)
            return true;
    }
    return false;
}

/* Returns NULL and fills SIGNER, or says why the line does not count. */
static const char *signers_read_line(struct signers_part line, struct signer *signer)
{
    struct signers_part principals = next_word(&line), word = next_word(&line);
    const char *problem = "it lacks namespaces=\"" SIGNERS_NAMESPACE "\"";
    if (!is_type(word)) {
        problem = read_options(word, signer);
        word = next_word(&line);
    }
    if (problem)
        return problem;
    signer->type = find_type(word);
    struct signers_part key = next_word(&line);
    if (!signer->type)
        return "its key is not Ed25519 or hardware-backed Ed25519";
    if (!is_base64(key))
        return "its key is not well-formed";
    if (!signers_read_name(principals, signer))
        return "its principal is not well-formed";
    signer->key = memory_text_n(key.text, key.length);
    return NULL;
}

static bool is_comment(struct signers_part line)
{
    struct signers_part word = next_word(&line);
    return word.length == 0 || word.text[0] == '#';
}

void signers_parse(const char *text, size_t length, struct signers *ret_signers)
{
    struct signers signers = {0};
    struct signers_part rest = {text, length}, line;
    for (unsigned number = 1; next_line(&rest, &line); number++) {
        struct signer signer = {.line = number};
        const char *problem = is_comment(line) ? NULL : "there are too many lines";
        if (!problem)
            continue;
        if (signers.length < SIGNERS_MAX)
            problem = signers_read_line(line, &signer);
        if (!problem) {
            signers.list = memory_resize(signers.list, signers.length + 1, sizeof(signer));
            signers.list[signers.length++] = signer;
        } else if (signers.skipped++ == 0) {
            signers.first_skipped = number;
            signers.why = problem;
        }
    }
    *ret_signers = signers;
}

void signers_free(struct signers *signers)
{
    for (size_t i = 0; i < signers->length; i++)
        free(signers->list[i].key);
    free(signers->list);
    *signers = (struct signers){0};
}

void signers_print(const struct signers *signers, enum signers_limits limits, struct strbuf *out)
{
    for (size_t i = 0; i < signers->length; i++) {
        const struct signer *signer = &signers->list[i];
        strbuf_addf(out, TOKEN "%zu namespaces=\"" SIGNERS_NAMESPACE "\"", i);
        if (signer->after[0] && limits == SIGNERS_ALL_LIMITS)
            strbuf_addf(out, ",valid-after=\"%s\"", signer->after);
        if (signer->before[0] && limits != SIGNERS_NO_LIMITS)
            strbuf_addf(out, ",valid-before=\"%s\"", signer->before);
        strbuf_addf(out, " %s %s\n", signer->type, signer->key);
    }
}

const struct signer *signers_find(const struct signers *signers, const char *answer)
{
    size_t prefix = strlen(TOKEN), digits = 0, index = 0;
    if (strncmp(answer, TOKEN, prefix) != 0)
        return NULL;
    for (answer += prefix; answer[digits] >= '0' && answer[digits] <= '9' && digits < 6; digits++)
        index = index * 10 + (size_t)(answer[digits] - '0');
    return digits > 0 && strcmp(answer + digits, "\n") == 0 && index < signers->length
               ? &signers->list[index]
               : NULL;
}

unsigned signers_print_revoked(const char *text, size_t length, struct strbuf *out)
{
    static const char magic[] = {'S', 'S', 'H', 'K', 'R', 'L', '\n', '\0'};
    struct signers_part rest = {text, length}, line;
    if (length >= sizeof(magic) && memcmp(text, magic, sizeof(magic)) == 0) {
        strbuf_append(out, text, length);
        return 0;
    }
    for (unsigned number = 1; next_line(&rest, &line); number++) {
        if (is_comment(line))
            continue;
        struct signers_part type = next_word(&line), key = next_word(&line);
        if (!is_type(type) || !is_base64(key))
            return number;
        strbuf_append(out, type.text, type.length);
        strbuf_add_char(out, ' ');
        strbuf_append(out, key.text, key.length);
        strbuf_add_char(out, '\n');
    }
    return 0;
}

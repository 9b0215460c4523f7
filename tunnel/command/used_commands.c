/*
 * Which commands have been used. The file: a first line that names its format, "CHALLENGE ID" for
 * each command, oldest first, and "end SHA256", the hash of all that is before it.
 */
#include "tunnel/command/used_commands.h"

#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "tunnel/journal/sha256.h"
#include "tunnel/model/command_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_LINE "sallyport-used-commands 1\n"
#define LAST_MARK "end "
#define LINE_BYTES (COMMAND_CHALLENGE_BYTES + SESSION_NAME_BYTES) /* with a space and the LF */
#define MAX_BYTES                                                                                  \
    (sizeof(FIRST_LINE) + sizeof(LAST_MARK) + SHA256_HEX_BYTES + USED_MAX * LINE_BYTES)

struct used_commands_entry {
    char challenge[COMMAND_CHALLENGE_BYTES], id[SESSION_NAME_BYTES];
};

struct used_commands {
    char *path;
    char *problem; /* NULL: none */
    struct used_commands_entry
        entries[USED_MAX + 1]; /* one more than is kept: the one being added */
    size_t length;
};

/* Reads "CHALLENGE ID\n" at TEXT; returns what follows it, or NULL. */
static const char *read_entry(const char *text, struct used_commands_entry *entry)
{
    size_t challenge = strcspn(text, " \n");
    if (challenge != COMMAND_CHALLENGE_BYTES - 1 || text[challenge] != ' ')
        return NULL;
    const char *id = text + challenge + 1;
    size_t length = strcspn(id, " \n");
    if (length < 1 || length >= sizeof(entry->id) || id[length] != '\n')
        return NULL;
    *entry = (struct used_commands_entry){0};
    memcpy(entry->challenge, text, challenge);
    memcpy(entry->id, id, length);
    return id + length + 1;
}

/* The hash first: what it vouches for, this program wrote. */
static int used_commands_read_all(struct used_commands *used, const char *text, size_t length)
{
    char hex[SHA256_HEX_BYTES];
    const size_t tail = strlen(LAST_MARK) + SHA256_HEX_BYTES; /* the LF in place of the NUL */
    if (length < strlen(FIRST_LINE) + tail || strlen(text) != length || text[length - 1] != '\n')
        return -EUCLEAN;
    const char *last = text + length - tail, *at = text + strlen(FIRST_LINE);
    sha256_text(text, (size_t)(last - text), hex);
    if (strncmp(text, FIRST_LINE, strlen(FIRST_LINE)) != 0 ||
        strncmp(last, LAST_MARK, strlen(LAST_MARK)) != 0 ||
        strncmp(last + strlen(LAST_MARK), hex, SHA256_HEX_BYTES - 1) != 0)
        return -EUCLEAN;
    while (at && at < last) {
        if (used->length == USED_MAX)
            return -EUCLEAN;
        at = read_entry(at, &used->entries[used->length++]);
    }
    return at == last ? 0 : -EUCLEAN;
}

struct used_commands *used_commands_open(const char *path)
{
    CLEANUP(strbuf_free) struct strbuf content = STRBUF_EMPTY;
    struct used_commands *used = memory_zeroed(1, sizeof(*used));
    used->path = memory_text(path);
    int problem = file_read(path, MAX_BYTES, &content);
    if (problem == -ENOENT)
        return used;
    if (!problem)
        problem = used_commands_read_all(used, strbuf_text(&content), content.length);
    if (problem)
        used->problem = memory_printf(
            "%s: %s; no signed command can open anything: look into it, then move the file away "
            "and restart sallyport-netd",
            path, problem == -EUCLEAN ? "is damaged" : strerror(-problem));
    return used;
}

struct used_commands *used_commands_free(struct used_commands *used)
{
    if (!used)
        return NULL;
    free(used->path);
    free(used->problem);
    free(used);
    return NULL;
}

const char *used_commands_problem(const struct used_commands *used)
{
    return used->problem;
}

bool used_commands_has(const struct used_commands *used, const char *id, const char *challenge)
{
    for (size_t i = 0; i < used->length; i++) {
        if (strcmp(used->entries[i].id, id) == 0 ||
            strcmp(used->entries[i].challenge, challenge) == 0)
            return true;
    }
    return false;
}

static int used_commands_write_all(const struct used_commands *used, size_t first, size_t length)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    char hex[SHA256_HEX_BYTES];
    strbuf_add(&text, FIRST_LINE);
    for (size_t i = first; i < first + length; i++)
        strbuf_addf(&text, "%s %s\n", used->entries[i].challenge, used->entries[i].id);
    sha256_text(text.data, text.length, hex);
    strbuf_addf(&text, LAST_MARK "%s\n", hex);
    return file_replace(used->path, text.data, text.length, 0600);
}

int used_commands_add(struct used_commands *used, const char *id, const char *challenge)
{
    struct used_commands_entry entry = {0};
    if (used->problem)
        return -EUCLEAN;
    if (strlen(id) >= sizeof(entry.id) || strlen(challenge) >= sizeof(entry.challenge))
        return -EINVAL;
    strcpy(entry.id, id);
    strcpy(entry.challenge, challenge);
    used->entries[used->length] = entry;
    size_t first = used->length == USED_MAX ? 1 : 0, length = used->length + 1 - first;
    int problem = used_commands_write_all(used, first, length);
    if (problem)
        return problem;
    memmove(used->entries, used->entries + first, length * sizeof(entry));
    used->length = length;
    return 0;
}

/*
 * Where the SSH session of this process comes from. sudo removes SSH_CONNECTION, so this also looks
 * at the environment of the parent processes. Used only to warn, and for --keep-ssh: root may write
 * the exception by hand just as well.
 */

#include "agent/cli/init/init_ssh.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANCESTORS_MAX 32
#define ENVIRONMENT_MAX_BYTES (256 * 1024)

/* The environment of PROCESS is NUL-separated. Returns the value within TEXT, or NULL. */
static const char *find_variable(const struct strbuf *text, const char *name)
{
    size_t length = strlen(name);
    for (size_t at = 0; at < text->length; at += strlen(text->data + at) + 1) {
        const char *variable = text->data + at;
        if (strncmp(variable, name, length) == 0 && variable[length] == '=')
            return variable + length + 1;
    }
    return NULL;
}

/* proc(5): the parent follows the name, which ends with the last bracket; 0: none. */
static int parent_of(int process)
{
    char path[64];
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    int parent = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", process);
    if (file_read(path, 4096, &text) < 0)
        return 0;
    const char *name_end = strrchr(strbuf_text(&text), ')');
    return name_end && sscanf(name_end, ") %*c %d", &parent) == 1 ? parent : 0;
}

/* sshd(8): client, port, server, port. */
static bool parse(const char *connection, struct init_ssh *ret_ssh)
{
    struct init_ssh ssh;
    if (!connection ||
        sscanf(connection, "%63s %*u %63s %u", ssh.source, ssh.local, &ssh.port) != 3)
        return false;
    *ret_ssh = ssh;
    return true;
}

bool init_ssh_find(struct init_ssh *ret_ssh)
{
    bool found = parse(getenv("SSH_CONNECTION"), ret_ssh);
    int process = getppid();
    for (unsigned i = 0; !found && process > 1 && i < ANCESTORS_MAX; i++) {
        char path[64];
        CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
        (void)snprintf(path, sizeof(path), "/proc/%d/environ", process);
        if (file_read(path, ENVIRONMENT_MAX_BYTES, &text) == 0)
            found = parse(find_variable(&text, "SSH_CONNECTION"), ret_ssh);
        process = parent_of(process);
    }
    return found;
}

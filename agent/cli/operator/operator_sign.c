/* Keys and signatures, by ssh-keygen. */
#include "agent/cli/operator/operator_sign.h"

#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "agent/cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "ssh-keygen"
#define SIGNATURE_MAX_BYTES 4096
#define KEY_MAX_BYTES 16384

/* --- the child -------------------------------------------------------------------------------- */

/* Its standard output goes to our stderr: our stdout is for results. */
static int spawn(const char *const *arguments, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults, none;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGQUIT);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    int problem =
        posix_spawnp(ret_pid, PROGRAM, &actions, &attributes, (char *const *)arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -problem;
}

/* Returns 0, or -1 after a message: its own when it failed, ours when it could not be run. */
static int run(const char *name, const char *const *arguments)
{
    int status = 0;
    pid_t pid;
    (void)fflush(stderr);
    int problem = spawn(arguments, &pid);
    if (problem)
        return cli_fail(-1, name, "%s cannot be run: %s; install the OpenSSH client", PROGRAM,
                        strerror(-problem));
    /* Ctrl-C at its question ends the child; we clean up and leave. */
    sighandler_t interrupt = signal(SIGINT, SIG_IGN), quit = signal(SIGQUIT, SIG_IGN);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    (void)signal(SIGINT, interrupt);
    (void)signal(SIGQUIT, quit);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

/* --- keys ------------------------------------------------------------------------------------- */

int operator_read_public_key(const char *path, struct strbuf *out)
{
    static const char *const types[] = {"ssh-ed25519", "sk-ssh-ed25519@openssh.com"};
    static const char base64[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    CLEANUP(strbuf_free) struct strbuf content = STRBUF_EMPTY;
    int result = file_read(path, KEY_MAX_BYTES, &content);
    if (result < 0)
        return result;
    const char *text = strbuf_text(&content);
    size_t type = strcspn(text, " ");
    size_t key = text[type] ? strspn(text + type + 1, base64) : 0;
    char end = text[type] ? text[type + 1 + key] : '\0';
    if (key < 64 || (end && !strchr(" \n", end)))
        return -EINVAL;
    for (size_t i = 0; i < ARRAY_LENGTH(types); i++) {
        if (strlen(types[i]) == type && strncmp(types[i], text, type) == 0) {
            strbuf_append(out, text, type + 1 + key);
            return 0;
        }
    }
    return -ENOTSUP;
}

int operator_make_key(const char *name, const char *key, bool is_hardware, const char *comment)
{
    const char *const arguments[] = {
        PROGRAM, "-t", is_hardware ? "ed25519-sk" : "ed25519", "-C", comment, "-f", key, NULL};
    return run(name, arguments);
}

/* Refuses only what is certainly wrong: the public key need not be beside the private one. */
static bool key_is_usable(const char *name, const char *key)
{
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
    size_t length = strlen(key);
    bool is_public = length > 4 && strcmp(key + length - 4, ".pub") == 0;
    CLEANUP(memory_free_pointer)
    char *path = is_public ? memory_text(key) : memory_printf("%s.pub", key);
    if (access(key, R_OK) < 0) {
        (void)cli_fail(-1, name,
                       "the ssh_key %s cannot be read: %s; `sallyport operator keygen` creates one",
                       key, strerror(errno));
        return false;
    }
    if (operator_read_public_key(path, &line) != -ENOTSUP)
        return true;
    (void)cli_fail(-1, name,
                   "the ssh_key %s is not an Ed25519 key, and gateways accept no other kind", key);
    return false;
}

/* --- signing ---------------------------------------------------------------------------------- */

/* A folder for us alone, owned by the caller; NULL when it cannot be made. */
static char *make_folder(void)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR"); /* in memory, for this user */
    bool is_fit = runtime && runtime[0] == '/' && access(runtime, W_OK) == 0;
    char *folder = memory_printf("%s/sallyport-XXXXXX", is_fit ? runtime : "/tmp");
    if (mkdtemp(folder))
        return folder;
    free(folder);
    return NULL;
}

static int write_file(const char *path, const struct strbuf *text)
{
    CLEANUP(descriptor_close) int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0)
        return -errno;
    return write(file, text->data, text->length) == (ssize_t)text->length ? 0 : -EIO;
}

static bool is_armour(const char *text)
{
    static const char begin[] = "-----BEGIN SSH SIGNATURE-----\n";
    static const char end[] = "\n-----END SSH SIGNATURE-----\n";
    size_t length = strlen(text);
    return strncmp(text, begin, strlen(begin)) == 0 && length > strlen(begin) + strlen(end) &&
           strcmp(text + length - strlen(end), end) == 0;
}

/* ssh-keygen reads FILE and writes FILE.sig: from a pipe it could not ask for a passphrase. */
static int sign_file(const char *name, const char *key, const char *file, const char *signature,
                     const struct strbuf *text, struct strbuf *out)
{
    CLEANUP(strbuf_free) struct strbuf armour = STRBUF_EMPTY;
    const char *const arguments[] = {PROGRAM, "-q", "-Y", "sign", "-n", OPERATOR_NAMESPACE,
                                     "-f",    key,  file, NULL};
    int problem = write_file(file, text);
    if (problem < 0)
        return cli_fail(-1, name, "%s cannot be written: %s", file, strerror(-problem));
    if (run(name, arguments) < 0)
        return cli_fail(-1, name, "it was not signed");
    problem = file_read(signature, SIGNATURE_MAX_BYTES, &armour);
    if (problem < 0 || !is_armour(strbuf_text(&armour)))
        return cli_fail(-1, name, "%s wrote no signature", PROGRAM);
    strbuf_append(out, armour.data, armour.length);
    return 0;
}

int operator_sign(const char *name, const char *key, const struct strbuf *text, struct strbuf *out)
{
    if (!key_is_usable(name, key))
        return -1;
    CLEANUP(memory_free_pointer) char *folder = make_folder();
    if (!folder)
        return cli_fail(-1, name, "no temporary folder can be created: %s", strerror(errno));
    CLEANUP(memory_free_pointer) char *file = memory_printf("%s/command", folder);
    CLEANUP(memory_free_pointer) char *signature = memory_printf("%s.sig", file);
    int result = sign_file(name, key, file, signature, text, out);
    (void)unlink(signature);
    (void)unlink(file);
    (void)rmdir(folder);
    return result;
}

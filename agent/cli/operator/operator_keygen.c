/* `sallyport operator keygen`: creates a key that signs commands, and prints the line that a site
 * needs. */
#include "agent/cli/operator/operator_shared.h"
#include "agent/cli/operator/operator_sign.h"
#include "agent/cli/options.h"

#include "agent/base/memory.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME "operator keygen"

struct keygen {
    const char *file, *name;
    bool is_hardware;
};

/* Characters that need no quotes in allowed_signers, are not patterns there, and need no escape in
 * the journal. */
static bool name_is_fit(const char *name)
{
    static const char fit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.@-";
    size_t length = strlen(name);
    return length >= 1 && length <= 64 && strspn(name, fit) == length && name[0] != '-';
}

/* Owned by the caller. */
static char *choose_file(const char *given)
{
    if (!given) {
        CLEANUP(memory_free_pointer) char *home = operator_home();
        return memory_printf("%s/.ssh/id_sallyport", home);
    }
    CLEANUP(memory_free_pointer) char *here = given[0] == '/' ? NULL : getcwd(NULL, 0);
    return here ? memory_printf("%s/%s", here, given) : memory_text(given);
}

static int keygen_print(const struct cli_context *context, const char *file, const char *name,
                        const char *key)
{
    CLEANUP(memory_free_pointer)
    char *line = memory_printf("%s namespaces=\"" OPERATOR_NAMESPACE "\" %s", name, key);
    if (context->json)
        return operator_print_json(json_pack("{s:s, s:s, s:s}", "ssh_key", file, "public_key", key,
                                             "allowed_signers", line));
    cli_print(stderr,
              "\nWrite into operator.conf:  ssh_key = \"%s\";\n"
              "Hand this line to each site, for /etc/sallyport/allowed_signers on its "
              "gateways:\n\n",
              file);
    cli_print(stdout, "%s\n", line);
    return CLI_DONE;
}

static int keygen_make(const struct cli_context *context, const char *file,
                       const struct keygen *keygen)
{
    CLEANUP(memory_free_pointer) char *public_file = memory_printf("%s.pub", file);
    CLEANUP(strbuf_free) struct strbuf key = STRBUF_EMPTY;
    if (access(file, F_OK) == 0 || access(public_file, F_OK) == 0)
        return cli_fail(CLI_FAILED, NAME, "%s exists already; choose another file with -f", file);
    if (operator_make_key(NAME, file, keygen->is_hardware, keygen->name) < 0)
        return cli_fail(CLI_FAILED, NAME, "no key was created");
    int problem = operator_read_public_key(public_file, &key);
    if (problem < 0)
        return cli_fail(CLI_FAILED, NAME, "%s cannot be used: %s", public_file, strerror(-problem));
    return keygen_print(context, file, keygen->name, strbuf_text(&key));
}

static int run_keygen(const struct cli_context *context, const struct operator_action *action,
                      int argc, char **argv)
{
    struct keygen keygen = {.name = NULL};
    const struct cli_option options[] = {{.name = "-f", .text = &keygen.file},
                                         {.name = "--hardware", .flag = &keygen.is_hardware},
                                         {.name = "--name", .text = &keygen.name},
                                         {.name = NULL}};
    if (cli_options(argc, argv, options) != 1)
        return operator_usage(action);
    const struct passwd *user = getpwuid(getuid());
    CLEANUP(memory_free_pointer)
    char *name = memory_text(keygen.name ? keygen.name : user ? user->pw_name : "");
    keygen.name = name;
    if (!name_is_fit(name))
        return cli_fail(CLI_USAGE, NAME, "--name is needed: 1 to 64 of A-Z a-z 0-9 _ . @ -");
    CLEANUP(memory_free_pointer) char *file = choose_file(keygen.file);
    return keygen_make(context, file, &keygen);
}

const struct operator_action operator_action_keygen = {
    "keygen", "[-f FILE] [--hardware] [--name NAME]", run_keygen};

/* operator.conf. */
#include "agent/cli/operator/operator_config.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "config/load/check_uplink.h"
#include "config/load/section.h"
#include "config/print/manual.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define MAX_FILE_BYTES 65536

static const struct option rows[] = {
    {.key = "ssh_key",
     .offset = offsetof(struct operator_config, ssh_key),
     .type = OPTION_PATH,
     .flags = OPTION_SHOWN,
     .reload = RELOAD_LIVE,
     .example = "\"~/.ssh/id_sallyport\"",
     .help = "The private key that signs commands, Ed25519, plain or on a hardware token; its .pub "
             "file when the private key is with the SSH agent."},
};
const struct option_table operator_table = {
    .path = "operator",
    .help = "The technician who signs commands to gateways.",
    .rows = rows,
    .n_rows = ARRAY_LENGTH(rows),
    .size = sizeof(struct operator_config),
};

char *operator_home(void)
{
    const char *home = getenv("HOME");
    if (home && home[0] == '/')
        return memory_text(home);
    const struct passwd *user = getpwuid(getuid());
    return memory_text(user && user->pw_dir[0] == '/' ? user->pw_dir : "/");
}

char *operator_config_path(void)
{
    const char *folder = getenv("XDG_CONFIG_HOME"); /* a relative path is ignored */
    if (folder && folder[0] == '/')
        return memory_printf("%s/sallyport/operator.conf", folder);
    CLEANUP(memory_free_pointer) char *home = operator_home();
    return memory_printf("%s/.config/sallyport/operator.conf", home);
}

/* Replaces a leading ~ of a file name by the home folder. */
static void expand_home(const struct section *root, const struct part *part)
{
    CLEANUP(memory_free_pointer) char *home = operator_home();
    for (size_t i = 0; i < part->table->n_rows; i++) {
        const struct option *row = &part->table->rows[i];
        const char *text = row->type == OPTION_PATH ? section_peek(root, row->key) : NULL;
        if (!text || strncmp(text, "~/", 2) != 0)
            continue;
        char **value = (char **)((char *)part->values + row->offset);
        if (*value) {
            free(*value);
            *value = memory_printf("%s%s", home, text + 1);
        }
    }
}

/* Two sessions of one user must not disconnect each other at the broker. */
static void choose_client_id(struct config_uplink *uplink)
{
    uint64_t number = 0;
    if (uplink->client_id)
        return;
    if (getrandom(&number, sizeof(number), 0) < 0)
        number = (uint64_t)getpid();
    uplink->client_id = memory_printf(
        "%s-%016llx", uplink->username ? uplink->username : "operator", (unsigned long long)number);
}

static void read_file(const struct source *source, struct findings *findings,
                      struct operator_config *config)
{
    struct part parts[] = {{.table = &config_uplink_table, .values = &config->uplink},
                           {.table = &operator_table, .values = config}};
    struct section root;
    source_root(source, findings, &root);
    section_read(&root, parts, ARRAY_LENGTH(parts), NULL);
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++)
        expand_home(&root, &parts[i]);
    if (part_is_complete(&parts[0]))
        config_check_uplink(&root, &parts[0]);
    choose_client_id(&config->uplink);
}

int operator_config_load(const char *path, struct findings *findings,
                         struct operator_config **ret_config)
{
    struct source *source = NULL;
    CLEANUP(memory_free_pointer) char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);
    CLEANUP(memory_free_pointer)
    char *whole = here ? memory_printf("%s/%s", here, path) : memory_text(path);
    if (source_open(whole, MAX_FILE_BYTES, findings, &source) < 0)
        return -EINVAL;
    struct operator_config *config = memory_zeroed(1, sizeof(*config));
    read_file(source, findings, config);
    source_close(source);
    if (findings->errors > 0) {
        operator_config_free(config);
        return -EINVAL;
    }
    *ret_config = config;
    return 0;
}

struct operator_config *operator_config_free(struct operator_config *config)
{
    if (!config)
        return NULL;
    table_free(&config_uplink_table, &config->uplink);
    table_free(&operator_table, config);
    free(config);
    return NULL;
}

static const char *no_change(const struct option_table *table, const struct option *row)
{
    (void)table;
    (void)row;
    return NULL; /* the file is read by every call */
}

void operator_config_manual(struct strbuf *out)
{
    strbuf_add(out, MANUAL_BEGIN);
    manual_print_table(&operator_table, "the key of the operator", operator_table.help, no_change,
                       out);
    manual_print_table(&config_uplink_table, "the broker", config_uplink_table.help, no_change,
                       out);
    strbuf_add(out, MANUAL_END);
}

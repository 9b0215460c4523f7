/* What is on disk of rules on trial. */
#include "tunnel/netd/config_trial.h"

#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "tunnel/journal/sha256.h"

#include <errno.h>
#include <string.h>

#define MAX_BYTES (512 * 1024)

/* Both lines are comments of libconfig, so that the file can be loaded as a configuration. */
#define TRIED_LINE "# on trial, and not confirmed: sha256 "
#define CONFIRMED_LINE "# confirmed, and follows: sha256 "
#define LINE_BYTES(line) (sizeof(line) - 1 + SHA256_HEX_BYTES) /* a line feed for the NUL */

static char *path_of(const struct netd_config *config)
{
    return memory_printf("%s/trial.conf", config->paths.state_dir);
}

int config_trial_begin(const struct netd_config *confirmed, const struct netd_config *tried)
{
    CLEANUP(memory_free_pointer) char *path = path_of(confirmed);
    CLEANUP(strbuf_free) struct strbuf file = STRBUF_EMPTY;
    char tried_hex[SHA256_HEX_BYTES], confirmed_hex[SHA256_HEX_BYTES];
    sha256_text(tried->text, strlen(tried->text), tried_hex);
    sha256_text(confirmed->text, strlen(confirmed->text), confirmed_hex);
    strbuf_addf(&file, TRIED_LINE "%s\n" CONFIRMED_LINE "%s\n", tried_hex, confirmed_hex);
    strbuf_add(&file, confirmed->text);
    return file_replace(path, file.data, file.length, 0600);
}

int config_trial_keep(const struct netd_config *confirmed)
{
    CLEANUP(memory_free_pointer) char *path = path_of(confirmed);
    int result = file_remove(path);
    return result == -ENOENT ? 0 : result;
}

/* Whether *AT begins with LINE and the digest HEX; *AT is moved past it. */
static bool config_trial_take_line(const char **at, const char *line, const char *hex)
{
    size_t length = strlen(line);
    if (strncmp(*at, line, length) != 0 || strncmp(*at + length, hex, SHA256_HEX_BYTES - 1) != 0 ||
        (*at)[length + SHA256_HEX_BYTES - 1] != '\n')
        return false;
    *at += length + SHA256_HEX_BYTES;
    return true;
}

/* Whether FILE, which is whole, is about another configuration than TEXT. */
static bool is_stale(const char *file, const char *text)
{
    char hex[SHA256_HEX_BYTES];
    const char *at = file;
    sha256_text(text, strlen(text), hex);
    if (strncmp(file, TRIED_LINE, strlen(TRIED_LINE)) != 0 ||
        strlen(file) < LINE_BYTES(TRIED_LINE) + LINE_BYTES(CONFIRMED_LINE))
        return false; /* damaged */
    return !config_trial_take_line(&at, TRIED_LINE, hex) ||
           strcmp(file + LINE_BYTES(TRIED_LINE) + LINE_BYTES(CONFIRMED_LINE), text) == 0;
}

/* The confirmed configuration in the file at PATH, its text without the two lines; or NULL. */
static struct netd_config *load_confirmed(const char *path)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    struct netd_config *confirmed = NULL;
    char hex[SHA256_HEX_BYTES];
    if (netd_config_load(path, &findings, &confirmed) < 0)
        return NULL;
    if (strlen(confirmed->text) < LINE_BYTES(TRIED_LINE) + LINE_BYTES(CONFIRMED_LINE))
        return netd_config_free(confirmed);
    const char *at = confirmed->text + LINE_BYTES(TRIED_LINE);
    const char *text = at + LINE_BYTES(CONFIRMED_LINE);
    sha256_text(text, strlen(text), hex);
    if (!config_trial_take_line(&at, CONFIRMED_LINE, hex))
        return netd_config_free(confirmed);
    memmove(confirmed->text, text, strlen(text) + 1);
    return confirmed;
}

int config_trial_settle(struct netd_config *config, struct strbuf *problem)
{
    CLEANUP(memory_free_pointer) char *path = path_of(config);
    CLEANUP(strbuf_free) struct strbuf file = STRBUF_EMPTY;
    int result = file_read(path, MAX_BYTES, &file);
    if (result == -ENOENT)
        return 0;
    if (result == 0 && is_stale(strbuf_text(&file), config->text))
        return config_trial_keep(config);
    struct netd_config *confirmed = result == 0 ? load_confirmed(path) : NULL;
    if (!confirmed) {
        strbuf_addf(problem,
                    "%s says which rules were confirmed last, and cannot be read%s%s; remove it to "
                    "use the configuration as it is",
                    path, result < 0 ? ": " : "", result < 0 ? strerror(-result) : "");
        return result < 0 ? result : -EBADMSG;
    }
    struct firewall_config unconfirmed = config->firewall;
    config->firewall = confirmed->firewall;
    confirmed->firewall = unconfirmed;
    char *text = config->text;
    config->text = confirmed->text;
    confirmed->text = text;
    netd_config_free(confirmed);
    return 1;
}

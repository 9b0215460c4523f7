/* What is on disk of rules on trial. */
#include "tunnel/netd/config_trial.h"

#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "tunnel/journal/sha256.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_BYTES (512 * 1024)
#define COPY_MODE 0644

#define TRIED_LINE "# on trial, and not confirmed: sha256 "
#define CONFIRMED_LINE "# confirmed: sha256 "

/* What trial.conf says. */
struct trial_record {
    char tried[SHA256_HEX_BYTES], confirmed[SHA256_HEX_BYTES];
};

static char *record_path(const struct netd_config *config)
{
    return memory_printf("%s/trial.conf", config->paths.state_dir);
}

static char *copy_path(const char *config_path)
{
    return memory_printf("%s.confirmed", config_path);
}

int config_trial_begin(const struct netd_config *confirmed, const struct netd_config *tried)
{
    CLEANUP(memory_free_pointer) char *path = record_path(confirmed);
    CLEANUP(strbuf_free) struct strbuf file = STRBUF_EMPTY;
    struct trial_record record;
    sha256_text(tried->text, strlen(tried->text), record.tried);
    sha256_text(confirmed->text, strlen(confirmed->text), record.confirmed);
    strbuf_addf(&file, TRIED_LINE "%s\n" CONFIRMED_LINE "%s\n", record.tried, record.confirmed);
    return file_replace(path, file.data, file.length, 0600);
}

int config_trial_keep(const struct netd_config *confirmed)
{
    CLEANUP(memory_free_pointer) char *path = record_path(confirmed);
    int result = file_remove(path);
    return result == -ENOENT ? 0 : result;
}

/* Takes a digest from *AT, which is behind the word LINE; *AT is moved past the line. */
static bool config_trial_take_line(const char **at, const char *line,
                                   char ret_hex[SHA256_HEX_BYTES])
{
    size_t length = strlen(line);
    if (strncmp(*at, line, length) != 0 ||
        strspn(*at + length, "0123456789abcdef") != SHA256_HEX_BYTES - 1 ||
        (*at)[length + SHA256_HEX_BYTES - 1] != '\n')
        return false;
    memcpy(ret_hex, *at + length, SHA256_HEX_BYTES - 1);
    ret_hex[SHA256_HEX_BYTES - 1] = '\0';
    *at += length + SHA256_HEX_BYTES;
    return true;
}

/* -ENOENT, or 0: what cannot be read or is damaged leaves a digest empty. */
static int read_record(const struct netd_config *config, struct trial_record *ret_record)
{
    CLEANUP(memory_free_pointer) char *path = record_path(config);
    CLEANUP(strbuf_free) struct strbuf file = STRBUF_EMPTY;
    struct trial_record record = {"", ""};
    int result = file_read(path, MAX_BYTES, &file);
    if (result == -ENOENT)
        return result;
    const char *at = result < 0 ? "" : strbuf_text(&file);
    if (config_trial_take_line(&at, TRIED_LINE, record.tried))
        (void)config_trial_take_line(&at, CONFIRMED_LINE, record.confirmed);
    *ret_record = record;
    return 0;
}

static bool has_digest(const struct netd_config *config, const char *wanted)
{
    char hex[SHA256_HEX_BYTES];
    sha256_text(config->text, strlen(config->text), hex);
    return strcmp(hex, wanted) == 0;
}

/* Whoever has changed the file since has decided anew, and a trial of nothing new is none. */
static bool is_on_trial(const struct netd_config *config, const struct trial_record *record)
{
    return !record->tried[0] ||
           (has_digest(config, record->tried) && strcmp(record->tried, record->confirmed) != 0);
}

/* Root's copy of the confirmed configuration; or NULL. */
static struct netd_config *load_confirmed(const char *config_path,
                                          const struct trial_record *record)
{
    CLEANUP(memory_free_pointer) char *path = copy_path(config_path);
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    struct netd_config *confirmed = NULL;
    if (!netd_config_is_roots(path) || netd_config_load(path, &findings, &confirmed) < 0)
        return NULL;
    return has_digest(confirmed, record->confirmed) ? confirmed : netd_config_free(confirmed);
}

static void use_confirmed(struct netd_config *config, struct netd_config *confirmed)
{
    struct firewall_config unconfirmed = config->firewall;
    config->firewall = confirmed->firewall;
    confirmed->firewall = unconfirmed;
    char *text = config->text;
    config->text = confirmed->text;
    confirmed->text = text;
    netd_config_free(confirmed);
}

/* The text is that of no file: nobody has confirmed what is used now. */
static void narrow(struct netd_config *config)
{
    config->firewall.n_exceptions = 0;
    *config->text = '\0';
}

enum config_trial_start config_trial_settle(struct netd_config *config, const char *config_path,
                                            struct strbuf *problem)
{
    struct trial_record record;
    if (read_record(config, &record) < 0 || !is_on_trial(config, &record))
        return CONFIG_TRIAL_NONE;
    struct netd_config *confirmed = load_confirmed(config_path, &record);
    if (confirmed) {
        use_confirmed(config, confirmed);
        return CONFIG_TRIAL_CONFIRMED;
    }
    narrow(config);
    strbuf_addf(
        problem,
        "%s.confirmed is not the copy of the confirmed rules that root keeps, or "
        "%s/trial.conf is damaged: the exceptions of %s are left out until it is changed, or "
        "its rules are tried and confirmed",
        config_path, config->paths.state_dir, config_path);
    return CONFIG_TRIAL_NARROWED;
}

/* Who may read netd.conf may read the copy: netd runs as a user of its own. */
static int share_copy(const char *config_path, const char *path)
{
    struct stat about;
    if (stat(config_path, &about) < 0 || chown(path, 0, about.st_gid) < 0 ||
        chmod(path, about.st_mode & COPY_MODE) < 0)
        return -errno;
    return 0;
}

static int write_copy(const char *config_path, const struct netd_config *config,
                      struct strbuf *problem)
{
    CLEANUP(memory_free_pointer) char *path = copy_path(config_path);
    CLEANUP(strbuf_free) struct strbuf present = STRBUF_EMPTY;
    if (netd_config_is_roots(path) && file_read(path, MAX_BYTES, &present) == 0 &&
        strcmp(strbuf_text(&present), config->text) == 0)
        return 0;
    int result = file_replace(path, config->text, strlen(config->text), 0600);
    if (result == 0)
        result = share_copy(config_path, path);
    if (result < 0)
        strbuf_addf(problem, "%s cannot be written: %s", path, strerror(-result));
    return result;
}

int config_trial_record(const char *config_path, struct strbuf *problem)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    struct netd_config *config = NULL;
    struct trial_record record;
    if (geteuid() != 0) {
        strbuf_add(problem, "only root keeps a copy of the confirmed rules");
        return -EPERM;
    }
    if (netd_config_load(config_path, &findings, &config) < 0) {
        findings_sort(&findings);
        findings_print(&findings, problem);
        return -EINVAL;
    }
    bool is_tried = read_record(config, &record) == 0 && is_on_trial(config, &record);
    int result = is_tried ? 1 : write_copy(config_path, config, problem);
    netd_config_free(config);
    return result;
}

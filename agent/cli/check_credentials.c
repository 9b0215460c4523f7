/*
 * The files of `uplink`, tried as the agent would: whatever would only show as a failed connection
 * is found here, with the key that names the file.
 */
#include "agent/cli/check_credentials.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/tls/certificate.h"
#include "agent/tls/own_files.h"
#include "agent/tls/tls_policy.h"
#include "config/load/files.h"
#include "config/load/proxy_url.h"
#include "config/schema/option.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPIRY_DAYS 30              /* as much ahead as the agent's event `certificate_expiring` */
#define LONG_PASSWORD_BYTES 1024    /* more is unusual, and too much for some brokers */
#define KEY_PASSWORD_MAX_BYTES 1023 /* what OpenSSL has room for */

static void report(const struct config *config, const char *key, enum severity severity,
                   const char *text, struct findings *findings)
{
    const struct option *row = option_find(&config_uplink_table, key);
    const struct where where = {config->files[0],
                                config->uplink_lines[row - config_uplink_table.rows]};
    char full_key[80];
    (void)snprintf(full_key, sizeof(full_key), "uplink.%s", key);
    findings_add(findings, severity, where, full_key, "%s", text);
}

static void report_verdict(const struct config *config, const char *key,
                           enum own_files_verdict verdict, const struct strbuf *problem,
                           struct findings *findings)
{
    if (verdict != OWN_FILES_GOOD)
        report(config, key, verdict == OWN_FILES_USELESS ? FINDING_ERROR : FINDING_WARNING,
               strbuf_text(problem), findings);
}

/* --- certificates ---------------------------------------------------------------------------- */

/* False when the file holds none. */
static bool check_dates(const struct config *config, const char *key, const char *path,
                        struct findings *findings)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    char subject[256];
    int64_t left_s;
    int problem =
        certificate_time_left(path, clock_wall_ms() / 1000, &left_s, subject, sizeof(subject));
    if (problem == -ENODATA) {
        strbuf_addf(&text,
                    "%s holds no PEM certificate; if it is DER, convert it: openssl x509 -inform "
                    "DER -in FILE -out FILE.pem",
                    path);
    } else if (problem == 0 && left_s < 0) {
        strbuf_addf(&text, "%s: %s has expired", path, subject);
    } else if (problem == 0 && left_s < EXPIRY_DAYS * INT64_C(86400)) {
        strbuf_addf(&text, "%s: %s expires in %lld days", path, subject,
                    (long long)(left_s / 86400));
        report(config, key, FINDING_WARNING, strbuf_text(&text), findings);
        return true;
    }
    if (text.length > 0)
        report(config, key, FINDING_ERROR, strbuf_text(&text), findings);
    return problem != -ENODATA;
}

static void check_ca(const struct config *config, struct findings *findings)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    const char *ca = config->uplink.ca;
    if (strcmp(ca, TLS_CA_SYSTEM) != 0 && check_dates(config, "ca", ca, findings))
        report_verdict(config, "ca", own_files_ca(ca, &problem), &problem, findings);
}

static void check_lists(const struct config *config, struct findings *findings)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    const struct config_uplink *uplink = &config->uplink;
    if (uplink->crl && access(uplink->crl, R_OK) == 0)
        report_verdict(config, "crl", own_files_lists(uplink->crl, uplink->ca, &problem), &problem,
                       findings);
}

/* The password of the key, when there is one, is good by now. The purpose is looked at last: in a
 * wrong order another certificate comes first. */
static void check_pair(const struct config *config, const char *password, struct findings *findings)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    const struct config_uplink *uplink = &config->uplink;
    const struct tls_files files = {.ca = uplink->ca,
                                    .certificate = uplink->certificate,
                                    .key = uplink->key,
                                    .key_password = password};
    int result = tls_policy_check_pair(&files, &problem);
    if (result < 0)
        report(config, result == -EKEYREJECTED ? "key" : "certificate", FINDING_ERROR,
               strbuf_text(&problem), findings);
    else
        report_verdict(config, "certificate", own_files_certificate(uplink->certificate, &problem),
                       &problem, findings);
}

/* --- passwords ------------------------------------------------------------------------------- */

/* What config_check_files() says already. */
static bool is_said(int error)
{
    return error == -EPERM || error == -EINVAL || error == -ENOENT || error == -EACCES ||
           error == -ENOTDIR || error == -ELOOP;
}

static void report_oddities(const struct config *config, const char *key, const char *path,
                            const struct secret_oddities *odd, struct findings *findings)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    if (odd->has_mark)
        strbuf_addf(&text, "%s begins with a byte order mark, which is left out", path);
    else if (odd->has_lines)
        strbuf_addf(&text, "%s has several lines, which all belong to the password", path);
    if (text.length > 0)
        report(config, key, FINDING_WARNING, strbuf_text(&text), findings);
}

/* False when there is a password file that cannot be used. */
static bool check_secret(const struct config *config, const char *key, const char *path,
                         struct strbuf *secret, struct findings *findings)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct secret_oddities odd;
    if (!path)
        return true;
    int result = config_read_secret(path, secret, &odd);
    if (result == 0) {
        report_oddities(config, key, path, &odd, findings);
        return true;
    }
    if (!is_said(result)) {
        strbuf_addf(&text, "%s: %s", path, config_secret_problem(result));
        report(config, key, FINDING_ERROR, strbuf_text(&text), findings);
    }
    return false;
}

static void check_password(const struct config *config, struct findings *findings)
{
    CLEANUP(strbuf_wipe) struct strbuf secret = STRBUF_EMPTY;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    const char *path = config->uplink.password_file;
    if (!check_secret(config, "password_file", path, &secret, findings) ||
        secret.length <= LONG_PASSWORD_BYTES)
        return;
    strbuf_addf(&text,
                "%s holds a password of %zu bytes; MQTT allows up to %d, but not every broker does",
                path, secret.length, CONFIG_SECRET_MAX_BYTES);
    report(config, "password_file", FINDING_WARNING, strbuf_text(&text), findings);
}

static void check_proxy_password(const struct config *config, struct findings *findings)
{
    CLEANUP(strbuf_wipe) struct strbuf secret = STRBUF_EMPTY;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    const struct config_uplink *uplink = &config->uplink;
    struct proxy_url url;
    struct problem ignored;
    if (!uplink->proxy || !uplink->proxy_password_file ||
        !check_secret(config, "proxy_password_file", uplink->proxy_password_file, &secret,
                      findings) ||
        proxy_url_parse(uplink->proxy, &url, &ignored) < 0)
        return;
    if (proxy_url_set_password(&url, strbuf_text(&secret)) == -EFBIG) {
        strbuf_addf(&text, "%s: the password is too long for a proxy", uplink->proxy_password_file);
        report(config, "proxy_password_file", FINDING_ERROR, strbuf_text(&text), findings);
    }
    memory_wipe(&url, sizeof(url));
}

static void check_client(const struct config *config, struct findings *findings)
{
    CLEANUP(strbuf_wipe) struct strbuf password = STRBUF_EMPTY;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    const struct config_uplink *uplink = &config->uplink;
    const char *file = uplink->key_password_file;
    if (!uplink->certificate)
        return;
    bool found = check_dates(config, "certificate", uplink->certificate, findings);
    if (!check_secret(config, "key_password_file", file, &password, findings))
        return;
    if (password.length > KEY_PASSWORD_MAX_BYTES) {
        strbuf_addf(&text, "%s holds more than %d bytes, the limit for the password of a key", file,
                    KEY_PASSWORD_MAX_BYTES);
        report(config, "key_password_file", FINDING_ERROR, strbuf_text(&text), findings);
    } else if (found && access(uplink->certificate, R_OK) == 0 && access(uplink->key, R_OK) == 0) {
        check_pair(config, file ? strbuf_text(&password) : NULL, findings);
    }
}

void check_credentials(const struct config *config, struct findings *findings)
{
    check_ca(config, findings);
    check_lists(config, findings);
    check_client(config, findings);
    check_password(config, findings);
    check_proxy_password(config, findings);
}

/* --- the user of the agent ------------------------------------------------------------------- */

#define FILES 7

struct file_key {
    const char *key, *path;
};

static void list_files(const struct config_uplink *uplink, struct file_key *files)
{
    files[0] = (struct file_key){"ca", strcmp(uplink->ca, TLS_CA_SYSTEM) == 0 ? NULL : uplink->ca};
    files[1] = (struct file_key){"crl", uplink->crl};
    files[2] = (struct file_key){"certificate", uplink->certificate};
    files[3] = (struct file_key){"key", uplink->key};
    files[4] = (struct file_key){"key_password_file", uplink->key_password_file};
    files[5] = (struct file_key){"password_file", uplink->password_file};
    files[6] = (struct file_key){"proxy_password_file", uplink->proxy_password_file};
}

/* In a child process that has become the user: a bit for each file that he is denied. */
static int denied_files(const struct passwd *user, const struct file_key *files)
{
    int denied = 0;
    if (initgroups(user->pw_name, user->pw_gid) < 0 || setgid(user->pw_gid) < 0 ||
        setuid(user->pw_uid) < 0)
        return 0;
    for (int i = 0; i < FILES; i++) {
        int file =
            files[i].path ? open(files[i].path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
        if (file >= 0)
            (void)close(file);
        else if (files[i].path && errno == EACCES)
            denied |= 1 << i;
    }
    return denied;
}

void check_agent_access(const struct config *config, const char *name, struct findings *findings)
{
    struct file_key files[FILES];
    const struct passwd *user = geteuid() == 0 ? getpwnam(name) : NULL;
    int status = 0;
    if (!user)
        return;
    list_files(&config->uplink, files);
    pid_t child = fork();
    if (child == 0)
        _exit(denied_files(user, files));
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return;
    for (int i = 0; i < FILES; i++) {
        CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
        if (!(WEXITSTATUS(status) & (1 << i)))
            continue;
        strbuf_addf(&text,
                    "the agent runs as the user %s, who cannot read %s; check its group, its "
                    "mode and those of its folders",
                    name, files[i].path);
        report(config, files[i].key, FINDING_WARNING, strbuf_text(&text), findings);
    }
}

/*
 * The files of a gateway, all or none: they are written into a folder beside the target, checked
 * there by the code of `sallyport check`, and then moved into place one by one; when a move fails,
 * the files moved before it are moved back. Existing files are kept under a name with the time.
 */

#include "agent/cli/init/init_files.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "agent/cli/check.h"
#include "agent/cli/cli.h"
#include "agent/cli/init/init_answers.h"
#include "agent/cli/init/init_keys.h"
#include "agent/cli/init/init_print.h"
#include "agent/cli/reach.h"
#include "agent/tls/tls_policy.h"
#include "config/load/load.h"
#include "drivers/driver.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILES_MAX 12

enum reader { READER_ALL, READER_AGENT, READER_NETD };

static const char *const reader_groups[] = {NULL, "sallyport", "sallyport-netd"};

struct made_file {
    const char *name; /* below the folder */
    enum reader reader;
    struct strbuf content;
    char *backup; /* the new name of the previous file; NULL: there was none */
    bool is_placed;
};

struct work {
    const struct init_place *place;
    const struct init_answers *answers;
    char *folder, *staged; /* absolute, with the root */
    int lock;              /* the staged folder, -1: not taken */
    struct made_file files[FILES_MAX];
    size_t n_files;
    gid_t groups[ARRAY_LENGTH(reader_groups)];
    bool makes_request;
    struct strbuf public_key; /* of the tunnel, when it was made here */
};

static void work_free(struct work *work)
{
    for (size_t i = 0; i < work->n_files; i++) {
        strbuf_wipe(&work->files[i].content);
        free(work->files[i].backup);
    }
    strbuf_free(&work->public_key);
    if (work->lock >= 0)
        close(work->lock);
    free(work->folder);
    free(work->staged);
}

static struct strbuf *add_file(struct work *work, const char *name, enum reader reader)
{
    struct made_file *file = &work->files[work->n_files++];
    *file = (struct made_file){.name = name, .reader = reader, .content = STRBUF_EMPTY};
    return &file->content;
}

/* A text as a file: with a line end. */
static void add_text_file(struct work *work, const char *name, enum reader reader, const char *text)
{
    struct strbuf *content = add_file(work, name, reader);
    size_t length = strlen(text);
    (void)strbuf_reserve(content, length + 2); /* a secret leaves no copy when it grows */
    strbuf_append(content, text, length);
    if (length == 0 || text[length - 1] != '\n')
        strbuf_add_char(content, '\n');
}

/* ---- what is written ---- */

/* Others know the public part of an existing key: it is kept unless another one was given. */
static bool init_files_is_there(const struct work *work, const char *name)
{
    CLEANUP(memory_free_pointer) char *path = memory_printf("%s/%s", work->folder, name);
    return access(path, F_OK) == 0;
}

static int add_tunnel_key(struct work *work)
{
    if (work->answers->tunnel.private_key) {
        add_text_file(work, "netd/wireguard.key", READER_NETD, work->answers->tunnel.private_key);
        return 0;
    }
    if (init_files_is_there(work, "netd/wireguard.key"))
        return 0;
    struct strbuf *key = add_file(work, "netd/wireguard.key", READER_NETD);
    int problem = init_make_wireguard_key(key, &work->public_key);
    strbuf_add_char(key, '\n');
    return problem;
}

static int add_identity(struct work *work)
{
    const struct init_uplink *uplink = &work->answers->uplink;
    if (uplink->certificate_pem) {
        add_text_file(work, "tls/gateway.pem", READER_ALL, uplink->certificate_pem);
        add_text_file(work, "tls/gateway.key", READER_AGENT, uplink->key_pem);
        return 0;
    }
    if (!work->answers->wants_request || init_files_is_there(work, "tls/gateway.key"))
        return 0;
    struct strbuf *key = add_file(work, "tls/gateway.key", READER_AGENT);
    work->makes_request = true;
    return init_make_request(uplink->username ? uplink->username : work->answers->gateway.id, key,
                             add_file(work, "tls/gateway.csr", READER_ALL));
}

/* The agent's file may hold a proxy's password, now or after an edit: others must not read it. */
static int add_configuration(struct work *work)
{
    struct problem problem;
    init_print_netd_file(work->answers, add_file(work, "netd.conf", READER_ALL));
    if (init_print_agent_file(work->answers, add_file(work, "sallyport.conf", READER_AGENT),
                              &problem) == 0)
        return CLI_DONE;
    return cli_fail(CLI_USAGE, INIT, "%s", problem.text);
}

/* The two configurations come last: while they are missing nothing starts. */
static int make_files(struct work *work)
{
    const struct init_answers *answers = work->answers;
    if (answers->uplink.ca_pem && !answers->ca_is_system)
        add_text_file(work, "tls/ca.pem", READER_ALL, answers->uplink.ca_pem);
    if (answers->uplink.password)
        add_text_file(work, "tls/mqtt-password", READER_AGENT, answers->uplink.password);
    int problem = add_identity(work);
    if (!problem && answers->has_tunnel)
        problem = add_tunnel_key(work);
    if (problem < 0)
        return cli_fail(CLI_FAILED, INIT, "OpenSSL cannot create a key: %s", strerror(-problem));
    if (answers->has_tunnel && answers->hub.preshared_key)
        add_text_file(work, "netd/preshared.key", READER_NETD, answers->hub.preshared_key);
    if (answers->signers.allowed_signers)
        add_text_file(work, "allowed_signers", READER_ALL, answers->signers.allowed_signers);
    if (answers->signers.revoked_keys && answers->signers.revoked_keys[0])
        add_text_file(work, "revoked_keys", READER_ALL, answers->signers.revoked_keys);
    if (answers->enrolment_key && answers->enrolment_key[0])
        add_text_file(work, INIT_KEY_FILE, READER_ALL, answers->enrolment_key);
    return add_configuration(work);
}

/* ---- who may read it ---- */

/* Looks up the group in the root that is written to, which need not be this machine's. */
static bool find_group(const struct work *work, const char *name, gid_t *ret_group)
{
    CLEANUP(memory_free_pointer) char *path = memory_printf("%s/etc/group", work->place->root);
    FILE *file = fopen(path, "re");
    const struct group *group;
    bool found = false;
    while (file && !found && (group = fgetgrent(file)) != NULL) {
        found = strcmp(group->gr_name, name) == 0;
        if (found)
            *ret_group = group->gr_gid;
    }
    if (file)
        (void)fclose(file);
    return found;
}

static int find_groups(struct work *work)
{
    for (size_t i = 0; i < ARRAY_LENGTH(reader_groups); i++) {
        work->groups[i] = (gid_t)-1; /* unchanged */
        if (!reader_groups[i] || geteuid() != 0 ||
            find_group(work, reader_groups[i], &work->groups[i]))
            continue;
        return cli_fail(CLI_FAILED, INIT,
                        "there is no group %s in %s/etc/group; the package creates it: run "
                        "systemd-sysusers, or install the package",
                        reader_groups[i], work->place->root);
    }
    return CLI_DONE;
}

static int give_to(int file, const struct work *work, enum reader reader, bool is_folder)
{
    mode_t mode = is_folder ? 0755 : 0644;
    if (reader != READER_ALL)
        mode &= 0750;
    if (fchown(file, (uid_t)-1, work->groups[reader]) < 0 || fchmod(file, mode) < 0)
        return -errno;
    return 0;
}

/* ---- folders ---- */

static int init_files_make_folder(const struct work *work, const char *path, enum reader reader)
{
    if (mkdir(path, 0700) < 0)
        return errno == EEXIST ? 0 : -errno; /* an existing folder keeps its mode */
    CLEANUP(descriptor_close) int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder < 0 ? -errno : give_to(folder, work, reader, true);
}

/* BASE with its folders for the secrets of each reader. */
static int init_files_make_folders(const struct work *work, const char *base)
{
    CLEANUP(memory_free_pointer) char *tls = memory_printf("%s/tls", base);
    CLEANUP(memory_free_pointer) char *netd = memory_printf("%s/netd", base);
    int problem = init_files_make_folder(work, base, READER_ALL);
    if (!problem)
        problem = init_files_make_folder(work, tls, READER_AGENT);
    return problem ? problem : init_files_make_folder(work, netd, READER_NETD);
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *place)
{
    (void)about, (void)kind;
    return place->level > 0 ? remove(path) : 0;
}

/* Empties the staged folder of files that were not moved, or that a killed init left. */
static int empty_staged(const struct work *work)
{
    return nftw(work->staged, remove_entry, 8, FTW_DEPTH | FTW_PHYS) == 0 ? 0 : -errno;
}

static void remove_staged(const struct work *work)
{
    if (empty_staged(work) == 0)
        (void)rmdir(work->staged);
}

/* The staged folder, which only root can open, is also the lock: one init at a time. */
static int take_staged(struct work *work)
{
    struct stat about;
    if (mkdir(work->staged, 0700) < 0 && errno != EEXIST)
        return -errno;
    work->lock = open(work->staged, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (work->lock < 0 || flock(work->lock, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    if (fstat(work->lock, &about) < 0 || about.st_nlink == 0)
        return -EBUSY; /* another init that has just ended removed it */
    return empty_staged(work);
}

/* ---- the three steps ---- */

static int init_files_write_file(const struct work *work, const struct made_file *file)
{
    CLEANUP(memory_free_pointer) char *path = memory_printf("%s/%s", work->staged, file->name);
    int problem = file_replace(path, file->content.data, file->content.length, 0600);
    if (problem < 0)
        return problem;
    CLEANUP(descriptor_close) int written = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return written < 0 ? -errno : give_to(written, work, file->reader, false);
}

static int stage(struct work *work)
{
    CLEANUP(memory_free_pointer) char *there = memory_printf("%s/conf.d", work->folder);
    CLEANUP(memory_free_pointer) char *here = memory_printf("%s/conf.d", work->staged);
    int problem = init_files_make_folders(work, work->staged);
    if (!problem && access(there, F_OK) == 0 && symlink("../conf.d", here) < 0)
        problem = -errno; /* what is in there will be a part of the configuration */
    for (size_t i = 0; !problem && i < work->n_files; i++)
        problem = init_files_write_file(work, &work->files[i]);
    if (problem < 0)
        return cli_fail(CLI_FAILED, INIT, "%s cannot be written: %s", work->staged,
                        strerror(-problem));
    return CLI_DONE;
}

/* Prints TEXT with the names that the files will have. */
static void print_renamed(const struct work *work, const char *text)
{
    size_t length = strlen(work->staged);
    for (const char *at; (at = strstr(text, work->staged)) != NULL; text = at + length)
        cli_print(stderr, "%.*s%s", (int)(at - text), text, work->folder);
    cli_print(stderr, "%s", text);
}

static struct made_file *find_file(struct work *work, const char *name)
{
    for (size_t i = 0; i < work->n_files; i++) {
        if (strcmp(work->files[i].name, name) == 0)
            return &work->files[i];
    }
    return NULL;
}

/* Authorities, certificate and key, as each connection will load them. */
static bool tls_files_fit(struct work *work, struct strbuf *problem)
{
    CLEANUP(memory_free_pointer) char *ca = memory_printf("%s/tls/ca.pem", work->staged);
    CLEANUP(memory_free_pointer) char *pem = memory_printf("%s/tls/gateway.pem", work->staged);
    CLEANUP(memory_free_pointer) char *key = memory_printf("%s/tls/gateway.key", work->staged);
    bool has_pair = find_file(work, "tls/gateway.pem") != NULL;
    const struct tls_files files = {.ca = work->answers->ca_is_system ? TLS_CA_SYSTEM : ca,
                                    .certificate = has_pair ? pem : NULL,
                                    .key = has_pair ? key : NULL};
    SSL_CTX *context = NULL;
    if (tls_policy_context(&files, &context, problem) < 0)
        return false;
    SSL_CTX_free(context);
    return true;
}

/* What the agent may reach: all that its configuration names, files of conf.d included. */
static int add_reach(struct work *work)
{
    CLEANUP(memory_free_pointer) char *agent = memory_printf("%s/sallyport.conf", work->staged);
    CLEANUP(findings_free) struct findings ignored = FINDINGS_EMPTY; /* found again by the check */
    CLEANUP(reach_needs_free) struct reach_needs needs = {NULL, 0};
    struct config *config = NULL;
    struct made_file *netd = find_file(work, "netd.conf");
    if (config_load(agent, drivers_for_config(), &ignored, &config) < 0)
        return CLI_DONE;
    reach_needs_make(config, &needs);
    init_print_reach(&needs, &netd->content);
    config_free(config);
    int problem = init_files_write_file(work, netd);
    if (problem < 0)
        return cli_fail(CLI_FAILED, INIT, "%s cannot be written: %s", work->staged,
                        strerror(-problem));
    return CLI_DONE;
}

static int check_staged(struct work *work)
{
    CLEANUP(memory_free_pointer) char *agent = memory_printf("%s/sallyport.conf", work->staged);
    CLEANUP(memory_free_pointer) char *netd = memory_printf("%s/netd.conf", work->staged);
    CLEANUP(strbuf_free) struct strbuf found = STRBUF_EMPTY;
    size_t errors = check_files(agent, netd, &found);
    if (errors == 0 && !tls_files_fit(work, &found)) {
        strbuf_add_char(&found, '\n');
        errors++;
    }
    print_renamed(work, strbuf_text(&found));
    if (errors == 0)
        return CLI_DONE;
    return cli_fail(CLI_FAILED, INIT, "nothing was written: correct the problems above");
}

static int place_file(const struct work *work, struct made_file *file, const char *stamp)
{
    CLEANUP(memory_free_pointer) char *from = memory_printf("%s/%s", work->staged, file->name);
    CLEANUP(memory_free_pointer) char *to = memory_printf("%s/%s", work->folder, file->name);
    file->backup = memory_printf("%s.%s", to, stamp);
    if (link(to, file->backup) < 0) { /* there is never a moment without the file */
        int problem = -errno;
        free(file->backup);
        file->backup = NULL;
        if (problem != -ENOENT)
            return problem;
    }
    file->is_placed = rename(from, to) == 0;
    return file->is_placed ? 0 : -errno;
}

static void init_files_take_back(const struct work *work, const struct made_file *file)
{
    CLEANUP(memory_free_pointer) char *path = memory_printf("%s/%s", work->folder, file->name);
    if (file->is_placed && file->backup)
        (void)rename(file->backup, path);
    else if (file->is_placed || file->backup)
        (void)unlink(file->backup ? file->backup : path);
}

static int place_files(struct work *work)
{
    char second[32] = "old", stamp[48];
    int64_t now_ms = clock_wall_ms();
    time_t now = (time_t)(now_ms / 1000);
    struct tm utc;
    if (gmtime_r(&now, &utc))
        (void)strftime(second, sizeof(second), "%Y%m%dT%H%M%S", &utc);
    (void)snprintf(stamp, sizeof(stamp), "%s.%03dZ", second, (int)(now_ms % 1000));
    int problem = init_files_make_folders(work, work->folder);
    size_t n_placed = 0;
    for (; !problem && n_placed < work->n_files; n_placed++)
        problem = place_file(work, &work->files[n_placed], stamp);
    if (!problem)
        return CLI_DONE;
    while (n_placed > 0)
        init_files_take_back(work, &work->files[--n_placed]);
    return cli_fail(CLI_FAILED, INIT, "%s: %s; everything is as it was before", work->folder,
                    strerror(-problem));
}

/* ---- */

static int refuse_existing(const struct work *work)
{
    CLEANUP(strbuf_free) struct strbuf list = STRBUF_EMPTY;
    for (size_t i = 0; i < work->n_files; i++) {
        if (init_files_is_there(work, work->files[i].name))
            strbuf_addf(&list, "%s%s/%s", list.length > 0 ? ", " : "", work->folder,
                        work->files[i].name);
    }
    if (work->place->force || list.length == 0)
        return CLI_DONE;
    return cli_fail(CLI_FAILED, INIT,
                    "%s exists already; nothing was written. --force replaces files, and keeps a "
                    "copy of each beside it",
                    list.data);
}

static void init_files_tell(const struct work *work, FILE *out)
{
    for (size_t i = 0; i < work->n_files; i++) {
        const struct made_file *file = &work->files[i];
        cli_print(out, "wrote %s/%s%s%s\n", work->place->folder, file->name,
                  file->backup ? "; the previous file is now " : "",
                  file->backup ? file->backup + strlen(work->place->root) : "");
    }
    if (work->public_key.length > 0)
        cli_print(out, "The hub needs the public key of this gateway's tunnel: %s\n",
                  work->public_key.data);
    if (work->makes_request)
        cli_print(out,
                  "Have %s/tls/gateway.csr signed, put the certificate beside it as "
                  "gateway.pem, and remove the #\nbefore `certificate` and `key` in "
                  "%s/sallyport.conf.\n",
                  work->place->folder, work->place->folder);
}

/* The folder of the configuration, ours alone until this ends. */
static int take_folder(struct work *work)
{
    bool is_new = access(work->folder, F_OK) < 0;
    int problem = folder_make(work->folder);
    if (problem == 0 && is_new && chmod(work->folder, 0755) < 0)
        problem = -errno;
    if (problem == 0)
        problem = take_staged(work);
    if (problem == -EBUSY)
        return cli_fail(CLI_FAILED, INIT, "another init is running in %s", work->folder);
    if (problem < 0)
        return cli_fail(CLI_FAILED, INIT, "%s: %s%s", work->folder, strerror(-problem),
                        geteuid() == 0 ? "" : "; run it as root");
    return CLI_DONE;
}

static int write_in_folder(struct work *work)
{
    int code = make_files(work);
    if (code == CLI_DONE)
        code = refuse_existing(work);
    if (code == CLI_DONE)
        code = stage(work);
    if (code == CLI_DONE)
        code = add_reach(work);
    if (code == CLI_DONE)
        code = check_staged(work);
    return code == CLI_DONE ? place_files(work) : code;
}

int init_write(const struct init_place *place, const struct init_answers *answers, FILE *out)
{
    CLEANUP(work_free) struct work work = {.place = place, .answers = answers, .lock = -1};
    work.folder = memory_printf("%s%s", place->root, place->folder);
    work.staged = memory_printf("%s/.init", work.folder);
    int code = find_groups(&work);
    if (code == CLI_DONE)
        code = take_folder(&work);
    if (code != CLI_DONE)
        return code;
    code = write_in_folder(&work);
    remove_staged(&work);
    if (code == CLI_DONE)
        init_files_tell(&work, out);
    return code;
}

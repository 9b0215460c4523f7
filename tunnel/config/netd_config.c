/*
 * Loads netd.conf: the tables give plain values, which become addresses, ports and names that
 * nobody has to check again, a group at a time.
 */
#include "tunnel/config/netd_config.h"

#include "agent/base/memory.h"
#include "config/load/section.h"
#include "tunnel/config/netd_firewall.h"
#include "tunnel/config/netd_options.h"
#include "tunnel/config/netd_tunnel.h"
#include "tunnel/config/netd_values.h"
#include "tunnel/config/overlap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE_BYTES (256 * 1024)

/* Who can write the file or replace it decides what is open: that must be root (or the caller). */
static void check_owner(const char *path, const char *what, struct findings *findings)
{
    struct stat about;
    if (stat(path, &about) < 0)
        return; /* reported by whoever reads it */
    if ((about.st_uid != 0 && about.st_uid != geteuid()) || (about.st_mode & 022) != 0)
        findings_add(findings, FINDING_ERROR, (struct where){path, 0}, "",
                     "others than root may write %s; make root its owner and take write permission "
                     "from group and others",
                     what);
}

static bool only_root_writes(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && about.st_uid == 0 && (about.st_mode & 022) == 0;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? memory_text_n(path, (size_t)(slash - path) + 1) : memory_text(".");
}

bool netd_config_is_roots(const char *path)
{
    CLEANUP(memory_free_pointer) char *folder = folder_of(path);
    return only_root_writes(path) && only_root_writes(folder);
}

static void read_root(const struct source *source, struct findings *findings,
                      struct netd_config *config)
{
    static const char *const groups[] = {"firewall", "agent", "paths", "access", "tunnel", NULL};
    struct section root, section;
    source_root(source, findings, &root);
    section_expect(&root, groups);
    netd_read_firewall(&root, &config->firewall);
    section_child(&root, "paths", &section);
    (void)netd_read_group(&section, &netd_paths_table, &config->paths, NULL);
    section_child(&root, "access", &section);
    (void)netd_read_group(&section, &netd_access_table, &config->access, NULL);
    netd_read_tunnel(&root, &config->tunnel);
}

int netd_config_load(const char *path, struct findings *findings, struct netd_config **ret_config)
{
    struct source *source = NULL;
    size_t errors = findings->errors; /* of other files */
    CLEANUP(memory_free_pointer) char *folder = folder_of(path);
    check_owner(path, "this file", findings);
    check_owner(folder, "this folder", findings);
    if (source_open(path, MAX_FILE_BYTES, findings, &source) < 0)
        return -EINVAL;
    struct netd_config *config = memory_zeroed(1, sizeof(*config));
    read_root(source, findings, config);
    config->text = memory_text(source_text(source));
    source_close(source);
    if (findings->errors == errors)
        overlap_check_config(config, path, findings);
    if (findings->errors > errors) {
        netd_config_free(config);
        return -EINVAL;
    }
    *ret_config = config;
    return 0;
}

struct netd_config *netd_config_free(struct netd_config *config)
{
    if (!config)
        return NULL;
    table_free(&netd_paths_table, &config->paths);
    table_free(&netd_access_table, &config->access);
    free(config->tunnel.gateway);
    free(config->tunnel.private_key_file);
    free(config->tunnel.hub.public_key);
    free(config->tunnel.hub.endpoint_host);
    free(config->tunnel.hub.preshared_key_file);
    free(config->text);
    free(config);
    return NULL;
}

const struct tunnel_service *netd_config_service(const struct netd_config *config, const char *name)
{
    for (size_t i = 0; i < config->tunnel.n_services; i++) {
        if (strcmp(config->tunnel.services[i].name, name) == 0)
            return &config->tunnel.services[i];
    }
    return NULL;
}

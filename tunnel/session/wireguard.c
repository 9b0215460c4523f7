/*
 * The tunnel's interface. It is made by `ip` and `wg`; keys pass to wg in an anonymous
 * file in memory, never as an argument and never on disk.
 */
#include "tunnel/session/wireguard.h"
#include "tunnel/session/wireguard_text.h"

#include "agent/base/child.h"
#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "agent/base/unix_socket.h"
#include "tunnel/model/lease.h"
#include "tunnel/model/wireguard_key.h"
#include "tunnel/os/netlink.h"
#include "tunnel/os/privileged_child.h"
#include "tunnel/os/rtnl_links.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define USER_SPACE_SOCKET "/var/run/wireguard/" TUNNEL_INTERFACE ".sock"
#define USER_SPACE_START_MS 3000

struct wireguard {
    const struct tunnel_config *config;
    pid_t process; /* wireguard-go; 0: none */
    int watched;   /* its pidfd */
};

struct wireguard *wireguard_new(const struct tunnel_config *config)
{
    struct wireguard *wireguard = memory_zeroed(1, sizeof(*wireguard));
    wireguard->config = config;
    wireguard->watched = -1;
    return wireguard;
}

struct wireguard *wireguard_free(struct wireguard *wireguard)
{
    if (!wireguard)
        return NULL;
    descriptor_close(&wireguard->watched);
    free(wireguard);
    return NULL;
}

int wireguard_descriptor(const struct wireguard *wireguard)
{
    return wireguard->watched;
}

/* What a helper printed, on one line, for a message. */
static void wireguard_explain(struct strbuf *problem, const char *what, int status,
                              const struct strbuf *output)
{
    const char *text = strbuf_text(output);
    if (status < 0)
        text = strerror(-status);
    strbuf_addf(problem, "%s: %.*s", what, (int)strcspn(text, "\n"), text);
}

/* ---- Keys ---- */

/* Appends "NAME = KEY\n" with the key of the file at PATH. */
static int add_key(const char *name, const char *path, struct strbuf *text, struct strbuf *problem)
{
    CLEANUP(strbuf_wipe) struct strbuf key = STRBUF_EMPTY;
    struct stat about;
    int result = stat(path, &about) < 0 ? -errno : file_read(path, 256, &key);
    if (!result && (about.st_mode & 0007))
        result = -EPERM;
    while (key.length > 0 && key.data[key.length - 1] == '\n')
        key.data[--key.length] = '\0';
    if (!result && !wireguard_key_is_valid(strbuf_text(&key)))
        result = -EINVAL;
    if (result < 0) {
        strbuf_addf(problem, "%s: %s", path,
                    result == -EPERM    ? "others may read this key; chmod o-rwx it"
                    : result == -EINVAL ? "holds no WireGuard key"
                                        : strerror(-result));
        return result;
    }
    strbuf_addf(text, "%s = %s\n", name, key.data);
    return 0;
}

static int run_bare(const char *const *arguments, const void *input, size_t length,
                    struct strbuf *output)
{
    const struct child_job job = {.arguments = arguments,
                                  .input = input,
                                  .input_length = length,
                                  .output_max_bytes = 1024,
                                  .timeout_ms = 5000};
    return child_run(&job, output);
}

static int make_key(const char *path)
{
    static const char *const genkey[] = {PROGRAM_WG, "genkey", NULL};
    CLEANUP(strbuf_wipe) struct strbuf key = STRBUF_EMPTY;
    (void)strbuf_reserve(&key, 4096); /* so that no copy is left behind when it grows */
    int status = run_bare(genkey, NULL, 0, &key);
    if (status != 0 || !wireguard_text_is_key(&key))
        return status < 0 ? status : -EIO;
    strbuf_add_char(&key, '\n');
    return file_replace(path, key.data, key.length, 0400);
}

int wireguard_ensure_key(const char *path, struct strbuf *public_key)
{
    static const char *const pubkey[] = {PROGRAM_WG, "pubkey", NULL};
    CLEANUP(strbuf_wipe) struct strbuf key = STRBUF_EMPTY;
    (void)strbuf_reserve(&key, 4096);
    if (access(path, F_OK) < 0) {
        int made = errno == ENOENT ? make_key(path) : -errno;
        if (made < 0)
            return made;
    }
    int problem = file_read(path, 256, &key);
    if (problem < 0)
        return problem;
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    int status = run_bare(pubkey, key.data, key.length, &output);
    if (status != 0 || !wireguard_text_is_key(&output))
        return status < 0 ? status : -EINVAL;
    strbuf_append(public_key, output.data, output.length);
    return 0;
}

/* ---- The interface ---- */

const char *wireguard_endpoint(const struct sockaddr_storage *hub,
                               char text[WIREGUARD_ENDPOINT_BYTES])
{
    char address[INET6_ADDRSTRLEN] = "";
    if (hub->ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)hub;
        (void)inet_ntop(AF_INET6, &six->sin6_addr, address, sizeof(address));
        (void)snprintf(text, WIREGUARD_ENDPOINT_BYTES, "[%s]:%u", address, ntohs(six->sin6_port));
    } else {
        const struct sockaddr_in *four = (const struct sockaddr_in *)hub;
        (void)inet_ntop(AF_INET, &four->sin_addr, address, sizeof(address));
        (void)snprintf(text, WIREGUARD_ENDPOINT_BYTES, "%s:%u", address, ntohs(four->sin_port));
    }
    return text;
}

/* What `wg setconf` reads. Holds the private key: the caller wipes it. */
static int make_settings(const struct tunnel_config *config, const struct sockaddr_storage *hub,
                         struct strbuf *text, struct strbuf *problem)
{
    char network[IP_NETWORK_TEXT_BYTES], endpoint[WIREGUARD_ENDPOINT_BYTES];
    strbuf_add(text, "[Interface]\n");
    int result = add_key("PrivateKey", config->private_key_file, text, problem);
    if (result < 0)
        return result;
    strbuf_addf(text, "[Peer]\nPublicKey = %s\n", config->hub.public_key);
    if (config->hub.preshared_key_file)
        result = add_key("PresharedKey", config->hub.preshared_key_file, text, problem);
    strbuf_addf(text, "AllowedIPs = %s", ip_network_format(&config->hub.address, network));
    for (size_t i = 0; i < config->n_sources; i++)
        strbuf_addf(text, ", %s", ip_network_format(&config->sources[i], network));
    strbuf_addf(text, "\nEndpoint = %s\nPersistentKeepalive = %d\n",
                wireguard_endpoint(hub, endpoint), (int)config->keepalive_s);
    return result;
}

static int set_keys(const struct tunnel_config *config, const struct sockaddr_storage *hub,
                    struct strbuf *problem)
{
    CLEANUP(strbuf_wipe) struct strbuf settings = STRBUF_EMPTY;
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    (void)strbuf_reserve(&settings, 4096);
    int result = make_settings(config, hub, &settings, problem);
    if (result < 0)
        return result;
    CLEANUP(descriptor_close) int file = file_in_memory(settings.data, settings.length);
    if (file < 0)
        return file;
    char path[32];
    (void)snprintf(path, sizeof(path), "/dev/fd/%d", file);
    const char *const setconf[] = {PROGRAM_WG, "setconf", TUNNEL_INTERFACE, path, NULL};
    int status = privileged_child_run(setconf, NULL, 0, &output);
    if (status == 0)
        return 0;
    wireguard_explain(problem, "wg setconf", status, &output);
    return status < 0 ? status : -EIO;
}

/* Address, size, state and routes in one run of ip. Never in place of a route that is there. */
static int set_addresses(const struct tunnel_config *config, struct strbuf *problem)
{
    static const char *const batch[] = {PROGRAM_IP, "-batch", "-", NULL};
    CLEANUP(strbuf_free) struct strbuf script = STRBUF_EMPTY, output = STRBUF_EMPTY;
    char own[IP_NETWORK_TEXT_BYTES], network[IP_NETWORK_TEXT_BYTES];
    ip_network_format(&config->address, own);
    strbuf_addf(&script, "address add %s/32 dev " TUNNEL_INTERFACE "\n", own);
    strbuf_addf(&script, "link set dev " TUNNEL_INTERFACE " mtu %d up\n", (int)config->mtu);
    strbuf_addf(&script, "route add %s dev " TUNNEL_INTERFACE " src %s\n",
                ip_network_format(&config->hub.address, network), own);
    for (size_t i = 0; i < config->n_sources; i++)
        strbuf_addf(&script, "route add %s dev " TUNNEL_INTERFACE " src %s\n",
                    ip_network_format(&config->sources[i], network), own);
    int status = privileged_child_run(batch, script.data, script.length, &output);
    if (status == 0)
        return 0;
    wireguard_explain(problem, "ip", status, &output);
    return status < 0 ? status : -EIO;
}

/* Whether wireguard-go listens: its socket is there a moment before that. */
static bool user_space_listens(void)
{
    CLEANUP(descriptor_close) int probe = unix_socket_connect(USER_SPACE_SOCKET, SOCK_STREAM);
    return probe >= 0;
}

/* wireguard-go takes orders as soon as it listens at its socket; it may also give up before. */
static int await_user_space(const struct wireguard *wireguard)
{
    int64_t deadline_ns = clock_mono_ns() + USER_SPACE_START_MS * CLOCK_NS_PER_MS;
    struct pollfd ended = {.fd = wireguard->watched, .events = POLLIN};
    while (!user_space_listens()) {
        if (clock_mono_ns() > deadline_ns)
            return -ETIMEDOUT;
        if (poll(&ended, 1, 2) != 0)
            return -ECHILD;
    }
    return 0;
}

static int start_user_space(struct wireguard *wireguard, struct strbuf *problem)
{
    static const char *const go[] = {PROGRAM_WIREGUARD_GO, "-f", TUNNEL_INTERFACE, NULL};
    (void)unlink(USER_SPACE_SOCKET); /* of one that was killed */
    int watched = privileged_child_start(go, NULL, &wireguard->process);
    if (watched < 0) {
        strbuf_addf(problem, "no WireGuard in the kernel, and " PROGRAM_WIREGUARD_GO ": %s",
                    strerror(-watched));
        wireguard->process = 0;
        return watched;
    }
    wireguard->watched = watched;
    int result = await_user_space(wireguard);
    if (result < 0)
        strbuf_add(problem,
                   "wireguard-go did not come up; may this user use /dev/net/tun and write to "
                   "/run/wireguard?");
    return result;
}

static int make_interface(struct wireguard *wireguard, struct strbuf *problem)
{
    static const char *const add[] = {PROGRAM_IP,       "link", "add",       "dev",
                                      TUNNEL_INTERFACE, "type", "wireguard", NULL};
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    int status = privileged_child_run(add, NULL, 0, &output);
    if (status < 0) {
        wireguard_explain(problem, "ip link add", status, &output);
        return status;
    }
    return status == 0 ? 0 : start_user_space(wireguard, problem);
}

int wireguard_up(struct wireguard *wireguard, const struct sockaddr_storage *hub,
                 struct strbuf *problem)
{
    int result = make_interface(wireguard, problem);
    if (!result)
        result = set_keys(wireguard->config, hub, problem);
    if (!result)
        result = set_addresses(wireguard->config, problem);
    if (result < 0)
        (void)wireguard_down(wireguard);
    return result;
}

int wireguard_set_hub(struct wireguard *wireguard, const struct sockaddr_storage *hub)
{
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    char endpoint[WIREGUARD_ENDPOINT_BYTES];
    const char *const set[] = {PROGRAM_WG,
                               "set",
                               TUNNEL_INTERFACE,
                               "peer",
                               wireguard->config->hub.public_key,
                               "endpoint",
                               wireguard_endpoint(hub, endpoint),
                               NULL};
    int status = privileged_child_run(set, NULL, 0, &output);
    return status > 0 ? -EIO : status;
}

int64_t wireguard_last_handshake_s(struct wireguard *wireguard)
{
    static const char *const show[] = {PROGRAM_WG, "show", TUNNEL_INTERFACE, "latest-handshakes",
                                       NULL};
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    int status = privileged_child_run(show, NULL, 0, &output);
    if (status != 0)
        return status < 0 ? status : -EIO;
    return wireguard_text_handshake_s(strbuf_text(&output), wireguard->config->hub.public_key);
}

static int delete_interface(unsigned index)
{
    CLEANUP(descriptor_close) int socket = netlink_open(NETLINK_ROUTE, 0);
    return socket < 0 ? socket : rtnl_link_delete(socket, index);
}

int wireguard_down(struct wireguard *wireguard)
{
    unsigned index = if_nametoindex(TUNNEL_INTERFACE);
    int result = index ? delete_interface(index) : 0;
    if (wireguard->process > 0)
        child_stop(wireguard->process);
    wireguard->process = 0;
    descriptor_close(&wireguard->watched);
    return if_nametoindex(TUNNEL_INTERFACE) ? (result < 0 ? result : -EBUSY) : 0;
}

int wireguard_remove_leftovers(void)
{
    struct if_nameindex *all = if_nameindex();
    if (!all)
        return -errno;
    int removed = 0, problem = 0;
    for (const struct if_nameindex *at = all; at->if_name; at++) {
        if (strncmp(at->if_name, "spt", 3) != 0)
            continue;
        int result = delete_interface(at->if_index);
        problem = result < 0 ? result : problem; /* the others go all the same */
        removed += result == 0;
    }
    if_freenameindex(all);
    return problem < 0 ? problem : removed;
}

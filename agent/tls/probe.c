/*
 * Why a connection to a broker failed: does what Paho 1.3.12 does with the same address and the
 * same files, and keeps the reason at each step. Where the two could differ (choice of the address,
 * name in the handshake, comparison of the name), it does as Paho does. This file is the way to the
 * server: name, connection, proxy.
 */
#include "agent/tls/probe.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/tls/probe_attempt.h"
#include "agent/tls/probe_tls.h"
#include "agent/tls/revocation_lists.h"
#include "agent/tls/tls_policy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Whom we open the TCP connection to. */
static const char *peer_host(const struct probe_attempt *probe)
{
    return probe->by_proxy ? probe->proxy.host : probe->server.host;
}

static uint16_t peer_port(const struct probe_attempt *probe)
{
    return probe->by_proxy ? probe->proxy.port : probe->server.port;
}

static const char *peer_kind(const struct probe_attempt *probe)
{
    return probe->by_proxy ? "proxy" : "server";
}

/* --- name and connection --------------------------------------------------------------------- */

/* Like Paho: the first IPv4 address, else the first of all; and no other one. */
static const struct addrinfo *choose_address(const struct addrinfo *list)
{
    for (const struct addrinfo *at = list; at; at = at->ai_next) {
        if (at->ai_family == AF_INET)
            return at;
    }
    return list;
}

static enum probe_result not_resolved(struct probe_attempt *probe, int code, int error)
{
    const char *reason = code == EAI_SYSTEM ? strerror(error) : gai_strerror(code);
    if (code == EAI_AGAIN) {
        strbuf_addf(&probe->text,
                    "the name of the %s cannot be looked up now (%s): check the network and the "
                    "DNS servers of this gateway",
                    peer_kind(probe), reason);
        return PROBE_NAME_NOT_FOUND;
    }
    strbuf_addf(&probe->text, "the name %s of the %s is not found (%s): check its spelling and DNS",
                peer_host(probe), peer_kind(probe), reason);
    return PROBE_NAME_NOT_FOUND;
}

static enum probe_result not_connected(struct probe_attempt *probe, const char *address, int error)
{
    switch (error) {
    case ECONNREFUSED:
        strbuf_addf(&probe->text,
                    "connection refused by %s: nothing listens on port %u there, or a firewall "
                    "rejects it",
                    address, peer_port(probe));
        return PROBE_REFUSED;
    case ETIMEDOUT:
        strbuf_addf(&probe->text,
                    "no answer from %s port %u: the %s is down, or a firewall drops the packets",
                    address, peer_port(probe), peer_kind(probe));
        return PROBE_TIMED_OUT;
    case EPERM: /* netd's rules for the agent's user: tunnel/firewall/nft_agent.c */
    case EACCES:
    case ENOPROTOOPT:
        strbuf_addf(&probe->text,
                    "this gateway's own firewall refuses %s port %u: agent.may_reach in netd.conf "
                    "must list it",
                    address, peer_port(probe));
        return PROBE_UNREACHABLE;
    default:
        strbuf_addf(&probe->text, "%s port %u cannot be reached: %s", address, peer_port(probe),
                    strerror(error));
        return PROBE_UNREACHABLE;
    }
}

/* Returns 0 or an errno. */
static int open_connection(struct probe_attempt *probe, const struct addrinfo *address)
{
    probe->socket =
        socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (probe->socket < 0)
        return errno;
    if (connect(probe->socket, address->ai_addr, address->ai_addrlen) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return errno;
    if (!probe_attempt_wait(probe, POLLOUT))
        return ETIMEDOUT;
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(probe->socket, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return errno;
    return error;
}

/*
 * The resolver has deadlines of its own (resolv.conf: by default 5 s for each server and try) and
 * cannot be stopped from here; all other steps end at the deadline of the probe.
 */
static enum probe_result reach_peer(struct probe_attempt *probe)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char port[8], text[INET6_ADDRSTRLEN] = "?";
    (void)snprintf(port, sizeof(port), "%u", peer_port(probe));
    int code = getaddrinfo(peer_host(probe), port, &hints, &list);
    if (code != 0)
        return not_resolved(probe, code, errno);
    const struct addrinfo *address = choose_address(list);
    (void)getnameinfo(address->ai_addr, address->ai_addrlen, text, sizeof(text), NULL, 0,
                      NI_NUMERICHOST);
    int error = open_connection(probe, address);
    freeaddrinfo(list);
    return error ? not_connected(probe, text, error) : PROBE_OK;
}

/* --- proxy ----------------------------------------------------------------------------------- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %XX to bytes, then base64. */
static void add_login(const char *login, struct strbuf *request)
{
    unsigned char plain[PROXY_LOGIN_MAX_BYTES + 1];
    unsigned char encoded[4 * (sizeof(plain) / 3 + 1) + 1];
    int length = 0;
    for (const char *c = login; *c; c++) {
        if (*c == '%' && hex_value(c[1]) >= 0 && hex_value(c[2]) >= 0) {
            plain[length++] = (unsigned char)(hex_value(c[1]) * 16 + hex_value(c[2]));
            c += 2;
        } else {
            plain[length++] = (unsigned char)*c;
        }
    }
    (void)EVP_EncodeBlock(encoded, plain, length);
    strbuf_addf(request, "Proxy-authorization: Basic %s\r\n", (const char *)encoded);
    OPENSSL_cleanse(plain, sizeof(plain));
    OPENSSL_cleanse(encoded, sizeof(encoded));
}

static bool send_all(struct probe_attempt *probe, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(probe->socket, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (sent < 0 && !probe_attempt_wait(probe, POLLOUT))
            return false;
        if (sent > 0) {
            bytes += sent;
            length -= (size_t)sent;
        }
    }
    return true;
}

/* Reads until the empty line that ends the answer; byte by byte, so that nothing of TLS is lost. */
static bool probe_read_answer(struct probe_attempt *probe, char *answer, size_t size)
{
    size_t length = 0;
    answer[0] = '\0';
    while (length + 1 < size) {
        ssize_t got = recv(probe->socket, answer + length, 1, 0);
        if (got == 0)
            return false;
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (got < 0 && !probe_attempt_wait(probe, POLLIN))
            return false;
        if (got < 0)
            continue;
        answer[++length] = '\0';
        if (length >= 4 && memcmp(answer + length - 4, "\r\n\r\n", 4) == 0)
            return true;
    }
    return false;
}

/* The first line, as far as it is printable and short. */
static void add_status_line(const char *answer, struct strbuf *text)
{
    for (size_t i = 0; i < 100 && answer[i] >= ' ' && answer[i] <= '~'; i++)
        strbuf_add_char(text, answer[i]);
}

static enum probe_result pass_proxy(struct probe_attempt *probe)
{
    struct strbuf request CLEANUP(strbuf_free) = STRBUF_EMPTY;
    const struct broker_url *server = &probe->server;
    char answer[4096];
    strbuf_addf(&request, "CONNECT %s:%u HTTP/1.1\r\nHost: %s\r\n", server->host, server->port,
                server->host);
    if (probe->proxy.login[0])
        add_login(probe->proxy.login, &request);
    strbuf_add(&request, "\r\n");
    bool sent = send_all(probe, request.data, request.length);
    OPENSSL_cleanse(request.data, request.length);
    bool whole = sent && probe_read_answer(probe, answer, sizeof(answer));
    if (!sent || (!whole && strncmp(answer, "HTTP/1.", 7) != 0)) {
        strbuf_addf(&probe->text, "the proxy %s:%u did not answer CONNECT%s", probe->proxy.host,
                    probe->proxy.port,
                    probe_attempt_left_ms(probe) == 0 ? " in time" : ": is it an HTTP proxy?");
        return PROBE_PROXY;
    }
    bool granted = strncmp(answer, "HTTP/1.", 7) == 0 && strncmp(answer + 8, " 200", 4) == 0;
    if (granted && whole)
        return PROBE_OK;
    strbuf_addf(&probe->text, "the proxy %s:%u refused the connection: ", probe->proxy.host,
                probe->proxy.port);
    add_status_line(answer, &probe->text);
    return PROBE_PROXY;
}

/* --- all together ---------------------------------------------------------------------------- */

static enum probe_result read_target(struct probe_attempt *probe)
{
    const struct probe_target *target = probe->target;
    struct problem problem;
    if (broker_url_parse(target->server, &probe->server, &problem) < 0) {
        strbuf_add(&probe->text, problem.text);
        return PROBE_OWN_FILES;
    }
    if (!target->proxy)
        return PROBE_OK;
    probe->by_proxy = true;
    if (proxy_url_parse(target->proxy, &probe->proxy, &problem) == 0)
        return PROBE_OK;
    strbuf_add(&probe->text, problem.text);
    return PROBE_OWN_FILES;
}

static enum probe_result load_check(struct probe_attempt *probe)
{
    const struct probe_target *target = probe->target;
    struct server_rules rules = {.host = probe->server.host, .ca = target->ca, .crl = target->crl};
    if (target->crl && revocation_lists_read(target->crl, &rules.lists, &probe->text) < 0)
        return PROBE_OWN_FILES;
    probe->check = server_check_new(&rules);
    revocation_lists_free(rules.lists);
    return PROBE_OK;
}

static enum probe_result load_files(struct probe_attempt *probe)
{
    const struct probe_target *target = probe->target;
    struct tls_files files = {.ca = target->ca,
                              .certificate = target->certificate,
                              .key = target->key,
                              .key_password = target->key_password};
    return tls_policy_context(&files, &probe->context, &probe->text) < 0 ? PROBE_OWN_FILES
                                                                         : PROBE_OK;
}

static enum probe_result run_steps(struct probe_attempt *probe)
{
    enum probe_result result = load_files(probe);
    if (result == PROBE_OK)
        result = load_check(probe);
    if (result == PROBE_OK)
        result = reach_peer(probe);
    if (result == PROBE_OK && probe->by_proxy)
        result = pass_proxy(probe);
    return result == PROBE_OK ? probe_tls(probe) : result;
}

static void clean_up(struct probe_attempt *probe)
{
    SSL_free(probe->tls); /* no close_notify: the server learns from the end of the connection */
    SSL_CTX_free(probe->context);
    probe->check = server_check_free(probe->check);
    descriptor_close(&probe->socket);
    ERR_clear_error();
    strbuf_free(&probe->text);
}

/* OpenSSL writes without MSG_NOSIGNAL, and not every caller ignores SIGPIPE. */
static void hold_back_sigpipe(sigset_t *ret_before)
{
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, ret_before);
}

static void let_sigpipe(const sigset_t *before)
{
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    if (!sigismember(before, SIGPIPE)) {
        const struct timespec at_once = {0};
        (void)sigtimedwait(&pipe, NULL, &at_once); /* the one that came, if any */
    }
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

enum probe_result probe_run(const struct probe_target *target, char *sentence, size_t size)
{
    sigset_t before;
    hold_back_sigpipe(&before);
    struct probe_attempt probe = {
        .target = target,
        .deadline_ns = clock_mono_ns() + target->timeout_ms * CLOCK_NS_PER_MS,
        .socket = -1,
        .text = STRBUF_EMPTY,
    };
    probe.found = (struct server_finding){PROBE_OK, &probe.text};
    enum probe_result result = read_target(&probe);
    if (result == PROBE_OK) {
        result = run_steps(&probe);
        (void)snprintf(sentence, size, "%s:%u: %s", probe.server.host, probe.server.port,
                       strbuf_text(&probe.text));
    } else {
        (void)snprintf(sentence, size, "%s: %s", target->server, strbuf_text(&probe.text));
    }
    clean_up(&probe);
    let_sigpipe(&before);
    return result;
}

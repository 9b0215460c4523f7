/*
 * Opens sockets by name. The resolver has no time limit of its own, so a look-up runs in a
 * thread that is left behind when it takes too long; it then frees what it holds.
 */
#include "drivers/transport/dial.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "drivers/wait.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* A look-up under way. Shared by the dial and the thread; the last of the two frees it. */
struct dial_lookup {
    atomic_int owners;
    char *host, port[8];
    int type;
    int event;        /* readable when the thread is done */
    atomic_bool done; /* what follows is settled */
    int code;         /* of getaddrinfo */
    struct addrinfo *addresses;
};

struct dial {
    char *host;
    uint16_t port;
    int type;                    /* SOCK_STREAM, SOCK_DGRAM */
    const struct addrinfo *next; /* UDP: the one to use next; NULL: look up again */
    struct addrinfo *addresses;  /* NULL: not known */
    struct dial_lookup *lookup;  /* NULL: none under way */
};

struct dial *dial_new(const char *host, uint16_t port, int type)
{
    struct dial *dial = memory_zeroed(1, sizeof(*dial));
    dial->host = memory_text(host);
    dial->port = port;
    dial->type = type;
    return dial;
}

static void lookup_release(struct dial_lookup *lookup)
{
    if (atomic_fetch_sub(&lookup->owners, 1) > 1)
        return;
    if (lookup->addresses)
        freeaddrinfo(lookup->addresses);
    descriptor_close(&lookup->event);
    free(lookup->host);
    free(lookup);
}

static void forget_addresses(struct dial *dial)
{
    if (dial->addresses)
        freeaddrinfo(dial->addresses);
    dial->addresses = NULL;
    dial->next = NULL;
}

struct dial *dial_free(struct dial *dial)
{
    if (!dial)
        return NULL;
    if (dial->lookup)
        lookup_release(dial->lookup);
    forget_addresses(dial);
    free(dial->host);
    free(dial);
    return NULL;
}

static int ask_resolver(const char *host, const char *port, int type, int flags,
                        struct addrinfo **ret_list)
{
    struct addrinfo hints = {.ai_socktype = type, .ai_flags = AI_NUMERICSERV | flags};
    return getaddrinfo(host, port, &hints, ret_list);
}

static void *lookup_run(void *argument)
{
    struct dial_lookup *lookup = argument;
    lookup->code = ask_resolver(lookup->host, lookup->port, lookup->type, 0, &lookup->addresses);
    if (lookup->code != 0)
        lookup->addresses = NULL;
    atomic_store(&lookup->done, true);
    (void)eventfd_write(lookup->event, 1);
    lookup_release(lookup);
    return NULL;
}

static int lookup_start(struct dial *dial, const char *port)
{
    struct dial_lookup *lookup = memory_zeroed(1, sizeof(*lookup));
    lookup->host = memory_text(dial->host);
    lookup->type = dial->type;
    (void)snprintf(lookup->port, sizeof(lookup->port), "%s", port);
    lookup->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int problem = lookup->event < 0 ? errno : 0;
    pthread_attr_t detached;
    pthread_t thread;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    atomic_store(&lookup->owners, 2);
    if (!problem)
        problem = pthread_create(&thread, &detached, lookup_run, lookup);
    pthread_attr_destroy(&detached);
    if (problem) {
        atomic_store(&lookup->owners, 1);
        lookup_release(lookup);
        return -problem;
    }
    dial->lookup = lookup;
    return 0;
}

/* Waits for the look-up, which stays under way for the next call when the time is up. */
static int lookup_finish(struct dial *dial, int64_t deadline_ns, const atomic_bool *stop,
                         int *ret_code)
{
    struct dial_lookup *lookup = dial->lookup;
    assert(lookup);
    int ready = wait_for(lookup->event, POLLIN, deadline_ns, stop);
    if (ready <= 0)
        return ready == 0 ? -ETIMEDOUT : ready;
    if (!atomic_load(&lookup->done)) /* never: the event comes after it */
        return -EAGAIN;
    *ret_code = lookup->code;
    dial->addresses = lookup->addresses;
    lookup->addresses = NULL;
    dial->lookup = NULL;
    lookup_release(lookup);
    return 0;
}

/* Fills dial->addresses. Returns 0 or a negative errno with ERROR filled. */
static int resolve(struct dial *dial, int64_t deadline_ns, const atomic_bool *stop, char *error,
                   size_t size)
{
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", dial->port);
    if (ask_resolver(dial->host, port, dial->type, AI_NUMERICHOST, &dial->addresses) == 0)
        return 0; /* an address: nothing to look up, and no thread */
    dial->addresses = NULL;
    int code = 0;
    int result = dial->lookup ? 0 : lookup_start(dial, port);
    if (result == 0)
        result = lookup_finish(dial, deadline_ns, stop, &code);
    if (result == 0 && code == 0)
        return 0;
    (void)snprintf(error, size, "cannot look up %s: %s", dial->host,
                   code ? gai_strerror(code) : strerror(-result));
    return result ? result : -EHOSTUNREACH;
}

/* Returns 0 once FILE is connected, or a negative errno. */
static int begin_and_finish(int file, const struct addrinfo *address, int64_t deadline_ns,
                            const atomic_bool *stop)
{
    int on = 1; /* a request is one small segment that must not wait for an acknowledgement */
    if (address->ai_socktype == SOCK_STREAM &&
        setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
        return -errno;
    if (connect(file, address->ai_addr, address->ai_addrlen) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return -errno;
    int ready = wait_for(file, POLLOUT, deadline_ns, stop);
    if (ready <= 0)
        return ready == 0 ? -ETIMEDOUT : ready;
    int problem = 0;
    socklen_t size = sizeof(problem);
    return getsockopt(file, SOL_SOCKET, SO_ERROR, &problem, &size) < 0 ? -errno : -problem;
}

static int connect_one(const struct addrinfo *address, int64_t deadline_ns, const atomic_bool *stop,
                       int *ret_socket)
{
    int file = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (file < 0)
        return -errno;
    int result = begin_and_finish(file, address, deadline_ns, stop);
    if (result < 0)
        close(file);
    else
        *ret_socket = file;
    return result;
}

static const char *advice(int problem)
{
    switch (-problem) {
    case ECONNREFUSED:
        return "; is its Modbus server on, and the port right?";
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return "; is it switched on and reachable?";
    case EPERM: /* netd's rules for the agent's user: tunnel/firewall/nft_agent.c */
    case EACCES:
    case ENOPROTOOPT:
        return "; this gateway's own firewall refuses it: agent.may_reach in netd.conf must list "
               "it";
    default:
        return "";
    }
}

/* Tries all addresses. An equal share of the time each: one that swallows everything must not use
 * it up. */
static int connect_any(struct dial *dial, int64_t deadline_ns, const atomic_bool *stop,
                       int *ret_socket)
{
    int64_t left = 0;
    for (const struct addrinfo *at = dial->addresses; at; at = at->ai_next)
        left++;
    int problem = -EADDRNOTAVAIL;
    for (const struct addrinfo *at = dial->addresses; at; at = at->ai_next) {
        int64_t now = clock_mono_ns();
        problem = connect_one(at, now + (deadline_ns - now) / left--, stop, ret_socket);
        if (problem == 0 || problem == -ECANCELED)
            break;
    }
    return problem;
}

static int connect_next(struct dial *dial, int64_t deadline_ns, const atomic_bool *stop,
                        int *ret_socket)
{
    const struct addrinfo *at = dial->next;
    assert(at); /* a look-up that succeeded found one */
    dial->next = at->ai_next;
    return connect_one(at, deadline_ns, stop, ret_socket);
}

int dial_connect(struct dial *dial, int64_t timeout_ms, const atomic_bool *stop, int *ret_socket,
                 char *error, size_t size)
{
    int64_t deadline_ns = clock_mono_ns() + timeout_ms * CLOCK_NS_PER_MS;
    bool in_turn = dial->type == SOCK_DGRAM;
    if (in_turn && !dial->next)
        forget_addresses(dial);
    if (!dial->addresses) {
        int result = resolve(dial, deadline_ns, stop, error, size);
        if (result < 0)
            return result;
        dial->next = dial->addresses;
    }
    int problem = in_turn ? connect_next(dial, deadline_ns, stop, ret_socket)
                          : connect_any(dial, deadline_ns, stop, ret_socket);
    if (problem == 0)
        return 0;
    if (!in_turn)
        forget_addresses(dial); /* they may have changed */
    (void)snprintf(error, size, "cannot connect to %s port %u: %s%s", dial->host, dial->port,
                   strerror(-problem), advice(problem));
    return problem;
}

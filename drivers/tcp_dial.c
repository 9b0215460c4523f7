/*
 * Opens TCP connections by name. The resolver has no time limit of its own, so a look-up runs in a
 * thread that is left behind when it takes too long; it then frees what it holds by itself.
 */
#include "drivers/tcp_dial.h"

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
struct egress_resolver {
    atomic_int owners;
    char *host, port[8];
    int event;        /* readable when the thread is done */
    atomic_bool done; /* what follows is settled */
    int code;         /* of getaddrinfo */
    struct addrinfo *addresses;
};

struct tcp_dial {
    char *host;
    uint16_t port;
    struct addrinfo *addresses;     /* NULL: not known */
    struct egress_resolver *lookup; /* NULL: none under way */
};

struct tcp_dial *tcp_dial_new(const char *host, uint16_t port)
{
    struct tcp_dial *dial = memory_zeroed(1, sizeof(*dial));
    dial->host = memory_text(host);
    dial->port = port;
    return dial;
}

static void lookup_release(struct egress_resolver *lookup)
{
    if (atomic_fetch_sub(&lookup->owners, 1) > 1)
        return;
    if (lookup->addresses)
        freeaddrinfo(lookup->addresses);
    descriptor_close(&lookup->event);
    free(lookup->host);
    free(lookup);
}

static void forget_addresses(struct tcp_dial *dial)
{
    if (dial->addresses)
        freeaddrinfo(dial->addresses);
    dial->addresses = NULL;
}

struct tcp_dial *tcp_dial_free(struct tcp_dial *dial)
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

static int ask_resolver(const char *host, const char *port, int flags, struct addrinfo **ret_list)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    return getaddrinfo(host, port, &hints, ret_list);
}

static void *lookup_run(void *argument)
{
    struct egress_resolver *lookup = argument;
    lookup->code = ask_resolver(lookup->host, lookup->port, 0, &lookup->addresses);
    if (lookup->code != 0)
        lookup->addresses = NULL;
    atomic_store(&lookup->done, true);
    (void)eventfd_write(lookup->event, 1);
    lookup_release(lookup);
    return NULL;
}

static int lookup_start(struct tcp_dial *dial, const char *port)
{
    struct egress_resolver *lookup = memory_zeroed(1, sizeof(*lookup));
    lookup->host = memory_text(dial->host);
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
static int lookup_finish(struct tcp_dial *dial, int64_t deadline_ns, const atomic_bool *stop,
                         int *ret_code)
{
    struct egress_resolver *lookup = dial->lookup;
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
static int resolve(struct tcp_dial *dial, int64_t deadline_ns, const atomic_bool *stop, char *error,
                   size_t size)
{
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", dial->port);
    if (ask_resolver(dial->host, port, AI_NUMERICHOST, &dial->addresses) == 0)
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
    if (setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
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
    int file = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
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
    default:
        return "";
    }
}

int tcp_dial_connect(struct tcp_dial *dial, int64_t timeout_ms, const atomic_bool *stop,
                     int *ret_socket, char *error, size_t size)
{
    int64_t deadline_ns = clock_mono_ns() + timeout_ms * CLOCK_NS_PER_MS;
    if (!dial->addresses) {
        int result = resolve(dial, deadline_ns, stop, error, size);
        if (result < 0)
            return result;
    }
    int64_t left = 0;
    for (const struct addrinfo *at = dial->addresses; at; at = at->ai_next)
        left++;
    int problem = -EADDRNOTAVAIL;
    for (const struct addrinfo *at = dial->addresses; at; at = at->ai_next) {
        /* an equal share each: one address that swallows everything must not use up the time */
        int64_t now = clock_mono_ns();
        problem = connect_one(at, now + (deadline_ns - now) / left--, stop, ret_socket);
        if (problem == 0)
            return 0;
        if (problem == -ECANCELED)
            break;
    }
    forget_addresses(dial); /* they may have changed */
    (void)snprintf(error, size, "cannot connect to %s port %u: %s%s", dial->host, dial->port,
                   strerror(-problem), advice(problem));
    return problem;
}

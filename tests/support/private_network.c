/* A network of its own for a test. */
#include "tests/support/private_network.h"

#include "agent/base/strbuf.h"
#include "tunnel/os/privilege.h"
#include "tunnel/os/privileged_child.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void test_private_network(void)
{
    if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
        printf("skipped: no network namespace can be made here: %s\n", strerror(errno));
        exit(77);
    }
    if (privilege_reduce() < 0 || test_ip("link", "set", "lo", "up", NULL) != 0 ||
        access(PROGRAM_NFT, X_OK) < 0) {
        printf("skipped: CAP_NET_ADMIN, ip and nft are needed\n");
        exit(77);
    }
}

static int run(const char *const *arguments, const char *input)
{
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    int status = privileged_child_run(arguments, input, input ? strlen(input) : 0, &output);
    if (status != 0)
        printf("%s: %s\n", arguments[0], strbuf_text(&output));
    return status;
}

int test_nft(const char *text)
{
    static const char *const arguments[] = {PROGRAM_NFT, "-f", "-", NULL};
    return run(arguments, text);
}

int test_ip(const char *word, ...)
{
    const char *arguments[12] = {PROGRAM_IP, word};
    va_list words;
    va_start(words, word);
    for (size_t i = 2; i < 11 && arguments[i - 1]; i++)
        arguments[i] = va_arg(words, const char *);
    va_end(words);
    return run(arguments, NULL);
}

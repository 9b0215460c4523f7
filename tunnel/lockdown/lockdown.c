/*
 * sallyport-lockdown: what a removed package leaves behind, so that a closed machine is closed
 * again at each boot. It links the C library only, so that no other package can take it along when
 * it goes, and has the built-in rules in itself: whatever is wrong with the file of rules, they are
 * loaded. Run by root before the network; `--check` judges the file and loads nothing.
 */
#include "tunnel/firewall/nft_built_in.h"
#include "tunnel/journal/sha256.h"
#include "tunnel/os/privileged_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_BYTES (1024 * 1024)

static void say(const char *what, const char *detail)
{
    (void)fprintf(stderr, "sallyport-lockdown: %s%s%s\n", what, *detail ? ": " : "", detail);
}

/* ---- nft ---- */

static void lockdown_execute(int input)
{
    char *const arguments[] = {PROGRAM_NFT, "-f", "-", NULL}, *const nothing[] = {NULL};
    if (dup2(input, STDIN_FILENO) == STDIN_FILENO)
        (void)execve(arguments[0], arguments, nothing);
    say(PROGRAM_NFT " cannot be started", strerror(errno));
    _exit(127);
}

static bool write_all(int output, const char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        ssize_t written = write(output, text, left);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        text += written;
        left -= (size_t)written;
    }
    return true;
}

/* In one transaction. What nft has to say about it, it says. */
static bool lockdown_load(const char *rules)
{
    int ends[2], status = 0;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    pid_t pid = fork();
    if (pid == 0)
        lockdown_execute(ends[0]);
    (void)close(ends[0]);
    bool is_written = pid > 0 && write_all(ends[1], rules);
    (void)close(ends[1]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return false;
    }
    return is_written && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- The file of rules ---- */

/* NULL, or what keeps the file from being believed. */
static const char *judge_owner(int file)
{
    struct stat about;
    if (file < 0 || fstat(file, &about) < 0)
        return strerror(errno);
    if (!S_ISREG(about.st_mode))
        return "it is not a file";
    if (about.st_uid != 0 || (about.st_mode & 022) != 0)
        return "others than root may write it";
    return about.st_size > MAX_BYTES ? "it is too long" : NULL;
}

static size_t read_all(int file, char *content)
{
    size_t length = 0;
    for (;;) {
        ssize_t got = read(file, content + length, MAX_BYTES - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    content[length] = '\0';
    return length;
}

/* A file that was cut may still be right for nft, and open: the digest tells. */
static const char *find_rules(const char *content, size_t length)
{
    const size_t header = strlen(NFT_BOOT_HEADER), whole = header + SHA256_HEX_BYTES;
    char hex[SHA256_HEX_BYTES];
    if (length <= whole || strlen(content) != length ||
        strncmp(content, NFT_BOOT_HEADER, header) != 0 || content[whole - 1] != '\n')
        return NULL;
    sha256_text(content + whole, length - whole, hex);
    return memcmp(content + header, hex, SHA256_HEX_BYTES - 1) == 0 ? content + whole : NULL;
}

/* The rules in the file at PATH, or NULL after saying what is wrong with it. */
static const char *read_rules(const char *path)
{
    static char content[MAX_BYTES + 1];
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);
    const char *problem = judge_owner(file);
    const char *rules = problem ? NULL : find_rules(content, read_all(file, content));
    if (!rules)
        (void)fprintf(stderr, "sallyport-lockdown: %s: %s\n", path,
                      problem ? problem : "it is damaged: not what was written");
    if (file >= 0)
        (void)close(file);
    return rules;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--check") == 0)
        return read_rules(argv[2]) ? EXIT_SUCCESS : EXIT_FAILURE;
    if (argc != 2 || argv[1][0] == '-') {
        (void)fputs("usage: sallyport-lockdown [--check] RULES\n", stderr);
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* nft may end before it has read everything */
    bool is_shut = lockdown_load(nft_text_built_in);
    const char *rules = read_rules(argv[1]);
    bool is_loaded = rules && lockdown_load(rules);
    if (!is_loaded)
        say(is_shut ? "the built-in rules stay loaded" : "this machine is open", "");
    return is_shut || is_loaded ? EXIT_SUCCESS : EXIT_FAILURE;
}

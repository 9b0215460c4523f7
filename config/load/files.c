/* The files that a configuration names: whether they are there, and the secrets inside. */
#include "config/load/files.h"

#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "config/load/proxy_url.h"
#include "config/schema/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens PATH if it is a regular file and, where SECRET says so, not accessible to others. */
static int open_regular(const char *path, bool secret)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat about;
    if (file < 0)
        return -errno;
    int result = fstat(file, &about) < 0               ? -errno
                 : !S_ISREG(about.st_mode)             ? -EINVAL
                 : secret && (about.st_mode & S_IRWXO) ? -EPERM
                                                       : 0;
    if (result == 0)
        return file;
    close(file);
    return result;
}

static void check_file(const struct config *config, const char *key, const char *path, bool secret,
                       struct findings *findings)
{
    const struct option *row = option_find(&config_uplink_table, key);
    struct where where = {config->files[0], config->uplink_lines[row - config_uplink_table.rows]};
    char full_key[80] = "uplink.";
    if (!path)
        return;
    strncat(full_key, key, sizeof(full_key) - sizeof("uplink."));
    CLEANUP(descriptor_close) int file = open_regular(path, secret);
    if (file == -EPERM)
        findings_add(findings, FINDING_ERROR, where, full_key,
                     "every user of this machine can use %s; run: chmod 640 %s", path, path);
    else if (file == -EINVAL)
        findings_add(findings, FINDING_ERROR, where, full_key, "%s is not a regular file", path);
    else if (file < 0)
        findings_add(findings, FINDING_ERROR, where, full_key, "%s cannot be read: %s", path,
                     strerror(-file));
}

/* A proxy's password stands in the configuration itself. */
static void check_proxy(const struct config *config, struct findings *findings)
{
    const struct option *row = option_find(&config_uplink_table, "proxy");
    struct where where = {config->files[0], config->uplink_lines[row - config_uplink_table.rows]};
    struct proxy_url proxy;
    struct problem problem;
    struct stat about;
    if (!config->uplink.proxy || proxy_url_parse(config->uplink.proxy, &proxy, &problem) < 0 ||
        !proxy_url_has_password(&proxy) || stat(config->files[0], &about) < 0 ||
        !(about.st_mode & S_IRWXO))
        return;
    findings_add(findings, FINDING_ERROR, where, "uplink.proxy",
                 "it holds a password, and every user of this machine can read %s; run: chgrp "
                 "sallyport %s && chmod 640 %s",
                 config->files[0], config->files[0], config->files[0]);
}

void config_check_files(const struct config *config, struct findings *findings)
{
    const struct config_uplink *uplink = &config->uplink;
    check_proxy(config, findings);
    if (strcmp(uplink->ca, "system") != 0)
        check_file(config, "ca", uplink->ca, false, findings);
    check_file(config, "crl", uplink->crl, false, findings);
    check_file(config, "certificate", uplink->certificate, false, findings);
    check_file(config, "key", uplink->key, true, findings);
    check_file(config, "key_password_file", uplink->key_password_file, true, findings);
    check_file(config, "password_file", uplink->password_file, true, findings);
    check_file(config, "proxy_password_file", uplink->proxy_password_file, true, findings);
}

/* Reads up to SIZE bytes. Returns how many, or a negative errno. */
static ssize_t files_read_all(int file, char *bytes, size_t size)
{
    size_t length = 0;
    while (length < size) {
        ssize_t got = read(file, bytes + length, size - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        length += (size_t)got;
    }
    return (ssize_t)length;
}

/* What some editors write: a mark, and two bytes for each character. */
static bool is_utf16(const char *bytes, size_t length)
{
    return length >= 2 && (memcmp(bytes, "\xff\xfe", 2) == 0 || memcmp(bytes, "\xfe\xff", 2) == 0);
}

static int take_secret(const char *bytes, size_t length, struct strbuf *secret,
                       struct secret_oddities *ret_oddities)
{
    static const char mark[] = "\xef\xbb\xbf";
    bool has_mark = length >= 3 && memcmp(bytes, mark, 3) == 0;
    if (is_utf16(bytes, length))
        return -EBADMSG;
    if (has_mark) {
        bytes += 3;
        length -= 3;
    }
    if (length > 0 && bytes[length - 1] == '\n')
        length--;
    if (length > 0 && bytes[length - 1] == '\r')
        length--;
    if (length > CONFIG_SECRET_MAX_BYTES)
        return -EFBIG;
    if (length == 0)
        return -ENODATA;
    if (memchr(bytes, '\0', length))
        return -EILSEQ;
    strbuf_append(secret, bytes, length);
    if (ret_oddities)
        *ret_oddities = (struct secret_oddities){has_mark, memchr(bytes, '\n', length) != NULL};
    return 0;
}

int config_read_secret(const char *path, struct strbuf *secret,
                       struct secret_oddities *ret_oddities)
{
    const size_t size = CONFIG_SECRET_MAX_BYTES + 6; /* a mark, a line end, a byte too much */
    CLEANUP(descriptor_close) int file = open_regular(path, true);
    if (file < 0)
        return file;
    char *bytes = memory_zeroed(size, 1);
    ssize_t got = files_read_all(file, bytes, size);
    int result = got < 0 ? (int)got : take_secret(bytes, (size_t)got, secret, ret_oddities);
    memory_wipe(bytes, size);
    free(bytes);
    return result;
}

const char *config_secret_problem(int error)
{
    switch (error) {
    case -EPERM:
        return "every user of this machine can use it; run chmod o= on it";
    case -EACCES:
        return "this user must not read it; the agent runs as sallyport and needs to";
    case -ENODATA:
        return "it is empty";
    case -EFBIG:
        return "it is longer than 65535 bytes, the limit of MQTT for a password";
    case -EBADMSG:
        return "it is UTF-16; save it as UTF-8 without a byte order mark";
    case -EILSEQ:
        return "it has a NUL byte; save it as plain text";
    case -EINVAL:
        return "it is not a regular file";
    default:
        return strerror(-error);
    }
}

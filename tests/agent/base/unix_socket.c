/* Sockets at a path: permissions, what a killed process left, a process that still listens. */
#include "agent/base/unix_socket.h"

#include "agent/base/descriptor.h"
#include "tests/support/test.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void check_type(int type)
{
    const char *path = test_path(type == SOCK_STREAM ? "stream" : "seqpacket");
    CU_ASSERT_EQUAL(unix_socket_connect(path, type), -ENOENT);
    mode_t mask = umask(0077);
    CLEANUP(descriptor_close) int listening = unix_socket_listen(path, type, 0660, 4);
    (void)umask(mask);
    CU_ASSERT_TRUE_FATAL(listening >= 0);
    struct stat about;
    CU_ASSERT_EQUAL(stat(path, &about), 0);
    CU_ASSERT_EQUAL(about.st_mode & 07777, 0660); /* whatever the umask is */
    CLEANUP(descriptor_close) int client = unix_socket_connect(path, type);
    CU_ASSERT_TRUE(client >= 0);
    CU_ASSERT_EQUAL(unix_socket_listen(path, type, 0660, 4), -EADDRINUSE);
    descriptor_close(&listening); /* as a kill does: the path stays */
    CU_ASSERT_EQUAL(unix_socket_connect(path, type), -ECONNREFUSED);
    CLEANUP(descriptor_close) int again = unix_socket_listen(path, type, 0600, 4);
    CU_ASSERT_TRUE(again >= 0);
}

static void test_stream(void)
{
    check_type(SOCK_STREAM);
}

static void test_seqpacket(void)
{
    check_type(SOCK_SEQPACKET);
}

static void test_full_backlog(void)
{
    const char *path = test_path("busy");
    CLEANUP(descriptor_close) int listening = unix_socket_listen(path, SOCK_STREAM, 0600, 0);
    CU_ASSERT_TRUE(listening >= 0);
    int waiting[8];
    for (size_t i = 0; i < ARRAY_LENGTH(waiting); i++)
        waiting[i] = unix_socket_connect(path, SOCK_STREAM | SOCK_NONBLOCK);
    CU_ASSERT_EQUAL(unix_socket_listen(path, SOCK_STREAM, 0600, 4), -EADDRINUSE);
    for (size_t i = 0; i < ARRAY_LENGTH(waiting); i++)
        descriptor_close(&waiting[i]);
}

static void test_not_a_socket(void)
{
    const char *path = test_file("file", "of somebody else");
    CU_ASSERT_EQUAL(unix_socket_listen(path, SOCK_STREAM, 0600, 4), -EADDRINUSE);
    CU_ASSERT_EQUAL(access(path, F_OK), 0); /* a file of somebody else's is left alone */
}

static void test_long_path(void)
{
    char name[200];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    CU_ASSERT_EQUAL(unix_socket_connect(name, SOCK_STREAM), -ENAMETOOLONG);
    CU_ASSERT_EQUAL(unix_socket_listen(name, SOCK_STREAM, 0600, 4), -ENAMETOOLONG);
}

TEST_MAIN("unix_socket", {"a stream socket", test_stream}, {"a seqpacket socket", test_seqpacket},
          {"a process too busy to accept still listens", test_full_backlog},
          {"a file in the way is left alone", test_not_a_socket},
          {"a path that is too long", test_long_path})

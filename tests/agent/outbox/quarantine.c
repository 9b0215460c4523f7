/* Damaged files out of the way: kept, but not without end. */
#include "agent/outbox/quarantine.h"

#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void test_two_are_kept(void)
{
    char *name = NULL, path[256];
    (void)snprintf(path, sizeof(path), "%s", test_path("aside.db"));
    for (int i = 0; i < 4; i++) {
        (void)test_file("aside.db", "x");
        (void)test_file("aside.db-wal", "y");
        CU_ASSERT_EQUAL_FATAL(quarantine_move(path, INT64_C(1700000000000) + i * 400, &name), 0);
        CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
        CU_ASSERT_NOT_EQUAL(access(test_path("aside.db-wal"), F_OK), 0);
        CU_ASSERT_EQUAL(access(name, F_OK), 0);
        free(name);
    }
    /* Two per name, the newest: the same second makes the next number. */
    CU_ASSERT_NOT_EQUAL(access(test_path("aside.db.damaged-1700000000"), F_OK), 0);
    CU_ASSERT_NOT_EQUAL(access(test_path("aside.db.damaged-1700000000-wal"), F_OK), 0);
    CU_ASSERT_EQUAL(access(test_path("aside.db.damaged-1700000002"), F_OK), 0);
    CU_ASSERT_EQUAL(access(test_path("aside.db.damaged-1700000002-wal"), F_OK), 0);
    CU_ASSERT_EQUAL(quarantine_move(test_path("nothing.db"), 0, &name), -ENOENT);
}

static void test_remove(void)
{
    (void)test_file("gone.db", "x");
    (void)test_file("gone.db-wal", "y");
    (void)test_file("gone.db-other", "z");
    quarantine_remove(test_path("gone.db"));
    CU_ASSERT_NOT_EQUAL(access(test_path("gone.db"), F_OK), 0);
    CU_ASSERT_NOT_EQUAL(access(test_path("gone.db-wal"), F_OK), 0);
    CU_ASSERT_EQUAL(access(test_path("gone.db-other"), F_OK), 0);
    quarantine_remove(test_path("gone.db")); /* nothing there: nothing happens */
}

TEST_MAIN("quarantine", {"damaged files are kept, two of them", test_two_are_kept},
          {"a file goes with its log", test_remove})

/*
 * Paho 1.3.12 now and then loses one publication (139 bytes in four blocks of its own) when a
 * session breaks in the moment it is sent. Nothing of ours is in the stack, and nothing can be done
 * about it from outside, so LeakSanitizer is told. That a process does not grow over reconnects is
 * the subject of a test of its own.
 */
const char *__lsan_default_suppressions(void);

__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void)
{
    return "leak:libpaho-mqtt3as";
}

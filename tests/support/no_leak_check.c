/*
 * Linked into programs that deny themselves ptrace(): the leak check of AddressSanitizer needs it,
 * and would end them at their exit. Everything else it checks stays on.
 */
__attribute__((visibility("default"))) const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

/* The fuzzer's dictionary, made from the same tables as everything else. */
#ifndef SALLYPORT_TESTS_SUPPORT_DICTIONARY_H
#define SALLYPORT_TESTS_SUPPORT_DICTIONARY_H

#include "agent/base/strbuf.h"

/* Appends every key and every name of a choice, as libFuzzer reads them. */
void dictionary_print(struct strbuf *out);

#endif

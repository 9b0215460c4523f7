/* Loading configurations that a test writes down as text. */
#ifndef SALLYPORT_TESTS_SUPPORT_CONFIG_TEXT_H
#define SALLYPORT_TESTS_SUPPORT_CONFIG_TEXT_H

#include "config/schema/config.h"

/* The shortest gateway and uplink that are in order; two lines. */
#define CONFIG_TEXT_HEAD                                                                           \
    "gateway: { id = \"gw\"; site = \"s\"; };\n"                                                   \
    "uplink: { servers = [ \"mqtts://b\" ]; ca = \"system\"; };\n"

/*
 * Loads the file NAME of test_folder() with the fake drivers. Returns the findings, sorted, as
 * they are printed, but with "" for the folder; valid until the next call. RET_CONFIG may be NULL;
 * it gets NULL when loading failed.
 */
const char *config_text_load(const char *name, struct config **ret_config);

/* The same after writing TEXT to that file. */
const char *config_text_check(const char *text);

#endif

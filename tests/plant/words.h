/* The words of a command line of the plant, and their meaning. */
#ifndef SALLYPORT_PLANT_WORDS_H
#define SALLYPORT_PLANT_WORDS_H

#include <stddef.h>
#include <stdint.h>

#define MAX_WORDS 160

/*
 * Cuts TEXT in place at blanks; '#' ends it. Returns how many words there are, or -E2BIG.
 */
int words_split(char *text, char **ret_words);

/* A decimal or 0x number within LOWEST..HIGHEST. 0, or -EINVAL. */
int word_number(const char *word, uint64_t lowest, uint64_t highest, uint64_t *ret_value);

/* "A" or "A-B" within LOWEST..HIGHEST. 0, or -EINVAL. */
int word_range(const char *word, uint64_t lowest, uint64_t highest, uint64_t *ret_first,
               uint64_t *ret_last);

#endif

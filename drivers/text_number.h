/*
 * A number that a driver got from elsewhere than registers, as the value of its tag: checked
 * against the tag's type, scaled, rounded. Pure; any thread.
 */
#ifndef SALLYPORT_DRIVERS_TEXT_NUMBER_H
#define SALLYPORT_DRIVERS_TEXT_NUMBER_H

#include "config/schema/config.h"
#include "drivers/sample.h"

/*
 * Puts one sample: raw * scale + offset, rounded to the tag's decimals. INDEX is the place of
 * TAG in its device; its type is not a string. QUALITY_OUT_OF_RANGE when RAW does not fit the
 * type: too large, a fraction for a whole number, anything but 0 and 1 for a bool. A number that
 * is not scaled keeps its type.
 */
void text_number_put(struct batch *batch, uint16_t index, const struct config_tag *tag, double raw);

/*
 * The same for LENGTH bytes of text: [+-]digits[.digits][e[+-]digits], the point whatever the
 * locale is; blanks are ignored wherever they are ("+  12.34"). Anything else is
 * QUALITY_NOT_A_NUMBER. Whole numbers of 64 bits keep all their digits.
 */
void text_number_put_text(struct batch *batch, uint16_t index, const struct config_tag *tag,
                          const char *text, size_t length);

#endif

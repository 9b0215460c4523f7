/* The table of payload formats. */
#include "agent/payload/encode.h"

static const struct encoder *const encoders[] = {
    [FORMAT_JSON] = &encoder_json, [FORMAT_SPARKPLUG] = NULL, /* the configuration check refuses it
                                                                 until there is one */
};

const struct encoder *encoder_of(enum payload_format format)
{
    return encoders[format];
}

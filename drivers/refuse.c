/* How drivers word what is wrong with a tag. */
#include "drivers/refuse.h"

#include <stdarg.h>
#include <stdio.h>

void refuse_tag(struct findings *findings, const struct config_device *device,
                const struct config_tag *tag, const char *key, const char *format, ...)
{
    char path[256], text[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    (void)snprintf(path, sizeof(path), "devices.%s.tags.%s.%s", device->name, tag->name, key);
    findings_add(findings, FINDING_ERROR, tag->where, path, "%s", text);
}

void refuse_scaled_words(struct findings *findings, const struct config_device *device,
                         const struct config_tag *tag)
{
    if (tag->type != VALUE_BOOL && tag->type != VALUE_STRING)
        return;
    if (tag->scale != 1 || tag->offset != 0)
        refuse_tag(findings, device, tag, tag->scale != 1 ? "scale" : "offset",
                   "a %s cannot be scaled; leave this out or give a type that is a number",
                   tag->type == VALUE_BOOL ? "bool" : "string");
}

/* preset.h - [events] of known event stores (private to base): the table is preset_table.h. Any thread. */
#ifndef PGSHUNT_BASE_PRESET_H
#define PGSHUNT_BASE_PRESET_H

#include "base/config.h"

/* What the preset says of a key; NULL: nothing (or there is no such preset). */
const char *preset_value(const char *preset, enum config_key key);
/* A preset's name, or empty? */
bool preset_check(const char *preset, struct error *err);

#endif

/* settings.h - what a migration is run with: the configuration, overridden by START … WITH and kept in
 * tenant_migrations.config. Pure; any thread. */
#ifndef PGSHUNT_MIGRATE_SETTINGS_H
#define PGSHUNT_MIGRATE_SETTINGS_H

#include "base/buf.h"
#include "base/config.h"
#include "base/json.h"
#include "migrate/migration.h"

/* The configuration's values. */
void settings_init(struct migration_settings *settings, const struct config *config);
/* One override. 42601: unknown, or not to be given to a migration; else what config_check() says. */
bool settings_set(struct migration_settings *settings, const char *name, const char *value,
                  struct error *err);
/* After the last override: what must hold between them (a write is held at least as long as a cutover may
 * take). */
void settings_settle(struct migration_settings *settings);
/* All of them as a JSON object of text values; settings_read() takes it back, whatever the order. */
void settings_write(const struct migration_settings *settings, struct buf *json);
/* Names this program does not know are left out: a newer one may have written them. */
bool settings_read(struct migration_settings *settings, const char *json, struct error *err);

#endif

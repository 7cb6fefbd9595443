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
/* One change of a migration under way. 55000: only START may say it. */
bool settings_alter(struct migration_settings *settings, const char *name, const char *value,
                    struct error *err);
/* The next key, from *from on, whose value is another; both values as text. false: there is none left. */
bool settings_next_difference(const struct migration_settings *before, const struct migration_settings *after,
                              size_t *from, const char **name, struct buf *old, struct buf *new);
/* After the last override: what must hold between them (a write is held at least as long as a cutover may
 * take). */
void settings_settle(struct migration_settings *settings);
/* All of them as a JSON object of text values; settings_read() takes it back, whatever the order. */
void settings_write(const struct migration_settings *settings, struct buf *json);
/* Names this program does not know are left out: a newer one may have written them. */
bool settings_read(struct migration_settings *settings, const char *json, struct error *err);

#endif

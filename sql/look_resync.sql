-- look_resync.sql - what RESYNC was asked for and is not done yet.
-- $1 uuid: the migration. from (0: everything), operator; no row: nothing
SELECT coalesce(m.resync_from, 0), coalesce(m.resync_operator, '')
  FROM tenant_migrations m WHERE m.id = $1 AND m.resync_requested_at IS NOT NULL

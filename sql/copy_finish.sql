-- copy_finish.sql - a cutover's last commit in the target, by the mirror's connection and under its epoch: moves the
-- sequence up, never down, and records which generation of the route lets the tenant live here. One commit, because
-- writes are held meanwhile. {sequence}: in the target, {sequence_text}: the same, quoted
-- $1 bigint: the sequence gives nothing at or below, $2 text: migration, $3 bigint: epoch, $4 bigint: generation,
-- $5 text: tenant, $6 bool: the store's guard lets the tenant in from this commit on (in the default store, where direct
-- writers may be left, only after the switch)
-- whether the copy is this owner's, the sequence's new value (NULL: it was high enough), whether the tenant is let in
WITH own AS (
  UPDATE pgshunt.copy_cursor c SET owner_epoch = $3::bigint, generation = $4::bigint
   WHERE c.migration_id = $2 AND c.worker = 0 AND c.owner_epoch <= $3::bigint
  RETURNING true)
SELECT EXISTS (SELECT FROM own),
       (SELECT setval({sequence_text}, $1::bigint) FROM {sequence} s
         WHERE s.last_value < $1::bigint OR (s.last_value = $1::bigint AND NOT s.is_called)),
       (SELECT pgshunt.tenancy_set($5, true, $4::bigint, false) FROM own WHERE $6::bool)

-- guard_trigger.sql - puts the guard on one table and its partitions, inside the caller's transaction, which has set
-- lock_timeout. {table}: quoted and qualified; {table_text}: the same as text; {function}.
-- AFTER, so that it sees the row as it is stored, whatever other triggers have made of it; ALWAYS, so that
-- session_replication_role does not pass it; its name comes behind the tap's, whose 40001 tells a transaction more.
LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE;
DO $pgshunt_guard$
DECLARE
  part regclass;
BEGIN
  IF EXISTS (SELECT FROM pg_trigger t
              WHERE t.tgrelid = to_regclass({table_text}) AND t.tgname = 'pgshunt_tenancy_guard'
                AND (t.tgfoid <> to_regproc('pgshunt.{function}') OR t.tgtype <> 29 OR t.tgqual IS NOT NULL
                     OR t.tgattr::text <> '')) THEN
    DROP TRIGGER pgshunt_tenancy_guard ON {table};
  END IF;
  IF NOT EXISTS (SELECT FROM pg_trigger t
                  WHERE t.tgrelid = to_regclass({table_text}) AND t.tgname = 'pgshunt_tenancy_guard') THEN
    CREATE TRIGGER pgshunt_tenancy_guard AFTER INSERT OR UPDATE OR DELETE ON {table}
      FOR EACH ROW EXECUTE FUNCTION pgshunt.{function}();
  END IF;
  ALTER TABLE {table} ENABLE ALWAYS TRIGGER pgshunt_tenancy_guard;
  -- A partition whose own trigger was changed by hand.
  FOR part IN SELECT p.relid FROM pg_partition_tree(to_regclass({table_text})) p
                JOIN pg_trigger t ON t.tgrelid = p.relid AND t.tgname = 'pgshunt_tenancy_guard' AND t.tgenabled <> 'A' LOOP
    EXECUTE format('ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER pgshunt_tenancy_guard', part);
  END LOOP;
END $pgshunt_guard$;

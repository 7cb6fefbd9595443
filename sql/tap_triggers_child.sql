-- tap_triggers_child.sql - tap_triggers.sql for a companion table without a tenant column: whose a row is, the function
-- finds out. {…} as there.
LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE;
CREATE TRIGGER {trigger}_i AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION pgshunt.{function}();
CREATE TRIGGER {trigger}_u AFTER UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION pgshunt.{function}();
CREATE TRIGGER {trigger}_d AFTER DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION pgshunt.{function}();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}_i, ENABLE ALWAYS TRIGGER {trigger}_u,
  ENABLE ALWAYS TRIGGER {trigger}_d;
DO $$
DECLARE
  part regclass; -- a statement trigger is not inherited
BEGIN
  FOR part IN SELECT {relation}::oid UNION SELECT p.relid FROM pg_partition_tree({relation}) p LOOP
    EXECUTE format('CREATE TRIGGER %I AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION pgshunt.{function}()',
                   '{trigger}_t', part);
    EXECUTE format('ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER %I', part, '{trigger}_t');
  END LOOP;
END $$;

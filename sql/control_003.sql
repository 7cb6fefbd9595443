-- control_003.sql - version 3 of the control schema: what is left to do at a source after the switch.

-- settled_at: the guard has taken over from the shut tap, or (guard = off) the shut tap is there to stay. Until then
-- some instance has a runner for it. switched_generation: of the route, by the switch itself.
ALTER TABLE tenant_migrations ADD COLUMN settled_at timestamptz, ADD COLUMN switched_generation bigint;

-- The switch: the one conditional commit. 55000 (and nothing changed) unless route and migration are both as the
-- caller left them. p_let_in: the target is the default store and these tables are in it, so that its guard learns by the
-- same commit that the tenant is back (sql/guard_schema.sql).
DROP FUNCTION migration_switch(uuid, bigint, bigint, text, jsonb, text);
CREATE FUNCTION migration_switch(p_id uuid, p_epoch bigint, p_generation bigint, p_operator text, p_details jsonb,
                                 p_instance text, p_let_in boolean, OUT generation bigint, OUT others_alive bigint)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    tenant text;
BEGIN
    UPDATE tenant_routing r
       SET store_id = r.target_store_id, migration_state = 'normal', target_store_id = NULL,
           active_migration_id = NULL
     WHERE r.tenant_id = (SELECT tenant_id FROM tenant_migrations WHERE id = p_id)
       AND r.generation = p_generation AND r.migration_state = 'cutover_paused' AND r.active_migration_id = p_id
    RETURNING r.generation, r.tenant_id INTO generation, tenant;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'the route has been changed since the cutover began';
    END IF;
    UPDATE tenant_migrations t
       SET state = 'migrated', completed_at = clock_timestamp(), updated_at = clock_timestamp(),
           error_message = NULL, error_severity = NULL, error_recoverability = NULL, sync_lag_events = 0,
           progress_percentage = 100, switched_generation = migration_switch.generation
     WHERE t.id = p_id AND t.state = 'cutover_paused' AND t.owner_epoch = p_epoch;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'the migration has been changed since the cutover began';
    END IF;
    IF p_let_in THEN
        PERFORM tenancy_set(tenant, true, generation, true);
    END IF;
    INSERT INTO migration_audit_log (migration_id, event_type, old_state, new_state, details, operator)
    VALUES (p_id, 'migration completed', 'cutover_paused', 'migrated',
            p_details || jsonb_build_object('generation', generation), coalesce(p_operator, session_user));
    others_alive := instances_alive(p_instance);
END $$;

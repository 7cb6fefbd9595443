-- control_004.sql - version 4 of the control schema: everything of a migration's life that an operator can order, and
-- its audit. One section per matter.

-- === the life of a migration: states, audit, orders =================================================================

-- Event types of the audit: migration_started, phase_changed, migration_paused, migration_resumed, migration_aborted,
-- migration_completed, migration_failed, error_occurred, cutover_initiated, cutover_completed, cutover_rolled_back,
-- verification_started, verification_completed, verification_failed, progress_checkpoint; and, of the same style,
-- owner_changed, route_announced, abort_requested, resume_requested,
-- resume_withdrawn, settings_changed, route_restored, cutover_taken_back, cutover_report, target_recovered,
-- source_settled, route_changed_by_hand, migration_changed_by_hand. Entries that were written before this version keep
-- the names they had.

-- An entry about a migration as it is now. Whoever changes something calls it in the same transaction.
CREATE FUNCTION migration_audit(p_id uuid, p_event text, p_operator text, p_details jsonb)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO migration_audit_log (migration_id, event_type, old_state, new_state, details, operator)
    SELECT p_id, p_event, m.state, m.state, coalesce(p_details, '{}'), coalesce(p_operator, session_user)
      FROM tenant_migrations m WHERE m.id = p_id;
END $$;

-- The table of allowed moves (src/migrate/state.c has the same; a test compares them).
CREATE FUNCTION migration_may_move(p_from text, p_to text) RETURNS boolean LANGUAGE sql IMMUTABLE
    RETURN (p_from, p_to) IN (
        ('pending', 'bulk_copy'), ('pending', 'failed'), ('pending', 'rolled_back'),
        ('bulk_copy', 'dual_write'), ('bulk_copy', 'paused'), ('bulk_copy', 'failed'), ('bulk_copy', 'rolled_back'),
        ('dual_write', 'cutover_paused'), ('dual_write', 'paused'), ('dual_write', 'failed'),
        ('dual_write', 'rolled_back'),
        ('paused', 'bulk_copy'), ('paused', 'dual_write'), ('paused', 'failed'), ('paused', 'rolled_back'),
        ('cutover_paused', 'migrated'), ('cutover_paused', 'dual_write'), ('cutover_paused', 'failed'),
        ('cutover_paused', 'rolled_back'),
        ('failed', 'rolled_back'));

CREATE OR REPLACE FUNCTION tenant_routing_after() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
DECLARE
    migration uuid := coalesce(NEW.active_migration_id, CASE WHEN TG_OP = 'UPDATE' THEN OLD.active_migration_id END);
BEGIN
    PERFORM pg_notify(TG_TABLE_SCHEMA || '.routing', NEW.tenant_id);
    IF made_by_hand() THEN
        IF migration IS NOT NULL THEN -- its runner obeys
            PERFORM pg_notify(TG_TABLE_SCHEMA || '.migrations', migration::text);
        END IF;
        INSERT INTO migration_audit_log (migration_id, event_type, old_state, new_state, details, operator)
        VALUES (migration, 'route_changed_by_hand', CASE WHEN TG_OP = 'UPDATE' THEN OLD.migration_state END,
                NEW.migration_state,
                jsonb_build_object('old', CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(OLD) END, 'new', to_jsonb(NEW)),
                session_user);
    END IF;
    RETURN NULL;
END $$;

-- By hand a migration can be stopped, and nothing else: every other state stands for work that somebody has done.
CREATE FUNCTION tenant_migrations_before() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF NOT made_by_hand() OR NEW.state = OLD.state THEN
        RETURN NEW;
    END IF;
    IF NEW.state <> 'failed' OR NOT migration_may_move(OLD.state, NEW.state) THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('migration %s cannot become %s by hand: it is %s', OLD.id, NEW.state, OLD.state),
            DETAIL = 'invalid_state_transition: an UPDATE can only stop a migration, by state = ''failed''',
            HINT = 'PAUSE, RESUME, ABORT and CUTOVER MIGRATION on the admin socket change its state.';
    END IF;
    NEW.completed_at := clock_timestamp();
    NEW.updated_at := clock_timestamp();
    NEW.error_severity := coalesce(NEW.error_severity, 'critical');
    NEW.error_recoverability := coalesce(NEW.error_recoverability, 'fatal');
    RETURN NEW;
END $$;
CREATE TRIGGER keep_states BEFORE UPDATE ON tenant_migrations
    FOR EACH ROW EXECUTE FUNCTION tenant_migrations_before();

CREATE OR REPLACE FUNCTION tenant_migrations_after() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
    IF made_by_hand() THEN
        PERFORM pg_notify(TG_TABLE_SCHEMA || '.migrations', NEW.id::text);
        INSERT INTO migration_audit_log (migration_id, event_type, old_state, new_state, details, operator)
        VALUES (NEW.id, 'migration_changed_by_hand', OLD.state, NEW.state,
                jsonb_build_object('old', to_jsonb(OLD), 'new', to_jsonb(NEW)), session_user);
        IF NEW.state = 'failed' AND OLD.state <> 'failed' THEN
            INSERT INTO migration_audit_log (migration_id, event_type, old_state, new_state, details, operator)
            VALUES (NEW.id, 'migration_failed', OLD.state, NEW.state,
                    jsonb_build_object('error', jsonb_build_object('message', NEW.error_message), 'by_hand', true),
                    session_user);
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION migration_create(p_id uuid, p_tenant text, p_source text, p_target text,
                                            p_default_store text, p_config jsonb, p_instance text, p_operator text)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    home text;
BEGIN
    SELECT store_id INTO home FROM tenant_routing WHERE tenant_id = p_tenant FOR UPDATE;
    home := coalesce(home, p_default_store);
    IF home <> p_source THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('tenant "%s" lives in store "%s", not in "%s"', p_tenant, home, p_source);
    END IF;
    INSERT INTO tenant_migrations (id, tenant_id, source_store_id, target_store_id, config, owner_instance, created_by)
    VALUES (p_id, p_tenant, p_source, p_target, p_config, p_instance, p_operator);
    INSERT INTO migration_audit_log (migration_id, event_type, new_state, details, operator)
    VALUES (p_id, 'migration_started', 'pending',
            jsonb_build_object('tenant_id', p_tenant, 'source', p_source, 'target', p_target, 'config', p_config),
            p_operator);
END $$;

CREATE OR REPLACE FUNCTION migration_claim(p_id uuid, p_instance text) RETURNS SETOF tenant_migrations
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    earlier text;
    claimed tenant_migrations;
BEGIN
    SELECT owner_instance INTO earlier FROM tenant_migrations WHERE id = p_id FOR UPDATE;
    UPDATE tenant_migrations SET owner_instance = p_instance, owner_epoch = owner_epoch + 1,
           updated_at = clock_timestamp()
     WHERE id = p_id AND state NOT IN ('migrated', 'rolled_back')
    RETURNING * INTO claimed;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM migration_audit(p_id, 'owner_changed', NULL,
                            jsonb_build_object('from', earlier, 'to', p_instance, 'owner_epoch', claimed.owner_epoch));
    RETURN NEXT claimed;
END $$;

-- As in version 1; besides, only the moves of the table are made, and never over a route that somebody has changed by
-- hand: 55000, and the runner obeys what was done.
CREATE OR REPLACE FUNCTION migration_enter(p_id uuid, p_epoch bigint, p_from text, p_to text, p_new_epoch bigint,
                                           p_routing text, p_event text, p_operator text, p_details jsonb,
                                           p_error jsonb, p_instance text, OUT generation bigint,
                                           OUT others_alive bigint)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    m tenant_migrations;
    route tenant_routing;
    moment timestamptz := clock_timestamp();
BEGIN
    IF NOT migration_may_move(p_from, p_to) THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('a migration in state %s cannot become %s', p_from, p_to),
            DETAIL = 'invalid_state_transition';
    END IF;
    -- The route first, as in migration_switch(): two owners must not wait for each other.
    SELECT r.* INTO route FROM tenant_routing r, tenant_migrations t
      WHERE t.id = p_id AND r.tenant_id = t.tenant_id FOR UPDATE OF r;
    IF p_from IN ('bulk_copy', 'dual_write', 'cutover_paused') AND p_to NOT IN ('failed', 'rolled_back')
       AND (route.active_migration_id IS DISTINCT FROM p_id OR route.migration_state <> p_from) THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('the route of the tenant of migration %s was changed by hand', p_id);
    END IF;
    UPDATE tenant_migrations t SET
           state = p_to, owner_epoch = p_new_epoch,
           paused_from = CASE WHEN p_to = 'paused' THEN p_from END, resume_requested_at = NULL,
           error_message = p_error->>'message', error_severity = p_error->>'severity',
           error_recoverability = p_error->>'recoverability',
           started_at = coalesce(t.started_at, CASE WHEN p_to = 'bulk_copy' THEN moment END),
           bulk_copy_started_at = coalesce(t.bulk_copy_started_at, CASE WHEN p_to = 'bulk_copy' THEN moment END),
           bulk_copy_completed_at = coalesce(t.bulk_copy_completed_at,
                                             CASE WHEN p_to = 'dual_write' THEN moment END),
           dual_write_started_at = CASE WHEN p_to = 'dual_write' AND p_from <> 'cutover_paused' THEN moment
                                        ELSE t.dual_write_started_at END, -- a RESUME begins its time anew
           cutover_started_at = CASE WHEN p_to = 'cutover_paused' THEN moment ELSE t.cutover_started_at END,
           completed_at = CASE WHEN p_to IN ('migrated', 'failed', 'rolled_back') THEN moment END,
           updated_at = moment
     WHERE t.id = p_id AND t.state = p_from AND t.owner_epoch = p_epoch
    RETURNING * INTO m;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('migration %s is no longer in state %s under epoch %s', p_id, p_from, p_epoch),
            HINT = 'SHOW MIGRATION tells who changed it.';
    END IF;
    IF p_routing = 'normal' THEN
        UPDATE tenant_routing r
           SET migration_state = 'normal', target_store_id = NULL, active_migration_id = NULL
         WHERE r.tenant_id = m.tenant_id AND r.active_migration_id = p_id
        RETURNING r.generation INTO generation;
    ELSIF p_routing IS NOT NULL THEN
        INSERT INTO tenant_routing AS r (tenant_id, store_id, migration_state, target_store_id, active_migration_id)
        VALUES (m.tenant_id, m.source_store_id, p_routing, m.target_store_id, p_id)
        ON CONFLICT (tenant_id) DO UPDATE
           SET migration_state = p_routing, target_store_id = m.target_store_id, active_migration_id = p_id
         WHERE r.store_id = m.source_store_id
           AND (r.active_migration_id IS NULL OR r.active_migration_id = p_id)
        RETURNING r.generation INTO generation;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = '55000',
                MESSAGE = format('the route of tenant "%s" was changed by hand', m.tenant_id),
                HINT = 'ABORT MIGRATION ends the migration; the route stays as it is.';
        END IF;
    END IF;
    IF generation IS NULL THEN
        SELECT r.generation INTO generation FROM tenant_routing r WHERE r.tenant_id = m.tenant_id;
    END IF;
    generation := coalesce(generation, 0);
    INSERT INTO migration_audit_log (migration_id, event_type, old_state, new_state, details, operator)
    VALUES (p_id, p_event, p_from, p_to, coalesce(p_details, '{}') ||
            CASE WHEN p_error IS NULL THEN '{}' ELSE jsonb_build_object('error', p_error) END ||
            CASE WHEN p_to = 'rolled_back' THEN jsonb_build_object('reason', m.abort_reason) ELSE '{}' END,
            coalesce(p_operator, CASE WHEN p_to = 'rolled_back' THEN m.abort_operator END, session_user));
    others_alive := instances_alive(p_instance);
END $$;

CREATE OR REPLACE FUNCTION migration_announce(p_id uuid, p_epoch bigint, p_instance text, OUT generation bigint,
                                              OUT others_alive bigint)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    m tenant_migrations;
BEGIN
    SELECT * INTO m FROM tenant_migrations t WHERE t.id = p_id AND t.state = 'pending' AND t.owner_epoch = p_epoch
       FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('migration %s is no longer pending under epoch %s', p_id, p_epoch);
    END IF;
    INSERT INTO tenant_routing AS r (tenant_id, store_id, migration_state, target_store_id, active_migration_id)
    VALUES (m.tenant_id, m.source_store_id, 'bulk_copy', m.target_store_id, p_id)
    ON CONFLICT (tenant_id) DO UPDATE
       SET migration_state = 'bulk_copy', target_store_id = m.target_store_id, active_migration_id = p_id
     WHERE r.store_id = m.source_store_id
       AND (r.active_migration_id IS NULL OR r.active_migration_id = p_id)
    RETURNING r.generation INTO generation;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('the route of tenant "%s" was changed by hand', m.tenant_id),
            HINT = 'ABORT MIGRATION ends the migration; the route stays as it is.';
    END IF;
    PERFORM migration_audit(p_id, 'route_announced', NULL, jsonb_build_object('generation', generation));
    others_alive := instances_alive(p_instance);
END $$;

CREATE OR REPLACE FUNCTION migration_switch(p_id uuid, p_epoch bigint, p_generation bigint, p_operator text,
                                            p_details jsonb, p_instance text, p_let_in boolean,
                                            OUT generation bigint, OUT others_alive bigint)
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
    SELECT p_id, event, 'cutover_paused', 'migrated', p_details || jsonb_build_object('generation', generation),
           coalesce(p_operator, session_user)
      FROM unnest(ARRAY['cutover_completed', 'migration_completed']) AS event;
    others_alive := instances_alive(p_instance);
END $$;

-- As in version 1. A route that was changed by hand meanwhile stays as it is: no switch can succeed over it.
CREATE OR REPLACE FUNCTION migration_take_back(p_id uuid, p_epoch bigint, p_operator text, p_error jsonb,
                                               p_instance text, OUT outcome text, OUT epoch bigint,
                                               OUT generation bigint, OUT others_alive bigint)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    m tenant_migrations;
BEGIN
    PERFORM 1 FROM tenant_routing r
      WHERE r.tenant_id = (SELECT tenant_id FROM tenant_migrations WHERE id = p_id) FOR UPDATE;
    SELECT * INTO m FROM tenant_migrations WHERE id = p_id FOR UPDATE;
    others_alive := instances_alive(p_instance);
    outcome := m.state;
    epoch := m.owner_epoch;
    IF m.state IN ('migrated', 'dual_write') AND m.owner_epoch >= p_epoch THEN
        SELECT r.generation INTO generation FROM tenant_routing r WHERE r.tenant_id = m.tenant_id;
        RETURN;
    END IF;
    IF m.state IS DISTINCT FROM 'cutover_paused' OR m.owner_epoch <> p_epoch THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('migration %s is no longer in state cutover_paused under epoch %s', p_id, p_epoch);
    END IF;
    epoch := p_epoch + 1;
    UPDATE tenant_migrations t SET owner_epoch = p_epoch + 1, updated_at = clock_timestamp() WHERE t.id = p_id;
    UPDATE tenant_routing r SET migration_state = 'cutover_paused'
     WHERE r.active_migration_id = p_id AND r.migration_state = 'cutover_paused';
    SELECT r.generation INTO generation FROM tenant_routing r WHERE r.tenant_id = m.tenant_id;
    PERFORM migration_audit(p_id, 'cutover_taken_back', p_operator,
                            jsonb_build_object('owner_epoch', p_epoch + 1, 'error', p_error));
END $$;

CREATE OR REPLACE FUNCTION migration_abort(p_id uuid, p_epoch bigint, p_operator text, p_reason text,
                                           p_instance text, OUT generation bigint, OUT others_alive bigint)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    m tenant_migrations;
BEGIN
    UPDATE tenant_routing r SET migration_state = 'normal', target_store_id = NULL, active_migration_id = NULL
     WHERE r.active_migration_id = p_id;
    UPDATE tenant_migrations t
       SET abort_requested_at = coalesce(t.abort_requested_at, clock_timestamp()),
           abort_reason = coalesce(t.abort_reason, p_reason),
           abort_operator = coalesce(t.abort_operator, p_operator), updated_at = clock_timestamp()
     WHERE t.id = p_id AND t.owner_epoch = p_epoch
    RETURNING * INTO m;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('migration %s is no longer ours under epoch %s', p_id, p_epoch);
    END IF;
    SELECT coalesce(max(r.generation), 0) INTO generation FROM tenant_routing r WHERE r.tenant_id = m.tenant_id;
    PERFORM migration_audit(p_id, 'abort_requested', p_operator, jsonb_build_object('reason', p_reason));
    others_alive := instances_alive(p_instance);
END $$;

-- How far it has come; an entry for every tenth of the copy. copy_rate: events a second since the last call, while the
-- copy goes on (NULL otherwise).
ALTER TABLE tenant_migrations ADD COLUMN copy_rate double precision, ADD COLUMN progress_at timestamptz;

CREATE FUNCTION migration_progress(p_id uuid, p_epoch bigint, p_total bigint, p_copied bigint, p_lag bigint,
                                   p_position bigint, p_percentage double precision)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    old tenant_migrations;
    moment timestamptz := clock_timestamp();
    seconds double precision;
BEGIN
    SELECT * INTO old FROM tenant_migrations t WHERE t.id = p_id AND t.owner_epoch = p_epoch FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    seconds := extract(epoch FROM moment - coalesce(old.progress_at, old.bulk_copy_started_at));
    UPDATE tenant_migrations t
       SET total_events = p_total, events_copied = p_copied, sync_lag_events = p_lag,
           source_position = nullif(p_position, 0), progress_percentage = p_percentage,
           copy_rate = CASE WHEN old.state = 'bulk_copy' AND seconds > 0.05 AND p_copied >= old.events_copied
                            THEN (p_copied - old.events_copied) / seconds END,
           progress_at = moment, updated_at = moment
     WHERE t.id = p_id;
    IF old.state = 'bulk_copy' AND floor(p_percentage / 10) > floor(old.progress_percentage / 10) THEN
        PERFORM migration_audit(p_id, 'progress_checkpoint', NULL,
                                jsonb_build_object('percentage', round(p_percentage::numeric, 2),
                                                   'events_copied', p_copied, 'total_events', p_total,
                                                   'source_position', p_position));
    END IF;
END $$;

-- An error that does not change the state (p_error NULL: it is over). One entry as long as it stays the same.
CREATE FUNCTION migration_note(p_id uuid, p_epoch bigint, p_error jsonb)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    before text;
BEGIN
    SELECT error_message INTO before FROM tenant_migrations WHERE id = p_id AND owner_epoch = p_epoch FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE tenant_migrations
       SET error_message = p_error->>'message', error_severity = p_error->>'severity',
           error_recoverability = p_error->>'recoverability', updated_at = clock_timestamp()
     WHERE id = p_id;
    IF p_error->>'message' IS DISTINCT FROM before AND p_error IS NOT NULL THEN
        PERFORM migration_audit(p_id, 'error_occurred', NULL, jsonb_build_object('error', p_error));
    END IF;
END $$;

CREATE FUNCTION migration_write_recovered(p_id uuid) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    spell migration_failed_writes;
BEGIN
    UPDATE migration_failed_writes SET recovered_at = clock_timestamp()
     WHERE migration_id = p_id AND recovered_at IS NULL
    RETURNING * INTO spell;
    IF FOUND THEN
        PERFORM migration_audit(p_id, 'target_recovered', NULL,
                                jsonb_build_object('failures', spell.failures, 'first', spell.first_failed_at));
    END IF;
END $$;

-- A report of the row, and its entry. p_column: verification or cutover_report.
CREATE FUNCTION migration_report(p_id uuid, p_column text, p_report jsonb, p_event text, p_operator text)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE tenant_migrations
       SET verification = CASE WHEN p_column = 'verification' THEN p_report ELSE verification END,
           cutover_report = CASE WHEN p_column = 'cutover_report' THEN p_report ELSE cutover_report END
     WHERE id = p_id;
    PERFORM migration_audit(p_id, p_event, p_operator, p_report);
END $$;

-- RESUME, while max_concurrent_migrations others are under way: it is done when its turn comes, also after a restart.
ALTER TABLE tenant_migrations ADD COLUMN resume_requested_at timestamptz;

CREATE FUNCTION migration_want_resume(p_id uuid, p_epoch bigint, p_wanted boolean, p_operator text, p_reason text)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE tenant_migrations
       SET resume_requested_at = CASE WHEN p_wanted THEN clock_timestamp() END, updated_at = clock_timestamp()
     WHERE id = p_id AND owner_epoch = p_epoch AND state = 'paused';
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('migration %s is no longer paused under epoch %s', p_id, p_epoch);
    END IF;
    PERFORM migration_audit(p_id, CASE WHEN p_wanted THEN 'resume_requested' ELSE 'resume_withdrawn' END, p_operator,
                            jsonb_build_object('reason', p_reason));
END $$;

-- What the runner has to obey: the row as it is, or, if its route is not what its state says (somebody has changed it
-- by hand), failed. A failed migration's route is normal; where the tenant lives is not changed here.
-- 55000: it is another owner's by now.
CREATE FUNCTION migration_obey(p_id uuid, p_epoch bigint, p_instance text, OUT generation bigint,
                               OUT others_alive bigint, OUT now_state text, OUT route_store text)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    m tenant_migrations;
    route tenant_routing;
    fits boolean;
    why text;
    who text;
BEGIN
    SELECT r.* INTO route FROM tenant_routing r, tenant_migrations t
      WHERE t.id = p_id AND r.tenant_id = t.tenant_id FOR UPDATE OF r;
    SELECT * INTO m FROM tenant_migrations t WHERE t.id = p_id AND t.owner_epoch = p_epoch FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('migration %s is no longer ours under epoch %s', p_id, p_epoch);
    END IF;
    now_state := m.state;
    fits := CASE
        WHEN m.abort_requested_at IS NOT NULL THEN true
        WHEN m.state = 'pending' AND route.active_migration_id = p_id THEN
            route.store_id = m.source_store_id AND route.migration_state = 'bulk_copy'
        WHEN m.state IN ('pending', 'paused') THEN
            route.tenant_id IS NULL OR (route.store_id = m.source_store_id AND route.migration_state = 'normal')
        WHEN m.state IN ('bulk_copy', 'dual_write', 'cutover_paused') THEN
            coalesce(route.active_migration_id = p_id AND route.migration_state = m.state
                     AND route.store_id = m.source_store_id AND route.target_store_id = m.target_store_id, false)
        ELSE true END;
    IF NOT fits THEN
        why := format('the route of tenant "%s" was changed by hand', m.tenant_id);
        SELECT a.operator INTO who FROM migration_audit_log a
          WHERE a.migration_id = p_id AND a.event_type = 'route_changed_by_hand' ORDER BY a.id DESC LIMIT 1;
        UPDATE tenant_migrations t
           SET state = 'failed', paused_from = NULL, resume_requested_at = NULL, error_message = why,
               error_severity = 'critical', error_recoverability = 'fatal', completed_at = clock_timestamp(),
               updated_at = clock_timestamp()
         WHERE t.id = p_id;
        INSERT INTO migration_audit_log (migration_id, event_type, old_state, new_state, details, operator)
        VALUES (p_id, 'migration_failed', m.state, 'failed',
                jsonb_build_object('error', jsonb_build_object('message', why), 'by_hand', true),
                coalesce(who, session_user));
        now_state := 'failed';
    END IF;
    IF now_state = 'failed' THEN
        UPDATE tenant_routing r SET migration_state = 'normal', target_store_id = NULL, active_migration_id = NULL
         WHERE r.active_migration_id = p_id;
        IF FOUND THEN
            PERFORM migration_audit(p_id, 'route_restored', NULL, NULL);
        END IF;
    END IF;
    SELECT r.generation, r.store_id INTO generation, route_store FROM tenant_routing r
      WHERE r.tenant_id = m.tenant_id;
    generation := coalesce(generation, 0);
    others_alive := instances_alive(p_instance);
END $$;

-- EMERGENCY STOP: every migration under way (of one tenant, or of all) is failed, and its route is normal. One row each.
CREATE FUNCTION emergency_stop(p_tenant text, p_operator text, p_reason text)
RETURNS TABLE (id uuid, tenant_id text, old_state text, state text, store_id text)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    m tenant_migrations;
    why text := 'Emergency stop' || coalesce(': ' || p_reason, '');
BEGIN
    PERFORM 1 FROM tenant_routing r -- first, as everywhere
      WHERE r.active_migration_id IS NOT NULL AND (p_tenant IS NULL OR r.tenant_id = p_tenant)
      ORDER BY r.tenant_id FOR UPDATE;
    FOR m IN SELECT * FROM tenant_migrations t
              WHERE t.state IN ('pending', 'bulk_copy', 'dual_write', 'cutover_paused', 'paused')
                AND (p_tenant IS NULL OR t.tenant_id = p_tenant)
              ORDER BY t.created_at, t.id FOR UPDATE LOOP
        UPDATE tenant_routing r SET migration_state = 'normal', target_store_id = NULL, active_migration_id = NULL
         WHERE r.active_migration_id = m.id;
        UPDATE tenant_migrations t
           SET state = 'failed', paused_from = NULL, resume_requested_at = NULL, error_message = why,
               error_severity = 'critical', error_recoverability = 'fatal', completed_at = clock_timestamp(),
               updated_at = clock_timestamp()
         WHERE t.id = m.id;
        INSERT INTO migration_audit_log (migration_id, event_type, old_state, new_state, details, operator)
        VALUES (m.id, 'migration_failed', m.state, 'failed',
                jsonb_build_object('emergency_stop', true, 'reason', p_reason), p_operator);
        PERFORM pg_notify(current_schema() || '.migrations', m.id::text);
        RETURN QUERY SELECT m.id, m.tenant_id, m.state, 'failed'::text,
                            (SELECT coalesce(max(r.store_id), m.source_store_id) FROM tenant_routing r
                              WHERE r.tenant_id = m.tenant_id);
    END LOOP;
END $$;

-- ALTER: what changes of the configuration ({key: value}), and the entry ({key: {old, new}}).
CREATE FUNCTION migration_alter(p_id uuid, p_epoch bigint, p_operator text, p_changes jsonb, p_details jsonb)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE tenant_migrations SET config = config || p_changes, updated_at = clock_timestamp()
     WHERE id = p_id AND owner_epoch = p_epoch
       AND state IN ('pending', 'bulk_copy', 'dual_write', 'cutover_paused', 'paused');
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('migration %s is no longer under way under epoch %s', p_id, p_epoch);
    END IF;
    PERFORM migration_audit(p_id, 'settings_changed', p_operator, p_details);
END $$;

-- Are the tenant's rows in that store nobody's but this migration's?
CREATE FUNCTION migration_may_purge(p_id uuid, p_default_store text) RETURNS boolean
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT coalesce((SELECT r.store_id FROM tenant_routing r WHERE r.tenant_id = m.tenant_id), p_default_store)
               <> m.target_store_id
       AND NOT EXISTS (SELECT FROM tenant_migrations o
                        WHERE o.tenant_id = m.tenant_id AND o.id <> m.id
                          AND (o.target_store_id = m.target_store_id OR o.source_store_id = m.target_store_id)
                          AND o.state IN ('pending', 'bulk_copy', 'dual_write', 'cutover_paused', 'paused'))
      FROM tenant_migrations m WHERE m.id = p_id
$$;

-- How fast, and how long still: events a second on the average of the copy; seconds until all is copied.
CREATE FUNCTION migration_average_rate(m tenant_migrations) RETURNS double precision LANGUAGE sql STABLE AS $$
    SELECT m.events_copied / nullif(extract(epoch FROM
               coalesce(m.bulk_copy_completed_at, m.progress_at, clock_timestamp()) - m.bulk_copy_started_at), 0)
$$;
CREATE FUNCTION migration_eta_seconds(m tenant_migrations) RETURNS double precision LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN m.state = 'bulk_copy' THEN
               greatest(m.total_events - m.events_copied, 0)
               / nullif(coalesce(nullif(m.copy_rate, 0), m.events_copied / nullif(extract(epoch FROM
                   coalesce(m.progress_at, clock_timestamp()) - m.bulk_copy_started_at), 0)), 0) END
$$;

-- Seconds in each state, by the audit.
CREATE FUNCTION migration_phases(p_id uuid) RETURNS TABLE (state text, seconds double precision)
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT e.new_state, extract(epoch FROM sum(coalesce(e.until, clock_timestamp()) - e.created_at))
      FROM (SELECT a.new_state, a.created_at, lead(a.created_at) OVER (ORDER BY a.id) AS until, a.id
              FROM migration_audit_log a
             WHERE a.migration_id = p_id AND a.new_state IS DISTINCT FROM a.old_state
               AND a.event_type NOT IN ('route_changed_by_hand', 'migration_changed_by_hand')) AS e
     WHERE e.new_state NOT IN ('migrated', 'failed', 'rolled_back')
     GROUP BY e.new_state
     ORDER BY min(e.id)
$$;

-- Nothing of the migration is left in its source but what is meant to stay.
CREATE FUNCTION migration_settled(p_id uuid) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE tenant_migrations SET settled_at = clock_timestamp() WHERE id = p_id AND settled_at IS NULL;
    IF FOUND THEN
        PERFORM migration_audit(p_id, 'source_settled', NULL, NULL);
    END IF;
END $$;

-- === several instances ==============================================================================================

-- Whose transactions were in flight there when its gates closed: pid and age, as text.
ALTER TABLE instance_acks ADD COLUMN blockers text;

-- === rehearsals ==============================================================================================

-- The last REHEARSE CUTOVER: how many, how many would have been taken back, the pause's median and maximum in ms.
ALTER TABLE tenant_migrations ADD COLUMN rehearsal jsonb;

-- --- reports ---------------------------------------------------------------------------------------------------------

-- What was found and done, whole: a row of SHOW REPORT.
CREATE TABLE migration_reports (
    n            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id uuid NOT NULL REFERENCES tenant_migrations (id) ON DELETE CASCADE,
    kind         text NOT NULL,
    report       jsonb NOT NULL,
    operator     text NOT NULL DEFAULT session_user,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT migration_reports_kind CHECK (kind IN ('verification', 'repair', 'resync', 'cutover'))
);
CREATE INDEX migration_reports_by_migration ON migration_reports (migration_id, kind, n);

-- A report is kept (the last 200 of a kind), and audited; row and audit have it without the list of violations.
-- p_column: verification or cutover_report, which the row has, too; repair, resync.
CREATE OR REPLACE FUNCTION migration_report(p_id uuid, p_column text, p_report jsonb, p_event text, p_operator text)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    its_kind text := replace(p_column, '_report', '');
    brief jsonb := (p_report - 'listed') #- '{before,listed}';
    number bigint;
BEGIN
    UPDATE tenant_migrations
       SET verification = CASE WHEN p_column = 'verification' THEN brief ELSE verification END,
           cutover_report = CASE WHEN p_column = 'cutover_report' THEN brief ELSE cutover_report END
     WHERE id = p_id;
    INSERT INTO migration_reports (migration_id, kind, report, operator)
    VALUES (p_id, its_kind, p_report, coalesce(p_operator, session_user))
    RETURNING n INTO number;
    DELETE FROM migration_reports
     WHERE migration_id = p_id AND kind = its_kind
       AND n <= (SELECT n FROM migration_reports WHERE migration_id = p_id AND kind = its_kind
                  ORDER BY n DESC OFFSET 200 LIMIT 1);
    PERFORM migration_audit(p_id, p_event, p_operator, brief || jsonb_build_object('report', number));
END $$;

-- === positions ======================================================================================================

-- positions_shipped: up to which target position the target's pairs are in migration_position_mappings. positions_at: all
-- are, and none is left in the target.
ALTER TABLE tenant_migrations ADD COLUMN positions_shipped bigint, ADD COLUMN positions_at timestamptz;

-- Positions that are kept (preserve) must not meet positions that the target's sequence gives to somebody else. START looks
-- before; two of them at once meet here.
CREATE FUNCTION tenant_migrations_positions() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    mode text := NEW.config->>'position_mode';
    other text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('pgshunt positions ' || NEW.target_store_id, 0));
    SELECT m.tenant_id INTO other FROM tenant_migrations m
     WHERE m.target_store_id = NEW.target_store_id AND m.tenant_id <> NEW.tenant_id
       AND m.state IN ('pending', 'bulk_copy', 'dual_write', 'cutover_paused', 'paused')
       AND (mode = 'preserve' OR m.config->>'position_mode' = 'preserve')
     LIMIT 1;
    IF other IS NOT NULL AND mode IN ('preserve', 'assign') THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('tenant "%s" is on its way to store "%s", too: their positions could collide', other,
                             NEW.target_store_id),
            DETAIL = 'One of them keeps the positions of its source (position_mode = preserve).',
            HINT = 'Wait until it has arrived, or move both WITH (position_mode = assign).';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_positions_apart BEFORE INSERT ON tenant_migrations
    FOR EACH ROW EXECUTE FUNCTION tenant_migrations_positions();

-- Pairs that the target has given, and those whose row has gone since. Doing it again has the same result.
CREATE FUNCTION positions_ship(p_id uuid, p_epoch bigint, p_sources bigint[], p_targets bigint[], p_events text[],
                               p_last bigint, p_gone_sources bigint[], p_gone_targets bigint[])
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM FROM tenant_migrations WHERE id = p_id AND owner_epoch = p_epoch FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = format('migration %s has another owner', p_id);
    END IF;
    INSERT INTO migration_position_mappings AS p (migration_id, source_position, target_position, event_id)
    SELECT p_id, s, t, e FROM unnest(p_sources, p_targets, p_events) AS u (s, t, e)
    ON CONFLICT (migration_id, source_position) DO UPDATE
       SET target_position = excluded.target_position, event_id = excluded.event_id;
    DELETE FROM migration_position_mappings p
     USING unnest(p_gone_sources, p_gone_targets) AS g (s, t)
     WHERE p.migration_id = p_id AND p.source_position = g.s AND p.target_position = g.t;
    UPDATE tenant_migrations SET positions_shipped = greatest(positions_shipped, p_last)
     WHERE id = p_id AND p_last IS NOT NULL;
END $$;

-- --- resynchronisation -----------------------------------------------------------------------------------------------

-- RESYNC, until it is done: a restart goes on with it. resync_from 0: everything.
ALTER TABLE tenant_migrations ADD COLUMN resync_requested_at timestamptz, ADD COLUMN resync_from bigint,
                              ADD COLUMN resync_operator text;

CREATE FUNCTION migration_want_resync(p_id uuid, p_epoch bigint, p_from bigint, p_operator text)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE tenant_migrations
       SET resync_requested_at = clock_timestamp(), resync_from = p_from, resync_operator = p_operator,
           updated_at = clock_timestamp()
     WHERE id = p_id AND owner_epoch = p_epoch AND state IN ('dual_write', 'paused');
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('migration %s is no longer in dual_write or paused under epoch %s', p_id, p_epoch);
    END IF;
    PERFORM migration_audit(p_id, 'resync_requested', p_operator, jsonb_build_object('from_position', p_from));
END $$;

-- Its wish is fulfilled, and it shall go on (p_resume), or it could not be: the operator decides.
CREATE FUNCTION migration_resync_end(p_id uuid, p_epoch bigint, p_report jsonb, p_operator text, p_resume boolean)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE tenant_migrations
       SET resync_requested_at = NULL,
           resume_requested_at = CASE WHEN p_resume THEN clock_timestamp() ELSE resume_requested_at END,
           error_message = CASE WHEN p_resume THEN NULL ELSE p_report->>'error' END, updated_at = clock_timestamp()
     WHERE id = p_id AND owner_epoch = p_epoch AND state = 'paused';
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('migration %s is no longer paused under epoch %s', p_id, p_epoch);
    END IF;
    PERFORM migration_report(p_id, 'resync', p_report, CASE WHEN p_resume THEN 'resync_completed' ELSE 'resync_failed' END,
                             p_operator);
END $$;
CREATE FUNCTION migration_resync_done(p_id uuid, p_epoch bigint, p_report jsonb, p_operator text)
RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS $$
    SELECT migration_resync_end(p_id, p_epoch, p_report, p_operator, true)
$$;
CREATE FUNCTION migration_resync_failed(p_id uuid, p_epoch bigint, p_report jsonb, p_operator text)
RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS $$
    SELECT migration_resync_end(p_id, p_epoch, p_report, p_operator, false)
$$;

-- === subscriptions ==================================================================================================

-- A subscription that has read up to a source position has read, in the target, everything before the first of the copied
-- events that it has not read; or all of them. Nothing is concluded from an order: target positions need not ascend with
-- the source's. Events first written in the target do not count, for they are behind all that.
CREATE FUNCTION position_checkpoint(p_id uuid, p_position bigint) RETURNS bigint LANGUAGE sql STABLE
SET search_path FROM CURRENT AS $$
    SELECT coalesce((SELECT min(target_position) - 1 FROM migration_position_mappings
                      WHERE migration_id = p_id AND source_position > p_position),
                    (SELECT max(target_position) FROM migration_position_mappings WHERE migration_id = p_id))
$$;

-- Checkpoints that have been translated, or are about to be ('planned'): each is touched once.
CREATE TABLE migration_subscriptions (
    migration_id uuid NOT NULL REFERENCES tenant_migrations (id),
    subscription text NOT NULL,
    old_position text NOT NULL,
    new_position text NOT NULL,
    state        text NOT NULL,
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (migration_id, subscription),
    CONSTRAINT migration_subscriptions_state CHECK (state IN ('planned', 'moved'))
);

-- Before the checkpoint is written: false if it has been translated already.
CREATE FUNCTION subscription_plan(p_id uuid, p_name text, p_old text, p_new text) RETURNS boolean
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO migration_subscriptions AS s (migration_id, subscription, old_position, new_position, state)
    VALUES (p_id, p_name, p_old, p_new, 'planned')
    ON CONFLICT (migration_id, subscription) DO UPDATE
       SET old_position = p_old, new_position = p_new, updated_at = clock_timestamp()
     WHERE s.state = 'planned';
    RETURN FOUND;
END $$;

-- Behind it, with the audit's entry.
CREATE FUNCTION subscription_moved(p_id uuid, p_name text, p_operator text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    s migration_subscriptions;
BEGIN
    UPDATE migration_subscriptions SET state = 'moved', updated_at = clock_timestamp()
     WHERE migration_id = p_id AND subscription = p_name AND state = 'planned'
    RETURNING * INTO s;
    IF FOUND THEN
        PERFORM migration_audit(p_id, 'subscription_migrated', p_operator,
                                jsonb_build_object('subscription', p_name, 'from', s.old_position, 'to', s.new_position));
    END IF;
END $$;

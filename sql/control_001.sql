-- control_001.sql - version 1 of the control schema: tables, triggers, and the functions that change a migration.
-- Runs with search_path set to the schema it fills, in one transaction with its row in control_version:
--     CREATE SCHEMA pgshunt; SET search_path = pgshunt; \i control_001.sql
-- A later version is a new file, control_002.sql; this one is never edited once released.

-- Who a store is. One that answers with another identity is refused until the operator deletes its row.
CREATE TABLE stores (
    store_id          text PRIMARY KEY,
    system_identifier text NOT NULL,
    database_oid      oid NOT NULL,
    recorded_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE tenant_migrations (
    id                     uuid PRIMARY KEY,
    tenant_id              text NOT NULL,
    source_store_id        text NOT NULL,
    target_store_id        text NOT NULL,
    state                  text NOT NULL DEFAULT 'pending',
    paused_from            text,
    owner_instance         text,
    owner_epoch            bigint NOT NULL DEFAULT 0,
    total_events           bigint NOT NULL DEFAULT 0,
    events_copied          bigint NOT NULL DEFAULT 0,
    progress_percentage    double precision NOT NULL DEFAULT 0,
    sync_lag_events        bigint NOT NULL DEFAULT 0,
    source_position        bigint,
    target_position        bigint,
    config                 jsonb NOT NULL DEFAULT '{}',
    error_message          text,
    error_severity         text,
    error_recoverability   text,
    verification           jsonb,          -- the last full verification: result, streams, events, violations, …
    cutover_report         jsonb,          -- the last cutover: pause_ms, held_writes, longest_hold_ms, steps in µs
    abort_requested_at     timestamptz,    -- an abort goes on after a restart until the tap is gone
    abort_reason           text,
    abort_operator         text,
    created_by             text NOT NULL DEFAULT session_user,
    created_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at             timestamptz,
    bulk_copy_started_at   timestamptz,
    bulk_copy_completed_at timestamptz,
    dual_write_started_at  timestamptz,
    cutover_started_at     timestamptz,
    completed_at           timestamptz,
    updated_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT tenant_migrations_state CHECK (state IN ('pending', 'bulk_copy', 'dual_write', 'cutover_paused',
        'migrated', 'failed', 'rolled_back', 'paused')),
    CONSTRAINT tenant_migrations_stores CHECK (source_store_id <> target_store_id)
);
-- One active migration per tenant.
CREATE UNIQUE INDEX tenant_migrations_one_active ON tenant_migrations (tenant_id)
    WHERE state IN ('pending', 'bulk_copy', 'dual_write', 'cutover_paused', 'paused');
CREATE INDEX tenant_migrations_by_time ON tenant_migrations (created_at);

-- Where a tenant lives. Without a row: in the default store.
CREATE TABLE tenant_routing (
    tenant_id           text PRIMARY KEY,
    store_id            text NOT NULL,
    migration_state     text NOT NULL DEFAULT 'normal',
    target_store_id     text,
    active_migration_id uuid REFERENCES tenant_migrations (id),
    generation          bigint NOT NULL DEFAULT 1,
    updated_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT tenant_routing_state CHECK (migration_state IN ('normal', 'bulk_copy', 'dual_write',
        'cutover_paused')),
    CONSTRAINT tenant_routing_target CHECK (migration_state = 'normal'
        OR (target_store_id IS NOT NULL AND active_migration_id IS NOT NULL))
);

CREATE TABLE migration_position_mappings (
    migration_id    uuid NOT NULL REFERENCES tenant_migrations (id),
    source_position bigint NOT NULL,
    target_position bigint NOT NULL,
    event_id        text,
    PRIMARY KEY (migration_id, source_position)
);

CREATE TABLE migration_audit_log (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id uuid,
    event_type   text NOT NULL,
    old_state    text,
    new_state    text,
    details      jsonb NOT NULL DEFAULT '{}',
    operator     text NOT NULL DEFAULT session_user,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX migration_audit_log_by_migration ON migration_audit_log (migration_id, id);

-- One row per spell of target failures: it begins with the first and ends when the target is back.
CREATE TABLE migration_failed_writes (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id    uuid NOT NULL REFERENCES tenant_migrations (id),
    failures        bigint NOT NULL DEFAULT 1,
    entries         bigint NOT NULL DEFAULT 0,  -- captured and not mirrored at the last failure
    sqlstate        text NOT NULL,
    error_message   text NOT NULL,
    first_failed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_failed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    recovered_at    timestamptz
);
CREATE UNIQUE INDEX migration_failed_writes_open ON migration_failed_writes (migration_id)
    WHERE recovered_at IS NULL;

CREATE TABLE proxy_instances (
    instance_id  text PRIMARY KEY,
    host         text NOT NULL,
    pid          integer NOT NULL,
    version      text NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_ms     bigint NOT NULL,
    generation   bigint NOT NULL DEFAULT 0
);

CREATE TABLE instance_acks (
    instance_id     text NOT NULL REFERENCES proxy_instances (instance_id) ON DELETE CASCADE,
    tenant_id       text NOT NULL,
    generation      bigint NOT NULL,
    drained_at      timestamptz,
    blocked_writers integer NOT NULL DEFAULT 0,
    PRIMARY KEY (instance_id, tenant_id)
);

-- Did pgshunt make this change, or somebody's own UPDATE? Only tells the audit; rights are PostgreSQL's business.
CREATE FUNCTION made_by_hand() RETURNS boolean LANGUAGE sql STABLE
    RETURN current_setting('pgshunt.ledger', true) IS DISTINCT FROM 'on';

-- Every change of a route raises its generation, whoever makes it.
CREATE FUNCTION tenant_routing_before() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('the route of tenant "%s" cannot be deleted', OLD.tenant_id),
            DETAIL = 'Its generation must never go back.',
            HINT = 'UPDATE tenant_routing SET store_id = … instead.';
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF NEW.tenant_id <> OLD.tenant_id THEN
            RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'a route cannot change its tenant';
        END IF;
        NEW.generation := OLD.generation + 1;
    END IF;
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER raise_generation BEFORE INSERT OR UPDATE OR DELETE ON tenant_routing
    FOR EACH ROW EXECUTE FUNCTION tenant_routing_before();

CREATE FUNCTION tenant_routing_after() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM pg_notify(TG_TABLE_SCHEMA || '.routing', NEW.tenant_id);
    IF made_by_hand() THEN
        INSERT INTO migration_audit_log (migration_id, event_type, old_state, new_state, details, operator)
        VALUES (coalesce(NEW.active_migration_id, CASE WHEN TG_OP = 'UPDATE' THEN OLD.active_migration_id END),
                'route changed by hand', CASE WHEN TG_OP = 'UPDATE' THEN OLD.migration_state END,
                NEW.migration_state,
                jsonb_build_object('old', CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(OLD) END, 'new', to_jsonb(NEW)),
                session_user);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tell_instances AFTER INSERT OR UPDATE ON tenant_routing
    FOR EACH ROW EXECUTE FUNCTION tenant_routing_after();

CREATE FUNCTION tenant_migrations_after() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
    IF made_by_hand() THEN
        PERFORM pg_notify(TG_TABLE_SCHEMA || '.migrations', NEW.id::text);
        INSERT INTO migration_audit_log (migration_id, event_type, old_state, new_state, details, operator)
        VALUES (NEW.id, 'migration changed by hand', OLD.state, NEW.state,
                jsonb_build_object('old', to_jsonb(OLD), 'new', to_jsonb(NEW)), session_user);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tell_instances AFTER UPDATE ON tenant_migrations
    FOR EACH ROW EXECUTE FUNCTION tenant_migrations_after();

-- START: the row, pending. 23505 if the tenant has an active migration, 55000 if it does not live at the source.
CREATE FUNCTION migration_create(p_id uuid, p_tenant text, p_source text, p_target text, p_default_store text,
                                 p_config jsonb, p_instance text, p_operator text)
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
    VALUES (p_id, 'migration started', 'pending',
            jsonb_build_object('tenant_id', p_tenant, 'source', p_source, 'target', p_target, 'config', p_config),
            p_operator);
END $$;

-- Takes an active migration over: a new epoch, so that whatever its earlier owner still tries to do fails.
-- No row: it is not active any more.
CREATE FUNCTION migration_claim(p_id uuid, p_instance text) RETURNS SETOF tenant_migrations
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
    INSERT INTO migration_audit_log (migration_id, event_type, old_state, new_state, details)
    VALUES (p_id, 'owner changed', claimed.state, claimed.state,
            jsonb_build_object('from', earlier, 'to', p_instance, 'owner_epoch', claimed.owner_epoch));
    RETURN NEXT claimed;
END $$;

-- The one change of state: row (if it is still the caller's), route and audit entry, in one transaction.
-- p_new_epoch may be p_epoch. p_routing: the route's migration_state from now on, NULL leaves the route alone.
-- Returns the route's generation (0: it has none) and how many other instances are alive.
CREATE FUNCTION migration_enter(p_id uuid, p_epoch bigint, p_from text, p_to text, p_new_epoch bigint,
                                p_routing text, p_event text, p_operator text, p_details jsonb, p_error jsonb,
                                p_instance text, OUT generation bigint, OUT others_alive bigint)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    m tenant_migrations;
    moment timestamptz := clock_timestamp();
BEGIN
    -- The route first, as in migration_switch(): two owners must not wait for each other.
    PERFORM 1 FROM tenant_routing r, tenant_migrations t
      WHERE t.id = p_id AND r.tenant_id = t.tenant_id FOR UPDATE OF r;
    UPDATE tenant_migrations t SET
           state = p_to, owner_epoch = p_new_epoch,
           paused_from = CASE WHEN p_to = 'paused' THEN p_from END,
           error_message = p_error->>'message', error_severity = p_error->>'severity',
           error_recoverability = p_error->>'recoverability',
           started_at = coalesce(t.started_at, CASE WHEN p_to = 'bulk_copy' THEN moment END),
           bulk_copy_started_at = coalesce(t.bulk_copy_started_at, CASE WHEN p_to = 'bulk_copy' THEN moment END),
           bulk_copy_completed_at = coalesce(t.bulk_copy_completed_at,
                                             CASE WHEN p_to = 'dual_write' THEN moment END),
           dual_write_started_at = coalesce(t.dual_write_started_at, CASE WHEN p_to = 'dual_write' THEN moment END),
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
            CASE WHEN p_error IS NULL THEN '{}' ELSE jsonb_build_object('error', p_error) END,
            coalesce(p_operator, session_user));
    others_alive := instances_alive(p_instance);
END $$;

-- Before the tap: the route says bulk_copy, so that every loop of every instance makes the tenant's gate; the migration
-- is pending until the tap stands.
CREATE FUNCTION migration_announce(p_id uuid, p_epoch bigint, p_instance text, OUT generation bigint,
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
    others_alive := instances_alive(p_instance);
END $$;

-- Instances, besides the caller's, whose lease has not run out by this database's clock.
CREATE FUNCTION instances_alive(p_instance text) RETURNS bigint LANGUAGE sql VOLATILE SET search_path FROM CURRENT
AS $$
    SELECT count(*) FROM proxy_instances
     WHERE instance_id <> p_instance AND heartbeat_at > clock_timestamp() - lease_ms * interval '1 millisecond'
$$;

-- The switch: the one conditional commit. 55000 (and nothing changed) unless route and migration are both as the
-- caller left them.
CREATE FUNCTION migration_switch(p_id uuid, p_epoch bigint, p_generation bigint, p_operator text, p_details jsonb,
                                 p_instance text, OUT generation bigint, OUT others_alive bigint)
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
           progress_percentage = 100
     WHERE t.id = p_id AND t.state = 'cutover_paused' AND t.owner_epoch = p_epoch;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'the migration has been changed since the cutover began';
    END IF;
    INSERT INTO migration_audit_log (migration_id, event_type, old_state, new_state, details, operator)
    VALUES (p_id, 'migration completed', 'cutover_paused', 'migrated',
            p_details || jsonb_build_object('generation', generation), coalesce(p_operator, session_user));
    others_alive := instances_alive(p_instance);
END $$;

-- After a cutover that did not come to its end, or whose end is not known: waits for a switch that may still be
-- committing, and decides. 'migrated': it was switched. Else nobody can switch it any more: the epoch and the route's
-- generation are raised. It stays cutover_paused until the caller has opened the tap, so that a crash in between leaves
-- the gates closed. 'dual_write': an earlier call's answer was lost.
CREATE FUNCTION migration_take_back(p_id uuid, p_epoch bigint, p_operator text, p_error jsonb, p_instance text,
                                    OUT outcome text, OUT epoch bigint, OUT generation bigint,
                                    OUT others_alive bigint)
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
    UPDATE tenant_routing r SET migration_state = 'cutover_paused' WHERE r.active_migration_id = p_id
    RETURNING r.generation INTO generation;
    INSERT INTO migration_audit_log (migration_id, event_type, old_state, new_state, details, operator)
    VALUES (p_id, 'cutover taken back', m.state, m.state,
            jsonb_build_object('owner_epoch', p_epoch + 1, 'error', p_error), coalesce(p_operator, session_user));
END $$;

-- ABORT: the route is normal at once and the wish survives a restart; the migration ends when its tap is gone.
CREATE FUNCTION migration_abort(p_id uuid, p_epoch bigint, p_operator text, p_reason text, p_instance text,
                                OUT generation bigint, OUT others_alive bigint)
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
    INSERT INTO migration_audit_log (migration_id, event_type, old_state, new_state, details, operator)
    VALUES (p_id, 'abort requested', m.state, m.state, jsonb_build_object('reason', p_reason),
            coalesce(p_operator, session_user));
    others_alive := instances_alive(p_instance);
END $$;

-- A target failure: one row per spell.
CREATE FUNCTION migration_write_failed(p_id uuid, p_entries bigint, p_sqlstate text, p_message text)
RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS $$
    INSERT INTO migration_failed_writes AS f (migration_id, entries, sqlstate, error_message)
    VALUES (p_id, p_entries, p_sqlstate, p_message)
    ON CONFLICT (migration_id) WHERE recovered_at IS NULL DO UPDATE
       SET failures = f.failures + 1, entries = p_entries, sqlstate = p_sqlstate, error_message = p_message,
           last_failed_at = clock_timestamp()
$$;

-- This instance's row; a predecessor of the same name is replaced at once. Its start tells the two apart.
-- p_replace false: only if the name is free or its lease has run out; else no row comes back.
CREATE FUNCTION instance_register(p_instance text, p_host text, p_pid integer, p_version text, p_lease_ms bigint,
                                  p_replace boolean)
RETURNS SETOF timestamptz LANGUAGE sql SET search_path FROM CURRENT AS $$
    INSERT INTO proxy_instances AS i (instance_id, host, pid, version, lease_ms)
    VALUES (p_instance, p_host, p_pid, p_version, p_lease_ms)
    ON CONFLICT (instance_id) DO UPDATE
       SET host = p_host, pid = p_pid, version = p_version, lease_ms = p_lease_ms, generation = 0,
           started_at = clock_timestamp(), heartbeat_at = clock_timestamp()
     WHERE p_replace OR i.heartbeat_at < clock_timestamp() - i.lease_ms * interval '1 millisecond'
    RETURNING started_at
$$;

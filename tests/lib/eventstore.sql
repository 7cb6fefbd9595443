-- eventstore.sql - an event store in the shape of the eventsource-py library, as the demo and the tests use it.
-- psql -v events_owner=… -v app_role=… -f eventstore.sql: once per database, as a superuser.
-- Leaves: table events, owned by events_owner; app_role may read and write it and nothing else.

SET ROLE :"events_owner";

CREATE TABLE events (
  global_position bigserial PRIMARY KEY,
  event_id        uuid         NOT NULL,
  aggregate_id    uuid         NOT NULL,
  aggregate_type  varchar(255) NOT NULL,
  event_type      varchar(255) NOT NULL,
  tenant_id       uuid,
  actor_id        varchar(255),
  version         integer      NOT NULL,
  "timestamp"     timestamptz  NOT NULL,
  payload         jsonb        NOT NULL,
  created_at      timestamptz  NOT NULL DEFAULT now(),
  CONSTRAINT events_event_id_key UNIQUE (event_id),
  CONSTRAINT uq_events_aggregate_version UNIQUE (aggregate_id, aggregate_type, version)
);
-- A tenant's feed, and the order in which a tenant is copied.
CREATE INDEX idx_events_tenant_position ON events (tenant_id, global_position);

GRANT SELECT, INSERT, UPDATE, DELETE ON events TO :"app_role";
GRANT USAGE, SELECT ON SEQUENCE events_global_position_seq TO :"app_role";

RESET ROLE;

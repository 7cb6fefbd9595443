#!/usr/bin/env bash
# psql: what an operator or a script types. The checklist is in checklist.py.
set -u
tenant_port=$TENANT_PORT other_port=$OTHER_PORT

sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 -v VERBOSITY=verbose "$@" 2>&1; }
answer() { # feature, expected, seen
  if [ "$2" = "$3" ]; then echo "$1 ok"; else echo "$1 no expected $2, got ${3//$'\n'/ }"; fi
}
not_there() { echo "$1 n/a $2"; }

place() { echo "SELECT current_setting('port') FROM (SELECT count(*) FROM events WHERE tenant_id = '$1') AS e;"; }
append() {
  echo "INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, \"timestamp\", payload)
        VALUES (gen_random_uuid(), gen_random_uuid(), 'Order', 'Placed', '$1', 1, now(), '{}')
        RETURNING current_setting('port');"
}

echo "version $(psql --version | grep -oE '[0-9]+\.[0-9]+' | head -n 1)"
answer connect 15 "$(sql -c 'SHOW server_version' | cut -d. -f1)"
answer errors "42P01 22012 1" "$(printf '%s\n' '\set ON_ERROR_STOP off' 'SELECT 1 FROM nowhere;' '\echo :SQLSTATE' \
  'SELECT 1/0;' '\echo :SQLSTATE' 'SELECT 1;' | sql -f - | grep -xE '[0-9P]+' | paste -sd' ')"
answer transactions "2" "$(printf '%s\n' 'BEGIN;' "INSERT INTO scratch VALUES (1, 'a');" 'ROLLBACK;' \
  'BEGIN ISOLATION LEVEL REPEATABLE READ;' "INSERT INTO scratch VALUES (2, 'b');" 'SAVEPOINT s;' \
  '\set ON_ERROR_STOP off' '\set ON_ERROR_ROLLBACK on' 'SELECT 1/0;' 'COMMIT;' \
  'DELETE FROM scratch RETURNING id;' | sql -f - | grep -xE '[0-9]+' | paste -sd' ')"
answer prepared "3 4 5" "$(printf '%s\n' 'PREPARE sum (int) AS SELECT $1 + 2;' 'EXECUTE sum (1);' 'EXECUTE sum (2);' \
  'EXECUTE sum (3);' 'DEALLOCATE sum;' | sql -f - | paste -sd' ')"
not_there binary "psql speaks text only"
not_there pipeline "psql 15 has none"
answer copy "5000 5000 $TENANT_EVENTS" "$({
  seq 5000 | sed 's/$/\tnote/' | sql -c '\copy scratch FROM STDIN' >&2
  sql -c '\copy scratch TO STDOUT' | wc -l
  sql -c 'COPY (SELECT id FROM scratch) TO STDOUT (FORMAT csv)' | wc -l
  sql -c "COPY (SELECT version FROM events WHERE tenant_id = '$TENANT' LIMIT $TENANT_EVENTS) TO STDOUT" | wc -l
  sql -c 'DELETE FROM scratch' >&2
} | paste -sd' ')"
answer cursor "$TENANT_EVENTS" "$(printf '%s\n' '\set FETCH_COUNT 7' \
  "SELECT version FROM events WHERE tenant_id = '$TENANT' LIMIT $TENANT_EVENTS;" | sql -f - | wc -l)"
cancelled() { # Ctrl-C
  # A command in the background ignores SIGINT unless job control is on.
  set -m
  psql -X -q -A -t -v VERBOSITY=verbose -c "SELECT pg_sleep(30) FROM events WHERE tenant_id = '$TENANT' LIMIT 1" 2>&1 &
  local pid=$!
  sleep 1
  kill -INT $pid
  wait $pid
}
answer cancel 57014 "$(cancelled | grep -oE '57014' | head -n 1)"
answer notify '"news" "second"' "$({ echo 'LISTEN news;'; sleep 1; echo 'SELECT 1;'; } | sql -f - 2>&1 |
  grep -oE '"(news|second)"' | paste -sd' ' &
  sleep 0.5; sql -c "NOTIFY news, 'second'"; wait)"
case $PGSSLMODE in
  require|verify-*) answer tls t "$(sql -c '\conninfo' | grep -q 'SSL connection' && echo t)" ;;
  *) not_there tls "the proxy offers none in this run" ;;
esac
answer tenants "$tenant_port $tenant_port $other_port $other_port $tenant_port $tenant_port $other_port" "$({
  place "$TENANT"; append "$TENANT"; place "$OTHER"; append "$OTHER"
  echo 'BEGIN;'; append "$TENANT"; echo 'ROLLBACK;'
  echo 'BEGIN;'; append "$TENANT"; echo 'COMMIT;'
  place "$OTHER"
} | sql -f - | paste -sd' ')"

#!/usr/bin/env bash
# pgbench in each of its modes, at its own tables and at the tenants'. What it does not do is n/a.
set -u
folder=$(mktemp -d "${TMPDIR:-/tmp}/pgshunt-pgbench-XXXXXX") || exit 1
trap 'rm -rf "$folder"' EXIT

bench() { # arguments...: says why not
  local said
  said=$("$PGBENCH" -n "$@" 2>&1) || { echo "${said//$'\n'/ }"; return; }
  grep -q 'number of failed transactions: 0 ' <<<"$said" || echo "some transactions failed"
  grep -qiE 'error|aborted' <<<"$said" && echo "${said//$'\n'/ }"
}
answer() { # feature, what went wrong
  if [ -z "$2" ]; then echo "$1 ok"; else echo "$1 no $2"; fi
}

cat >"$folder/tenants.sql" <<END
SELECT count(*) AS seen, current_setting('port')::int AS port FROM events WHERE tenant_id = '$TENANT' \gset
\if :port != $TENANT_PORT
SELECT 1/0;
\endif
BEGIN;
INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, "timestamp", payload)
VALUES (gen_random_uuid(), gen_random_uuid(), 'Order', 'Placed', '$TENANT', 1, now(), '{}');
END;
INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, "timestamp", payload)
VALUES (gen_random_uuid(), gen_random_uuid(), 'Order', 'Placed', '$OTHER', 1, now(), '{}');
SELECT current_setting('port')::int AS port FROM events WHERE tenant_id = '$OTHER' LIMIT 1 \gset
\if :port != $OTHER_PORT
SELECT 1/0;
\endif
END
cat >"$folder/pipeline.sql" <<END
\startpipeline
SELECT 1;
SELECT count(*) FROM events WHERE tenant_id = '$TENANT';
SELECT 2;
\endpipeline
END

echo "version $("$PGBENCH" --version | grep -oE '[0-9]+\.[0-9]+' | head -n 1)"
answer connect "$("$PGBENCH" -i -q -s 1 2>&1 | grep -iE 'error|fatal')"       # makes and fills its tables by COPY
echo "errors n/a it ends at the first one"
answer transactions "$(bench -c 4 -t 50 -b tpcb-like; bench -c 4 -t 50 -b simple-update -C)"
answer prepared "$(bench -c 4 -t 100 -S -M prepared; bench -c 4 -t 50 -M extended)"
echo "binary n/a it speaks text only"
answer pipeline "$(bench -c 4 -t 50 -M extended -f "$folder/pipeline.sql"; bench -c 4 -t 50 -M prepared -f "$folder/pipeline.sql")"
answer copy "$("$PGBENCH" -i -q -s 2 -I dtg 2>&1 | grep -iE 'error|fatal')"
for feature in cursor cancel notify; do echo "$feature n/a it has none"; done
case $PGSSLMODE in
  require|verify-*) answer tls "$(bench -S -t 10)" ;;
  *) echo "tls n/a the proxy offers none in this run" ;;
esac
answer tenants "$(for mode in simple extended prepared; do bench -c 4 -t 30 -M $mode -f "$folder/tenants.sql"; done)"

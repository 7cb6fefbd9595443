// What the programs for node share; see checklist.py.
const environment = process.env;
const TENANT = environment.TENANT;

class NotThere extends Error {}

async function check(feature, question) {
  try {
    await question();
    console.log(feature, 'ok');
  } catch (problem) {
    const words = String(problem.message).split(/\s+/).join(' ').slice(0, 200);
    console.log(feature, problem instanceof NotThere ? 'n/a' : 'no', words);
    if (!(problem instanceof NotThere)) console.error(problem);
  }
}

module.exports = {
  NotThere,
  check,
  homes: [[TENANT, Number(environment.TENANT_PORT)], [environment.OTHER, Number(environment.OTHER_PORT)]],
  EVENTS: Number(environment.TENANT_EVENTS),
  TLS: !['disable', 'allow', 'prefer'].includes(environment.PGSSLMODE),
  SLEEP: `SELECT pg_sleep(30) FROM events WHERE tenant_id = '${TENANT}' LIMIT 1`,
  STREAM: `SELECT version FROM events WHERE tenant_id = '${TENANT}'`,
  read: "SELECT current_setting('port')::int, count(*)::int FROM events WHERE tenant_id = $1",
  append: `INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, "timestamp", payload)
    VALUES (gen_random_uuid(), gen_random_uuid(), 'Order', 'Placed', $1, 1, now(), '{}')
    RETURNING current_setting('port')::int`,
};

// postgres.js: prepares by itself, describes first, and sends queries of one connection in a pipeline.
const postgres = require('postgres');
const assert = require('assert').strict;
const { pipeline } = require('stream/promises');
const { Readable } = require('stream');
const { once } = require('events');
const { check, homes, read, append, SLEEP, STREAM, EVENTS, TLS, NotThere } = require('./checklist.js');

// One connection: what stands in the way of another statement has to show.
const connect = () => postgres({ ssl: TLS ? 'require' : false, max: 1, onnotice: () => {} });
async function fails(code, query) {
  const error = await query.then(() => null, (problem) => problem);
  assert.equal(error && error.code, code);
  return error;
}
const place = async (sql, tenant) => Object.values((await sql.unsafe(read, [tenant], { prepare: true }))[0]);
const store = async (sql, tenant) => (await sql.unsafe(append, [tenant], { prepare: true }))[0].current_setting;

(async () => {
  console.log('version', require(require('path').join(environmentPath(), 'postgres/package.json')).version);
  const sql = connect();
  await check('connect', async () => {
    assert.match((await sql`SHOW server_version`)[0].server_version, /^15/);
  });
  await check('errors', async () => {
    await fails('22012', sql`SELECT 1/0`);
    await sql`INSERT INTO scratch VALUES (1, 'a')`;
    assert.equal((await fails('23505', sql`INSERT INTO scratch VALUES (1, 'b')`)).constraint_name, 'scratch_pkey');
    assert.equal((await sql`DELETE FROM scratch RETURNING note`)[0].note, 'a');
  });
  await check('transactions', async () => {
    await sql.begin(async (inside) => {
      await inside`INSERT INTO scratch VALUES (1, 'a')`;
      throw new Error('on purpose');
    }).catch((problem) => assert.equal(problem.message, 'on purpose'));
    await sql.begin('isolation level repeatable read', async (inside) => {
      await inside`INSERT INTO scratch VALUES (2, 'b')`;
      await inside.savepoint(async (deeper) => { await deeper`SELECT 1/0`; }).catch(() => {});
    });
    assert.deepEqual((await sql`DELETE FROM scratch RETURNING id`).map((row) => row.id), [2]);
  });
  await check('prepared', async () => {
    for (let number = 0; number < 5; number++) {
      assert.equal((await sql`SELECT ${number}::int + 1 AS sum`)[0].sum, number + 1);
    }
  });
  await check('binary', async () => {
    throw new NotThere('the driver speaks text only');
  });
  await check('pipeline', async () => {
    const answers = await Promise.all(Array.from({ length: 100 }, (_, number) => sql`SELECT ${number}::int AS n`));
    assert.deepEqual(answers.map((rows) => rows[0].n), Array.from({ length: 100 }, (_, number) => number));
    const mixed = await Promise.all([...homes, ...homes, ...homes].flatMap(([tenant, port]) => [
      store(sql, tenant).then((seen) => [seen, port]), place(sql, tenant).then(([seen]) => [seen, port])]));
    for (const [seen, port] of mixed) assert.equal(seen, port);
  });
  await check('copy', async () => {
    const lines = Array.from({ length: 500 }, (_, number) => `${number}\tnote ${number}\n`);
    // Few enough for the driver: with more than fits its stream's buffer it stops reading at the end of a COPY.
    const into = await sql`COPY scratch FROM STDIN`.writable();
    const closed = once(into, 'close'); // until then the driver would take the next COPY's stream for this one
    await pipeline(Readable.from(lines), into);
    await closed;
    const count = async (query) => {
      let seen = 0;
      for await (const chunk of await query.readable()) seen += chunk.toString().split('\n').length - 1;
      return seen;
    };
    assert.equal(await count(sql`COPY scratch TO STDOUT`), 500);
    assert.ok(await count(sql.unsafe(`COPY (${STREAM}) TO STDOUT`)) >= EVENTS);
    await sql`DELETE FROM scratch`;
  });
  await check('cursor', async () => {
    let seen = 0;
    await sql.unsafe(STREAM).cursor(7, (rows) => { seen += rows.length; });
    assert.ok(seen >= EVENTS);
  });
  await check('cancel', async () => {
    const sleeping = sql.unsafe(SLEEP);
    setTimeout(() => sleeping.cancel(), 500);
    await fails('57014', sleeping);
    assert.equal((await sql`SELECT 1 AS one`)[0].one, 1);
  });
  await check('notify', async () => {
    const heard = [];
    let done;
    const both = new Promise((resolve, reject) => {
      done = resolve;
      setTimeout(() => reject(new Error(`heard ${heard}`)), 10000).unref();
    });
    const { unlisten } = await sql.listen('news', (payload) => { heard.push(payload); if (heard.length === 2) done(); });
    await sql.notify('news', 'first');
    await sql`SELECT pg_notify('news', 'second')`;
    await both;
    assert.deepEqual(heard, ['first', 'second']);
    await unlisten();
  });
  await check('tls', async () => {
    if (!TLS) throw new NotThere('the proxy offers none in this run');
    assert.ok((await sql`SELECT 1 AS one`)[0].one === 1); // ssl: 'require' connects by TLS or not at all
  });
  await check('tenants', async () => {
    for (let round = 0; round < 2; round++) {
      for (const [tenant, port] of homes) {
        const before = await place(sql, tenant);
        assert.equal(before[0], port);
        assert.equal(await store(sql, tenant), port);
        assert.deepEqual(await place(sql, tenant), [port, before[1] + 1]);
      }
    }
    for (const [tenant, port] of homes) {
      const before = await place(sql, tenant);
      await sql.begin(async (inside) => {
        assert.equal(await store(inside, tenant), port);
        throw new Error('on purpose');
      }).catch((problem) => assert.equal(problem.message, 'on purpose'));
      await sql.begin(async (inside) => {
        assert.equal(await store(inside, tenant), port);
        assert.equal(await store(inside, tenant), port);
      });
      assert.deepEqual(await place(sql, tenant), [port, before[1] + 2]);
    }
  });
  await sql.end({ timeout: 5 });
})().catch((problem) => { console.error(problem); process.exit(1); });

function environmentPath() { return process.env.NODE_PATH; }

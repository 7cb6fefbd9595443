// node-postgres: simple and extended protocol, text results. The checklist is in checklist.py.
const { Client } = require('pg');
const Cursor = require('pg-cursor');
const copy = require('pg-copy-streams');
const { pipeline } = require('stream/promises');
const { Readable, Writable } = require('stream');
const assert = require('assert').strict;
const { check, homes, read, append, SLEEP, STREAM, EVENTS, TLS, NotThere } = require('./checklist.js');

async function connect() {
  const client = new Client({ ssl: TLS ? { rejectUnauthorized: false } : false });
  await client.connect();
  return client;
}
const one = async (client, text, values) => Object.values((await client.query({ text, values, rowMode: 'array' })).rows[0] || []);
async function fails(client, code, text) {
  const error = await client.query(text).then(() => null, (problem) => problem);
  assert.equal(error && error.code, code);
  return error;
}

(async () => {
  console.log('version', require('pg/package.json').version);
  const client = await connect();
  await check('connect', async () => {
    assert.match((await one(client, 'SHOW server_version'))[0], /^15/);
  });
  await check('errors', async () => {
    await fails(client, '22012', 'SELECT 1/0');
    await client.query("INSERT INTO scratch VALUES (1, 'a')");
    assert.equal((await fails(client, '23505', "INSERT INTO scratch VALUES (1, 'b')")).constraint, 'scratch_pkey');
    assert.deepEqual(await one(client, 'DELETE FROM scratch RETURNING note'), ['a']);
  });
  await check('transactions', async () => {
    await client.query('BEGIN');
    await client.query("INSERT INTO scratch VALUES ($1, 'a')", [1]);
    await client.query('ROLLBACK');
    await client.query('BEGIN ISOLATION LEVEL SERIALIZABLE');
    await client.query("INSERT INTO scratch VALUES ($1, 'b')", [2]);
    await client.query('SAVEPOINT s');
    await fails(client, '22012', 'SELECT 1/0');
    await fails(client, '25P02', 'SELECT 1');
    await client.query('ROLLBACK TO s');
    await client.query('COMMIT');
    assert.deepEqual(await one(client, 'DELETE FROM scratch RETURNING id'), [2]);
  });
  await check('prepared', async () => {
    for (let number = 0; number < 5; number++) {
      const { rows } = await client.query({ name: 'add', text: 'SELECT $1::int + 1 AS sum', values: [number] });
      assert.equal(rows[0].sum, number + 1);
    }
  });
  await check('binary', async () => {
    const { rows } = await client.query({ text: 'SELECT $1::int4 AS n, $2::bytea = $3 AS b',
      values: [7, Buffer.from([0, 1, 255]), Buffer.from([0, 1, 255])], binary: true });
    assert.deepEqual(Object.values(rows[0]), [7, true]);
  });
  await check('pipeline', async () => {
    throw new NotThere('queries wait for each other in the client');
  });
  await check('copy', async () => {
    const lines = Array.from({ length: 5000 }, (_, number) => `${number}\tnote ${number}\n`);
    await pipeline(Readable.from(lines), client.query(copy.from('COPY scratch FROM STDIN')));
    const count = async (statement) => {
      let seen = 0;
      await pipeline(client.query(copy.to(statement)), new Writable({
        write(chunk, _, done) { seen += chunk.toString().split('\n').length - 1; done(); },
      }));
      return seen;
    };
    assert.equal(await count('COPY scratch TO STDOUT'), 5000);
    assert.ok(await count(`COPY (${STREAM}) TO STDOUT`) >= EVENTS);
    await client.query('DELETE FROM scratch');
  });
  await check('cursor', async () => {
    const cursor = client.query(new Cursor(STREAM));
    let seen = 0;
    for (let rows = await cursor.read(7); rows.length; rows = await cursor.read(7)) seen += rows.length;
    assert.ok(seen >= EVENTS);
    await cursor.close();
  });
  await check('cancel', async () => {
    // The driver has the message, and no method that sends it to the right place: as its users do.
    const sleeping = fails(client, '57014', SLEEP);
    await new Promise((done) => setTimeout(done, 500));
    const other = new Client({ ssl: TLS ? { rejectUnauthorized: false } : false });
    const connection = other.connection;
    connection.on('error', () => {});
    const cancel = () => connection.cancel(client.processID, client.secretKey);
    connection.on('connect', () => (TLS ? connection.requestSsl() : cancel()));
    connection.on('sslconnect', cancel);
    connection.connect(other.port, other.host);
    await sleeping;
    assert.deepEqual(await one(client, 'SELECT 1'), [1]);
  });
  await check('notify', async () => {
    const there = await connect();
    const heard = [];
    const both = new Promise((done, fail) => {
      setTimeout(() => fail(new Error(`heard ${heard}`)), 10000).unref();
      client.on('notification', (note) => { heard.push(note.payload); if (heard.length === 2) done(); });
    });
    await client.query('LISTEN news');
    await there.query("NOTIFY news, 'first'");
    await there.query('SELECT pg_notify($1, $2)', ['news', 'second']);
    await both;
    assert.deepEqual(heard, ['first', 'second']);
    await there.end();
  });
  await check('tls', async () => {
    if (!TLS) throw new NotThere('the proxy offers none in this run');
    assert.ok(client.connection.stream.encrypted);
  });
  await check('tenants', async () => {
    for (let round = 0; round < 2; round++) {
      for (const [tenant, port] of homes) {
        const before = await one(client, read, [tenant]);
        assert.equal(before[0], port);
        assert.deepEqual(await one(client, append, [tenant]), [port]);
        const { rows } = await client.query({ name: 'read', text: read, values: [tenant], rowMode: 'array' });
        assert.deepEqual(rows[0], [port, before[1] + 1]);
      }
    }
    for (const [tenant, port] of homes) {
      const before = await one(client, read, [tenant]);
      for (const end of ['ROLLBACK', 'COMMIT']) {
        await client.query('BEGIN');
        assert.deepEqual(await one(client, append, [tenant]), [port]);
        assert.deepEqual(await one(client, append, [tenant]), [port]);
        await client.query(end);
      }
      assert.deepEqual(await one(client, read, [tenant]), [port, before[1] + 2]);
    }
  });
  await client.end();
})().catch((problem) => { console.error(problem); process.exit(1); });

// What an application of emmett does, with emmett's own client: one JSON object a line on stdin, one a line on stdout.
//   {"do": "schema", "at": URL}                              emmett's own tables and functions, made as it makes them
//   {"do": "append", "at": URL, "stream": S, "count": N}     the public API: the partition is emt:default
//   {"do": "append", …, "partition": P}                      the function that it calls, with the tenth argument said
//   {"do": "read", "at": URL, "stream": S, "partition": P}   readStream
//   {"do": "batch", "at": URL, "partition": P}               readMessagesBatch, as subscriptions poll
"use strict";
const readline = require("node:readline");
const { dumbo, rawSql } = require("@event-driven-io/dumbo");
const emmett = require("@event-driven-io/emmett-postgresql");

const stores = new Map();
const pools = new Map();

function store(at) {
  if (!stores.has(at)) {
    stores.set(at, emmett.getPostgreSQLEventStore(at, { schema: { autoMigration: "None" } }));
  }
  return stores.get(at);
}

function pool(at) {
  if (!pools.has(at)) {
    pools.set(at, dumbo({ connectionString: at }));
  }
  return pools.get(at);
}

const events = (count) => Array.from({ length: count }, (_, i) => ({ type: "Placed", data: { number: i } }));

// As emmett's callAppendToStream() writes it: literals, an array per column.
function call(order) {
  const all = events(order.count).map((event) => [crypto.randomUUID(), JSON.stringify(event.data), "{}", "1", event.type, "E"]);
  const column = (i) => all.map((row) => `'${row[i]}'`).join(",");
  return `SELECT * FROM emt_append_to_stream(
      ARRAY[${column(0)}]::text[],
      ARRAY[${column(1)}]::jsonb[],
      ARRAY[${column(2)}]::jsonb[],
      ARRAY[${column(3)}]::text[],
      ARRAY[${column(4)}]::text[],
      ARRAY[${column(5)}]::text[],
      '${order.stream}'::text,
      'Order'::text,
      NULL::bigint,
      '${order.partition}'::text
    )`;
}

const verbs = {
  async schema(order) {
    await emmett.getPostgreSQLEventStore(order.at).schema.migrate();
  },
  async append(order) {
    if (!order.partition) {
      const done = await store(order.at).appendToStream(order.stream, events(order.count));
      return Number(done.nextExpectedStreamVersion);
    }
    const done = await pool(order.at).withTransaction(async (transaction) =>
      ({ success: true, result: await transaction.execute.command(rawSql(call(order))) }));
    return Number(done.rows[0].next_stream_position);
  },
  async read(order) {
    const options = order.partition ? { partition: order.partition } : undefined;
    const got = await emmett.readStream(pool(order.at).execute, order.stream, options);
    return got.events.length;
  },
  async batch(order) {
    const got = await emmett.readMessagesBatch(pool(order.at).execute,
                                               { after: -1n, batchSize: 1000, partition: order.partition });
    return got.messages.length;
  },
};

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    try {
      console.log(JSON.stringify({ ok: (await verbs[order.do](order)) ?? null }));
    } catch (problem) {
      console.log(JSON.stringify({ failed: String(problem.message), sqlstate: problem.code ?? problem.cause?.code ?? null }));
    }
  }
  for (const one of [...stores.values(), ...pools.values()]) {
    await one.close();
  }
}

main();

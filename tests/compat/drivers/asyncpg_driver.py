"""asyncpg: its own protocol implementation; everything is prepared, binary, and asks for types before it binds."""
import asyncio
import os
import uuid

import asyncpg

from checklist import HOMES, SLEEP, STREAM, TENANT, TENANT_EVENTS, TLS, NotThere, append, check_async, read, same


async def connect():
    environment = os.environ
    return await asyncpg.connect(host=environment["PGHOST"], port=int(environment["PGPORT"]),
                                 user=environment["PGUSER"], password=environment["PGPASSWORD"],
                                 database=environment["PGDATABASE"], ssl="require" if TLS else False)


async def fails(conn, code, statement):
    try:
        await conn.execute(statement)
    except asyncpg.PostgresError as error:
        same(error.sqlstate, code)
        return error
    raise AssertionError(f"no error {code}")


async def connects(conn):
    same(conn.get_server_version().major, 15)
    same(await conn.fetchval("SELECT 1"), 1)


async def errors(conn):
    await fails(conn, "22012", "SELECT 1/0")
    await conn.execute("INSERT INTO scratch VALUES (1, 'a')")
    same((await fails(conn, "23505", "INSERT INTO scratch VALUES (1, 'b')")).constraint_name, "scratch_pkey")
    same(await conn.fetchval("DELETE FROM scratch RETURNING note"), "a")


async def transactions(conn):
    begun = conn.transaction()
    await begun.start()
    await conn.execute("INSERT INTO scratch VALUES (1, 'a')")
    await begun.rollback()
    async with conn.transaction():
        await conn.execute("INSERT INTO scratch VALUES (2, 'b')")
        inner = conn.transaction()                         # a savepoint
        await inner.start()
        await fails(conn, "22012", "SELECT 1/0")
        await fails(conn, "25P02", "SELECT 1")
        await inner.rollback()
    same(await conn.fetchval("DELETE FROM scratch RETURNING id"), 2)
    async with conn.transaction(isolation="serializable", readonly=True, deferrable=True):
        same(await conn.fetchval("SHOW transaction_isolation"), "serializable")
        same(await conn.fetchval("SHOW transaction_read_only"), "on")


async def prepared(conn):
    statement = await conn.prepare("SELECT $1::int + 1")
    for number in range(5):
        same(await statement.fetchval(number), number + 1)
    same([kind.name for kind in statement.get_parameters()], ["int4"])
    await conn.executemany("INSERT INTO scratch VALUES ($1, $2)", [(number, "many") for number in range(300)])
    same(await conn.fetchval("SELECT count(*) FROM scratch"), 300)
    await conn.execute("DELETE FROM scratch")


async def binary(conn):
    values = [uuid.UUID(TENANT), 2 ** 40, 1.5, b"\0\1\xff", [1, 2, 3]]
    same(list(await conn.fetchrow("SELECT $1::uuid, $2::int8, $3::float8, $4::bytea, $5::int[]", *values)), values)
    await conn.execute("CREATE TEMPORARY TABLE pair_of (a int, b text)")      # a type that has to be looked up
    same(tuple(await conn.fetchval("SELECT row(1, 'x')::pair_of")), (1, "x"))


async def no_pipeline(conn):
    raise NotThere("the driver has none")


async def copy(conn):
    await conn.copy_records_to_table("scratch", records=[(number, f"note {number}") for number in range(5000)])
    seen = bytearray()

    async def keep(data):
        seen.extend(data)
    same(await conn.copy_from_table("scratch", output=keep), "COPY 5000")
    same(len(seen.splitlines()), 5000)
    assert int((await conn.copy_from_query(STREAM, output=keep)).split()[1]) >= TENANT_EVENTS
    await conn.execute("DELETE FROM scratch")


async def cursor(conn):
    async with conn.transaction():
        assert len([row async for row in conn.cursor(STREAM, prefetch=7)]) >= TENANT_EVENTS


async def cancel(conn):
    await conn.fetchrow(read("$1"), uuid.UUID(TENANT))
    try:
        await conn.execute(SLEEP, timeout=0.5)             # the driver sends a CancelRequest
        raise AssertionError("not cancelled")
    except asyncio.TimeoutError:
        pass
    same(await conn.fetchval("SELECT 1"), 1)


async def notify(conn):
    there = await connect()
    heard, both = [], asyncio.Event()

    def hear(_, __, ___, payload):
        heard.append(payload)
        if len(heard) == 2:
            both.set()
    await conn.add_listener("news", hear)
    await there.execute("NOTIFY news, 'first'")
    await there.execute("SELECT pg_notify('news', 'second')")
    await asyncio.wait_for(both.wait(), 10)
    same(heard, ["first", "second"])
    await conn.remove_listener("news", hear)
    await there.close()


async def tls(conn):
    if not TLS:
        raise NotThere("the proxy offers none in this run")
    assert conn._transport.get_extra_info("ssl_object") is not None


async def tenants(conn):
    for _ in range(2):
        for name, port in HOMES:
            tenant = uuid.UUID(name)
            before = await conn.fetchrow(read("$1"), tenant)
            same(before[0], port)
            same(await conn.fetchval(append("$1"), tenant), port)
            same(tuple(await conn.fetchrow(read("$1"), tenant)), (port, before[1] + 1))
    for name, port in HOMES:
        tenant = uuid.UUID(name)
        before = await conn.fetchrow(read("$1"), tenant)
        begun = conn.transaction()
        await begun.start()
        same(await conn.fetchval(append("$1"), tenant), port)
        await begun.rollback()
        async with conn.transaction():
            same(await conn.fetchval(append("$1"), tenant), port)
            same(await conn.fetchval(append("$1"), tenant), port)
        same(tuple(await conn.fetchrow(read("$1"), tenant)), (port, before[1] + 2))


async def main():
    print("version", asyncpg.__version__)
    conn = await connect()
    for feature, function in (("connect", connects), ("errors", errors), ("transactions", transactions),
                              ("prepared", prepared), ("binary", binary), ("pipeline", no_pipeline), ("copy", copy),
                              ("cursor", cursor), ("cancel", cancel), ("notify", notify), ("tls", tls),
                              ("tenants", tenants)):
        await check_async(feature, function, conn)
    await conn.reset()                                     # RESET ALL, UNLISTEN * and their like, in one message
    await conn.close()


asyncio.run(main())

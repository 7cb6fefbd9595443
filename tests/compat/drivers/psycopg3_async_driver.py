"""psycopg 3 under asyncio."""
import asyncio
import uuid

import psycopg

from checklist import HOMES, SLEEP, STREAM, TENANT, TENANT_EVENTS, TLS, NotThere, append, check_async, read, same


async def connect(**more):
    return await psycopg.AsyncConnection.connect("", **{"autocommit": True, **more})


async def one(conn, statement, values=None, **more):
    cursor = await conn.execute(statement, values, **more)
    return await cursor.fetchone() if cursor.description else None


async def fails(conn, code, statement):
    try:
        await conn.execute(statement)
    except psycopg.Error as error:
        same(error.sqlstate, code)
        return error
    raise AssertionError(f"no error {code}")


async def connects():
    async with await connect() as conn:
        same(conn.info.server_version // 10000, 15)
        same(await one(conn, "SELECT 1"), (1,))


async def errors():
    async with await connect() as conn:
        await fails(conn, "22012", "SELECT 1/0")
        await conn.execute("INSERT INTO scratch VALUES (1, 'a')")
        same((await fails(conn, "23505", "INSERT INTO scratch VALUES (1, 'b')")).diag.constraint_name, "scratch_pkey")
        same(await one(conn, "DELETE FROM scratch RETURNING note"), ("a",))


async def transactions():
    async with await connect(autocommit=False) as conn:
        await conn.execute("INSERT INTO scratch VALUES (1, 'a')")
        await conn.rollback()
        async with conn.transaction():
            await conn.execute("INSERT INTO scratch VALUES (2, 'b')")
            async with conn.transaction():                 # a savepoint
                await fails(conn, "22012", "SELECT 1/0")
                await fails(conn, "25P02", "SELECT 1")
                raise psycopg.Rollback()
        same(await one(conn, "DELETE FROM scratch RETURNING id"), (2,))


async def prepared():
    async with await connect() as conn:
        for number in range(8):
            same(await one(conn, "SELECT %s::int + 1", [number], prepare=True), (number + 1,))


async def binary():
    async with await connect() as conn:
        values = [uuid.UUID(TENANT), 2 ** 40, b"\0\1\xff"]
        same(list(await one(conn, "SELECT %b::uuid, %b::int8, %b::bytea", values, binary=True)), values)


async def pipeline():
    async with await connect() as conn:
        async with conn.pipeline():
            cursors = [await conn.execute("SELECT %s::int", [number]) for number in range(200)]
        same([(await cursor.fetchone())[0] for cursor in cursors], list(range(200)))
        cursors = []
        async with conn.pipeline() as line:
            for tenant, port in HOMES * 3:
                cursors.append((await conn.execute(append("%s"), [tenant]), port))
                await line.sync()                          # what stands before it is one transaction
        for cursor, port in cursors:
            same(await cursor.fetchone(), (port,))


async def copy():
    async with await connect() as conn, conn.cursor() as cursor:
        async with cursor.copy("COPY scratch FROM STDIN") as data:
            for number in range(5000):
                await data.write_row((number, f"note {number}"))
        async with cursor.copy("COPY scratch TO STDOUT") as data:
            same(len([row async for row in data.rows()]), 5000)
        async with cursor.copy(f"COPY ({STREAM}) TO STDOUT") as data:
            assert len([row async for row in data.rows()]) >= TENANT_EVENTS
        await conn.execute("DELETE FROM scratch")


async def cursor():
    async with await connect(autocommit=False) as conn:
        async with conn.cursor("pieces") as named:
            named.itersize = 7
            await named.execute(STREAM)
            assert len([row async for row in named]) >= TENANT_EVENTS


async def cancel():
    async with await connect() as conn:
        await one(conn, read("%s"), [TENANT])
        asyncio.get_running_loop().call_later(0.5, conn.cancel)
        await fails(conn, "57014", SLEEP)
        same(await one(conn, "SELECT 1"), (1,))


async def notify():
    async with await connect() as here, await connect() as there:
        await here.execute("LISTEN news")
        await there.execute("NOTIFY news, 'first'")
        await there.execute("SELECT pg_notify('news', 'second')")

        async def hear():
            heard = []
            async for note in here.notifies():
                heard.append(note.payload)
                if len(heard) == 2:
                    return heard
        same(await asyncio.wait_for(hear(), 10), ["first", "second"])


async def tls():
    if not TLS:
        raise NotThere("the proxy offers none in this run")
    async with await connect() as conn:
        assert conn.pgconn.ssl_in_use


async def tenants():
    async with await connect() as conn:
        for _ in range(8):                                 # prepared by itself after a few
            for tenant, port in HOMES:
                before = await one(conn, read("%s"), [tenant])
                same(before[0], port)
                same(await one(conn, append("%s"), [tenant]), (port,))
                same(await one(conn, read("%s"), [tenant]), (port, before[1] + 1))
        for tenant, port in HOMES:
            before = await one(conn, read("%s"), [tenant])
            async with conn.transaction():
                same(await one(conn, append("%s"), [tenant]), (port,))
                raise psycopg.Rollback()
            async with conn.transaction():
                same(await one(conn, append("%s"), [tenant]), (port,))
            same(await one(conn, read("%s"), [tenant]), (port, before[1] + 1))


async def main():
    print("version", psycopg.__version__)
    for feature, function in (("connect", connects), ("errors", errors), ("transactions", transactions),
                              ("prepared", prepared), ("binary", binary), ("pipeline", pipeline), ("copy", copy),
                              ("cursor", cursor), ("cancel", cancel), ("notify", notify), ("tls", tls),
                              ("tenants", tenants)):
        await check_async(feature, function)


asyncio.run(main())

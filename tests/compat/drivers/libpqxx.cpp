// libpqxx: libpq in C++; prepared statements by name, its pipeline, stream_from and stream_to. Checklist: checklist.py.
#include <pqxx/pqxx>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

static std::string env(const char *name) { return std::getenv(name); }

static const std::string tenant = env("TENANT");
static const std::vector<std::pair<std::string, std::string>> homes = { { tenant, env("TENANT_PORT") },
                                                                        { env("OTHER"), env("OTHER_PORT") } };
static const size_t events = std::stoul(env("TENANT_EVENTS"));
static const std::string sleep_sql = "SELECT pg_sleep(30) FROM events WHERE tenant_id = '" + tenant + "' LIMIT 1";
static const std::string stream_sql = "SELECT version FROM events WHERE tenant_id = '" + tenant + "'";
static const std::string read_sql = "SELECT current_setting('port'), count(*) FROM events WHERE tenant_id = $1";
static const std::string append_sql =
    "INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, \"timestamp\", payload)"
    " VALUES (gen_random_uuid(), gen_random_uuid(), 'Order', 'Placed', $1, 1, now(), '{}') RETURNING current_setting('port')";

struct not_there : std::runtime_error {
    using std::runtime_error::runtime_error;
};

static void check(const std::string &feature, const std::function<void()> &question)
{
    try {
        question();
        std::cout << feature << " ok" << std::endl;
    } catch (const not_there &none) {
        std::cout << feature << " n/a " << none.what() << std::endl;
    } catch (const std::exception &problem) {
        std::string words = problem.what();
        for (char &c : words)
            c = c == '\n' ? ' ' : c;
        std::cout << feature << " no " << words << std::endl;
    }
}

template <typename A, typename B> static void same(const A &seen, const B &expected)
{
    if (!(seen == expected)) {
        std::ostringstream words;
        words << seen << " instead of " << expected;
        throw std::runtime_error(words.str());
    }
}

static void fails(const std::string &code, const std::function<void()> &question)
{
    try {
        question();
    } catch (const pqxx::sql_error &error) {
        same(error.sqlstate(), code);
        return;
    }
    throw std::runtime_error("no error " + code);
}

class listener : public pqxx::notification_receiver {
public:
    using pqxx::notification_receiver::notification_receiver;
    void operator()(const std::string &payload, int) override { heard += payload + " "; }
    std::string heard;
};

int main()
{
    pqxx::connection conn("");
    std::cout << "version " << PQXX_VERSION << std::endl;

    check("connect", [&] { same(conn.server_version() / 10000, 15); });
    check("errors", [&] {
        pqxx::nontransaction work(conn);
        fails("22012", [&] { work.exec("SELECT 1/0"); });
        work.exec("INSERT INTO scratch VALUES (1, 'a')");
        fails("23505", [&] { work.exec("INSERT INTO scratch VALUES (1, 'b')"); });
        same(work.exec1("DELETE FROM scratch RETURNING note")[0].as<std::string>(), "a");
    });
    check("transactions", [&] {
        {
            pqxx::work work(conn);
            work.exec("INSERT INTO scratch VALUES (1, 'a')");
        } // ends without commit
        {
            pqxx::transaction<pqxx::repeatable_read> work(conn);
            work.exec("INSERT INTO scratch VALUES (2, 'b')");
            {
                pqxx::subtransaction inner(work, "inner");
                fails("22012", [&] { inner.exec("SELECT 1/0"); }); // and is rolled back to its savepoint
            }
            work.commit();
        }
        pqxx::work work(conn);
        same(work.exec1("DELETE FROM scratch RETURNING id")[0].as<int>(), 2);
        work.commit();
    });
    check("prepared", [&] {
        conn.prepare("add", "SELECT $1::int + 1");
        for (int number = 0; number < 5; number++) {
            pqxx::work work(conn);
            same(work.exec_prepared1("add", number)[0].as<int>(), number + 1);
        }
    });
    check("binary", [&] {
        pqxx::work work(conn);
        const std::string bytes("\0\1\xff", 3);
        const auto row = work.exec_params1("SELECT length($1::bytea), $1::bytea = '\\x0001ff'", pqxx::binarystring(bytes));
        same(row[0].as<int>(), 3);
        same(row[1].as<bool>(), true);
    });
    check("pipeline", [&] {
        pqxx::nontransaction work(conn);
        pqxx::pipeline line(work);
        std::vector<pqxx::pipeline::query_id> asked;
        line.retain(10);
        for (int number = 0; number < 50; number++)
            asked.push_back(line.insert("SELECT " + std::to_string(number)));
        line.complete();
        for (size_t number = 0; number < asked.size(); number++)
            same(line.retrieve(asked[number])[0][0].as<size_t>(), number);
    });
    check("copy", [&] {
        pqxx::work work(conn);
        {
            pqxx::stream_to in(work, "scratch");
            for (int number = 0; number < 5000; number++)
                in << std::make_tuple(number, "note " + std::to_string(number));
            in.complete();
        }
        pqxx::stream_from out(work, "scratch");
        std::string line; // whole lines: Debian's libpqxx cannot take them apart
        int seen = 0;
        while (out.get_raw_line(line))
            seen++;
        same(seen, 5000);
        work.abort();
    });
    check("cursor", [&] {
        pqxx::work work(conn);
        pqxx::icursorstream pieces(work, stream_sql, "pieces", 7);
        pqxx::result rows;
        size_t seen = 0;
        while (pieces >> rows)
            seen += rows.size();
        if (seen < events)
            throw std::runtime_error(std::to_string(seen) + " events");
    });
    check("cancel", [&] {
        std::thread later([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(500));
            conn.cancel_query();
        });
        pqxx::nontransaction work(conn);
        fails("57014", [&] { work.exec(sleep_sql); });
        later.join();
        same(work.exec1("SELECT 1")[0].as<int>(), 1);
    });
    check("notify", [&] {
        listener news(conn, "news");
        pqxx::connection there("");
        {
            pqxx::nontransaction work(there);
            work.exec("NOTIFY news, 'first'");
            work.exec("SELECT pg_notify('news', 'second')");
        }
        for (int tries = 0; tries < 20 && news.heard != "first second "; tries++)
            conn.await_notification(0, 500000);
        same(news.heard, "first second ");
    });
    check("tls", [&] {
        const std::string mode = env("PGSSLMODE");
        if (mode == "disable" || mode == "allow" || mode == "prefer")
            throw not_there("the proxy offers none in this run");
        pqxx::nontransaction work(conn); // sslmode=require: by TLS or not at all
        same(work.exec1("SELECT 1")[0].as<int>(), 1);
    });
    check("tenants", [&] {
        conn.prepare("read", read_sql);
        conn.prepare("append", append_sql);
        for (int round = 0; round < 2; round++)
            for (const auto &home : homes) {
                pqxx::nontransaction work(conn);
                const auto before = work.exec_prepared1("read", home.first);
                same(before[0].as<std::string>(), home.second);
                same(work.exec_params1(append_sql, home.first)[0].as<std::string>(), home.second);
                same(work.exec_prepared1("append", home.first)[0].as<std::string>(), home.second);
                same(work.exec_params1(read_sql, home.first)[1].as<long>(), before[1].as<long>() + 2);
            }
        for (const auto &home : homes)
            for (bool commit : { false, true }) {
                pqxx::work work(conn);
                const auto before = work.exec_prepared1("read", home.first);
                same(work.exec_prepared1("append", home.first)[0].as<std::string>(), home.second);
                same(work.exec_prepared1("read", home.first)[1].as<long>(), before[1].as<long>() + 1);
                if (commit)
                    work.commit();
            }
    });
    return 0;
}

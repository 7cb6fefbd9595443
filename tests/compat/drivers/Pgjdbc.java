// pgjdbc: named statements after a few executions, binary then, portals with a fetch size. The checklist is in checklist.py.
import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.PGStatement;
import org.postgresql.util.PSQLException;

public class Pgjdbc {
    static final Map<String, String> env = System.getenv();
    static final String TENANT = env.get("TENANT");
    static final String[][] HOMES = {{TENANT, env.get("TENANT_PORT")}, {env.get("OTHER"), env.get("OTHER_PORT")}};
    static final int EVENTS = Integer.parseInt(env.get("TENANT_EVENTS"));
    static final boolean TLS = !List.of("disable", "allow", "prefer").contains(env.get("PGSSLMODE"));
    static final String SLEEP = "SELECT pg_sleep(30) FROM events WHERE tenant_id = '" + TENANT + "' LIMIT 1";
    static final String STREAM = "SELECT version FROM events WHERE tenant_id = '" + TENANT + "'";
    static final String READ = "SELECT current_setting('port'), count(*) FROM events WHERE tenant_id = ?";
    static final String APPEND = "INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version,"
        + " \"timestamp\", payload) VALUES (gen_random_uuid(), gen_random_uuid(), 'Order', 'Placed', ?, 1, now(), '{}')"
        + " RETURNING current_setting('port')";

    interface Question { void ask() throws Exception; }
    static class NotThere extends Exception { NotThere(String why) { super(why); } }

    static void check(String feature, Question question) {
        try {
            question.ask();
            System.out.println(feature + " ok");
        } catch (NotThere none) {
            System.out.println(feature + " n/a " + none.getMessage());
        } catch (Exception | AssertionError problem) {
            System.out.println(feature + " no " + String.valueOf(problem.getMessage()).replaceAll("\\s+", " "));
            problem.printStackTrace();
        }
    }

    static void same(Object seen, Object expected) {
        if (!seen.equals(expected))
            throw new AssertionError(seen + " instead of " + expected);
    }

    static void fails(String code, Question question) throws Exception {
        try {
            question.ask();
        } catch (SQLException error) {
            same(String.valueOf(error.getSQLState()), code);
            return;
        }
        throw new AssertionError("no error " + code);
    }

    static Connection connect(String... more) throws SQLException {
        Properties properties = new Properties();
        properties.put("user", env.get("PGUSER"));
        properties.put("password", env.get("PGPASSWORD"));
        properties.put("sslmode", TLS ? "require" : "disable");
        for (int i = 0; i < more.length; i += 2)
            properties.put(more[i], more[i + 1]);
        return DriverManager.getConnection("jdbc:postgresql://" + env.get("PGHOST") + ":" + env.get("PGPORT") + "/"
            + env.get("PGDATABASE"), properties);
    }

    static String one(Connection conn, String sql) throws SQLException {
        try (Statement statement = conn.createStatement()) {
            if (!statement.execute(sql))
                return null;
            ResultSet rows = statement.getResultSet();
            return rows.next() ? rows.getString(1) : null;
        }
    }

    static String[] ask(PreparedStatement statement, String tenant) throws SQLException {
        statement.setObject(1, UUID.fromString(tenant));
        try (ResultSet rows = statement.executeQuery()) {
            rows.next();
            return new String[] {rows.getString(1), rows.getMetaData().getColumnCount() > 1 ? rows.getString(2) : ""};
        }
    }

    public static void main(String[] arguments) throws Exception {
        System.out.println("version " + new org.postgresql.Driver().getMajorVersion() + "."
            + new org.postgresql.Driver().getMinorVersion());
        Connection conn = connect();

        check("connect", () -> same(conn.getMetaData().getDatabaseMajorVersion(), 15));
        check("errors", () -> {
            fails("22012", () -> one(conn, "SELECT 1/0"));
            one(conn, "INSERT INTO scratch VALUES (1, 'a')");
            try {
                one(conn, "INSERT INTO scratch VALUES (1, 'b')");
                throw new AssertionError("no error");
            } catch (PSQLException error) {
                same(error.getServerErrorMessage().getConstraint(), "scratch_pkey");
            }
            same(one(conn, "DELETE FROM scratch RETURNING note"), "a");
        });
        check("transactions", () -> {
            conn.setAutoCommit(false);
            one(conn, "INSERT INTO scratch VALUES (1, 'a')");
            conn.rollback();
            one(conn, "INSERT INTO scratch VALUES (2, 'b')");
            Savepoint savepoint = conn.setSavepoint();
            fails("22012", () -> one(conn, "SELECT 1/0"));
            fails("25P02", () -> one(conn, "SELECT 1"));
            conn.rollback(savepoint);
            conn.commit();
            same(one(conn, "DELETE FROM scratch RETURNING id"), "2");
            conn.commit();
            conn.setAutoCommit(true);
            conn.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            same(one(conn, "SHOW transaction_isolation"), "serializable");
            conn.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
        });
        check("prepared", () -> {
            try (PreparedStatement statement = conn.prepareStatement("SELECT ? + 1")) {
                for (int number = 0; number < 12; number++) {      // a named statement from the fifth time on
                    statement.setInt(1, number);
                    ResultSet rows = statement.executeQuery();
                    rows.next();
                    same(rows.getInt(1), number + 1);
                }
                same(statement.unwrap(PGStatement.class).isUseServerPrepare(), true);
            }
        });
        check("binary", () -> {
            try (Connection binary = connect("prepareThreshold", "-1", "binaryTransfer", "true");
                 PreparedStatement statement = binary.prepareStatement("SELECT ?::int8, ?::bytea, ?::uuid, ?::float8")) {
                statement.setLong(1, 1L << 40);
                statement.setBytes(2, new byte[] {0, 1, -1});
                statement.setObject(3, UUID.fromString(TENANT));
                statement.setDouble(4, 1.5);
                ResultSet rows = statement.executeQuery();
                rows.next();
                same(rows.getLong(1), 1L << 40);
                same(rows.getBytes(2)[2], (byte) -1);
                same(rows.getObject(3), UUID.fromString(TENANT));
                same(rows.getDouble(4), 1.5);
            }
        });
        check("pipeline", () -> {                                   // batches: many Binds before one Sync
            try (PreparedStatement batch = conn.prepareStatement("INSERT INTO scratch VALUES (?, 'batch')")) {
                for (int number = 0; number < 1000; number++) {
                    batch.setInt(1, number);
                    batch.addBatch();
                }
                same(batch.executeBatch().length, 1000);
                batch.setInt(1, 5000);
                batch.addBatch();
                batch.setInt(1, 5000);
                batch.addBatch();
                fails("23505", batch::executeBatch);
            }
            same(one(conn, "SELECT count(*) FROM scratch"), "1000");
            one(conn, "DELETE FROM scratch");
            try (PreparedStatement batch = conn.prepareStatement(APPEND.replaceAll(" RETURNING.*", ""))) {
                for (String[] home : HOMES) {
                    for (int number = 0; number < 3; number++) {
                        batch.setObject(1, UUID.fromString(home[0]));
                        batch.addBatch();
                    }
                    batch.executeBatch();
                }
            }
        });
        check("copy", () -> {
            StringBuilder lines = new StringBuilder();
            for (int number = 0; number < 5000; number++)
                lines.append(number).append("\tnote ").append(number).append('\n');
            var copies = conn.unwrap(PGConnection.class).getCopyAPI();
            same(copies.copyIn("COPY scratch FROM STDIN", new StringReader(lines.toString())), 5000L);
            StringWriter out = new StringWriter();
            same(copies.copyOut("COPY scratch TO STDOUT", out), 5000L);
            if (copies.copyOut("COPY (" + STREAM + ") TO STDOUT", out) < EVENTS)
                throw new AssertionError("too few events");
            one(conn, "DELETE FROM scratch");
        });
        check("cursor", () -> {
            conn.setAutoCommit(false);                              // a portal is fetched from only in a transaction
            try (PreparedStatement statement = conn.prepareStatement(STREAM)) {
                statement.setFetchSize(7);
                int seen = 0;
                try (ResultSet rows = statement.executeQuery()) {
                    while (rows.next())
                        seen++;
                }
                if (seen < EVENTS)
                    throw new AssertionError(seen + " events");
            }
            conn.commit();
            conn.setAutoCommit(true);
        });
        check("cancel", () -> {
            try (Statement statement = conn.createStatement()) {
                Thread later = new Thread(() -> {
                    try {
                        Thread.sleep(500);
                        statement.cancel();
                    } catch (Exception problem) {
                        problem.printStackTrace();
                    }
                });
                later.start();
                fails("57014", () -> statement.execute(SLEEP));
                later.join();
                statement.setQueryTimeout(1);
                fails("57014", () -> statement.execute(SLEEP));
            }
            same(one(conn, "SELECT 1"), "1");
        });
        check("notify", () -> {
            try (Connection there = connect()) {
                one(conn, "LISTEN news");
                one(there, "NOTIFY news, 'first'");
                one(there, "SELECT pg_notify('news', 'second')");
                List<String> heard = new ArrayList<>();
                long deadline = System.currentTimeMillis() + 10000;
                while (heard.size() < 2 && System.currentTimeMillis() < deadline)
                    for (PGNotification note : conn.unwrap(PGConnection.class).getNotifications(500))
                        heard.add(note.getParameter());
                same(heard, List.of("first", "second"));
            }
        });
        check("tls", () -> {
            if (!TLS)
                throw new NotThere("the proxy offers none in this run");
            same(one(conn, "SELECT 1"), "1");                       // sslmode=require: by TLS or not at all
        });
        check("tenants", () -> {
            try (PreparedStatement read = conn.prepareStatement(READ); PreparedStatement append = conn.prepareStatement(APPEND)) {
                for (int round = 0; round < 8; round++) {           // unnamed and text, then named and binary
                    for (String[] home : HOMES) {
                        String[] before = ask(read, home[0]);
                        same(before[0], home[1]);
                        same(ask(append, home[0])[0], home[1]);
                        same(ask(read, home[0])[1], String.valueOf(Long.parseLong(before[1]) + 1));
                    }
                }
                conn.setAutoCommit(false);
                for (String[] home : HOMES) {
                    String[] before = ask(read, home[0]);
                    same(ask(append, home[0])[0], home[1]);
                    conn.rollback();
                    same(ask(append, home[0])[0], home[1]);
                    same(ask(append, home[0])[0], home[1]);
                    conn.commit();
                    same(ask(read, home[0])[1], String.valueOf(Long.parseLong(before[1]) + 2));
                    conn.commit();
                }
                conn.setAutoCommit(true);
            }
        });
        conn.close();
    }
}

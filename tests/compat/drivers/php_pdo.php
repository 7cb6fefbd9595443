<?php
// PHP's PDO and pgsql extensions: libpq; statements prepared by name, or by the client. The checklist is in checklist.py.
$tenant = getenv('TENANT');
$homes = [[$tenant, getenv('TENANT_PORT')], [getenv('OTHER'), getenv('OTHER_PORT')]];
$events = (int) getenv('TENANT_EVENTS');
$tls = !in_array(getenv('PGSSLMODE'), ['disable', 'allow', 'prefer']);
$sleep = "SELECT pg_sleep(30) FROM events WHERE tenant_id = '$tenant' LIMIT 1";
$stream = "SELECT version FROM events WHERE tenant_id = '$tenant'";
$read = "SELECT current_setting('port') AS port, count(*) AS seen FROM events WHERE tenant_id = ?";
$append = 'INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, "timestamp", payload)'
    . " VALUES (gen_random_uuid(), gen_random_uuid(), 'Order', 'Placed', ?, 1, now(), '{}') RETURNING current_setting('port')";

class NotThere extends Exception {}

function check(string $feature, callable $question): void {
    try {
        $question();
        echo "$feature ok\n";
    } catch (NotThere $none) {
        echo "$feature n/a {$none->getMessage()}\n";
    } catch (Throwable $problem) {
        echo "$feature no ", preg_replace('/\s+/', ' ', $problem->getMessage()), "\n";
        fwrite(STDERR, "$problem\n");
    }
}
function same($seen, $expected): void {
    if ($seen != $expected) throw new Exception(json_encode($seen) . ' instead of ' . json_encode($expected));
}
function connected(array $options = []): PDO {
    return new PDO('pgsql:host=' . getenv('PGHOST') . ';port=' . getenv('PGPORT') . ';dbname=' . getenv('PGDATABASE') .
        ';sslmode=' . getenv('PGSSLMODE'), getenv('PGUSER'), getenv('PGPASSWORD'), $options + [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
}
function fails(PDO $pdo, string $code, string $sql): PDOException {
    try {
        $pdo->exec($sql);
    } catch (PDOException $error) {
        same($error->getCode(), $code);
        return $error;
    }
    throw new Exception("no error $code");
}
function one(PDO $pdo, string $sql) { return $pdo->query($sql)->fetchColumn(); }
function ask(PDOStatement $statement, string $tenant): array {
    $statement->execute([$tenant]);
    return $statement->fetch(PDO::FETCH_NUM);
}

echo 'version ', PHP_VERSION, "\n";
$pdo = connected();
check('connect', function () use ($pdo) {
    same((int) $pdo->getAttribute(PDO::ATTR_SERVER_VERSION), 15);
    same(one($pdo, 'SELECT 1'), 1);
});
check('errors', function () use ($pdo) {
    fails($pdo, '22012', 'SELECT 1/0');
    $pdo->exec("INSERT INTO scratch VALUES (1, 'a')");
    $error = fails($pdo, '23505', "INSERT INTO scratch VALUES (1, 'b')");
    same(strpos($error->getMessage(), 'scratch_pkey') !== false, true);
    same(one($pdo, 'DELETE FROM scratch RETURNING note'), 'a');
});
check('transactions', function () use ($pdo) {
    $pdo->beginTransaction();
    $pdo->exec("INSERT INTO scratch VALUES (1, 'a')");
    $pdo->rollBack();
    $pdo->beginTransaction();
    $pdo->exec("INSERT INTO scratch VALUES (2, 'b')");
    $pdo->exec('SAVEPOINT s');
    fails($pdo, '22012', 'SELECT 1/0');
    fails($pdo, '25P02', 'SELECT 1');
    $pdo->exec('ROLLBACK TO s');
    same($pdo->inTransaction(), true);
    $pdo->commit();
    same(one($pdo, 'DELETE FROM scratch RETURNING id'), 2);
});
check('prepared', function () use ($pdo) {
    $statement = $pdo->prepare('SELECT ?::int + 1');
    for ($number = 0; $number < 5; $number++) same(ask($statement, (string) $number)[0], $number + 1);
    $emulated = connected([PDO::ATTR_EMULATE_PREPARES => true]);
    same(ask($emulated->prepare('SELECT ?::int + 1'), '5')[0], 6);
});
check('binary', function () use ($pdo) {
    $statement = $pdo->prepare('SELECT ?::bytea');
    $statement->bindValue(1, "\0\1\xff", PDO::PARAM_LOB);
    $statement->execute();
    same(bin2hex(stream_get_contents($statement->fetchColumn())), '0001ff');
    $pdo->beginTransaction();                       // large objects are function calls
    $oid = $pdo->pgsqlLOBCreate();
    $object = $pdo->pgsqlLOBOpen($oid, 'w');
    fwrite($object, str_repeat('x', 100000));
    fclose($object);
    same(strlen(stream_get_contents($pdo->pgsqlLOBOpen($oid, 'r'))), 100000);
    $pdo->pgsqlLOBUnlink($oid);
    $pdo->commit();
});
check('pipeline', function () { throw new NotThere('the driver has none'); });
check('copy', function () use ($pdo, $stream, $events) {
    $pdo->pgsqlCopyFromArray('scratch', array_map(fn ($number) => "$number\tnote $number", range(1, 5000)));
    same(count($pdo->pgsqlCopyToArray('scratch')), 5000);
    same(count($pdo->pgsqlCopyToArray("($stream)")) >= $events, true);
    $pdo->exec('DELETE FROM scratch');
});
check('cursor', function () use ($pdo, $stream, $events) {
    $pdo->beginTransaction();
    $statement = $pdo->prepare($stream, [PDO::ATTR_CURSOR => PDO::CURSOR_SCROLL]);
    $statement->execute();
    for ($seen = 0; $statement->fetch(PDO::FETCH_NUM) !== false; $seen++);
    $pdo->commit();
    same($seen >= $events, true);
});
check('cancel', function () use ($sleep) {
    $conn = pg_connect('');
    pg_send_query($conn, $sleep);
    usleep(500000);
    same(pg_cancel_query($conn), true);
    same(pg_fetch_result(pg_query($conn, 'SELECT 1'), 0, 0), 1);
});
check('notify', function () use ($pdo) {
    $there = connected();
    $pdo->exec('LISTEN news');
    $there->exec("NOTIFY news, 'first'");
    $there->query("SELECT pg_notify('news', 'second')");
    $heard = [];
    for ($tries = 0; $tries < 20 && count($heard) < 2; $tries++) {
        $note = $pdo->pgsqlGetNotify(PDO::FETCH_ASSOC, 500);
        if ($note) $heard[] = $note['payload'];
    }
    same($heard, ['first', 'second']);
});
check('tls', function () use ($pdo, $tls) {
    if (!$tls) throw new NotThere('the proxy offers none in this run');
    same(one($pdo, 'SELECT 1'), 1);                 // sslmode=require: by TLS or not at all
});
check('tenants', function () use ($pdo, $homes, $read, $append) {
    $reading = $pdo->prepare($read);
    $appending = $pdo->prepare($append);
    for ($round = 0; $round < 2; $round++) {
        foreach ($homes as [$tenant, $port]) {
            $before = ask($reading, $tenant);
            same($before[0], $port);
            same(ask($appending, $tenant)[0], $port);
            same(ask($reading, $tenant), [$port, $before[1] + 1]);
        }
    }
    foreach ($homes as [$tenant, $port]) {
        $before = ask($reading, $tenant);
        foreach (['rollBack', 'commit'] as $end) {
            $pdo->beginTransaction();
            same(ask($appending, $tenant)[0], $port);
            same(ask($appending, $tenant)[0], $port);
            $pdo->$end();
        }
        same(ask($reading, $tenant), [$port, $before[1] + 2]);
    }
});

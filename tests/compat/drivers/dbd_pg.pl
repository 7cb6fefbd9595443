# Perl's DBD::Pg: libpq, server-side prepared statements by name. The checklist is in checklist.py.
use strict;
use warnings;
use DBI;
use DBD::Pg qw(:async :pg_types);

$| = 1;
my $tenant = $ENV{TENANT};
my @homes = ([$tenant, $ENV{TENANT_PORT}], [$ENV{OTHER}, $ENV{OTHER_PORT}]);
my $tls = $ENV{PGSSLMODE} !~ /^(disable|allow|prefer)$/;
my $sleep = "SELECT pg_sleep(30) FROM events WHERE tenant_id = '$tenant' LIMIT 1";
my $stream = "SELECT version FROM events WHERE tenant_id = '$tenant'";
my $read = "SELECT current_setting('port'), count(*) FROM events WHERE tenant_id = ?";
my $append = 'INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, "timestamp", payload)'
  . " VALUES (gen_random_uuid(), gen_random_uuid(), 'Order', 'Placed', ?, 1, now(), '{}') RETURNING current_setting('port')";

sub check {
  my ($feature, $question) = @_;
  if (eval { $question->(); 1 }) { print "$feature ok\n"; return; }
  my $why = $@ =~ s/\s+/ /gr;
  print $why =~ /^NOT THERE: (.*) at / ? "$feature n/a $1\n" : "$feature no $why\n";
}
sub not_there { die "NOT THERE: $_[0]" }
sub same { my ($seen, $expected) = @_; die "$seen instead of $expected" if $seen ne $expected; }
sub connected { DBI->connect('dbi:Pg:', undef, undef, { RaiseError => 1, PrintError => 0, AutoCommit => 1, PrintWarn => 0 }) }
sub fails {
  my ($dbh, $code, $sql) = @_;
  die "no error $code" if eval { $dbh->do($sql); 1 };
  same($dbh->state, $code);
}
sub one { my ($dbh, $sql, @values) = @_; return join ' ', $dbh->selectrow_array($sql, undef, @values); }

print "version $DBD::Pg::VERSION\n";
my $dbh = connected();
check(connect => sub { same(int($dbh->{pg_server_version} / 10000), 15); same(one($dbh, 'SELECT 1'), 1) });
check(errors => sub {
  fails($dbh, '22012', 'SELECT 1/0');
  $dbh->do("INSERT INTO scratch VALUES (1, 'a')");
  fails($dbh, '23505', "INSERT INTO scratch VALUES (1, 'b')");
  same($dbh->pg_error_field('constraint'), 'scratch_pkey');
  same(one($dbh, 'DELETE FROM scratch RETURNING note'), 'a');
});
check(transactions => sub {
  $dbh->begin_work; $dbh->do("INSERT INTO scratch VALUES (1, 'a')"); $dbh->rollback;
  $dbh->begin_work; $dbh->do("INSERT INTO scratch VALUES (2, 'b')");
  $dbh->pg_savepoint('s');
  fails($dbh, '22012', 'SELECT 1/0');
  fails($dbh, '25P02', 'SELECT 1');
  $dbh->pg_rollback_to('s');
  $dbh->commit;
  same(one($dbh, 'DELETE FROM scratch RETURNING id'), 2);
});
check(prepared => sub {
  my $sth = $dbh->prepare('SELECT ?::int + 1', { pg_prepare_now => 1 });
  for my $number (0 .. 4) { $sth->execute($number); same(($sth->fetchrow_array)[0], $number + 1); }
});
check(binary => sub {
  my $sth = $dbh->prepare('SELECT length(?::bytea)');
  $sth->bind_param(1, "\0\1\xff", { pg_type => PG_BYTEA });
  $sth->execute;
  same(($sth->fetchrow_array)[0], 3);
});
check(pipeline => sub { not_there('the driver has none') });
check(copy => sub {
  $dbh->do('COPY scratch FROM STDIN');
  $dbh->pg_putcopydata("$_\tnote $_\n") for 1 .. 5000;
  $dbh->pg_putcopyend;
  my ($line, $seen) = ('', 0);
  $dbh->do('COPY scratch TO STDOUT');
  $seen++ while $dbh->pg_getcopydata($line) >= 0;
  same($seen, 5000);
  $seen = 0;
  $dbh->do("COPY ($stream) TO STDOUT");
  $seen++ while $dbh->pg_getcopydata($line) >= 0;
  die "$seen events" if $seen < $ENV{TENANT_EVENTS};
  $dbh->do('DELETE FROM scratch');
});
check(cursor => sub {
  my $seen = 0;
  $dbh->begin_work;
  $dbh->do("DECLARE pieces CURSOR FOR $stream");
  while (my $got = @{ $dbh->selectall_arrayref('FETCH 7 FROM pieces') }) { $seen += $got }
  $dbh->do('CLOSE pieces');
  $dbh->commit;
  die "$seen events" if $seen < $ENV{TENANT_EVENTS};
});
check(cancel => sub {
  one($dbh, $read, $tenant);
  my $sth = $dbh->prepare($sleep, { pg_async => PG_ASYNC });
  $sth->execute;
  select(undef, undef, undef, 0.5);
  die 'not cancelled' unless $dbh->pg_cancel;
  same($dbh->state, '57014');
  same(one($dbh, 'SELECT 1'), 1);
});
check(notify => sub {
  my $there = connected();
  $dbh->do('LISTEN news');
  $there->do("NOTIFY news, 'first'");
  $there->do("SELECT pg_notify('news', 'second')");
  my @heard;
  for (1 .. 100) {
    while (my $note = $dbh->pg_notifies) { push @heard, $note->[2] }
    last if @heard == 2;
    select(undef, undef, undef, 0.1);
  }
  same("@heard", 'first second');
  $there->disconnect;
});
check(tls => sub {
  not_there('the proxy offers none in this run') unless $tls;
  same(one($dbh, 'SELECT 1'), 1);    # sslmode=require: by TLS or not at all
});
check(tenants => sub {
  my ($reading, $appending) = ($dbh->prepare($read), $dbh->prepare($append));
  my $ask = sub { my ($sth, $name) = @_; $sth->execute($name); return $sth->fetchrow_array };
  for (1 .. 3) {
    for my $home (@homes) {
      my ($name, $port) = @$home;
      my @before = $ask->($reading, $name);
      same($before[0], $port);
      same(($ask->($appending, $name))[0], $port);
      same(join(' ', $ask->($reading, $name)), "$port " . ($before[1] + 1));
    }
  }
  for my $home (@homes) {
    my ($name, $port) = @$home;
    my @before = $ask->($reading, $name);
    $dbh->begin_work; same(($ask->($appending, $name))[0], $port); $dbh->rollback;
    $dbh->begin_work; same(($ask->($appending, $name))[0], $port) for 1 .. 2; $dbh->commit;
    same(join(' ', $ask->($reading, $name)), "$port " . ($before[1] + 2));
  }
});
$dbh->disconnect;

# Ruby's pg: libpq, its asynchronous calls and its pipeline mode. The checklist is in checklist.py.
require 'pg'

$stdout.sync = true
TENANT = ENV['TENANT']
HOMES = [[TENANT, ENV['TENANT_PORT']], [ENV['OTHER'], ENV['OTHER_PORT']]].freeze
EVENTS = ENV['TENANT_EVENTS'].to_i
TLS = !%w[disable allow prefer].include?(ENV['PGSSLMODE'])
SLEEP = "SELECT pg_sleep(30) FROM events WHERE tenant_id = '#{TENANT}' LIMIT 1".freeze
STREAM = "SELECT version FROM events WHERE tenant_id = '#{TENANT}'".freeze
READ = "SELECT current_setting('port'), count(*) FROM events WHERE tenant_id = $1".freeze
APPEND = 'INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, "timestamp", payload)' \
         " VALUES (gen_random_uuid(), gen_random_uuid(), 'Order', 'Placed', $1, 1, now(), '{}')" \
         " RETURNING current_setting('port')".freeze

class NotThere < StandardError; end

def check(feature)
  yield
  puts "#{feature} ok"
rescue NotThere => e
  puts "#{feature} n/a #{e.message}"
rescue StandardError => e
  puts "#{feature} no #{e.message.split.join(' ')}"
  warn e.full_message
end

def same(seen, expected)
  raise "#{seen.inspect} instead of #{expected.inspect}" unless seen == expected
end

def fails(code)
  yield
rescue PG::Error => e
  same(e.result&.error_field(PG::PG_DIAG_SQLSTATE), code)
  e
else
  raise "no error #{code}"
end

def connect
  conn = PG.connect
  conn.set_notice_processor { |_| nil }
  conn
end

puts "version #{PG::VERSION}"
conn = connect
check('connect') do
  same(conn.server_version / 10_000, 15)
  same(conn.exec('SELECT 1').getvalue(0, 0), '1')
end
check('errors') do
  fails('22012') { conn.exec('SELECT 1/0') }
  conn.exec("INSERT INTO scratch VALUES (1, 'a')")
  error = fails('23505') { conn.exec("INSERT INTO scratch VALUES (1, 'b')") }
  same(error.result.error_field(PG::PG_DIAG_CONSTRAINT_NAME), 'scratch_pkey')
  same(conn.exec('DELETE FROM scratch RETURNING note').getvalue(0, 0), 'a')
end
check('transactions') do
  begin
    conn.transaction { |c| c.exec("INSERT INTO scratch VALUES (1, 'a')") && raise(ArgumentError) }
  rescue ArgumentError
    nil
  end
  conn.transaction do |c|
    c.exec("INSERT INTO scratch VALUES (2, 'b')")
    c.exec('SAVEPOINT s')
    fails('22012') { c.exec('SELECT 1/0') }
    fails('25P02') { c.exec('SELECT 1') }
    c.exec('ROLLBACK TO s')
  end
  same(conn.exec('DELETE FROM scratch RETURNING id').values, [['2']])
end
check('prepared') do
  conn.prepare('add', 'SELECT $1::int + 1')
  5.times { |number| same(conn.exec_prepared('add', [number]).getvalue(0, 0), (number + 1).to_s) }
  same(conn.describe_prepared('add').paramtype(0), 23)
end
check('binary') do
  bytes = "\0\1\xff".b
  result = conn.exec_params('SELECT $1::bytea, $2::int8', [{ value: bytes, format: 1 }, { value: [2**40].pack('q>'), format: 1 }], 1)
  same(result.getvalue(0, 0), bytes)
  same(result.getvalue(0, 1).unpack1('q>'), 2**40)
end
check('pipeline') do
  raise NotThere, 'built without' unless conn.respond_to?(:enter_pipeline_mode)

  conn.enter_pipeline_mode
  100.times { |number| conn.send_query_params('SELECT $1::int', [number]) }
  conn.pipeline_sync
  100.times do |number|
    same(conn.get_result.getvalue(0, 0), number.to_s)
    same(conn.get_result, nil)
  end
  same(conn.get_result.result_status, PG::PGRES_PIPELINE_SYNC)
  (HOMES * 3).each do |tenant, _|
    conn.send_query_params(APPEND, [tenant])
    conn.pipeline_sync
  end
  (HOMES * 3).each do |_, port|
    same(conn.get_result.check.getvalue(0, 0), port)
    same(conn.get_result, nil)
    same(conn.get_result.result_status, PG::PGRES_PIPELINE_SYNC)
  end
  conn.exit_pipeline_mode
end
check('copy') do
  conn.copy_data('COPY scratch FROM STDIN') { 5000.times { |number| conn.put_copy_data("#{number}\tnote #{number}\n") } }
  count = lambda do |statement|
    seen = 0
    conn.copy_data(statement) { seen += 1 while conn.get_copy_data }
    seen
  end
  same(count.call('COPY scratch TO STDOUT'), 5000)
  raise 'too few events' if count.call("COPY (#{STREAM}) TO STDOUT") < EVENTS

  conn.exec('DELETE FROM scratch')
end
check('cursor') do
  seen = 0
  conn.transaction do |c|
    c.exec("DECLARE pieces CURSOR FOR #{STREAM}")
    while (got = c.exec('FETCH 7 FROM pieces').ntuples).positive? do seen += got end
  end
  conn.send_query(STREAM)                 # row by row
  conn.set_single_row_mode
  single = 0
  conn.get_result.stream_each { single += 1 }
  conn.get_last_result
  same(single, seen)
  raise "#{seen} events" if seen < EVENTS
end
check('cancel') do
  later = Thread.new do
    sleep 0.5
    conn.cancel
  end
  fails('57014') { conn.exec(SLEEP) }
  later.join
  same(conn.exec('SELECT 1').getvalue(0, 0), '1')
end
check('notify') do
  there = connect
  heard = []
  conn.exec('LISTEN news')
  there.exec("NOTIFY news, 'first'")
  there.exec("SELECT pg_notify('news', 'second')")
  20.times do
    conn.wait_for_notify(0.5) { |_, _, payload| heard << payload }
    break if heard.size == 2
  end
  same(heard, %w[first second])
  there.close
end
check('tls') do
  raise NotThere, 'the proxy offers none in this run' unless TLS

  same(conn.exec('SELECT 1').getvalue(0, 0), '1') # sslmode=require: by TLS or not at all
end
check('tenants') do
  conn.prepare('read', READ)
  conn.prepare('append', APPEND)
  2.times do
    HOMES.each do |tenant, port|
      before = conn.exec_prepared('read', [tenant]).values[0]
      same(before[0], port)
      same(conn.exec_params(APPEND, [tenant]).getvalue(0, 0), port)
      same(conn.exec_prepared('append', [tenant]).getvalue(0, 0), port)
      same(conn.exec_params(READ, [tenant]).values[0], [port, (before[1].to_i + 2).to_s])
    end
  end
  HOMES.each do |tenant, port|
    before = conn.exec_prepared('read', [tenant]).values[0]
    %w[ROLLBACK COMMIT].each do |ending|
      conn.exec('BEGIN')
      2.times { same(conn.exec_prepared('append', [tenant]).getvalue(0, 0), port) }
      conn.exec(ending)
    end
    same(conn.exec_prepared('read', [tenant]).values[0], [port, (before[1].to_i + 2).to_s])
  end
end
conn.close

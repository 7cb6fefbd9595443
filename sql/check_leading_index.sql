-- check_leading_index.sql - does an index of a table begin with one of some columns?
-- $1 oid: the table, $2 text[]: the columns. bool
SELECT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                WHERE i.indrelid = $1::oid AND i.indisvalid AND i.indpred IS NULL AND a.attname = ANY ($2::text[]))

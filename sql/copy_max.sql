-- copy_max.sql - the highest position of a source whose positions come from no sequence. {table}, {position_column}
SELECT max(e.{position_column}) FROM {table} e

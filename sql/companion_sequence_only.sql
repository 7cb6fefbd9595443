-- companion_sequence_only.sql - the same where no sequence gives them. {table}, {column}
SELECT max(e.{column}) FROM {table} e

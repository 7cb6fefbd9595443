-- companion_count.sql - {from}: a companion table as it is read; {tenant_column}, {tenant}: quoted
SELECT count(*) FROM {from} e WHERE e.{tenant_column} = {tenant}

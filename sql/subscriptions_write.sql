-- subscriptions_write.sql - one checkpoint, if it is still where it was. $1 text: new, $2 text: subscription, $3 text: old,
-- $4 text: tenant (NULL: by the name). {name}, {position}, {tenant}: expressions; {position_column}: quoted; {type}; {table}
UPDATE {table} c SET {position_column} = $1::text::{type}
 WHERE {name}::text = $2::text AND {position}::text = $3::text AND ($4::text IS NULL OR {tenant} = $4::text)

-- tap_sequences.sql - one tap's state (epoch * 4 + state) and the time when it was shut (microseconds since 1970), made
-- anew and open. {state}, {time}: their names, {value}: epoch * 4.
DROP SEQUENCE IF EXISTS pgshunt.{state}, pgshunt.{time};
CREATE SEQUENCE pgshunt.{state} MINVALUE 0 START 0 CACHE 1;
CREATE SEQUENCE pgshunt.{time} MINVALUE 0 START 0 CACHE 1;
SELECT setval('pgshunt.{state}', {value}), setval('pgshunt.{time}', 0);

-- resync_keep.sql - what a tap has captured outlives the tap, under a number that no tap has. {tap}
UPDATE pgshunt.captured SET tap = ~ tap WHERE tap = bigint '{tap}'

-- resync_restore.sql - what resync_keep.sql has kept belongs to the tap that stands now. {tap}
UPDATE pgshunt.captured SET tap = ~ tap WHERE tap = ~ bigint '{tap}'

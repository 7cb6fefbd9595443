/* clang-format off */
/* failpoint_test_names.h - the table that test_failpoint.c compiles failpoint.c with. */
"test.first",
"test.second",

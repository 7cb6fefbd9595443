/* clang-format off */
/* failpoint_names.h - every failpoint, one string and a comma a line: "module.place", (grouped by module, sorted).
 * failpoint.c includes it inside an array: add the line here, then call failpoint("module.place", err) there. */

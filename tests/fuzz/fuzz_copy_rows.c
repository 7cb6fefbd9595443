/* fuzz_copy_rows.c - the rows of COPY: text and csv against PostgreSQL's rules written down once more, binary
 * cut against uncut. The first bytes say the options and where to cut. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "../unit/wire/copy_reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static uint64_t told(const struct copy_options *options, const char *data, size_t count, size_t step)
{
    struct copy_rows rows;
    uint64_t sum = 0;
    size_t at = 0, used;

    copy_rows_init(&rows, options);
    for (size_t until = 0; at < count;) {
        enum copy_event event;

        until = until + step < count ? until + step : count;
        while (at < until) {
            event = copy_rows_read(&rows, data + at, until - at, &used);
            at += used;
            if (event == COPY_MORE)
                continue;
            sum = sum * 31 + event * 7 + rows.line;
            for (size_t i = 0; event == COPY_VALUE && rows.value.at != NULL && i < rows.value.bytes; i++)
                sum = sum * 31 + (unsigned char)rows.value.at[i];
        }
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static char data[4096];
    struct copy_options options = { .columns = 3, .delimiter = '\t', .null = "\\N", .null_bytes = 2 };
    const char *wrong;
    size_t count, step;

    if (size < 2 || size - 2 > sizeof data)
        return 0;
    count = size - 2;
    memcpy(data, input + 2, count);
    step = 1 + input[1] % 7;
    options.column = input[0] >> 2 & 1;
    options.header = input[0] >> 3 & 1;
    options.format = input[0] & 3;
    if (options.format >= COPY_BINARY) {
        options.format = COPY_BINARY;
        if (told(&options, data, count, step) != told(&options, data, count, count + 1))
            abort();
        return 0;
    }
    if (options.format == COPY_CSV) {
        options.null_bytes = 0;
        options.delimiter = ',';
        options.quote = '"';
        options.escape = input[0] >> 4 & 1 ? '\\' : '"';
        options.force_null = input[0] >> 5 & 1;
        options.force_not_null = input[0] >> 6 & 1;
    }
    wrong = reference_compare(&options, data, count, step);
    if (wrong != NULL) {
        fprintf(stderr, "%s\n", wrong);
        abort();
    }
    return 0;
}

/* pages.c - see pages.h.   Start at: pages_answer(). */
#include "status/pages.h"

#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "status/metrics.h"

static const char *const paths[PAGES] = { [PAGE_METRICS] = "/metrics",
                                          [PAGE_HEALTH] = "/health",
                                          [PAGE_HEALTH_MIGRATION] = "/health/migration",
                                          [PAGE_READY] = "/ready" };

bool pages_find(const char *path, enum page *page)
{
    for (int i = 0; i < PAGES; i++) {
        if (strcmp(path, paths[i]) == 0) {
            *page = (enum page)i;
            return true;
        }
    }
    return false;
}

/* One entry of a list, RFC 9110 12.5: "gzip;q=0" refuses. */
static bool entry_accepts(const char *entry, size_t bytes, const char *what)
{
    const char *parameters = memchr(entry, ';', bytes);
    size_t name_bytes = parameters == NULL ? bytes : (size_t)(parameters - entry);
    const char *quality = parameters == NULL ? NULL : memmem(parameters, bytes - name_bytes, "q=", 2);

    while (name_bytes > 0 && (entry[name_bytes - 1] == ' ' || entry[name_bytes - 1] == '\t'))
        name_bytes--;
    if (name_bytes != strlen(what) || strncasecmp(entry, what, name_bytes) != 0)
        return false;
    if (quality == NULL)
        return true;
    for (quality += 2; quality < entry + bytes && strchr("0. \t;", *quality) == NULL; quality++)
        return true;
    for (; quality < entry + bytes && strchr("0.", *quality) != NULL; quality++)
        ;
    return quality < entry + bytes && *quality >= '1' && *quality <= '9';
}

bool pages_accepts(const char *header, const char *what)
{
    while (header != NULL && *header != '\0') {
        size_t bytes;

        header += strspn(header, " \t,");
        bytes = strcspn(header, ",");
        if (bytes > 0 && entry_accepts(header, bytes, what))
            return true;
        header += bytes;
    }
    return false;
}

/* RFC 1952. false: no memory, and the body is as it was. */
static bool compress_body(struct buf *body)
{
    enum { GZIP_WINDOW = 15 + 16, MEMORY_LEVEL = 8 }; /* zlib.h, deflateInit2(): 16 asks for a gzip header */
    z_stream stream = { 0 };
    struct buf packed;
    char *room;
    bool good;

    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    buf_init(&packed);
    stream.next_in = (Bytef *)body->data + body->head;
    stream.avail_in = (uInt)buf_bytes(body);
    stream.avail_out = (uInt)deflateBound(&stream, stream.avail_in);
    room = buf_reserve(&packed, stream.avail_out);
    stream.next_out = (Bytef *)room;
    good = room != NULL && deflate(&stream, Z_FINISH) == Z_STREAM_END;
    if (good)
        buf_grew(&packed, stream.total_out);
    deflateEnd(&stream);
    if (!good) {
        buf_done(&packed);
        return false;
    }
    buf_done(body);
    *body = packed;
    return true;
}

void pages_answer(const struct page_request *request, const struct snapshot *snapshot,
                  const struct health_limits *limits, struct page_answer *answer)
{
    struct exposition to = { &answer->body, request->open_metrics, NULL };

    *answer = (struct page_answer){ .status = 200, .content_type = "application/json; charset=utf-8" };
    buf_init(&answer->body);
    switch (request->page) {
    case PAGE_METRICS:
        answer->content_type = exposition_content_type(request->open_metrics);
        metrics_write(snapshot, &to);
        break;
    case PAGE_HEALTH:
        answer->status = health_process(snapshot, &answer->body);
        break;
    case PAGE_HEALTH_MIGRATION:
        answer->status = health_migration(snapshot, limits, &answer->body);
        break;
    case PAGE_READY:
        answer->status = health_ready(snapshot, &answer->body);
        break;
    case PAGES:
        break;
    }
    if (request->gzip && !buf_failed(&answer->body))
        answer->gzip = compress_body(&answer->body);
}

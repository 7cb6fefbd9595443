/* pages.h - a path and what the client takes -> an answer: status, type, bytes. Pure. */
#ifndef PGSHUNT_STATUS_PAGES_H
#define PGSHUNT_STATUS_PAGES_H

#include "status/health.h"

enum page { PAGE_METRICS, PAGE_HEALTH, PAGE_HEALTH_MIGRATION, PAGE_READY, PAGES };

struct page_request {
    enum page page;
    bool open_metrics, gzip; /* what its headers accept */
};

struct page_answer {
    unsigned status;
    const char *content_type;
    bool gzip;
    struct buf body; /* owned: buf_done() */
};

bool pages_find(const char *path, enum page *page); /* false: there is none */
/* Of the Accept and Accept-Encoding headers; NULL is fine. */
bool pages_accepts(const char *header, const char *what);
void pages_answer(const struct page_request *request, const struct snapshot *snapshot,
                  const struct health_limits *limits, struct page_answer *answer);

#endif

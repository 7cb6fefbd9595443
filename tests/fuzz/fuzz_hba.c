/* fuzz_hba.c - hba_file and ident_file of any bytes: rules that can be asked, or a reason with a line. */
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proxy/hba.h"
#include "proxy/ident.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
    if (!good)
        abort();
}

static void ask(const struct hba *hba)
{
    const struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = 0x0100007F };
    const struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    const struct sockaddr local = { .sa_family = AF_UNIX };
    const struct sockaddr *const addresses[] = { (const struct sockaddr *)&v4, (const struct sockaddr *)&v6,
                                                 &local };

    for (int i = 0; i < 12; i++) {
        const struct hba_ask question = { .address = addresses[i % 3],
                                          .encrypted = i / 3 % 2,
                                          .replication = i / 6,
                                          .database = "shop",
                                          .user = "app" };
        struct hba_verdict verdict;

        if (hba_match(hba, &question, &verdict))
            require(verdict.line > 0 && verdict.method != AUTH_HBA);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("hba", MFD_CLOEXEC);
    struct ident *ident;
    struct error err;
    struct hba *hba;
    char path[64];

    /* Nothing outside the input may be read. */
    if (fd < 0 || memchr(data, '@', size) != NULL || write(fd, data, size) != (ssize_t)size) {
        close(fd);
        return 0;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (hba_read(path, &hba, &err)) {
        ask(hba);
        hba_free(hba);
    } else {
        require(hba == NULL && error_is(&err, "F0000"));
    }
    if (ident_read(path, &ident, &err)) {
        ident_allows(ident, "ops", "root", "app");
        ident_free(ident);
    } else {
        require(ident == NULL && error_is(&err, "F0000"));
    }
    close(fd);
    return 0;
}

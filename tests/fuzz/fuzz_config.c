/* fuzz_config.c - a configuration file of any bytes: read and whole, or refused with a reason. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
    if (!good)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("config", MFD_CLOEXEC);
    struct config *config;
    struct error err;
    char path[64];

    /* Nothing outside the input may be read or shown in a finding. */
    if (fd < 0 || memmem(data, size, "${", 2) != NULL || write(fd, data, size) != (ssize_t)size) {
        close(fd);
        return 0;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (config_read(path, &config, &err)) {
        require(config_store_count(config) > 0);
        for (int i = 0; i < CONFIG_KEYS; i++)
            require(config_check((enum config_key)i, config_text(config, (enum config_key)i), &err));
        require(config_user_tenant(config, "") == NULL);
        config_give(config);
    } else {
        require(config == NULL && error_is_set(&err) && err.message[0] != '\0');
    }
    close(fd);
    return 0;
}

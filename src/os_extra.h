/*
 * os_extra: what os_posix asks of os_linux_extra, or of os_other, about mapping.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef OS_EXTRA_H
#define OS_EXTRA_H

#include "os.h"

/* mmap(2)'s flags with those added that GCMMAP_ flags ask for. */
int os_extra_flags(unsigned flags, int mmap_flags);

/*
 * What has to be said after mmap(2).  ENOTSUP: the system cannot do what flags ask for.
 * ENOMEM: shortage, worth another try.
 */
int os_extra_finish(void *at, size_t n_bytes, const struct os_mapping *what);

/* A new file of secret memory, or ENOSYS. */
int os_extra_open_secret(size_t n_bytes, int *fd);

#endif

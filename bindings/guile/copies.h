/*
 * copies: bytes in and out of a region without the danger of touching them.  What cannot be copied
 * is raised, with which byte of which file and why.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef COPIES_H
#define COPIES_H

#include "cells.h"

void copy_out(const char *who, struct cell *cell, void *to, unsigned char *p, size_t n_bytes);
void copy_in(const char *who, struct cell *cell, unsigned char *p, void *from, size_t n_bytes);

SCM mapped_copy(SCM bytevector);
SCM mapped_store(SCM bytevector, SCM source);

#endif

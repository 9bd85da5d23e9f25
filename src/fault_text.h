/*
 * fault_text: a fault in words.  All of it async-signal-safe.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FAULT_TEXT_H
#define FAULT_TEXT_H

#include <stdbool.h>

#include "gcmmap.h"
#include "message.h"

/* "words.txt: byte 5 of 80 cannot be read: the region was closed"; no end of line. */
void fault_add_text(struct message *message, const gcmmap_fault *fault);

/*
 * Where an address in code is, with its function and source line if they are wanted and
 * the system can find out; else how to ask.  Of a return address, of the call in front of it.
 */
void fault_add_code(struct message *message, const void *address, bool is_return, bool wants_line);

#endif

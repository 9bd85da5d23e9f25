/*
 * message: text that a signal handler can put together.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MESSAGE_H
#define MESSAGE_H

#include <stddef.h>
#include <stdint.h>

/* What does not fit is cut off; n goes on counting. */
struct message {
    char *text; /* ends with 0 if there is any room */
    size_t room, n;
};

/* Async-signal-safe. */
void message_add(struct message *message, const char *text);
void message_add_number(struct message *message, uintmax_t number);
void message_add_address(struct message *message, uintptr_t address);

#endif

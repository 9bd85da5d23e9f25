/*
 * message: without printf(3), which may lock and allocate.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "message.h"

static void add_char(struct message *message, char c)
{
    if (message->n + 1 < message->room) {
        message->text[message->n] = c;
        message->text[message->n + 1] = '\0';
    }
    message->n++;
}

void message_add(struct message *message, const char *text)
{
    while (*text != '\0')
        add_char(message, *text++);
}

static void add_digits(struct message *message, uintmax_t number, unsigned base)
{
    char digits[sizeof number * 3 + 1];
    size_t i = sizeof digits - 1;

    digits[i] = '\0';
    do
        digits[--i] = "0123456789abcdef"[number % base];
    while ((number /= base) != 0);
    message_add(message, digits + i);
}

void message_add_number(struct message *message, uintmax_t number)
{
    add_digits(message, number, 10);
}

void message_add_address(struct message *message, uintptr_t address)
{
    message_add(message, "0x");
    add_digits(message, address, 16);
}

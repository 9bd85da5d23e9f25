/*
 * grep-text: bytes that grow, in memory of the collector's.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include <stdint.h>
#include <string.h>

#include <gc/gc.h>

#include "grep-say.h"
#include "grep-text.h"

static void *checked(void *memory)
{
    if (memory == NULL)
        give_up("memory exhausted");
    return memory;
}

void *new_object(size_t size)
{
    return checked(GC_MALLOC(size));
}

void *new_bytes(size_t size)
{
    return checked(GC_MALLOC_ATOMIC(size));
}

void *array_grow(void *array, size_t n, size_t *room, size_t item)
{
    void *larger;

    if (n < *room)
        return array;
    if (*room > SIZE_MAX / 4 / item)
        give_up("memory exhausted");
    *room = *room == 0 ? 16 : 2 * *room;
    larger = new_object(*room * item);
    if (n > 0)
        memcpy(larger, array, n * item);
    return larger;
}

void text_add(struct text *text, const char *data, size_t size)
{
    if (text->room - text->size <= size) {
        size_t room = 2 * (text->size + size) + 16;
        char *larger = new_bytes(room);

        if (text->size > 0)
            memcpy(larger, text->data, text->size);
        text->data = larger;
        text->room = room;
    }
    if (size > 0)
        memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = '\0';
}

void text_add_string(struct text *text, const char *string)
{
    text_add(text, string, strlen(string));
}

char *new_string(const char *data, size_t size)
{
    char *copy = new_bytes(size + 1);

    memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

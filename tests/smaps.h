/*
 * smaps: what the kernel says about the mapping at an address.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SMAPS_H
#define SMAPS_H

#include "tap.h"

struct mapping {
    uintptr_t from, to;
    char name[256];  /* path, [anon:...], or empty */
    char flags[256]; /* VmFlags, each followed by a space, with one in front */
    size_t anon_huge_kib, locked_kib, page_kib;
};

/* false: nothing is mapped there. */
static __attribute__((noinline, unused)) bool mapping_at(const void *address, struct mapping *result)
{
    FILE *file = fopen("/proc/self/smaps", "r");
    char line[4400];
    bool inside = false;

    need(file != NULL, "/proc/self/smaps");
    memset(result, 0, sizeof *result);
    while (fgets(line, sizeof line, file)) {
        unsigned long from, to;
        char name[256] = "";

        if (sscanf(line, "%lx-%lx %*s %*x %*s %*u %255[^\n]", &from, &to, name) >= 2) {
            if (inside)
                break;
            inside = (uintptr_t)address >= from && (uintptr_t)address < to;
            if (inside) {
                result->from = from;
                result->to = to;
                strcpy(result->name, name);
            }
        } else if (inside) {
            (void)sscanf(line, "AnonHugePages: %zu", &result->anon_huge_kib);
            (void)sscanf(line, "Locked: %zu", &result->locked_kib);
            (void)sscanf(line, "KernelPageSize: %zu", &result->page_kib);
            if (strncmp(line, "VmFlags:", 8) == 0)
                snprintf(result->flags, sizeof result->flags, "%.*s ", (int)strcspn(line + 8, "\n"),
                         line + 8);
        }
    }
    fclose(file);
    return inside;
}

/* flag: as " lo ". */
static inline bool has_vm_flag(const void *address, const char *flag)
{
    struct mapping mapping;

    return mapping_at(address, &mapping) && strstr(mapping.flags, flag) != NULL;
}

/* Of /proc/self/status, as "VmLck:". */
static __attribute__((noinline, unused)) size_t status_kib(const char *field)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    size_t n = 0;

    need(file != NULL, "/proc/self/status");
    while (fgets(line, sizeof line, file))
        if (strncmp(line, field, strlen(field)) == 0)
            n = strtoul(line + strlen(field), NULL, 10);
    fclose(file);
    return n;
}

#endif

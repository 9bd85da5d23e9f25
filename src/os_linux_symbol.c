/*
 * os_linux_symbol: names of addresses in code and static data.
 *
 * SPDX-License-Identifier: MIT
 *
 * dladdr(3) knows what is exported.  The rest is in the file's symbol table, unless the
 * file was stripped.
 */
#include <config.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os_look.h"

/* A mapped ELF file; what is read of it is inside. */
struct elf {
    const unsigned char *bytes;
    size_t n_bytes;
};

static const void *part(const struct elf *elf, uint64_t at, uint64_t n_bytes)
{
    return at <= elf->n_bytes && n_bytes <= elf->n_bytes - at ? elf->bytes + at : NULL;
}

static bool open_elf(const char *path, struct elf *elf)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    void *bytes = MAP_FAILED;

    if (fd < 0)
        return false;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0)
        bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    (void)close(fd);
    if (bytes == MAP_FAILED)
        return false;
    *elf = (struct elf){ bytes, (size_t)status.st_size };
    return true;
}

/* The symbol whose bytes hold `value`: its name, and how far it is from there. */
static const char *find_in(const struct elf *elf, const ElfW(Shdr) * symbols,
                           const ElfW(Shdr) * strings, uintptr_t value, uintptr_t *distance)
{
    const ElfW(Sym) *table = part(elf, symbols->sh_offset, symbols->sh_size);
    const char *names = part(elf, strings->sh_offset, strings->sh_size);

    if (table == NULL || names == NULL || strings->sh_size == 0 ||
        names[strings->sh_size - 1] != '\0')
        return NULL;
    for (size_t i = 0; i < symbols->sh_size / sizeof *table; i++)
        if (value - table[i].st_value < table[i].st_size && table[i].st_shndx != SHN_UNDEF &&
            (table[i].st_info & 0xf) != STT_TLS && table[i].st_name < strings->sh_size) {
            *distance = value - table[i].st_value;
            return names + table[i].st_name;
        }
    return NULL;
}

static const char *find_symbol(const struct elf *elf, uintptr_t value, uintptr_t *distance)
{
    const ElfW(Ehdr) *header = part(elf, 0, sizeof *header);
    const ElfW(Shdr) * sections;

    if (header == NULL || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_shentsize != sizeof *sections)
        return NULL;
    sections = part(elf, header->e_shoff, (uint64_t)header->e_shnum * sizeof *sections);
    for (size_t i = 0; sections != NULL && i < header->e_shnum; i++)
        if (sections[i].sh_type == SHT_SYMTAB && sections[i].sh_link < header->e_shnum)
            return find_in(elf, &sections[i], &sections[sections[i].sh_link], value, distance);
    return NULL;
}

static bool name_by_file(const Dl_info *info, uintptr_t at, const char *file, char *text,
                         size_t n_bytes)
{
    /* The program's path may be relative to where it was started. */
    const bool is_program =
        (uintptr_t)info->dli_fbase <= getauxval(AT_PHDR) &&
        getauxval(AT_PHDR) - (uintptr_t)info->dli_fbase < sizeof(ElfW(Ehdr)) + 4096;
    const ElfW(Ehdr) *header = info->dli_fbase;
    uintptr_t distance, value = header->e_type == ET_EXEC ? at : at - (uintptr_t)info->dli_fbase;
    const char *name;
    struct elf elf;

    if (!open_elf(is_program ? "/proc/self/exe" : info->dli_fname, &elf))
        return false;
    name = find_symbol(&elf, value, &distance);
    if (name != NULL)
        (void)snprintf(text, n_bytes, "%s+%#lx (%s)", name, (unsigned long)distance, file);
    (void)munmap((void *)elf.bytes, elf.n_bytes);
    return name != NULL;
}

void os_name_address(const void *address, char *text, size_t n_bytes)
{
    int saved_errno = errno;
    uintptr_t at = (uintptr_t)address;
    const char *file;
    Dl_info info;

    if (dladdr(address, &info) == 0 || info.dli_fname == NULL) {
        (void)snprintf(text, n_bytes, "%#lx", (unsigned long)at);
        return;
    }
    file = strrchr(info.dli_fname, '/') != NULL ? strrchr(info.dli_fname, '/') + 1 : info.dli_fname;
    if (info.dli_sname != NULL)
        (void)snprintf(text, n_bytes, "%s+%#lx (%s)", info.dli_sname,
                       (unsigned long)(at - (uintptr_t)info.dli_saddr), file);
    else if (!name_by_file(&info, at, file, text, n_bytes)) /* what addr2line(1) understands */
        (void)snprintf(text, n_bytes, "%s+%#lx", file,
                       (unsigned long)(at - (uintptr_t)info.dli_fbase));
    errno = saved_errno;
}

#define _GNU_SOURCE
#include "library_imports.h"

#ifdef __linux__
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if __SIZEOF_POINTER__ == 8
typedef Elf64_Rela relocation;
#define SYMBOL_OF(info) ELF64_R_SYM(info)
enum { TABLE = DT_RELA, TABLE_BYTES = DT_RELASZ };
#else
typedef Elf32_Rel relocation;
#define SYMBOL_OF(info) ELF32_R_SYM(info)
enum { TABLE = DT_REL, TABLE_BYTES = DT_RELSZ };
#endif

/* glibc puts addresses into the dynamic section, musl leaves the file's offsets. */
static uintptr_t address_in(const struct link_map *map, uintptr_t value) {
    return value < map->l_addr ? map->l_addr + value : value;
}

static bool write_slot(void **slot, void *value) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    void *start = (void *)((uintptr_t)slot & ~(page - 1));
    /* The linker made it read-only once it had bound every name (RELRO). */
    if (mprotect(start, page, PROT_READ | PROT_WRITE) != 0) {
        return false;
    }
    *slot = value;
    return true;
}

bool sa_library_replace(void *handle, const char *name, void (*function)(void)) {
    struct link_map *map = NULL;
    if (dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0) {
        return false;
    }
    uintptr_t symbols = 0, strings = 0, tables[2] = {0};
    size_t bytes[2] = {0};
    for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++) {
        switch (entry->d_tag) {
        case DT_SYMTAB:
            symbols = address_in(map, entry->d_un.d_ptr);
            break;
        case DT_STRTAB:
            strings = address_in(map, entry->d_un.d_ptr);
            break;
        case DT_JMPREL:
            tables[0] = address_in(map, entry->d_un.d_ptr);
            break;
        case DT_PLTRELSZ:
            bytes[0] = entry->d_un.d_val;
            break;
        case TABLE:
            tables[1] = address_in(map, entry->d_un.d_ptr);
            break;
        case TABLE_BYTES:
            bytes[1] = entry->d_un.d_val;
            break;
        default:
            break;
        }
    }
    void *value;
    memcpy(&value, &function, sizeof value); /* POSIX: a function's address is an object's */
    bool replaced = false;
    for (int t = 0; t < 2; t++) {
        const relocation *all = (const relocation *)tables[t];
        for (size_t i = 0; i < bytes[t] / sizeof *all; i++) {
            const ElfW(Sym) *symbol = (const ElfW(Sym) *)symbols + SYMBOL_OF(all[i].r_info);
            if (symbol->st_shndx == SHN_UNDEF &&
                strcmp((const char *)strings + symbol->st_name, name) == 0) {
                replaced |= write_slot((void **)(map->l_addr + all[i].r_offset), value);
            }
        }
    }
    return replaced;
}
#else
bool sa_library_replace(void *handle, const char *name, void (*function)(void)) {
    (void)handle, (void)name, (void)function;
    return false;
}
#endif

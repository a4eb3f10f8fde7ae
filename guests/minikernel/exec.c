/* SPDX-License-Identifier: MIT */

/*
 * Programs are ELF files, part of the kernel's image and aligned there to pages. To load one
 * is not to copy it: its pages are mapped where they lie. Text is shared by all processes
 * that run it, data is mapped copy-on-write, as if the image had forked. What comes after the
 * data (.bss, then the heap) is zero by being demand-zero.
 */

#include "guests/minikernel/kernel.h"
#include "riscv/csr.h"

/* A file in programs.S. The last one has no name. */
struct program {
	const char *name;
	const char *start;
	const char *end;
};

extern const struct program programs[];

/* ELF-64 (System V ABI, chapters 4 and 5). */
struct elf_header {
	uint8_t ident[16];
	uint16_t type;
	uint16_t machine;
	uint32_t version;
	uint64_t entry;
	uint64_t segments;
	uint64_t sections;
	uint32_t flags;
	uint16_t size;
	uint16_t segment_size;
	uint16_t segment_count;
	uint16_t section_size;
	uint16_t section_count;
	uint16_t section_names;
};

struct elf_segment {
	uint32_t type;
	uint32_t flags;
	uint64_t offset;
	uint64_t va;
	uint64_t pa;
	uint64_t file_size;
	uint64_t size;
	uint64_t align;
};

#define ELF_LOAD    1
#define ELF_EXECUTE 1
#define ELF_WRITE   2

int args_add(struct args *args, const char *text)
{
	size_t size = strlen(text) + 1;

	if (args->count == ARGS_MAX || size > sizeof(args->text) - args->used)
		return ERR_TOO_LARGE;
	memcpy(args->text + args->used, text, size);
	args->used += (uint32_t)size;
	args->count++;
	return 0;
}

static const struct program *find_program(const char *name)
{
	for (const struct program *p = programs; p->name != NULL; p++)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

/* A page of the image at va. */
static int map_shared(struct space *s, uint64_t va, const char *from, uint64_t flags)
{
	uint64_t pa = (uint64_t)from - KERNEL_BASE + machine.image;
	int error = space_map(s, va, pa, flags);

	if (error == 0)
		page_hold(pa);
	return error;
}

/* A page of which only a part is the file's: what follows has to be zero. */
static int map_partial(struct space *s, uint64_t va, const char *from, uint64_t size)
{
	uint64_t pa = page_alloc_zeroed();
	int error;

	if (pa == 0)
		return ERR_NOMEM;
	memcpy(page_virt(pa), from, size);
	error = space_map(s, va, pa, PTE_V | PTE_R | PTE_W | PTE_U | PTE_A | PTE_D);
	if (error != 0)
		page_release(pa);
	return error;
}

/* The linker script of the programs begins each segment with a page. */
static int load_segment(struct space *s, const struct elf_segment *segment, const char *file)
{
	bool writable = (segment->flags & ELF_WRITE) != 0;
	uint64_t flags = PTE_V | PTE_R | PTE_U | PTE_A;
	int error = 0;

	flags |= writable ? PTE_COW : 0;
	flags |= (segment->flags & ELF_EXECUTE) != 0 ? PTE_X : 0;
	for (uint64_t i = 0; i < segment->file_size && error == 0; i += PAGE_SIZE) {
		const char *from = file + segment->offset + i;
		uint64_t left = segment->file_size - i;

		error = writable && left < PAGE_SIZE ? map_partial(s, segment->va + i, from, left)
						     : map_shared(s, segment->va + i, from, flags);
	}
	s->heap = max_u64(s->heap, align_up(segment->va + segment->file_size, PAGE_SIZE));
	s->heap_end = max_u64(s->heap_end, align_up(segment->va + segment->size, PAGE_SIZE));
	return error;
}

static int load(struct space *s, const struct program *program, uint64_t *entry)
{
	const struct elf_header *header = (const struct elf_header *)program->start;
	const struct elf_segment *segment =
	    (const struct elf_segment *)(program->start + header->segments);
	int error = 0;

	*entry = header->entry;
	for (uint32_t i = 0; i < header->segment_count && error == 0; i++)
		if (segment[i].type == ELF_LOAD)
			error = load_segment(s, &segment[i], program->start);
	s->heap_end = max_u64(s->heap, s->heap_end);
	return error;
}

/*
 * The strings at the very top of the stack, below them argv. Its address is then also where
 * the stack starts, 16-byte aligned as the calling convention wants it.
 */
static int push_args(struct space *s, const struct args *args, uint64_t *argv)
{
	uint64_t text = USER_TOP - align_up(args->used, 8);
	uint64_t pointers[ARGS_MAX + 1] = {0};
	const char *string = args->text;
	int error;

	for (uint32_t i = 0; i < args->count; i++, string += strlen(string) + 1)
		pointers[i] = text + (uint64_t)(string - args->text);
	*argv = align_down(text - sizeof(pointers), 16);
	error = space_write(s, text, args->text, args->used);
	if (error == 0)
		error = space_write(s, *argv, pointers, sizeof(pointers));
	return error;
}

int exec_program(struct proc *p, const char *name, const struct args *args)
{
	const struct program *program = find_program(name);
	struct space space, old = p->space;
	uint64_t entry, argv;
	int error;

	if (program == NULL)
		return ERR_NOENT;
	error = space_create(&space, p->slot + 1);
	if (error != 0)
		return error;
	error = load(&space, program, &entry);
	if (error == 0)
		error = push_args(&space, args, &argv);
	if (error != 0) {
		space_destroy(&space);
		return error;
	}
	*p->frame = (struct frame){.pc = entry};
	p->frame->status = (csr_read(CSR_SSTATUS) & ~(uint64_t)SSTATUS_SPP) | SSTATUS_SPIE;
	p->frame->x[REG_SP] = argv;
	p->frame->x[REG_A0] = args->count;
	p->frame->x[REG_A0 + 1] = argv;
	string_copy(p->name, program->name, NAME_SIZE);
	p->space = space;
	if (p == proc_current())
		space_enter(&p->space);
	if (old.root != 0)
		space_destroy(&old);
	return 0;
}

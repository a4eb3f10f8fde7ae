/* SPDX-License-Identifier: MIT */
/* unit: engine/soft/walk.c */
#include "tests/fuzz/fenced.h"

#include "engine/soft/code.h"
#include "engine/soft/walk.h"
#include "kernel/error.h"
#include "kernel/mmu.h"
#include "riscv/pte.h"

/* A guest's memory from address 0 on, each page in a place of its own; one is missing, one flash.
 */
#define RAM_PAGES      6
#define MISSING_PAGE   4
#define PROTECTED_PAGE 3 /* must not be written */
#define ROM_PAGE       5 /* cannot be */

static uint64_t *ram[RAM_PAGES];
static uint64_t before[RAM_PAGES][PTE_ENTRIES];
static struct guest guest;

uint64_t direct_map_offset;

bool code_is_protected(const struct guest *of, gpa_t gpa)
{
	check(of == &guest && is_aligned(gpa.v, 8));
	return gpa.v >> PAGE_SHIFT == PROTECTED_PAGE;
}

int gspace_lookup_slowly(const struct gspace *space, struct gspace_cache *cache, gpa_t gpa,
			 hpa_t *hpa, unsigned *level)
{
	uint64_t page = gpa.v >> PAGE_SHIFT;

	(void)cache;
	check(space == &guest.space && gpa.v < BIT(56));
	if (page >= RAM_PAGES || page == MISSING_PAGE || page == ROM_PAGE)
		return ERR_NOENT;
	*hpa = HPA((uint64_t)ram[page] + (gpa.v & (PAGE_SIZE - 1)));
	*level = 0;
	return 0;
}

int gspace_find_rom(const struct gspace *space, gpa_t gpa, hpa_t *hpa)
{
	check(space == &guest.space && gpa.v < BIT(56));
	if (gpa.v >> PAGE_SHIFT != ROM_PAGE)
		return ERR_NOENT;
	*hpa = HPA((uint64_t)ram[ROM_PAGE] + (gpa.v & (PAGE_SIZE - 1)));
	return 0;
}

static void save(void)
{
	for (unsigned i = 0; i < RAM_PAGES; i++)
		memcpy(before[i], ram[i], PAGE_SIZE);
}

/* Whether memory is as it was, but for A and D of one entry. */
static bool only_differs_by(const uint64_t *entry, uint64_t bits)
{
	for (unsigned i = 0; i < RAM_PAGES; i++) {
		for (unsigned k = 0; k < PTE_ENTRIES; k++) {
			uint64_t change = ram[i][k] ^ before[i][k];

			if (change & (&ram[i][k] == entry ? ~(bits & ram[i][k]) : UINT64_MAX))
				return false;
		}
	}
	return true;
}

static void check_done(const struct walk_context *context, gva_t va, enum access_kind kind,
		       const struct walk *walk)
{
	uint64_t size = BIT(pte_level_shift(walk->level));
	struct walk again;

	check((walk->gpa.v & (PAGE_SIZE - 1)) == (va.v & (PAGE_SIZE - 1)));
	if (walk->bare) {
		check(walk->gpa.v == va.v && !walk->leaf);
		return;
	}
	check(*walk->leaf == walk->entry && pte_is_leaf(walk->entry));
	check(is_aligned(pte_address(walk->entry).v, walk->entry >> 63 ? KIB(32) : size));
	check(walk->gpa.v < BIT(56) && walk->level <= 4);
	check(walk->entry >> 63 ? context->svnapot
				: walk->gpa.v - pte_address(walk->entry).v < size);
	if (walk->level == 0 && !(walk->entry >> 63))
		check(walk_entry_allows(context, walk->entry, kind));
	/* It is found again, with nothing left to be set. */
	check(walk_address(context, va, kind, false, &again) == WALK_DONE);
	check(again.gpa.v == walk->gpa.v && again.leaf == walk->leaf &&
	      again.global == walk->global && again.entry == walk->entry);
}

static void walk_once(const struct walk_context *context, gva_t va, enum access_kind kind,
		      bool update)
{
	uint64_t used = kind == ACCESS_STORE ? PTE_A | PTE_D : PTE_A;
	enum walk_result result;
	struct walk walk;

	save();
	result = walk_address(context, va, kind, update, &walk);
	check(only_differs_by(result == WALK_DONE ? walk.leaf : NULL, used));
	switch (result) {
	case WALK_DONE:
		check(update || only_differs_by(NULL, 0));
		check_done(context, va, kind, &walk);
		break;
	case WALK_MISSING:
		check(walk.gpa.v >> PAGE_SHIFT >= RAM_PAGES ||
		      walk.gpa.v >> PAGE_SHIFT == MISSING_PAGE);
		break;
	case WALK_PROTECTED:
		check(update && walk.gpa.v >> PAGE_SHIFT == PROTECTED_PAGE);
		break;
	case WALK_READ_ONLY:
		check(update && walk.gpa.v >> PAGE_SHIFT == ROM_PAGE);
		break;
	case WALK_PAGE_FAULT:
		break;
	}
	check(memcmp(ram[PROTECTED_PAGE], before[PROTECTED_PAGE], PAGE_SIZE) == 0);
	check(memcmp(ram[ROM_PAGE], before[ROM_PAGE], PAGE_SIZE) == 0);
}

/* satp, how, four addresses; then entries of eight bytes, each after two that say where. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t words[6];
	static struct gspace_cache backing;
	struct walk_context context = {.guest = &guest, .backing = &backing};

	memset(&backing, 0, sizeof(backing));
	if (size < sizeof(words))
		return 0;
	memcpy(words, data, sizeof(words));
	data += sizeof(words);
	size -= sizeof(words);
	for (unsigned i = 0; i < RAM_PAGES; i++) {
		/* Its ends are watched. */
		ram[i] = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
		check(ram[i]);
		memset(ram[i], 0, PAGE_SIZE);
	}
	for (; size >= 10; data += 10, size -= 10) {
		unsigned where = data[0] | (unsigned)data[1] << 8;

		memcpy(&ram[where / PTE_ENTRIES % RAM_PAGES][where % PTE_ENTRIES], data + 2, 8);
	}
	context.satp = words[0];
	for (unsigned i = 0; i < 4; i++) {
		unsigned how = (unsigned)(words[1] >> 8 * i);

		context.user = how & 1;
		context.sum = how & 2;
		context.mxr = how & 4;
		context.svnapot = how & 8;
		walk_once(&context, GVA(words[2 + i]), (how >> 4 & 3) % 3, how & 0x40);
	}
	for (unsigned i = 0; i < RAM_PAGES; i++)
		free(ram[i]);
	return 0;
}

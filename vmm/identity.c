/* SPDX-License-Identifier: MIT */

#include "vmm/identity.h"

#include "kernel/boot_memory.h"
#include "kernel/error.h"
#include "kernel/log.h"
#include "kernel/mmu.h"
#include "kernel/page.h"
#include "kernel/start.h"
#include "kernel/trap.h"
#include "vmm/machine.h"
#include "vmm/vm.h"

#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#define IDENTITY_MAX 64
#define FREE_MAX     8  /* places that are told */
#define MAPS_A_STEP  32 /* pages that are mapped */
#define ADDRESS_END  BIT(56)

/* What was reserved for a VM of the system file, by its node there. */
struct identity {
	int node;
	int error;          /* why nothing was, or 0 */
	struct taken other; /* that is in the way, if that is why */
	struct range range;
	bool placed;      /* where is Pilae's choice */
	char what[80];    /* for messages about others */
	uint64_t cleared; /* bytes from its start that are known to be zero */
	uint64_t mapped;  /* of the VM that has been built */
};

static struct identity identities[IDENTITY_MAX];
static unsigned identity_count;
static uint64_t reserved;

/* What was free in the end, to be told. */
static struct range free_ranges[FREE_MAX];
static unsigned free_count;

static bool read_u64(const struct fit *fit, int node, const char *property, uint64_t *value)
{
	int length;
	const void *data = fdt_getprop(fit->fdt, node, property, &length);

	if (!data || length != sizeof(*value))
		return false;
	*value = fdt64_ld(data);
	return is_aligned(*value, MEGAPAGE_SIZE) && *value < ADDRESS_END;
}

static int find_place(uint64_t size, uint64_t *base)
{
	/* Below this the guest has its devices. */
	const uint64_t floor = MACHINE_FLASH_BASE((uint64_t)MACHINE_FLASH_BANKS);

	/* Better with large pages, and where nothing has to be moved. */
	if ((size >= GIGAPAGE_SIZE && !boot_memory_find(size, GIGAPAGE_SIZE, floor, false, base)) ||
	    !boot_memory_find(size, MEGAPAGE_SIZE, floor, false, base))
		return 0;
	return boot_memory_find(size, MEGAPAGE_SIZE, floor, true, base);
}

static void reserve(struct identity *identity)
{
	const struct taken *other = NULL;

	if (identity->placed)
		identity->error = find_place(identity->range.size, &identity->range.base);
	if (!identity->error)
		identity->error = boot_memory_reserve(identity->range, identity->what, &other);
	if (other)
		identity->other = *other;
	if (!identity->error)
		reserved += identity->range.size;
}

/* What makes no sense here is reported when the description is read. */
static void reserve_for(const struct fit *fit, int node, bool placed)
{
	struct identity *identity = &identities[identity_count];
	uint64_t size, base = 0;

	if (!fdt_getprop(fit->fdt, node, "pilae,identity-map", NULL) ||
	    placed != !fdt_getprop(fit->fdt, node, "pilae,ram-base", NULL) ||
	    !read_u64(fit, node, "pilae,memory", &size) || size == 0 ||
	    (!placed && !read_u64(fit, node, "pilae,ram-base", &base)) ||
	    identity_count == IDENTITY_MAX)
		return;
	*identity = (struct identity){.node = node, .range = {base, size}, .placed = placed};
	snprintf(identity->what, sizeof(identity->what), "RAM of VM %.*s", VMCONFIG_NAME_MAX,
		 fit_node_name(fit, node));
	identity_count++;
	reserve(identity);
}

static void reserve_all(struct fit *fit, bool placed)
{
	uint64_t size;

	for (int node = 0; (node = vmconfig_next(fit, node)) >= 0;) {
		reserve_for(fit, node, placed);
		/* It may have been moved. */
		kernel_initrd(&fit->fdt, &size);
	}
}

static bool note_free(uint64_t base, uint64_t end, void *argument)
{
	(void)argument;
	base = align_up(base, MEGAPAGE_SIZE);
	end = align_down(end, MEGAPAGE_SIZE);
	if (base < end)
		free_ranges[free_count++] = (struct range){base, end - base};
	return free_count == FREE_MAX;
}

void hypervisor_reserve(void)
{
	const void *system;
	uint64_t size;
	struct fit fit;

	identity_count = free_count = 0;
	reserved = 0;
	if (!kernel_initrd(&system, &size) || !fit_peek(&fit, system, size))
		return;
	/* Those that say where go first, as the others can go anywhere. */
	reserve_all(&fit, false);
	reserve_all(&fit, true);
	if (identity_count > 0)
		boot_memory_for_free(note_free, NULL);
}

static void print_free(char *buffer, size_t size)
{
	size_t used = 0;

	snprintf(buffer, size, "nothing");
	for (unsigned i = 0; i < free_count; i++) {
		const struct range *range = &free_ranges[i];
		int n = snprintf(buffer + used, size - used, "%s%#llx to %#llx", used ? ", " : "",
				 (unsigned long long)range->base,
				 (unsigned long long)(range->base + range->size - 1));

		if (n < 0 || (size_t)n >= size - used)
			return;
		used += (size_t)n;
	}
}

static void print_why(const struct identity *identity, char *buffer, size_t size)
{
	const struct range *other = &identity->other.range;

	if (identity->placed && identity->error == ERR_NOENT)
		snprintf(buffer, size, "there is no room for %llu MiB in one piece",
			 (unsigned long long)(identity->range.size >> 20));
	else if (identity->error == ERR_EXIST)
		snprintf(buffer, size, "%#llx to %#llx overlaps %s, %#llx to %#llx",
			 (unsigned long long)identity->range.base,
			 (unsigned long long)(identity->range.base + identity->range.size - 1),
			 identity->other.what, (unsigned long long)other->base,
			 (unsigned long long)(other->base + other->size - 1));
	else if (identity->error == ERR_RANGE)
		snprintf(buffer, size, "%#llx to %#llx is not one piece of the machine's memory",
			 (unsigned long long)identity->range.base,
			 (unsigned long long)(identity->range.base + identity->range.size - 1));
	else
		snprintf(buffer, size, "too little would be left for Pilae itself");
}

static void report(const struct vm *vm, const struct identity *identity)
{
	char why[200], list[240];

	print_why(identity, why, sizeof(why));
	preempt_point();
	print_free(list, sizeof(list));
	preempt_point();
	log_error("%s: %s: %s; free: %s", vm->config.path,
		  identity->placed ? "pilae,identity-map" : "pilae,ram-base", why, list);
}

/*
 * What was set apart for it: that was for the ramdisk's VMs, and the system that is started may be
 * another file.
 */
static struct identity *find(const struct vmconfig *config)
{
	for (unsigned i = 0; i < identity_count; i++) {
		struct identity *identity = &identities[i];

		if (identity->node == config->node && identity->range.size == config->memory &&
		    (identity->placed || identity->range.base == config->ram_base))
			return identity;
	}
	return NULL;
}

int identity_find(struct vm *vm)
{
	struct identity *identity = vm->config.identity_map ? find(&vm->config) : NULL;

	vm->identity = NULL;
	if (!vm->config.identity_map)
		return 0;
	if (!identity) {
		log_error("%s: pilae,identity-map: %s", vm->config.path,
			  identity_count == IDENTITY_MAX
			      ? "more VMs have it than memory is set apart for"
			      : "memory is set apart at boot, for a system file that is the "
				"ramdisk: not for one on a disk");
		return ERR_INVAL;
	}
	if (identity->error) {
		report(vm, identity);
		return ERR_INVAL;
	}
	identity->mapped = 0;
	vm->identity = identity;
	vm->ram_base = identity->range.base;
	return 0;
}

static void clear_step(struct identity *identity)
{
	uint64_t size = min_u64(page_clear_step(), identity->range.size - identity->cleared);

	page_clear_bytes(hpa_to_pointer(HPA(identity->range.base + identity->cleared)), size);
	identity->cleared += size;
}

static int map_page(struct vm *vm, struct identity *identity)
{
	uint64_t at = identity->range.base + identity->mapped;
	bool giga = is_aligned(at, GIGAPAGE_SIZE) &&
		    identity->range.size - identity->mapped >= GIGAPAGE_SIZE;
	int error = gspace_map(&vm->guest.space, GPA(at), HPA(at), giga ? 2 : 1);

	if (!error)
		identity->mapped += giga ? GIGAPAGE_SIZE : MEGAPAGE_SIZE;
	return error;
}

int identity_prepare_step(struct vm *vm)
{
	struct identity *identity = vm->identity;
	int error = 0;

	if (!identity || identity->mapped == identity->range.size)
		return 0;
	if (identity->cleared < identity->range.size) {
		clear_step(identity);
		return ERR_AGAIN;
	}
	for (unsigned i = 0; i < MAPS_A_STEP && !error; i++) {
		error = map_page(vm, identity);
		if (identity->mapped == identity->range.size) {
			identity->cleared = 0;
			return 0;
		}
	}
	return error ? error : ERR_AGAIN;
}

int identity_scrub_step(struct vm *vm)
{
	struct identity *identity = vm->identity;

	/* Until all is mapped nobody has written anything there. */
	if (!identity || identity->mapped < identity->range.size)
		return 0;
	if (identity->cleared < identity->range.size) {
		clear_step(identity);
		return ERR_AGAIN;
	}
	identity->mapped = 0;
	vm->identity = NULL;
	return 0;
}

uint64_t identity_total_bytes(void)
{
	return reserved;
}

uint64_t identity_used_bytes(const struct vm *vm)
{
	return vm->identity ? vm->identity->mapped : 0;
}

/* SPDX-License-Identifier: MIT */

#include "vmm/load.h"

#include "kernel/error.h"
#include "kernel/log.h"
#include "kernel/page.h"
#include "kernel/platform.h"
#include "kernel/random.h"
#include "kernel/trap.h"
#include "vmm/gmem.h"
#include "vmm/guest_fdt.h"
#include "vmm/hooks.h"
#include "vmm/machine.h"
#include "vmm/vm.h"
#include "vmm/vmconfig_device.h"

#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#define COPY_STEP KIB(16)

static int plan_images(struct vm *vm);
static int populate(struct vm *vm);
static int copy_images(struct vm *vm);
static int write_fdt(struct vm *vm);

/* A phase is done: goes on with the next one. */
static int proceed(struct vm *vm, int (*next)(struct vm *vm))
{
	vm->loader.phase = next;
	vm->loader.segment = 0;
	vm->loader.offset = 0;
	return ERR_AGAIN;
}

static int out_of_memory(struct vm *vm)
{
	log_error("%s: no memory left to load it", vm->config.path);
	return ERR_NOMEM;
}

/* Checks an image's hashes, if it is there (it has a name), and goes on to `next`. */
static int verify_image(struct vm *vm, const char *name, const struct fit_image *image,
			int (*next)(struct vm *vm))
{
	struct loader *loader = &vm->loader;
	int error = 0;

	if (name && !loader->verifying)
		fit_verify_begin(&loader->verify, loader->verify.fit, image);
	loader->verifying = name != NULL;
	if (name)
		error = fit_verify_step(&loader->verify);
	if (error)
		return error;
	loader->verifying = false;
	return proceed(vm, next);
}

static int load_devices(struct vm *vm)
{
	int error = machine_load(vm);

	return error ? error : proceed(vm, plan_images);
}

/* The images that devices are made from, one after the other. */
static int verify_devices(struct vm *vm)
{
	struct loader *loader = &vm->loader;
	const struct vmconfig *config = &vm->config;
	int error = loader->verifying ? fit_verify_step(&loader->verify) : 0;

	if (error)
		return error;
	while (loader->segment < config->device_count &&
	       !config->devices[loader->segment].image_name)
		loader->segment++;
	if (loader->segment == config->device_count)
		return proceed(vm, load_devices);
	fit_verify_begin(&loader->verify, loader->verify.fit,
			 &config->devices[loader->segment++].image);
	loader->verifying = true;
	return ERR_AGAIN;
}

static int verify_fdt(struct vm *vm)
{
	return verify_image(vm, vm->config.fdt_name, &vm->config.fdt, verify_devices);
}

static int verify_ramdisk(struct vm *vm)
{
	return verify_image(vm, vm->config.ramdisk_name, &vm->config.ramdisk, verify_fdt);
}

/* Without one the VM starts in its flash. */
static int verify_kernel(struct vm *vm)
{
	return verify_image(vm, vm->config.kernel_name, &vm->config.kernel, verify_ramdisk);
}

static int prepare_ram(struct vm *vm)
{
	int error = identity_prepare_step(vm);

	if (error == ERR_NOMEM)
		return out_of_memory(vm);
	return error ? error : proceed(vm, verify_kernel);
}

void load_begin(struct vm *vm, struct fit *fit)
{
	memset(&vm->loader, 0, sizeof(vm->loader));
	vm->loader.verify.fit = fit;
	proceed(vm, prepare_ram);
}

int load_step(struct vm *vm)
{
	int error = vm->loader.phase(vm);

	/* Nobody is to find it here, however it ended. */
	if (error != ERR_AGAIN)
		memset(vm->loader.seed, 0, sizeof(vm->loader.seed));
	return error;
}

static const char *mmu_type(const struct isa *isa)
{
	return isa->virtual_address_bits == 57   ? "riscv,sv57"
	       : isa->virtual_address_bits == 48 ? "riscv,sv48"
						 : "riscv,sv39";
}

static unsigned flash_banks(const struct vmconfig *config)
{
	unsigned banks = 0;

	for (unsigned bank = 0; bank < MACHINE_FLASH_BANKS; bank++)
		banks |= (vmconfig_find_flash(config, bank) ? 1U : 0U) << bank;
	return banks;
}

static struct guest_fdt_info fdt_info(const struct vm *vm, const char *isa, const uint8_t *seed)
{
	const struct isa *has = &vm->guest.isa;
	unsigned count;
	const struct guest_fdt_device *devices = machine_host_devices(vm, &count);

	return (struct guest_fdt_info){
	    .path = vm->config.path,
	    .hart_count = vm->config.vcpus,
	    .timebase = (uint32_t)platform.timebase,
	    .isa = isa,
	    .mmu_type = mmu_type(has),
	    .cbom_block_size = isa_has(has, ISA_zicbom) ? has->cbom_block_size : 0,
	    .cboz_block_size = isa_has(has, ISA_zicboz) ? has->cboz_block_size : 0,
	    .cbop_block_size = isa_has(has, ISA_zicbop) ? has->cbop_block_size : 0,
	    .ram_base = vm->ram_base,
	    .ram_size = vm->ram_size,
	    .bootargs = vm->config.bootargs,
	    .ramdisk = vm->loader.plan.ramdisk.v,
	    .ramdisk_size = vm->loader.plan.ramdisk_size,
	    .flash_banks = flash_banks(&vm->config),
	    .rng_seed = seed,
	    .rng_seed_size = LOAD_SEED_SIZE,
	    .device_count = count,
	    .devices = devices,
	    .preempt = preempt_point,
	    .preempt_allow = preempt_allow,
	    .preempt_forbid = preempt_forbid,
	};
}

static size_t fdt_buffer_size(const struct vm *vm, const struct guest_fdt_info *info)
{
	return vm->config.fdt_name ? guest_fdt_patch_size(info, vm->config.fdt.size)
				   : guest_fdt_size(info);
}

/* It is made in one piece. */
static bool is_fdt_too_large(const struct vm *vm)
{
	const uint64_t most = PAGE_SIZE << PAGE_ORDER_MAX;

	if (vm->loader.fdt_size <= most)
		return false;
	log_error("%s: fdt: would be %zu KiB, %llu KiB are the most: take out what is not needed",
		  vm->config.path, vm->loader.fdt_size >> 10, (unsigned long long)(most >> 10));
	return true;
}

static int plan_images(struct vm *vm)
{
	char isa[ISA_STRING_MAX];

	isa_print(&vm->guest.isa, isa, sizeof(isa));

	struct guest_fdt_info info = fdt_info(vm, isa, NULL);

	vm->loader.fdt_size = fdt_buffer_size(vm, &info);
	if (is_fdt_too_large(vm))
		return ERR_TOO_LARGE;

	struct load_request request = {
	    .path = vm->config.path,
	    .kernel = vm->config.kernel_name ? &vm->config.kernel : NULL,
	    .ramdisk = vm->config.ramdisk_name ? &vm->config.ramdisk : NULL,
	    .fdt_size = vm->loader.fdt_size,
	    .ram_base = vm->ram_base,
	    .ram_size = vm->ram_size,
	};
	int error = image_plan(&vm->loader.plan, &request);

	random_bytes(vm->loader.seed, sizeof(vm->loader.seed));
	return error ? error : proceed(vm, copy_images);
}

/*
 * A piece of the segment: to the end of its step, or of the 2 MiB if nobody has touched these, and
 * they are all the segment's. Then they are copied when somebody does.
 */
static int copy_piece(struct vm *vm, const struct load_segment *segment, uint64_t *size)
{
	uint64_t offset = vm->loader.offset;
	gpa_t gpa = GPA(segment->gpa.v + offset);
	uint64_t to_border = MEGAPAGE_SIZE - gpa.v % MEGAPAGE_SIZE;

	*size = to_border;
	if (gmem_segment(vm, gpa) && gspace_is_free(&vm->guest.space, gpa, 1))
		return 0;
	*size = min_u64(min_u64(COPY_STEP, segment->size - offset), to_border);
	return segment->src ? gmem_write(vm, gpa, (const char *)segment->src + offset, *size)
			    : gmem_clear(vm, gpa, *size);
}

static int copy_images(struct vm *vm)
{
	struct loader *loader = &vm->loader;
	uint64_t size;

	if (loader->segment == loader->plan.count)
		return proceed(vm, write_fdt);

	const struct load_segment *segment = &loader->plan.segments[loader->segment];

	if (copy_piece(vm, segment, &size))
		return out_of_memory(vm);
	loader->offset += size;
	if (loader->offset == segment->size) {
		loader->segment++;
		loader->offset = 0;
	}
	return ERR_AGAIN;
}

static int build_fdt(struct vm *vm, void *buffer, size_t size, const struct guest_fdt_info *info)
{
	if (vm->config.fdt_name)
		return guest_fdt_patch(buffer, size, vm->config.fdt.data, vm->config.fdt.size,
				       info);
	return guest_fdt_write(buffer, size, info);
}

static int copy_fdt(struct vm *vm, const char *buffer)
{
	uint64_t size = fdt_totalsize(buffer);
	uint64_t at = vm->loader.plan.fdt.v;

	for (uint64_t done = 0; done < size; done += COPY_STEP) {
		if (gmem_write(vm, GPA(at + done), buffer + done, min_u64(COPY_STEP, size - done)))
			return out_of_memory(vm);
		preempt_point();
	}
	return 0;
}

static int write_fdt(struct vm *vm)
{
	char isa[ISA_STRING_MAX];
	isa_print(&vm->guest.isa, isa, sizeof(isa));

	struct guest_fdt_info info = fdt_info(vm, isa, vm->loader.seed);
	size_t size = vm->loader.fdt_size;
	unsigned order = page_order(size);
	char *buffer = page_alloc_zeroed(order);

	if (!buffer)
		return out_of_memory(vm);

	int error = build_fdt(vm, buffer, size, &info);

	if (!error)
		error = copy_fdt(vm, buffer);
	page_clear(buffer, order);
	page_free(buffer, order);
	if (error || vm->config.populate != VMCONFIG_POPULATE_EAGER)
		return error;
	return proceed(vm, populate);
}

static int populate(struct vm *vm)
{
	struct loader *loader = &vm->loader;

	if (loader->offset == vm->ram_size)
		return 0;
	if (gmem_back(vm, GPA(vm->ram_base + loader->offset)) != 0)
		return out_of_memory(vm);

	hpa_t hpa;
	unsigned level = 0;

	gspace_lookup(&vm->guest.space, GPA(vm->ram_base + loader->offset), &hpa, &level);
	loader->offset += level ? MEGAPAGE_SIZE : PAGE_SIZE;
	return ERR_AGAIN;
}

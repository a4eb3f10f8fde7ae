/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_LOAD_FIXTURE_H
#define TESTS_UNIT_LOAD_FIXTURE_H

/*
 * A VM that is to be loaded: its images and their hashes, memory for it, and a model of what its
 * RAM holds afterwards. For one source file of a test program, which is linked with everything that
 * loading takes but devices and RAM that is set apart.
 */

#include "kernel/error.h"
#include "tests/unit/fit_tree.h"

#include <stdlib.h>

#include "kernel/hart.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "kernel/pool.h"
#include "kernel/random.h"
#include "kernel/trap.h"
#include "tests/unit/failing_allocations.h"
#include "tests/unit/machine_memory.h"
#include "vmm/gmem.h"
#include "vmm/guest_fdt.h"
#include "vmm/hooks.h"
#include "vmm/machine.h"
#include "vmm/vm.h"
#include "vmm/vmconfig_device.h"

#define OWN       MIB(128)
#define OWN_PAGES (OWN >> PAGE_SHIFT)
#define RAM_BASE  UINT64_C(0x80000000)
#define RAM_SIZE  MIB(16)
#define SEED_BYTE 0x5e
#define STEP_MOST KIB(16) /* that is copied or cleared in one stretch */
#define STEPS_MAX 100000

MAY_FAIL(page_alloc, (unsigned order), order)
MAY_FAIL(page_alloc_zeroed, (unsigned order), order)

uint64_t direct_map_offset;
struct platform platform = {.timebase = 10000000};

static struct hart the_hart;
static struct page pages[OWN_PAGES];
static struct vm vm;
static struct fit fit;
static uint8_t kernel_bytes[MIB(9)], ramdisk_bytes[MIB(5)], dtb_bytes[4096], disk_bytes[40000];
static uint8_t model[RAM_SIZE], found[RAM_SIZE];
static uint64_t guest_tree[KIB(64) / 8]; /* the device tree of these */
static unsigned steps;                   /* that loading took */
static bool loading;

/* What the others do: for so many steps, and what comes of it then. */
static unsigned prepare_steps, machine_steps;
static int prepare_error, machine_error;
static void (*machine_writes)(void); /* to the guest's RAM, when its devices are loaded; or NULL */
static struct guest_fdt_device host_device;
static unsigned host_device_count;

struct hart *this_hart(void)
{
	return &the_hart;
}

unsigned harts_online = 1;

void preempt_point(void)
{
}

void preempt_allow(void)
{
}

void preempt_forbid(void)
{
}

void panic(const char *format, ...)
{
	fprintf(stderr, "panic: %s\n", format);
	abort();
}

void schedule_trap_wfi(void)
{
}

void vcpu_request(struct vcpu *vcpu, uint32_t requests)
{
	fail_msg("vcpu_request(%p, %u)", (void *)vcpu, requests);
}

void vcpu_wait_request(struct vcpu *vcpu, uint32_t requests)
{
	fail_msg("vcpu_wait_request(%p, %u)", (void *)vcpu, requests);
}

void random_bytes(void *bytes, size_t size)
{
	memset(bytes, SEED_BYTE, size);
}

const struct vmconfig_device *vmconfig_find_flash(const struct vmconfig *config, uint32_t bank)
{
	for (unsigned i = 0; i < config->device_count; i++) {
		if (config->devices[i].kind == VMCONFIG_FLASH && config->devices[i].bank == bank)
			return &config->devices[i];
	}
	return NULL;
}

int identity_prepare_step(struct vm *of)
{
	assert_ptr_equal(of, &vm);
	if (prepare_steps == 0)
		return prepare_error;
	prepare_steps--;
	return ERR_AGAIN;
}

int machine_load(struct vm *of)
{
	assert_ptr_equal(of, &vm);
	if (machine_steps > 0) {
		machine_steps--;
		return ERR_AGAIN;
	}
	if (machine_writes)
		machine_writes();
	return machine_error;
}

const struct guest_fdt_device *machine_host_devices(const struct vm *of, unsigned *count)
{
	assert_ptr_equal(of, &vm);
	*count = host_device_count;
	return &host_device;
}

int __real_gmem_write(struct vm *of, gpa_t gpa, const void *from, uint64_t size);
int __wrap_gmem_write(struct vm *of, gpa_t gpa, const void *from, uint64_t size);
int __real_gmem_clear(struct vm *of, gpa_t gpa, uint64_t size);
int __wrap_gmem_clear(struct vm *of, gpa_t gpa, uint64_t size);

int __wrap_gmem_write(struct vm *of, gpa_t gpa, const void *from, uint64_t size)
{
	assert_in_range(size, 1, STEP_MOST);
	return __real_gmem_write(of, gpa, from, size);
}

int __wrap_gmem_clear(struct vm *of, gpa_t gpa, uint64_t size)
{
	assert_in_range(size, 1, STEP_MOST);
	return __real_gmem_clear(of, gpa, size);
}

void __real_page_free(void *block, unsigned order);
void __wrap_page_free(void *block, unsigned order);

/* What loading gives back does not tell the guest's seed. */
void __wrap_page_free(void *block, unsigned order)
{
	uint8_t seed[LOAD_SEED_SIZE];

	memset(seed, SEED_BYTE, sizeof(seed));
	/* In a tree it is aligned. */
	for (uint64_t at = 0; loading && at + sizeof(seed) <= PAGE_SIZE << order; at += 4)
		assert_true(memcmp((char *)block + at, seed, sizeof(seed)) != 0);
	__real_page_free(block, order);
}

static inline void fill(uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(rand() >> 7);
}

static inline void set_hash(const char *name, enum hash_algo algo, const char *algo_name,
			    const struct fit_image *image)
{
	uint8_t digest[HASH_SIZE_MAX];
	struct hash hash;
	char path[64];

	snprintf(path, sizeof(path), "/images/%s/hash-1", name);
	hash_begin(&hash, algo);
	hash_update(&hash, image->data, image->size);
	hash_end(&hash, digest);
	set_string(path, "algo", algo_name);
	set_bytes(path, "value", digest, hash_size(algo));
}

/* An image of the file, with its hash, whose description is `image`. */
static inline void set_image(struct fit_image *image, const char *name, const uint8_t *data,
			     size_t size)
{
	char path[64];

	*image = (struct fit_image){.name = name, .data = data, .size = size, .type = ""};
	snprintf(path, sizeof(path), "/images/%s", name);
	if (fdt_path_offset(tree, path) < 0) {
		add_node("/images", name);
		add_node(path, "hash-1");
	}
	set_hash(name, HASH_CRC32, "crc32", image);
}

static inline void set_ramdisk(size_t size)
{
	vm.config.ramdisk_name = "ramdisk";
	set_image(&vm.config.ramdisk, "ramdisk", ramdisk_bytes, size);
}

/* A flat kernel that begins there. */
static inline void set_kernel(size_t size, uint64_t load)
{
	vm.config.kernel_name = "kernel";
	set_image(&vm.config.kernel, "kernel", kernel_bytes, size);
	vm.config.kernel.has_load = true;
	vm.config.kernel.load = load;
}

/* A device tree of the user's, at an odd address. */
static inline void set_dtb_with(uint32_t address_cells)
{
	uint64_t buffer[256];
	uint8_t *at = dtb_bytes + 1;

	CHECK(fdt_create_empty_tree(buffer, sizeof(buffer)));
	CHECK(fdt_setprop_u32(buffer, 0, "#address-cells", address_cells));
	CHECK(fdt_setprop_u32(buffer, 0, "#size-cells", 2));
	CHECK(fdt_setprop_string(buffer, 0, "model", "the user's"));
	CHECK(fdt_pack(buffer));
	memcpy(at, buffer, fdt_totalsize(buffer));
	vm.config.fdt_name = "dtb";
	set_image(&vm.config.fdt, "dtb", at, fdt_totalsize(buffer));
}

static inline void set_dtb(void)
{
	set_dtb_with(2);
}

static inline struct vmconfig_device *add_device(enum vmconfig_device_kind kind)
{
	struct vmconfig_device *device = &vm.config.devices[vm.config.device_count++];

	*device = (struct vmconfig_device){.kind = kind};
	return device;
}

static inline void add_disk(const char *name, size_t size)
{
	struct vmconfig_device *device = add_device(VMCONFIG_VIRTIO_BLK);

	device->image_name = name;
	set_image(&device->image, name, disk_bytes, size);
}

static inline void find_node(struct fit_image *image)
{
	char path[64];

	snprintf(path, sizeof(path), "/images/%s", image->name ? image->name : "");
	image->node = image->name ? node_at(path) : -1;
}

/* The tree is complete: begins to load, and a model of what is to be found then. */
static inline void begin(void)
{
	struct vmconfig *config = &vm.config;

	assert_int_equal(fit_open(&fit, tree, fdt_totalsize(tree)), 0);
	find_node(&config->kernel);
	find_node(&config->ramdisk);
	find_node(&config->fdt);
	for (unsigned i = 0; i < config->device_count; i++)
		find_node(&config->devices[i].image);
	messages[0] = '\0';
	memset(model, 0, sizeof(model));
	vm.ram_base = vm.guest.ram_base = config->ram_base;
	vm.ram_size = vm.guest.ram_size = config->memory;
	load_begin(&vm, &fit);
	steps = 0;
}

static inline int load(void)
{
	int error;

	begin();
	loading = true;
	while ((error = load_step(&vm)) == ERR_AGAIN)
		assert_true(++steps < STEPS_MAX);
	loading = false;
	/* Whatever came of it, the seed is the guest's alone, and no buffer is left. */
	for (unsigned i = 0; i < LOAD_SEED_SIZE; i++)
		assert_int_equal(vm.loader.seed[i], 0);

	uint64_t arena = vm.arena.pages[ARENA_OBJECTS] + vm.arena.pages[ARENA_TABLES] +
			 vm.arena.pages[ARENA_RAM];

	assert_int_equal(page_total_bytes() - page_free_bytes(), arena << PAGE_SHIFT);
	return error;
}

/* All of the VM's memory goes; it can be loaded anew. */
static inline void empty(void)
{
	while (arena_destroy_step(&vm.arena) == ERR_AGAIN)
		;
	assert_int_equal(page_free_bytes(), page_total_bytes());
	memset(vm.found, 0, sizeof(vm.found));
	fail_from(0, false);
	assert_int_equal(gspace_init(&vm.guest.space, &vm.arena, 2), 0);
}

static inline const void *property(const char *path, const char *name, int size)
{
	int length = 0;
	const void *value =
	    fdt_getprop(guest_tree, fdt_path_offset(guest_tree, path), name, &length);

	if (!value)
		fail_msg("no %s in %s", name, path);
	if (size >= 0)
		assert_int_equal(length, size);
	return value;
}

static inline void expect_property(const char *path, const char *name, const char *value)
{
	assert_string_equal(property(path, name, (int)strlen(value) + 1), value);
}

/* Reads all of its RAM. The device tree in it is sound; it is set aside. */
static inline void read_ram(void)
{
	uint64_t offset = vm.loader.plan.fdt.v - vm.ram_base;

	fail_from(0, false);
	for (uint64_t done = 0; done < vm.ram_size; done += KIB(64))
		assert_int_equal(gmem_read(&vm, GPA(vm.ram_base + done), found + done, KIB(64)), 0);
	assert_true(offset < vm.ram_size);
	assert_int_equal(fdt_check_full(found + offset, vm.ram_size - offset), 0);

	size_t size = fdt_totalsize(found + offset);

	assert_true(size <= sizeof(guest_tree));
	memcpy(guest_tree, found + offset, size);
	memset(found + offset, 0, size);
}

/* What the device tree says of how it was loaded; and the ramdisk lies where it says. */
static inline void check_fdt(void)
{
	uint8_t seed[LOAD_SEED_SIZE];

	memset(seed, SEED_BYTE, sizeof(seed));
	assert_memory_equal(property("/chosen", "rng-seed", sizeof(seed)), seed, sizeof(seed));
	if (vm.config.fdt_name)
		expect_property("/", "model", "the user's");
	if (vm.config.bootargs)
		expect_property("/chosen", "bootargs", vm.config.bootargs);
	if (vm.config.ramdisk_name) {
		uint64_t start = fdt64_ld(property("/chosen", "linux,initrd-start", 8));
		uint64_t end = fdt64_ld(property("/chosen", "linux,initrd-end", 8));

		assert_int_equal(end - start, vm.config.ramdisk.size);
		assert_true(range_within(start, end - start, vm.ram_base, vm.ram_size));
		memcpy(model + (start - vm.ram_base), ramdisk_bytes, end - start);
	}
}

/* All of its RAM is as it has to be: images, the device tree, and zeroes. */
static inline void check_ram(void)
{
	const struct fit_image *kernel = &vm.config.kernel;
	uint64_t fdt = vm.loader.plan.fdt.v - vm.ram_base;

	read_ram();
	if (vm.config.kernel_name) {
		assert_int_equal(vm.loader.plan.entry.v, kernel->load);
		memcpy(model + (kernel->load - vm.ram_base), kernel->data, kernel->size);
	}
	check_fdt();
	memset(model + fdt, 0, fdt_totalsize(guest_tree));
	assert_memory_equal(found, model, vm.ram_size);
}

static inline void expect_loaded(void)
{
	int error = load();

	if (error)
		fail_msg("error %d: %s", error, messages);
	expect_silence();
	check_ram();
}

static inline int setup(void **state)
{
	(void)state;
	srand(1);
	memory_map();
	page_init(memory, OWN_PAGES, pages);
	page_add(memory, OWN_PAGES);
	pool_begin();
	memset(&vm, 0, sizeof(vm));
	arena_init(&vm.arena);
	static const struct engine engine = {.name = "fake"};

	vm.guest.engine = &engine;
	empty();
	prepare_steps = machine_steps = 0;
	prepare_error = machine_error = 0;
	machine_writes = NULL;
	host_device_count = 0;
	fill(kernel_bytes, sizeof(kernel_bytes));
	fill(ramdisk_bytes, sizeof(ramdisk_bytes));
	fill(disk_bytes, sizeof(disk_bytes));
	tree_clear();
	add_node("/", "images");
	add_node("/", "configurations");
	snprintf(vm.config.path, sizeof(vm.config.path), "/configurations/web");
	vm.config.vcpus = 2;
	vm.config.memory = RAM_SIZE;
	vm.config.ram_base = RAM_BASE;
	vm.guest.isa.letters = 0x112d; /* imafdc */
	vm.guest.isa.virtual_address_bits = 48;
	set_kernel(MIB(5) + 3, RAM_BASE + MIB(2));
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	loading = false;
	empty();
	while (arena_destroy_step(&vm.arena) == ERR_AGAIN)
		;
	memory_unmap();
	return 0;
}

#endif

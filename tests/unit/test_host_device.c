/* SPDX-License-Identifier: MIT */
/* unit: driver/host_device.c kernel/fdt.c */
/* libs: -lfdt */
#include "kernel/error.h"
#include "tests/unit/fit_tree.h"

#include <stdlib.h>

#include "driver/host_device.h"
#include "driver/virtio/registry.h"
#include "kernel/mmu.h"

#define SLOTS     4
#define SLOT(n)   (UINT64_C(0x10001000) + 0x1000 * (uint64_t)(n))
#define PLIC      3
#define NO_PLIC   4
#define SLOT_PATH "/soc/virtio_mmio@10003000"

struct platform platform;

/* A model of the registry: a net device between two disks, from slot 1 up. */
#define VIRTIOS 3
static struct host_virtio virtios[VIRTIOS];
static struct host_virtio_driver driver = {.in_use = "somebody reads it"};
static int unbind_error, reset_error;
static unsigned resets;

static unsigned mappings;
static char shared[64];
static struct host_device device;
static char why[HOST_DEVICE_WHY_MAX];

volatile void *mmu_map_registers(hpa_t address, uint64_t size)
{
	mappings++;
	(void)address;
	assert_true(size <= sizeof(shared));
	return shared;
}

struct host_virtio *host_virtio_next(const struct host_virtio *virtio)
{
	size_t next = virtio ? (size_t)(virtio - virtios) + 1 : 0;

	return next < VIRTIOS ? &virtios[next] : NULL;
}

struct host_virtio *host_virtio_by_name(const char *name)
{
	for (unsigned i = 0; i < VIRTIOS; i++) {
		if (strcmp(virtios[i].name, name) == 0 || strcmp(virtios[i].path, name) == 0)
			return &virtios[i];
	}
	return NULL;
}

int host_virtio_reset(struct host_virtio *virtio)
{
	(void)virtio;
	resets++;
	return reset_error;
}

int host_virtio_take(struct host_virtio *virtio, const char *owner)
{
	if (virtio->driver && unbind_error)
		return unbind_error;
	virtio->driver = NULL;
	virtio->owner = NULL;
	if (host_virtio_reset(virtio) != 0)
		return ERR_IO;
	virtio->owner = owner;
	return 0;
}

void host_virtio_give_back(struct host_virtio *virtio)
{
	host_virtio_reset(virtio);
	virtio->owner = NULL;
}

static void add_virtio(unsigned n, const char *name)
{
	snprintf(virtios[n].name, sizeof(virtios[n].name), "%s", name);
	snprintf(virtios[n].path, sizeof(virtios[n].path), "/soc/virtio_mmio@%x",
		 (unsigned)SLOT(n + 1));
}

void panic(const char *format, ...)
{
	fprintf(stderr, "panic: %s\n", format);
	abort();
}

static void add_device(const char *name, const char *compatible, uint64_t base, uint64_t size)
{
	uint64_t reg[2] = {cpu_to_fdt64(base), cpu_to_fdt64(size)};
	char path[64];

	add_node("/soc", name);
	snprintf(path, sizeof(path), "/soc/%s", name);
	set_string(path, "compatible", compatible);
	set_bytes(path, "reg", reg, sizeof(reg));
	set_cell(path, "interrupts", (uint32_t)(base >> 12 & 0xf));
}

static void add_slots(void)
{
	/* As QEMU has them: from the highest address down. */
	for (int i = SLOTS - 1; i >= 0; i--) {
		char name[32];

		snprintf(name, sizeof(name), "virtio_mmio@%x", (unsigned)SLOT(i));
		add_device(name, "virtio,mmio", SLOT(i), 0x1000);
	}
}

static int setup(void **state)
{
	(void)state;
	tree_clear();
	memset(virtios, 0, sizeof(virtios));
	add_virtio(0, "virtio-blk0");
	add_virtio(1, "virtio-net0");
	add_virtio(2, "virtio-blk1");
	unbind_error = reset_error = 0;
	resets = 0;
	platform = (struct platform){
	    .fdt = tree,
	    .memory_count = 1,
	    .memory = {{0x80000000, MIB(512)}},
	    .plic = {0xc000000, 0x600000},
	    .uart = {.registers = {0x10000000, 0x100}},
	    .finisher = {0x100000, 0x1000},
	};
	set_cell("/", "#address-cells", 2);
	set_cell("/", "#size-cells", 2);
	add_node("/", "soc");
	set_cell("/soc", "#address-cells", 2);
	set_cell("/soc", "#size-cells", 2);
	set_flag("/soc", "ranges");
	set_string("/soc", "compatible", "simple-bus");
	set_cell("/soc", "interrupt-parent", PLIC);
	add_slots();
	add_device("plic@c000000", "riscv,plic0", 0xc000000, 0x600000);
	set_cell("/soc/plic@c000000", "phandle", PLIC);
	add_device("serial@10000000", "ns16550a", 0x10000000, 0x100);
	add_device("test@100000", "sifive,test1", 0x100000, 0x1000);
	add_device("rtc@101000", "google,goldfish-rtc", 0x101000, 0x1000);
	add_device("thing@20000100", "vendor,thing", 0x20000100, 0x2000);
	host_device_init();
	return 0;
}

/* Everything that a test claims it gives back; what is kept is the same each time. */
static int find(const char *name)
{
	why[0] = '\0';
	/* Editing the tree moves its nodes. */
	platform.plic_node = node_at("/soc/plic@c000000");
	return host_device_find(name, &device, why);
}

static void expect_refused(const char *name, int error, const char *part)
{
	assert_int_equal(find(name), error);
	if (!strstr(why, part))
		fail_msg("\"%s\" is not in \"%s\"", part, why);
}

static void test_paths(void **state)
{
	(void)state;
	assert_int_equal(find("/soc/rtc@101000"), 0);
	assert_int_equal(device.range_count, 1);
	assert_int_equal(device.ranges[0].base, 0x101000);
	assert_int_equal(device.ranges[0].size, 0x1000);
	assert_int_equal(device.interrupt_count, 1);
	assert_int_equal(device.interrupts[0], 1);
	assert_int_equal(device.dma, HOST_DMA_NONE);
	assert_null(device.virtio);
	assert_int_equal(find(SLOT_PATH), 0);
	assert_int_equal(device.dma, HOST_DMA_DOES);
	assert_ptr_equal(device.virtio, &virtios[1]);
	/* An empty slot is as good. */
	assert_int_equal(find("/soc/virtio_mmio@10001000"), 0);
	assert_null(device.virtio);
	assert_int_equal(device.dma, HOST_DMA_DOES);
	assert_int_equal(find("/soc/thing@20000100"), 0);
	assert_int_equal(device.dma, HOST_DMA_UNKNOWN);
	expect_refused("/soc/nothing@1", ERR_NOENT, "no such node");
}

static void test_counted(void **state)
{
	(void)state;
	assert_int_equal(find("virtio-blk0"), 0);
	assert_int_equal(device.ranges[0].base, SLOT(1));
	assert_int_equal(device.node, node_at("/soc/virtio_mmio@10002000"));
	assert_int_equal(device.interrupts[0], 2);
	assert_int_equal(find("virtio-blk1"), 0);
	assert_int_equal(device.ranges[0].base, SLOT(3));
	assert_int_equal(find("virtio-net0"), 0);
	assert_int_equal(device.ranges[0].base, SLOT(2));
	expect_refused("virtio-blk2", ERR_NOENT, "has 2 of the kind");
	expect_refused("virtio-net1", ERR_NOENT, "has 1 of the kind");
	expect_refused("virtio-net99999999999999999999", ERR_NOENT, "has 1 of the kind");
	expect_refused("pci:00:02.0", ERR_NOSYS, "PCI");
	snprintf(virtios[1].path, sizeof(virtios[1].path), "pci:00:02.0");
	expect_refused("pci:00:02.0", ERR_NOSYS, "PCI");
	expect_refused("virtio-net0", ERR_NOSYS, "PCI");
}

static void test_refused(void **state)
{
	(void)state;
	expect_refused("/", ERR_NOSYS, "no registers");
	expect_refused("/soc", ERR_NOSYS, "part of the machine");
	set_string("/soc/thing@20000100", "status", "disabled");
	expect_refused("/soc/thing@20000100", ERR_NOSYS, "disabled");
	set_string("/soc/thing@20000100", "status", "okay");
	assert_int_equal(find("/soc/thing@20000100"), 0);
	set_string("/soc/thing@20000100", "compatible", "riscv,clint0");
	expect_refused("/soc/thing@20000100", ERR_NOSYS, "part of the machine");
	set_string("/soc/thing@20000100", "compatible", "vendor,thing");
	set_cell("/soc/thing@20000100", "interrupt-parent", NO_PLIC);
	expect_refused("/soc/thing@20000100", ERR_NOSYS, "do not go to a PLIC");
	remove_property("/soc/thing@20000100", "interrupts");
	assert_int_equal(find("/soc/thing@20000100"), 0);
	set_cell("/soc/thing@20000100", "interrupts-extended", 0);
	expect_refused("/soc/thing@20000100", ERR_NOSYS, "do not go to a PLIC");
}

static void test_registers(void **state)
{
	uint64_t reg[10] = {0};

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		reg[2 * i] = cpu_to_fdt64(0x30000000 + i * UINT64_C(0x10000));
		reg[2 * i + 1] = cpu_to_fdt64(0x100);
	}
	set_bytes("/soc/thing@20000100", "reg", reg, 8 * sizeof(*reg));
	assert_int_equal(find("/soc/thing@20000100"), 0);
	assert_int_equal(device.range_count, 4);
	assert_int_equal(device.ranges[3].base, 0x30030000);
	set_bytes("/soc/thing@20000100", "reg", reg, sizeof(reg));
	expect_refused("/soc/thing@20000100", ERR_NOSYS, "too many ranges");
	reg[0] = cpu_to_fdt64(0x7ffff000);
	reg[1] = cpu_to_fdt64(0x1001);
	set_bytes("/soc/thing@20000100", "reg", reg, 2 * sizeof(*reg));
	expect_refused("/soc/thing@20000100", ERR_NOSYS, "no registers");
	reg[1] = cpu_to_fdt64(0x1000);
	set_bytes("/soc/thing@20000100", "reg", reg, 2 * sizeof(*reg));
	assert_int_equal(find("/soc/thing@20000100"), 0);
	reg[1] = cpu_to_fdt64(UINT64_MAX - 0x1000);
	set_bytes("/soc/thing@20000100", "reg", reg, 2 * sizeof(*reg));
	expect_refused("/soc/thing@20000100", ERR_NOSYS, "no registers");
	reg[1] = 0;
	set_bytes("/soc/thing@20000100", "reg", reg, 2 * sizeof(*reg));
	expect_refused("/soc/thing@20000100", ERR_NOSYS, "no registers");
}

static void test_pieces(void **state)
{
	(void)state;
	assert_int_equal(find("/soc/rtc@101000"), 0);
	mappings = 0;
	host_device_map(&device);
	assert_int_equal(mappings, 0);
	/* From 0x20000100 to 0x20002100: a page between two pieces. */
	assert_int_equal(find("/soc/thing@20000100"), 0);
	memset(shared, 0, sizeof(shared));
	assert_null(host_device_register(0x20002000, 4));
	set_string("/soc/thing@20000100", "compatible", "vendor,thing");
	device.ranges[0] = (struct range){0x20001ff0, 0x1020};
	host_device_map(&device);
	host_device_map(&device);
	assert_int_equal(mappings, 2);
	assert_ptr_equal(host_device_register(0x20001ff0, 16), shared);
	assert_ptr_equal(host_device_register(0x20001ff8, 8), shared + 8);
	assert_ptr_equal(host_device_register(0x20003000, 16), shared);
	assert_null(host_device_register(0x20002000, 8));
	assert_null(host_device_register(0x20001ff0, 17));
	assert_null(host_device_register(0x20003010, 1));
	/* All within one page. */
	device.ranges[0] = (struct range){0x20010010, 0x20};
	host_device_map(&device);
	assert_ptr_equal(host_device_register(0x20010010, 0x20), shared);
}

static int claim(const char *vm)
{
	why[0] = '\0';
	return host_device_claim(&device, vm, why);
}

static void test_claims(void **state)
{
	struct host_device first;

	(void)state;
	assert_int_equal(find("virtio-blk0"), 0);
	first = device;
	assert_int_equal(claim("a"), 0);
	assert_int_equal(find("/soc/virtio_mmio@10002000"), 0);
	assert_int_equal(claim("b"), ERR_EXIST);
	assert_string_equal(why, "VM a has it");
	assert_int_equal(claim("a"), ERR_EXIST);
	assert_string_equal(why, "another node of this VM has it");
	assert_int_equal(find("virtio-blk1"), 0);
	assert_int_equal(claim("b"), 0);
	host_device_release(&device);
	host_device_release(&first);
	assert_int_equal(claim("c"), 0);
	host_device_release(&device);
	/* Registers that overlap are one device's. */
	device.ranges[0] = (struct range){SLOT(1) + 0x800, 0x1000};
	assert_int_equal(claim("c"), 0);
	device = first;
	assert_int_equal(claim("a"), ERR_EXIST);
	device.ranges[0] = (struct range){SLOT(1) + 0x800, 0x1000};
	host_device_release(&device);
}

static void test_kept(void **state)
{
	static struct range more = {0x30000000, 0x1000};

	(void)state;
	expect_refused("/soc/serial@10000000", ERR_NOSYS, "it is Pilae's console");
	expect_refused("/soc/plic@c000000", ERR_NOSYS, "it is the interrupt controller");
	expect_refused("/soc/test@100000", ERR_NOSYS, "Pilae ends the machine by it");
	/* Later, too; and what was not given is not taken away. */
	assert_int_equal(find("/soc/rtc@101000"), 0);
	device.ranges[0] = more;
	host_device_keep(more, "it is busy");
	assert_int_equal(claim("a"), ERR_EXIST);
	assert_string_equal(why, "it is busy");
	host_device_release(&device);
	assert_int_equal(claim("a"), ERR_EXIST);
}

static void test_reset(void **state)
{
	(void)state;
	assert_int_equal(find("virtio-blk1"), 0);
	assert_int_equal(claim("a"), 0);
	assert_int_equal(resets, 1);
	assert_int_equal(host_device_reset(&device), 0);
	assert_int_equal(resets, 2);
	host_device_release(&device);
	assert_int_equal(resets, 3);
	assert_int_equal(find("/soc/rtc@101000"), 0);
	assert_int_equal(host_device_reset(&device), 0);
	assert_int_equal(resets, 3);
}

/* From a driver, if that is not using it. */
static void test_driven(void **state)
{
	(void)state;
	virtios[0].driver = &driver;
	virtios[0].owner = "disk";
	assert_int_equal(find("virtio-blk0"), 0);
	unbind_error = ERR_EXIST;
	assert_int_equal(claim("a"), ERR_EXIST);
	assert_string_equal(why, "somebody reads it");
	unbind_error = 0;
	assert_int_equal(claim("a"), 0);
	assert_string_equal(virtios[0].owner, "a");
	host_device_release(&device);
	assert_null(virtios[0].owner);
	assert_int_equal(claim("b"), 0);
	host_device_release(&device);
}

/* Nobody gets it any more, once it has not stopped in the end. */
static void test_does_not_stop(void **state)
{
	(void)state;
	assert_int_equal(find("virtio-blk0"), 0);
	reset_error = ERR_IO;
	assert_int_equal(claim("a"), ERR_IO);
	assert_string_equal(why, "it does not stop when it is reset");
	reset_error = 0;
	assert_int_equal(claim("a"), 0);
	reset_error = ERR_IO;
	assert_int_equal(host_device_reset(&device), ERR_IO);
	assert_int_equal(host_device_reset(&device), ERR_IO);
	reset_error = 0;
	host_device_release(&device);
	assert_int_equal(claim("b"), ERR_EXIST);
	assert_string_equal(why, "it did not stop when it was reset");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_paths, setup),
	    cmocka_unit_test_setup(test_counted, setup),
	    cmocka_unit_test_setup(test_refused, setup),
	    cmocka_unit_test_setup(test_registers, setup),
	    cmocka_unit_test_setup(test_pieces, setup),
	    cmocka_unit_test_setup(test_claims, setup),
	    cmocka_unit_test_setup(test_kept, setup),
	    cmocka_unit_test_setup(test_reset, setup),
	    cmocka_unit_test_setup(test_driven, setup),
	    /* The last one, as what is kept stays so. */
	    cmocka_unit_test_setup(test_does_not_stop, setup),
	};

	return cmocka_run_group_tests_name("host_device", tests, NULL, NULL);
}

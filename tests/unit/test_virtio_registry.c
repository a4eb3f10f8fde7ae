/* SPDX-License-Identifier: MIT */
/* unit: driver/virtio/registry.c driver/virtio/device.c driver/virtio/queue.c driver/virtio/packed.c kernel/string_error.c */
/* libs: -lfdt */
#include "tests/unit/fake_time.h"
#include "tests/unit/fake_virtio_device.h"

#include "driver/pci.h"
#include "driver/plic.h"
#include "driver/virtio/registry.h"
#include "kernel/fdt.h"

/* What is at each place of mmio, and what on PCI: ids, 0 for nothing. */
static uint32_t places[8], functions_there[2];
static struct host_pci_function functions[2] = {{.name = "pci:00:01.0", .interrupt = 40},
						{.name = "pci:00:02.0", .interrupt = 41}};
static uint64_t tree[512];

/* What drivers were asked, and answer. */
static char bound[256];
static int bind_error, unbind_error;

static int bind(struct host_virtio *device)
{
	strcat(bound, device->name);
	strcat(bound, " ");
	return bind_error;
}

static int unbind(struct host_virtio *device)
{
	assert_non_null(device->owner);
	return unbind_error;
}

const struct host_virtio_driver host_blk_driver = {VIRTIO_ID_BLOCK, "disk", "", bind, unbind};
const struct host_virtio_driver host_console_driver = {VIRTIO_ID_CONSOLE, "ports", "", bind, NULL};
const struct host_virtio_driver host_net_driver = {VIRTIO_ID_NET, "network", "", bind, unbind};
const struct host_virtio_driver host_entropy_driver = {VIRTIO_ID_ENTROPY, "entropy", "", bind,
						       NULL};

volatile void *mmu_map_registers(hpa_t address, uint64_t size)
{
	assert_int_equal(size, 0x1000);
	return (volatile void *)address.v;
}

int host_virtio_mmio_probe(struct host_virtio *device, volatile void *registers, uint64_t size)
{
	(void)size;
	*device = (struct host_virtio){
	    .transport = &fake_transport,
	    .id = places[((uint64_t)registers - 0x10001000) / 0x1000],
	};
	return device->id ? 0 : ERR_NOENT;
}

void host_pci_init(void)
{
}

struct host_pci_function *host_pci_next(const struct host_pci_function *function)
{
	unsigned next = function ? (unsigned)(function - functions) + 1 : 0;

	return next < ARRAY_SIZE(functions) ? &functions[next] : NULL;
}

int host_virtio_pci_probe(struct host_virtio *device, struct host_pci_function *function)
{
	*device = (struct host_virtio){
	    .transport = &fake_transport,
	    .id = functions_there[function - functions],
	};
	return device->id == 99 ? ERR_NOSYS : device->id ? 0 : ERR_NOENT;
}

void host_plic_release(uint32_t source)
{
	(void)source;
}

int host_plic_enable(uint32_t source, void (*handler)(void *argument), void *argument)
{
	(void)source;
	(void)handler;
	(void)argument;
	return 0;
}

static void build(void)
{
	char name[32];

	fdt_create_empty_tree(tree, sizeof(tree));
	fdt_add_subnode(tree, 0, "soc");
	platform.fdt = tree;
	platform.virtio_count = ARRAY_SIZE(places);
	for (unsigned i = ARRAY_SIZE(places); i-- > 0;) {
		snprintf(name, sizeof(name), "virtio_mmio@1000%u000", i + 1);
		fdt_add_subnode(tree, fdt_path_offset(tree, "/soc"), name);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		snprintf(name, sizeof(name), "/soc/virtio_mmio@1000%u000", i + 1);
		platform.virtio[i] =
		    (struct platform_virtio){{0x10001000 + 0x1000 * (uint64_t)i, 0x1000},
					     i + 1,
					     fdt_path_offset(tree, name)};
	}
}

/* The registry never forgets, so that the tests are one; it is the boot's. */
static void test_all(void **state)
{
	static const uint32_t there[] = {2, 0, 4, 2, 1, 3, 18, 0};
	struct host_virtio *device, *disk;

	(void)state;
	fake_reset();
	fake_device_reset();
	build();
	memcpy(places, there, sizeof(places));
	functions_there[0] = 99;
	functions_there[1] = 2;
	host_virtio_init();
	assert_string_equal(
	    bound, "virtio-blk0 virtio-rng0 virtio-blk1 virtio-net0 virtio-console0 virtio-blk2 ");
	assert_non_null(strstr(messages, "pci:00:01.0: not used"));

	disk = host_virtio_by_name("virtio-blk1");
	assert_non_null(disk);
	assert_ptr_equal(host_virtio_by_name("/soc/virtio_mmio@10004000"), disk);
	assert_int_equal(disk->interrupt, 4);
	assert_string_equal(disk->owner, "disk");
	assert_ptr_equal(host_virtio_by_name("pci:00:02.0"), host_virtio_by_name("virtio-blk2"));
	assert_int_equal(host_virtio_by_name("pci:00:02.0")->interrupt, 41);
	assert_null(host_virtio_by_name("virtio-blk3"));
	assert_null(host_virtio_by_name("pci:00:01.0"));
	assert_string_equal(host_virtio_next(NULL)->name, "virtio-blk0");
	assert_null(host_virtio_next(host_virtio_by_name("pci:00:02.0")));

	/* Nobody drives it: it can be taken at once. */
	device = host_virtio_by_name("virtio-18-0");
	assert_null(device->owner);
	fake_device.status = 7;
	assert_int_equal(host_virtio_take(device, "web"), 0);
	assert_int_equal(fake_device.status, 0);
	assert_string_equal(device->owner, "web");
	assert_int_equal(host_virtio_take(device, "db"), ERR_EXIST);
	host_virtio_give_back(device);
	assert_int_equal(host_virtio_take(device, "db"), 0);
	assert_non_null(host_virtio_by_name("virtio-net0"));

	/* Its driver has to let it go, if it ever does. */
	unbind_error = ERR_EXIST;
	assert_int_equal(host_virtio_take(disk, "web"), ERR_EXIST);
	assert_string_equal(disk->owner, "disk");
	unbind_error = 0;
	assert_int_equal(host_virtio_take(disk, "web"), 0);
	assert_null(disk->driver);
	assert_int_equal(host_virtio_take(host_virtio_by_name("virtio-console0"), "web"),
			 ERR_EXIST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

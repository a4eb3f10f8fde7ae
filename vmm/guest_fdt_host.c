/* SPDX-License-Identifier: MIT */
#include "vmm/guest_fdt_host.h"

#include <libfdt.h>
#include <string.h>

bool guest_fdt_takes(const struct guest_fdt_device *device, uint64_t base, uint64_t size,
		     uint32_t interrupt)
{
	for (unsigned i = 0; i < device->range_count; i++) {
		if (ranges_overlap(device->ranges[i].base, device->ranges[i].size, base, size))
			return true;
	}
	for (unsigned i = 0; i < device->interrupt_count; i++) {
		if (device->interrupts[i] == interrupt)
			return true;
	}
	return false;
}

static bool is_one_of(const char *name, const char *const *list, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (strcmp(name, list[i]) == 0)
			return true;
	}
	return false;
}

static bool ends_with_one_of(const char *name, const char *const *list, unsigned count)
{
	size_t length = strlen(name);

	for (unsigned i = 0; i < count; i++) {
		size_t end = strlen(list[i]);

		if (length >= end && strcmp(name + length - end, list[i]) == 0)
			return true;
	}
	return false;
}

static bool is_copied(const char *property)
{
	static const char *const own[] = {"reg", "ranges", "interrupts", "status"};
	/* By the bindings of the devicetree specification and of Linux. */
	static const char *const references[] = {
	    "phandle",     "linux,phandle",   "clocks",         "assigned-clocks",
	    "resets",      "power-domains",   "dmas",           "iommus",
	    "phys",        "mboxes",          "pwms",           "io-channels",
	    "hwlocks",     "thermal-sensors", "cooling-device", "nvmem",
	    "nvmem-cells", "memory-region",   "interconnects",  "syscon",
	    "regmap",      "mux-controls",    "sound-dai",      "operating-points-v2",
	    "gpios",       "msi-map",         "interrupt-map",  "iommu-map",
	};
	static const char *const ends[] = {"-parent", "-parents", "-extended", "-supply",
					   "-gpios",  "-gpio",    "-handle"};

	return !is_one_of(property, own, ARRAY_SIZE(own)) &&
	       !is_one_of(property, references, ARRAY_SIZE(references)) &&
	       !ends_with_one_of(property, ends, ARRAY_SIZE(ends)) &&
	       strncmp(property, "pinctrl-", 8) != 0;
}

bool guest_fdt_next_copy(const struct guest_fdt_device *device, struct guest_fdt_copy *copy)
{
	int length = 0;

	do {
		copy->offset = copy->offset == 0
				   ? fdt_first_property_offset(device->host, device->node)
				   : fdt_next_property_offset(device->host, copy->offset);
		if (copy->offset < 0)
			return false;
		copy->value =
		    fdt_getprop_by_offset(device->host, copy->offset, &copy->name, &length);
		if (!copy->value)
			return false;
	} while (!is_copied(copy->name));
	copy->size = (size_t)length;
	return true;
}

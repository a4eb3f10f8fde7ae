/* SPDX-License-Identifier: MIT */
#include "vmm/fit.h"

#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "kernel/error.h"
#include "kernel/log.h"

/* Where external data begin to be counted from: libfdt's end of the tree, aligned. */
#define EXTERNAL_DATA_ALIGN 4

#define WHY_MAX 128

/* What is wrong with the file as such is told in `why`, as of a system file. */
static int check(const void *data, size_t bound, char why[WHY_MAX])
{
	int error;

	if (!is_aligned((uintptr_t)data, 8)) {
		snprintf(why, WHY_MAX,
			 "at an address that is not a multiple of 8: load it elsewhere");
		return ERR_INVAL;
	}
	if (bound < sizeof(struct fdt_header) || fdt_magic(data) != FDT_MAGIC) {
		snprintf(why, WHY_MAX,
			 "not a flattened image tree: make one with mkimage or dtc, and "
			 "pass it as the initial ramdisk");
		return ERR_CORRUPT;
	}
	if (fdt_totalsize(data) > bound) {
		snprintf(why, WHY_MAX, "truncated: its tree has %u bytes, but only %zu are there",
			 fdt_totalsize(data), bound);
		return ERR_CORRUPT;
	}
	/* fdt_check_full() reads NULL as the root's name in trees of an older version. */
	if (fdt_version(data) < 16) {
		snprintf(why, WHY_MAX,
			 "of version %u, which is too old: make it again with mkimage or dtc",
			 fdt_version(data));
		return ERR_CORRUPT;
	}
	error = fdt_check_full(data, bound);
	if (error)
		snprintf(why, WHY_MAX, "damaged (%s): make it again with mkimage or dtc",
			 fdt_strerror(error));
	return error ? ERR_CORRUPT : 0;
}

static void set(struct fit *fit, const void *data, size_t bound)
{
	fit->fdt = data;
	fit->bound = bound;
	fit->tree_size = fdt_totalsize(data);
	fit->verified_count = 0;
	memset(fit->verified, 0, sizeof(fit->verified));
	fit->images = fit_find_child(fit, 0, "images");
	fit->configurations = fit_find_child(fit, 0, "configurations");
}

bool fit_peek(struct fit *fit, const void *data, size_t bound)
{
	char why[WHY_MAX];

	if (check(data, bound, why) != 0)
		return false;
	set(fit, data, bound);
	return fit->configurations >= 0;
}

int fit_open(struct fit *fit, const void *data, size_t bound)
{
	char why[WHY_MAX];
	int error = check(data, bound, why);

	if (error) {
		log_error("system file: %s", why);
		return error;
	}
	set(fit, data, bound);
	if (fit->configurations < 0) {
		log_error("/configurations: missing from the system file: describe the VMs there");
		return ERR_NOENT;
	}
	return 0;
}

const char *fit_node_name(const struct fit *fit, int node)
{
	const char *name = fdt_get_name(fit->fdt, node, NULL);

	return name ? name : "";
}

int fit_find_child(const struct fit *fit, int parent, const char *name)
{
	int node;

	if (parent < 0)
		return -1;
	fdt_for_each_subnode(node, fit->fdt, parent)
	{
		if (strcmp(fit_node_name(fit, node), name) == 0)
			return node;
	}
	return -1;
}

int fit_get_string(const struct fit *fit, int node, const char *property, const char **string)
{
	int length;
	const char *value = fdt_getprop(fit->fdt, node, property, &length);

	if (!value)
		return ERR_NOENT;
	if (length < 1 || strnlen(value, (size_t)length) != (size_t)length - 1)
		return ERR_INVAL;
	*string = value;
	return 0;
}

void fit_list_children(const struct fit *fit, int parent, const char *compatible, char *buffer,
		       size_t size)
{
	size_t used = 0;
	int node;

	snprintf(buffer, size, "none");
	if (parent < 0)
		return;
	fdt_for_each_subnode(node, fit->fdt, parent)
	{
		if (compatible && fdt_node_check_compatible(fit->fdt, node, compatible) != 0)
			continue;
		int n = snprintf(buffer + used, size - used, "%s%s", used ? ", " : "",
				 fit_node_name(fit, node));
		if (n < 0 || (size_t)n >= size - used)
			return;
		used += (size_t)n;
	}
}

/* An address as U-Boot reads it: one cell or two. */
static int get_address(const struct fit *fit, int node, const char *property, bool *present,
		       uint64_t *address)
{
	int length;
	const void *value = fdt_getprop(fit->fdt, node, property, &length);

	*present = value != NULL;
	*address = 0;
	if (!value)
		return 0;
	if (length == 4)
		*address = fdt32_ld(value);
	else if (length == 8)
		*address = fdt64_ld(value);
	else
		return ERR_INVAL;
	return 0;
}

static int read_addresses(const struct fit *fit, struct fit_image *image)
{
	if (get_address(fit, image->node, "load", &image->has_load, &image->load) ||
	    get_address(fit, image->node, "entry", &image->has_entry, &image->entry)) {
		log_error("/images/%s: load and entry must be addresses of one cell or two",
			  image->name);
		return ERR_INVAL;
	}
	return 0;
}

/* A property that, where present, must have a certain value. */
static int require_value(const struct fit *fit, const struct fit_image *image, const char *property,
			 const char *expected, const char *remedy)
{
	const char *value = expected;
	int error = fit_get_string(fit, image->node, property, &value);

	if (error == ERR_INVAL) {
		log_error("/images/%s: %s: must be a string", image->name, property);
		return ERR_INVAL;
	}
	if (strcmp(value, expected) != 0) {
		log_error("/images/%s: %s = \"%s\": %s", image->name, property, value, remedy);
		return ERR_NOSYS;
	}
	return 0;
}

static int read_kind(const struct fit *fit, struct fit_image *image)
{
	int error = require_value(fit, image, "compression", "none",
				  "not supported; store the image uncompressed, compression = "
				  "\"none\"");

	if (!error)
		error = require_value(fit, image, "arch", "riscv",
				      "cannot run here; images must be for arch = \"riscv\"");
	if (error)
		return error;
	image->type = "";
	if (fit_get_string(fit, image->node, "type", &image->type) == ERR_INVAL) {
		log_error("/images/%s: type: must be a string", image->name);
		return ERR_INVAL;
	}
	return 0;
}

static int get_cell(const struct fit *fit, const struct fit_image *image, const char *property,
		    uint32_t *cell)
{
	int length;
	const void *value = fdt_getprop(fit->fdt, image->node, property, &length);

	if (!value || length != 4) {
		log_error("/images/%s: %s: must be there and be one cell", image->name, property);
		return ERR_INVAL;
	}
	*cell = fdt32_ld(value);
	return 0;
}

/* Data behind the tree: at data-position from its start or data-offset from its end. */
static int locate_external_data(const struct fit *fit, struct fit_image *image, bool positioned)
{
	uint64_t start = positioned ? 0 : align_up(fit->tree_size, EXTERNAL_DATA_ALIGN);
	uint32_t offset, size;
	int error = get_cell(fit, image, positioned ? "data-position" : "data-offset", &offset);

	if (!error)
		error = get_cell(fit, image, "data-size", &size);
	if (error)
		return error;
	start += offset;
	if (!range_within(start, size, fit->tree_size, fit->bound - fit->tree_size)) {
		log_error(
		    "/images/%s: its %u bytes at %#lx do not lie between the end of the tree, "
		    "%#zx, and the end of the file, %#zx: the file is truncated or damaged",
		    image->name, size, start, fit->tree_size, fit->bound);
		return ERR_RANGE;
	}
	image->data = (const char *)fit->fdt + start;
	image->size = size;
	return 0;
}

static int locate_data(const struct fit *fit, struct fit_image *image)
{
	int length;
	const void *data = fdt_getprop(fit->fdt, image->node, "data", &length);
	bool has_offset = fdt_getprop(fit->fdt, image->node, "data-offset", NULL) != NULL;
	bool has_position = fdt_getprop(fit->fdt, image->node, "data-position", NULL) != NULL;
	int error = 0;

	if ((data != NULL) + has_offset + has_position != 1) {
		log_error(
		    "/images/%s: must have exactly one of data, data-offset and data-position",
		    image->name);
		return ERR_INVAL;
	}
	if (data) {
		image->data = data;
		image->size = (size_t)length;
	} else {
		error = locate_external_data(fit, image, has_position);
	}
	if (!error && image->size == 0) {
		log_error("/images/%s: is empty", image->name);
		error = ERR_INVAL;
	}
	return error;
}

static int find_unique(const struct fit *fit, const char *path, const char *property,
		       const char *name)
{
	int found = fit_find_child(fit, fit->images, name);
	char have[160];
	int node = found;

	if (found < 0) {
		fit_list_children(fit, fit->images, NULL, have, sizeof(have));
		log_error("%s: %s = \"%s\": no such image; have: %s", path, property, name, have);
		return ERR_NOENT;
	}
	while ((node = fdt_next_subnode(fit->fdt, node)) >= 0) {
		if (strcmp(fit_node_name(fit, node), name) == 0) {
			log_error("/images/%s: there are two of this name: rename one", name);
			return ERR_EXIST;
		}
	}
	return found;
}

static bool is_known_property(const char *name)
{
	static const char *const known[] = {
	    "description", "data",      "data-offset", "data-position", "data-size",
	    "type",        "arch",      "os",          "compression",   "load",
	    "entry",       "timestamp", "compatible",  "phase",         "phandle",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(known); i++) {
		if (strcmp(name, known[i]) == 0)
			return true;
	}
	return false;
}

/*
 * A property that U-Boot does not know may be a slip of the pen, or be there for somebody
 * else: it is worth a warning, and no reason to refuse a VM.
 */
static void warn_of_unknown(const struct fit *fit, const struct fit_image *image)
{
	int offset;

	fdt_for_each_property_offset(offset, fit->fdt, image->node)
	{
		const char *name = NULL;

		fdt_getprop_by_offset(fit->fdt, offset, &name, NULL);
		if (name && !is_known_property(name))
			log_warn("/images/%s: %s: unknown property: remove it", image->name, name);
	}
}

int fit_find_image(const struct fit *fit, const char *path, const char *property, const char *name,
		   struct fit_image *image)
{
	int node = find_unique(fit, path, property, name);
	int error;

	if (node < 0)
		return node;
	image->node = node;
	image->name = fit_node_name(fit, node);
	warn_of_unknown(fit, image);
	error = read_kind(fit, image);
	if (!error)
		error = read_addresses(fit, image);
	if (!error)
		error = locate_data(fit, image);
	return error;
}

void fit_verify_begin(struct fit_verify *verify, struct fit *fit, const struct fit_image *image)
{
	verify->fit = fit;
	verify->image = *image;
	verify->node = -1;
	verify->busy = false;
}

static bool was_verified(const struct fit *fit, int node)
{
	for (unsigned i = 0; i < FIT_VERIFIED_MAX; i++) {
		if (__atomic_load_n(&fit->verified[i], __ATOMIC_ACQUIRE) == node)
			return true;
	}
	return false;
}

/* With the list full, an image is merely hashed once more. */
static void note_verified(struct fit *fit, int node)
{
	unsigned slot = __atomic_fetch_add(&fit->verified_count, 1, __ATOMIC_RELAXED);

	if (slot < FIT_VERIFIED_MAX)
		__atomic_store_n(&fit->verified[slot], node, __ATOMIC_RELEASE);
}

/* Reads the hash node that verify->node names, and begins it if it has a value. */
static int begin_hash(struct fit_verify *verify)
{
	const struct fit *fit = verify->fit;
	const char *image = verify->image.name, *name = fit_node_name(fit, verify->node);
	const char *algo_name;
	enum hash_algo algo;
	int length;

	if (fit_get_string(fit, verify->node, "algo", &algo_name)) {
		log_error("/images/%s/%s: algo: missing; use crc32, sha1 or sha256", image, name);
		return ERR_INVAL;
	}
	if (hash_find_algo(algo_name, &algo)) {
		log_error("/images/%s/%s: algo = \"%s\": unknown; use crc32, sha1 or sha256", image,
			  name, algo_name);
		return ERR_NOSYS;
	}
	verify->expected = fdt_getprop(fit->fdt, verify->node, "value", &length);
	if (!verify->expected)
		return 0;
	if ((size_t)length != hash_size(algo)) {
		log_error(
		    "/images/%s/%s: value: must have %zu bytes, not %d: let mkimage fill it in",
		    image, name, hash_size(algo), length);
		return ERR_INVAL;
	}
	hash_begin(&verify->hash, algo);
	verify->done = 0;
	verify->busy = true;
	return 0;
}

static int continue_hash(struct fit_verify *verify)
{
	const struct fit_image *image = &verify->image;
	enum hash_algo algo = verify->hash.algo;
	uint8_t digest[HASH_SIZE_MAX];

	if (verify->done < image->size) {
		size_t n = min_u64(hash_step_size(algo), image->size - verify->done);

		hash_update(&verify->hash, (const char *)image->data + verify->done, n);
		verify->done += n;
		return ERR_AGAIN;
	}
	hash_end(&verify->hash, digest);
	if (memcmp(digest, verify->expected, hash_size(algo)) != 0) {
		log_error(
		    "/images/%s: its data do not match %s: the file is damaged, make it again",
		    image->name, fit_node_name(verify->fit, verify->node));
		return ERR_CORRUPT;
	}
	verify->busy = false;
	return ERR_AGAIN;
}

int fit_verify_step(struct fit_verify *verify)
{
	const void *fdt = verify->fit->fdt;
	int error;

	if (verify->busy)
		return continue_hash(verify);
	if (was_verified(verify->fit, verify->image.node))
		return 0;
	verify->node = verify->node < 0 ? fdt_first_subnode(fdt, verify->image.node)
					: fdt_next_subnode(fdt, verify->node);
	if (verify->node < 0) {
		note_verified(verify->fit, verify->image.node);
		return 0;
	}
	if (strncmp(fit_node_name(verify->fit, verify->node), "hash", 4) != 0)
		return ERR_AGAIN;
	error = begin_hash(verify);
	return error ? error : ERR_AGAIN;
}

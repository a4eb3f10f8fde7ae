/* SPDX-License-Identifier: MIT */
#ifndef VMM_VMCONFIG_PROPERTY_H
#define VMM_VMCONFIG_PROPERTY_H

/* Reading a node's properties into a structure, as a table says. */

#include "kernel/types.h"
#include "vmm/fit.h"

enum property_kind {
	PROPERTY_IGNORED,
	PROPERTY_FLAG,   /* no value; bool */
	PROPERTY_U32,    /* one cell; uint32_t from min to max */
	PROPERTY_U64,    /* two cells; uint64_t from min to max, a multiple of `unit` */
	PROPERTY_BYTES,  /* a count of bytes in one cell or two; as PROPERTY_U64 */
	PROPERTY_STRING, /* const char * */
	PROPERTY_CHOICE, /* a string out of `words`; the enum's value is its place there */
	PROPERTY_CELLS,  /* const void * to at least one cell, and a uint32_t count at `count` */
	PROPERTY_MAC,    /* const uint8_t * to six bytes */
};

struct property {
	const char *name;
	enum property_kind kind;
	size_t offset; /* of the field in the structure */
	uint64_t min, max, unit;
	const char *const *words; /* ended by NULL */
	size_t count;
};

/*
 * Reads all properties of `node`, whose path is `path`, into `target`; fields whose
 * properties are missing stay as they are. A property that is not in the table, of the wrong
 * length, out of range or there twice is reported; ERR_INVAL if there was one, after all have
 * been looked at. At most 32 entries.
 */
int property_read_all(const struct fit *fit, int node, const char *path,
		      const struct property *table, unsigned entries, void *target);

#endif

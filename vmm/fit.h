/* SPDX-License-Identifier: MIT */
#ifndef VMM_FIT_H
#define VMM_FIT_H

/*
 * The system file: a U-Boot flattened image tree. Everything here reads the file in place,
 * on any hart and several at once; what is wrong with the file is reported through log_error
 * with the path of the node and the remedy. Nothing is allocated, nothing is locked.
 */

#include "kernel/types.h"
#include "vmm/hash.h"

#define FIT_VERIFIED_MAX 32

struct fit {
	const void *fdt;    /* the tree, checked as a whole */
	size_t bound;       /* bytes that may be read from `fdt` on, external data included */
	size_t tree_size;   /* of these, the tree */
	int images;         /* the node /images, or negative if there is none */
	int configurations; /* the node /configurations */
	/* Images whose hashes have been found right, or 0; both are only used atomically. */
	unsigned verified_count;
	int verified[FIT_VERIFIED_MAX];
};

/* An image of the file. `data` lies within the file's bounds. */
struct fit_image {
	int node;
	const char *name;
	const void *data;
	size_t size;      /* bytes, at least one */
	const char *type; /* as the file has it, or "" */
	bool has_load, has_entry;
	uint64_t load, entry; /* guest-physical */
};

/*
 * Opens the file at `data`, of which at most `bound` bytes may be read. ERR_INVAL if `data`
 * is not aligned to 8, ERR_CORRUPT if it is not a sound tree that ends within `bound`,
 * ERR_NOENT if it has no /configurations.
 */
int fit_open(struct fit *fit, const void *data, size_t bound);

/* The same without a word; false if that fails. */
bool fit_peek(struct fit *fit, const void *data, size_t bound);

/*
 * Finds the image that the node `path` asks for with `property` = "name". ERR_NOENT if there
 * is none, ERR_NOSYS if it is compressed or for another architecture, ERR_RANGE if its data
 * lie outside the file, ERR_INVAL if its description makes no sense.
 */
int fit_find_image(const struct fit *fit, const char *path, const char *property, const char *name,
		   struct fit_image *image);

/* Checks an image against its hashes, in steps. */
struct fit_verify {
	struct fit *fit;
	struct fit_image image;
	int node;  /* of the hash under way; before the first, negative */
	bool busy; /* `hash` is under way */
	struct hash hash;
	size_t done;             /* bytes fed to it */
	const uint8_t *expected; /* its value in the file */
};

void fit_verify_begin(struct fit_verify *verify, struct fit *fit, const struct fit_image *image);

/*
 * Goes on checking, for less than 20,000 instructions. ERR_AGAIN until it is finished; then
 * 0 if every hash that has a value matches, ERR_CORRUPT if one does not, ERR_NOSYS for an
 * unknown algorithm, ERR_INVAL for a value of the wrong length. An image found right is not
 * hashed again.
 */
int fit_verify_step(struct fit_verify *verify);

/*
 * The following read the tree for whoever interprets other parts of it.
 */

/* The child of exactly this name (libfdt's own search disregards unit addresses), or -1. */
int fit_find_child(const struct fit *fit, int parent, const char *name);

/* The name of a node of the tree. */
const char *fit_node_name(const struct fit *fit, int node);

/* A property's value if it is one NUL-terminated string; ERR_NOENT if missing, or ERR_INVAL. */
int fit_get_string(const struct fit *fit, int node, const char *property, const char **string);

/*
 * Writes the names of the children of `parent`, those that are `compatible` unless that is
 * NULL, as "a, b, c" into `buffer`; "none" if there are none, cut short if they do not fit.
 */
void fit_list_children(const struct fit *fit, int parent, const char *compatible, char *buffer,
		       size_t size);

#endif

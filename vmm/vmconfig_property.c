/* SPDX-License-Identifier: MIT */
#include "vmm/vmconfig_property.h"

#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "kernel/error.h"
#include "kernel/log.h"

#define SUGGESTION_LENGTH_MAX 40

/* A property being read: where it is, what it holds, and what the table says of it. */
struct value {
	const char *path, *name;
	const void *data;
	size_t length;
	const struct property *property;
	void *field;
};

static int read_flag(const struct value *value)
{
	if (value->length != 0) {
		log_error("%s: %s: takes no value: being there is what it says", value->path,
			  value->name);
		return ERR_INVAL;
	}
	*(bool *)value->field = true;
	return 0;
}

static int check_number(const struct value *value, uint64_t number)
{
	const struct property *property = value->property;

	if (number < property->min || number > property->max) {
		log_error(property->kind == PROPERTY_U32 ? "%s: %s = <%lu>: must be %lu to %lu"
							 : "%s: %s = <%#lx>: must be %#lx to %#lx",
			  value->path, value->name, number, property->min, property->max);
		return ERR_INVAL;
	}
	if (property->unit && number % property->unit != 0) {
		log_error("%s: %s = <%#lx>: must be a multiple of %#lx", value->path, value->name,
			  number, property->unit);
		return ERR_INVAL;
	}
	return 0;
}

static int read_u32(const struct value *value)
{
	uint32_t number;

	if (value->length != sizeof(number)) {
		log_error("%s: %s: must be one number of 32 bits: %s = <%lu>", value->path,
			  value->name, value->name, value->property->min);
		return ERR_INVAL;
	}
	number = fdt32_ld(value->data);
	if (check_number(value, number))
		return ERR_INVAL;
	*(uint32_t *)value->field = number;
	return 0;
}

static int read_u64(const struct value *value, bool short_allowed)
{
	uint64_t number;

	if (value->length == sizeof(uint64_t)) {
		number = fdt64_ld(value->data);
	} else if (short_allowed && value->length == sizeof(uint32_t)) {
		number = fdt32_ld(value->data);
	} else {
		log_error("%s: %s: must be one number of 64 bits: %s = /bits/ 64 <0x20000000>",
			  value->path, value->name, value->name);
		return ERR_INVAL;
	}
	if (check_number(value, number))
		return ERR_INVAL;
	*(uint64_t *)value->field = number;
	return 0;
}

static int check_string(const struct value *value)
{
	const char *string = value->data;

	if (value->length == 0 || strnlen(string, value->length) != value->length - 1) {
		log_error("%s: %s: must be one string: %s = \"...\"", value->path, value->name,
			  value->name);
		return ERR_INVAL;
	}
	return 0;
}

static int read_string(const struct value *value)
{
	if (check_string(value))
		return ERR_INVAL;
	*(const char **)value->field = value->data;
	return 0;
}

static void list_words(const char *const *words, char *buffer, size_t size)
{
	size_t used = 0;

	for (const char *const *word = words; *word; word++) {
		int n = snprintf(buffer + used, size - used, "%s\"%s\"", used ? ", " : "", *word);

		if (n < 0 || (size_t)n >= size - used)
			return;
		used += (size_t)n;
	}
}

static int read_choice(const struct value *value)
{
	const char *const *words = value->property->words;
	char list[80];

	if (check_string(value))
		return ERR_INVAL;
	for (unsigned i = 0; words[i]; i++) {
		if (strcmp(words[i], value->data) == 0) {
			memcpy(value->field, &i, sizeof(i));
			return 0;
		}
	}
	list_words(words, list, sizeof(list));
	log_error("%s: %s = \"%s\": must be one of %s", value->path, value->name,
		  (const char *)value->data, list);
	return ERR_INVAL;
}

static int read_cells(const struct value *value, void *target)
{
	if (value->length == 0 || value->length % sizeof(uint32_t) != 0) {
		log_error("%s: %s: must be numbers of 32 bits: %s = <0 1>", value->path,
			  value->name, value->name);
		return ERR_INVAL;
	}
	*(const void **)value->field = value->data;
	*(uint32_t *)((char *)target + value->property->count) =
	    (uint32_t)(value->length / sizeof(uint32_t));
	return 0;
}

static int read_mac(const struct value *value)
{
	const uint8_t *mac = value->data;

	/* IEEE 802: the lowest bit of the first byte tells a group address. */
	if (value->length != 6 || mac[0] & 1 || memcmp(mac, "\0\0\0\0\0", 6) == 0) {
		log_error("%s: %s: must be the six bytes of a unicast address: [52 54 00 12 34 56]",
			  value->path, value->name);
		return ERR_INVAL;
	}
	*(const uint8_t **)value->field = mac;
	return 0;
}

static int read_value(const struct value *value, void *target)
{
	switch (value->property->kind) {
	case PROPERTY_IGNORED:
		return 0;
	case PROPERTY_FLAG:
		return read_flag(value);
	case PROPERTY_U32:
		return read_u32(value);
	case PROPERTY_U64:
		return read_u64(value, false);
	case PROPERTY_BYTES:
		return read_u64(value, true);
	case PROPERTY_STRING:
		return read_string(value);
	case PROPERTY_CHOICE:
		return read_choice(value);
	case PROPERTY_CELLS:
		return read_cells(value, target);
	case PROPERTY_MAC:
		return read_mac(value);
	}
	return ERR_INVAL;
}

static const char *without_prefix(const char *name)
{
	return strncmp(name, "pilae,", 6) == 0 ? name + 6 : name;
}

/* Levenshtein's distance of two names, or UINT32_MAX if they are too long to be compared. */
static unsigned name_distance(const char *a, const char *b)
{
	size_t a_length = strnlen(a, SUGGESTION_LENGTH_MAX + 1);
	size_t b_length = strnlen(b, SUGGESTION_LENGTH_MAX + 1);
	unsigned row[SUGGESTION_LENGTH_MAX + 1];

	if (a_length > SUGGESTION_LENGTH_MAX || b_length > SUGGESTION_LENGTH_MAX)
		return UINT32_MAX;
	for (unsigned j = 0; j <= b_length; j++)
		row[j] = j;
	for (unsigned i = 1; i <= a_length; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= b_length; j++) {
			unsigned replaced = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			row[j] = (unsigned)min_u64(replaced, 1 + min_u64(row[j], row[j - 1]));
		}
	}
	return row[b_length];
}

static void report_unknown(const char *path, const char *name, const struct property *table,
			   unsigned entries)
{
	const char *nearest = NULL;
	/* What differs in more than three letters, or in half of them, is no slip of the pen. */
	unsigned best = (unsigned)min_u64(3, strlen(without_prefix(name)) / 2) + 1;

	for (unsigned i = 0; i < entries; i++) {
		unsigned distance =
		    name_distance(without_prefix(name), without_prefix(table[i].name));

		if (distance < best) {
			best = distance;
			nearest = table[i].name;
		}
	}
	if (nearest)
		log_error("%s: %s: unknown property; did you mean %s?", path, name, nearest);
	else
		log_error("%s: %s: unknown property: remove it", path, name);
}

static const struct property *find_property(const struct property *table, unsigned entries,
					    const char *name)
{
	for (unsigned i = 0; i < entries; i++) {
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	}
	return NULL;
}

int property_read_all(const struct fit *fit, int node, const char *path,
		      const struct property *table, unsigned entries, void *target)
{
	uint32_t seen = 0;
	int result = 0, offset;

	fdt_for_each_property_offset(offset, fit->fdt, node)
	{
		struct value value = {.path = path};
		int length;

		value.data = fdt_getprop_by_offset(fit->fdt, offset, &value.name, &length);
		if (!value.data)
			return ERR_CORRUPT;
		value.length = (size_t)length;
		value.property = find_property(table, entries, value.name);
		if (!value.property) {
			report_unknown(path, value.name, table, entries);
			result = ERR_INVAL;
			continue;
		}
		uint32_t bit = UINT32_C(1) << (value.property - table);
		if (seen & bit) {
			log_error("%s: %s: is there twice: remove one", path, value.name);
			result = ERR_INVAL;
			continue;
		}
		seen |= bit;
		value.field = (char *)target + value.property->offset;
		if (read_value(&value, target))
			result = ERR_INVAL;
	}
	return result;
}

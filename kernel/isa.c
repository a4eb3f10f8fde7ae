/* SPDX-License-Identifier: MIT */

#include "kernel/isa.h"

#include "kernel/error.h"
#include "kernel/fdt.h"

#include <string.h>

static const char *const extension_names[] = {
#define ISA_NAME(name) #name,
    ISA_EXTENSIONS(ISA_NAME)
#undef ISA_NAME
};

/* The order of single letters in an ISA string (Unpriv., "ISA Extension Naming Conventions"). */
static const char letter_order[] = "imafdqlcbkjtpvnh";

static bool is_letter(char c)
{
	return c >= 'a' && c <= 'z';
}

static char to_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool names_equal(const char *known, const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (known[i] == '\0' || known[i] != to_lower(name[i]))
			return false;
	}
	return known[length] == '\0';
}

void isa_parse_name(struct isa *isa, const char *name, size_t length)
{
	if (length == 1) {
		char letter = to_lower(name[0]);

		if (letter == 'g')
			isa_parse_string(isa, "rv64imafd_zicsr_zifencei");
		else if (is_letter(letter))
			isa->letters |= (uint32_t)1 << (letter - 'a');
		return;
	}
	for (unsigned i = 0; i < ISA_EXTENSION_COUNT; i++) {
		if (names_equal(extension_names[i], name, length)) {
			isa_add(isa, (enum isa_extension)i);
			return;
		}
	}
}

/* The length of a version such as 2p0 or 1 at s. */
static size_t version_length(const char *s)
{
	size_t n = 0;

	while (s[n] >= '0' && s[n] <= '9')
		n++;
	if (n > 0 && to_lower(s[n]) == 'p' && s[n + 1] >= '0' && s[n + 1] <= '9') {
		n++;
		while (s[n] >= '0' && s[n] <= '9')
			n++;
	}
	return n;
}

/* The length of s[0..length) without a version at its end. */
static size_t without_version(const char *s, size_t length)
{
	for (size_t n = 2; n < length; n++) {
		if (n + version_length(s + n) == length && !(s[n - 1] >= '0' && s[n - 1] <= '9'))
			return n;
	}
	return length;
}

static bool starts_long_name(char c)
{
	c = to_lower(c);
	return c == 'z' || c == 's' || c == 'x';
}

int isa_parse_string(struct isa *isa, const char *string)
{
	const char *s = string + 4;

	if (strlen(string) < 5 || !names_equal("rv64", string, 4) ||
	    (to_lower(*s) != 'i' && to_lower(*s) != 'g'))
		return ERR_INVAL;
	while (*s) {
		if (*s == '_') {
			s++;
		} else if (starts_long_name(*s)) {
			size_t length = strcspn(s, "_");

			isa_parse_name(
			    isa, s,
			    names_equal("zic64b", s, length) ? length : without_version(s, length));
			s += length;
		} else {
			isa_parse_name(isa, s, 1);
			s += 1 + version_length(s + 1);
		}
	}
	return 0;
}

static void parse_extension_list(struct isa *isa, const char *list, size_t length)
{
	while (length > 0) {
		size_t n = strnlen(list, length);

		isa_parse_name(isa, list, n);
		if (n == length)
			break;
		list += n + 1;
		length -= n + 1;
	}
}

static void parse_mmu_type(struct isa *isa, const void *fdt, int node)
{
	const char *type = fdt_getprop(fdt, node, "mmu-type", NULL);

	if (!type || strncmp(type, "riscv,sv", 8) != 0)
		return;
	isa->virtual_address_bits = strcmp(type + 8, "57") == 0   ? 57
				    : strcmp(type + 8, "48") == 0 ? 48
				    : strcmp(type + 8, "39") == 0 ? 39
								  : 0;
}

int isa_parse_node(struct isa *isa, const void *fdt, int node)
{
	int length;
	const char *list = fdt_getprop(fdt, node, "riscv,isa-extensions", &length);
	const char *string = fdt_getprop(fdt, node, "riscv,isa", NULL);

	memset(isa, 0, sizeof(*isa));
	if (list)
		parse_extension_list(isa, list, (size_t)length);
	else if (string && isa_parse_string(isa, string) != 0)
		return ERR_INVAL;
	if (!isa_has_letter(isa, 'i'))
		return ERR_INVAL;
	parse_mmu_type(isa, fdt, node);
	isa->cbom_block_size = (uint16_t)fdt_node_u64(fdt, node, "riscv,cbom-block-size", 0);
	isa->cboz_block_size = (uint16_t)fdt_node_u64(fdt, node, "riscv,cboz-block-size", 0);
	isa->cbop_block_size = (uint16_t)fdt_node_u64(fdt, node, "riscv,cbop-block-size", 0);
	return 0;
}

bool isa_equal(const struct isa *a, const struct isa *b)
{
	return a->letters == b->letters &&
	       memcmp(a->extensions, b->extensions, sizeof(a->extensions)) == 0 &&
	       a->cbom_block_size == b->cbom_block_size &&
	       a->cboz_block_size == b->cboz_block_size &&
	       a->cbop_block_size == b->cbop_block_size &&
	       a->virtual_address_bits == b->virtual_address_bits;
}

void isa_intersect(struct isa *isa, const struct isa *other)
{
	isa->letters &= other->letters;
	for (unsigned i = 0; i < ISA_WORDS; i++)
		isa->extensions[i] &= other->extensions[i];
	if (other->cbom_block_size != isa->cbom_block_size)
		isa_remove(isa, ISA_zicbom);
	if (other->cboz_block_size != isa->cboz_block_size)
		isa_remove(isa, ISA_zicboz);
	if (other->virtual_address_bits < isa->virtual_address_bits)
		isa->virtual_address_bits = other->virtual_address_bits;
}

static char *append(char *to, const char *end, const char *text)
{
	while (*text && to < end)
		*to++ = *text++;
	*to = '\0';
	return to;
}

void isa_print(const struct isa *isa, char *buffer, size_t size)
{
	const char *end = buffer + size - 1;
	char *to = append(buffer, end, "rv64");

	for (const char *l = letter_order; *l; l++) {
		char text[2] = {*l, '\0'};

		if (isa_has_letter(isa, *l))
			to = append(to, end, text);
	}
	for (unsigned i = 0; i < ISA_EXTENSION_COUNT; i++) {
		if (isa_has(isa, (enum isa_extension)i)) {
			to = append(to, end, "_");
			to = append(to, end, extension_names[i]);
		}
	}
}

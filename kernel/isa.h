/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_ISA_H
#define KERNEL_ISA_H

/*
 * What a hart can do, as its device-tree node says: from `riscv,isa-extensions` (a list of
 * names) where it is there, else from the older `riscv,isa` string. Extensions that Pilae
 * does not know are left out: a guest is only told of what is known to work in it.
 */

#include "kernel/types.h"

/* X(identifier): the extensions with names of several letters that are known. */
/* clang-format off */
#define ISA_EXTENSIONS(X)                                                                          \
	X(zic64b)                                                                                  \
	X(zicbom)                                                                                  \
	X(zicbop)                                                                                  \
	X(zicboz) X(ziccamoa) X(ziccif) X(zicclsm) X(ziccrse) X(zicntr) X(zicond) X(zicsr)         \
	    X(zifencei) X(zihintntl) X(zihintpause) X(zimop) X(zmmul) X(za64rs) X(za128rs)         \
		X(zaamo) X(zabha) X(zacas) X(zalrsc) X(zawrs) X(zfa) X(zfbfmin) X(zfh) X(zfhmin)   \
		    X(zca) X(zcb) X(zcd) X(zcmop) X(zba) X(zbb) X(zbc) X(zbkb) X(zbkc) X(zbkx)     \
			X(zbs) X(zk) X(zkn) X(zknd) X(zkne) X(zknh) X(zks) X(zksed) X(zksh) X(zkt) \
			    X(ztso) X(zvbb) X(zvbc) X(zve32f) X(zve32x) X(zve64d) X(zve64f)        \
				X(zve64x) X(zvfbfmin) X(zvfbfwma) X(zvfh) X(zvfhmin) X(zvkb)       \
				    X(zvkg) X(zvkn) X(zvknc) X(zvkned) X(zvkng) X(zvknha)          \
					X(zvknhb) X(zvks) X(zvksc) X(zvksed) X(zvksg) X(zvksh)     \
					    X(zvkt) X(ssccptr) X(sscounterenw) X(ssstateen)        \
						X(smstateen) X(sstc) X(sstvala) X(sstvecd)         \
						    X(ssu64xl) X(svade) X(svadu) X(svinval)        \
							X(svnapot) X(svpbmt) X(svvptc)
/* clang-format on */

enum isa_extension {
#define ISA_ENUMERATOR(name) ISA_##name,
	ISA_EXTENSIONS(ISA_ENUMERATOR)
#undef ISA_ENUMERATOR
	    ISA_EXTENSION_COUNT
};

#define ISA_WORDS ((ISA_EXTENSION_COUNT + 63) / 64)

/* Long enough for isa_print() of everything known. */
#define ISA_STRING_MAX 1024

struct isa {
	uint32_t letters; /* bit n: the single-letter extension 'a' + n */
	uint64_t extensions[ISA_WORDS];
	uint16_t cbom_block_size, cboz_block_size, cbop_block_size; /* bytes; 0: unknown */
	uint8_t virtual_address_bits; /* 39, 48 or 57 by mmu-type, 0 if it does not say */
};

static inline bool isa_has_letter(const struct isa *isa, char letter)
{
	return isa->letters >> (letter - 'a') & 1;
}

static inline bool isa_has(const struct isa *isa, enum isa_extension extension)
{
	return isa->extensions[extension / 64] >> (extension % 64) & 1;
}

static inline void isa_add(struct isa *isa, enum isa_extension extension)
{
	isa->extensions[extension / 64] |= BIT(extension % 64);
}

static inline void isa_remove(struct isa *isa, enum isa_extension extension)
{
	isa->extensions[extension / 64] &= ~BIT(extension % 64);
}

/* Adds what the string `rv64imafdc_zicsr…` names. ERR_INVAL unless it starts with rv64i. */
int isa_parse_string(struct isa *isa, const char *string);

/* Adds one extension by name, of one letter or several; unknown ones are passed over. */
void isa_parse_name(struct isa *isa, const char *name, size_t length);

/* Reads a cpu node of a device tree. ERR_INVAL if it describes no RV64I hart. */
int isa_parse_node(struct isa *isa, const void *fdt, int node);

/* Whether both describe the same hart. */
bool isa_equal(const struct isa *a, const struct isa *b);

/* Leaves in `isa` what both have. */
void isa_intersect(struct isa *isa, const struct isa *other);

/* Writes the canonical string, `rv64imafdc_zicsr…`; `size` at least ISA_STRING_MAX. */
void isa_print(const struct isa *isa, char *buffer, size_t size);

#endif

/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SOFT_CSR_FIXTURE_H
#define TESTS_UNIT_SOFT_CSR_FIXTURE_H

/* A vCPU with supervisor CSRs, and what its guest may have. */

#include "tests/unit/fake_kernel.h"

#include <pthread.h>

#include "engine/guest.h"
#include "engine/soft/csr.h"
#include "engine/soft/soft.h"
#include "riscv/csr.h"

static struct guest guest;
static struct soft_vcpu soft;
static struct vcpu vcpu;

/* Bits of sstatus, and interrupts (Priv. 1.13, 12.1.1, 12.1.3). */
enum { SIE = 1, SPIE = 5, SPP = 8, VS = 9, FS = 13, SUM = 18, MXR = 19 };
#define UXL (UINT64_C(2) << 32)
#define SD  BIT(63)

/* What a guest may have. */
#define HAS_D    0x01
#define HAS_F    0x02
#define HAS_V    0x04
#define HAS_CBOM 0x08
#define HAS_CBOZ 0x10
#define HAS_SV48 0x20
#define HAS_SV57 0x40

static void reset_with(unsigned has)
{
	memset(&guest, 0, sizeof(guest));
	memset(&soft, 0, sizeof(soft));
	memset(&vcpu, 0, sizeof(vcpu));
	vcpu.guest = &guest;
	vcpu.soft = &soft;
	guest.isa.letters = 1 << ('i' - 'a');
	if (has & HAS_D)
		guest.isa.letters |= 1 << ('d' - 'a');
	if (has & HAS_F)
		guest.isa.letters |= 1 << ('f' - 'a');
	if (has & HAS_V)
		guest.isa.letters |= 1 << ('v' - 'a');
	if (has & HAS_CBOM)
		isa_add(&guest.isa, ISA_zicbom);
	if (has & HAS_CBOZ)
		isa_add(&guest.isa, ISA_zicboz);
	if (has & HAS_SV57)
		guest.isa.virtual_address_bits = 57;
	else if (has & HAS_SV48)
		guest.isa.virtual_address_bits = 48;
	soft_csr_reset(&vcpu);
}

static uint64_t get(unsigned number)
{
	uint64_t value;

	assert_int_equal(soft_csr_read(&vcpu, number, &value), 0);
	return value;
}

#endif

/* SPDX-License-Identifier: MIT */

/* SBI 2.0: the calls that trap.S has not answered itself. */

#include "firmware/console.h"
#include "firmware/firmware.h"

/* The extensions beside the legacy ones, by the lowest 5 bits of their numbers. */
const uint32_t sbi_extensions[32] = {
    [SBI_EXT_BASE & 31] = SBI_EXT_BASE, [SBI_EXT_TIME & 31] = SBI_EXT_TIME,
    [SBI_EXT_IPI & 31] = SBI_EXT_IPI,   [SBI_EXT_RFENCE & 31] = SBI_EXT_RFENCE,
    [SBI_EXT_HSM & 31] = SBI_EXT_HSM,   [SBI_EXT_SRST & 31] = SBI_EXT_SRST,
    [SBI_EXT_PMU & 31] = SBI_EXT_PMU,   [SBI_EXT_DBCN & 31] = SBI_EXT_DBCN,
    [FW_EXT_PILAE & 31] = FW_EXT_PILAE,
};

static struct sbi_ret base_call(const uint64_t *x)
{
	uint64_t value = 0;

	switch (x[16]) {
	case SBI_BASE_GET_SPEC_VERSION:
		value = SBI_VERSION_2_0;
		break;
	case SBI_BASE_GET_IMPL_ID:
		value = FW_IMPLEMENTATION_ID;
		break;
	case SBI_BASE_GET_IMPL_VERSION:
		value = FW_IMPLEMENTATION_VERSION;
		break;
	case SBI_BASE_GET_MVENDORID:
		value = csr_read(CSR_MVENDORID);
		break;
	case SBI_BASE_GET_MARCHID:
		value = csr_read(CSR_MARCHID);
		break;
	case SBI_BASE_GET_MIMPID:
		value = csr_read(CSR_MIMPID);
		break;
	default:
		return (struct sbi_ret){SBI_ERR_NOT_SUPPORTED, 0};
	}
	return (struct sbi_ret){SBI_SUCCESS, value};
}

static int64_t ipi_call(const uint64_t *x)
{
	uint64_t set;
	int64_t error;

	if (x[16] != SBI_IPI_SEND_IPI)
		return SBI_ERR_NOT_SUPPORTED;
	error = harts_select(x[10], x[11], &set);
	if (!error)
		ipi_send(set);
	return error;
}

/* The fence that this hart is going to ask for: arguments are the start, the size and the ASID. */
static void set_fence(struct fw_hart *hart, uint64_t function, const uint64_t *arguments)
{
	hart->fence.function = function;
	hart->fence.start = arguments[0];
	hart->fence.size = arguments[1];
	hart->fence.id = arguments[2];
}

static int64_t fence_call(struct fw_hart *hart)
{
	const uint64_t *x = hart->x;
	uint64_t set;
	int64_t error;

	if (x[16] > SBI_RFENCE_HFENCE_VVMA ||
	    (x[16] >= SBI_RFENCE_HFENCE_GVMA_VMID && !hart->has_h))
		return SBI_ERR_NOT_SUPPORTED;
	error = harts_select(x[10], x[11], &set);
	if (error)
		return error;
	set_fence(hart, x[16], &x[12]);
	return rfence_call(hart, set);
}

static void set_timer(struct fw_hart *hart, uint64_t deadline)
{
	if (!hart->mtimecmp) {
		csr_write(CSR_STIMECMP, deadline);
		return;
	}
	*(volatile uint64_t *)hart->mtimecmp = deadline;
	csr_clear(CSR_MIP, BIT(IRQ_S_TIMER));
	csr_set(CSR_MIE, BIT(IRQ_M_TIMER));
}

static int64_t time_call(struct fw_hart *hart)
{
	if (hart->x[16] != SBI_TIME_SET_TIMER)
		return SBI_ERR_NOT_SUPPORTED;
	set_timer(hart, hart->x[10]);
	return SBI_SUCCESS;
}

/*
 * For Pilae alone: from now on this hart's illegal instructions are S-mode's (1), or not (0). The
 * value is what it was.
 */
static struct sbi_ret pilae_call(const uint64_t *x)
{
	uint64_t was = csr_read(CSR_MEDELEG) >> EXC_ILLEGAL_INSN & 1;

	if (x[16] != FW_PILAE_DELEGATE_ILLEGAL)
		return (struct sbi_ret){SBI_ERR_NOT_SUPPORTED, 0};
	if (x[10] > 1)
		return (struct sbi_ret){SBI_ERR_INVALID_PARAM, 0};
	if (x[10])
		csr_set(CSR_MEDELEG, BIT(EXC_ILLEGAL_INSN));
	else
		csr_clear(CSR_MEDELEG, BIT(EXC_ILLEGAL_INSN));
	return (struct sbi_ret){SBI_SUCCESS, was};
}

/*
 * Chapter 5: the calls of version 0.1, for old kernels. They return in a0 alone, and name harts by
 * the virtual address of a bit vector. false: S-mode gets the fault of reading it.
 */
static bool read_mask(struct fw_hart *hart, uint64_t *set)
{
	uint64_t address = hart->x[10], mask = 0;
	struct trap trap;
	uint8_t byte;

	*set = harts_present;
	if (!address)
		return true;
	for (unsigned i = 0; i < sizeof(mask); i++) {
		if (!access_load(hart, address + i, &byte, &trap)) {
			trap_redirect(hart, &trap);
			return false;
		}
		mask |= (uint64_t)byte << 8 * i;
	}
	*set &= mask;
	return true;
}

static bool legacy_masked(struct fw_hart *hart, uint64_t extension)
{
	uint64_t set;

	if (!read_mask(hart, &set))
		return false;
	/* These calls know no error: a range that makes no sense flushes everything. */
	if (extension == SBI_EXT_SEND_IPI) {
		ipi_send(set);
		return true;
	}
	set_fence(hart, extension - SBI_EXT_REMOTE_FENCE_I + SBI_RFENCE_FENCE_I, &hart->x[11]);
	if (rfence_call(hart, set) != SBI_SUCCESS) {
		hart->fence.size = ~UINT64_C(0);
		rfence_call(hart, set);
	}
	return true;
}

/* false: S-mode goes on in its trap handler. */
static bool legacy_call(struct fw_hart *hart, uint64_t extension)
{
	uint64_t *x = hart->x;
	uint64_t result = SBI_SUCCESS;

	switch (extension) {
	case SBI_EXT_SET_TIMER:
		set_timer(hart, x[10]);
		break;
	case SBI_EXT_CONSOLE_PUTCHAR:
		console_put((uint8_t)x[10]);
		break;
	case SBI_EXT_CONSOLE_GETCHAR:
		result = (uint64_t)(int64_t)console_get();
		break;
	case SBI_EXT_CLEAR_IPI:
		result = csr_read(CSR_MIP) >> IRQ_S_SOFT & 1;
		csr_clear(CSR_MIP, BIT(IRQ_S_SOFT));
		break;
	case SBI_EXT_SHUTDOWN:
		/* It does not return, even if the machine cannot be ended (5.9). */
		machine_reset(SBI_SRST_SHUTDOWN, SBI_SRST_REASON_NONE);
		harts_halt(hart);
	default:
		if (!legacy_masked(hart, extension))
			return false;
	}
	x[10] = result;
	return true;
}

static struct sbi_ret call(struct fw_hart *hart, uint64_t extension)
{
	switch (extension) {
	case SBI_EXT_BASE:
		return base_call(hart->x);
	case SBI_EXT_TIME:
		return (struct sbi_ret){time_call(hart), 0};
	case SBI_EXT_IPI:
		return (struct sbi_ret){ipi_call(hart->x), 0};
	case SBI_EXT_RFENCE:
		return (struct sbi_ret){fence_call(hart), 0};
	case SBI_EXT_HSM:
		return hsm_call(hart);
	case SBI_EXT_SRST:
		return srst_call(hart);
	case SBI_EXT_DBCN:
		return dbcn_call(hart);
	case SBI_EXT_PMU:
		return pmu_call(hart);
	case FW_EXT_PILAE:
		return pilae_call(hart->x);
	default:
		return (struct sbi_ret){SBI_ERR_NOT_SUPPORTED, 0};
	}
}

void sbi_handle(struct fw_hart *hart)
{
	uint64_t extension = hart->x[17];

	if (extension <= SBI_EXT_SHUTDOWN) {
		if (legacy_call(hart, extension))
			hart->mepc += 4;
		return;
	}

	struct sbi_ret ret = call(hart, extension);

	hart->x[10] = (uint64_t)ret.error;
	hart->x[11] = ret.value;
	hart->mepc += 4;
}

/* SPDX-License-Identifier: MIT */
/* What each mode may do: privileged instructions, CSRs, counters, FS. */
#include "guests/selftest/test.h"

static void expect_illegal(uint32_t insn, bool user, const char *what)
{
	/* QEMU 7.2 lets csrrs of a read-only CSR pass when the register holds 0. */
	insn_exec2(insn, 0, 1, user);
	expect_trap(EXC_ILLEGAL_INSN, insn, "%s (0x%x)%s", what, insn, user ? " in U" : "");
	expect_eq(hart_self()->trap.epc, insn_address(), "sepc of %s", what);
}

static void machine_insns(void)
{
	for (int user = 0; user < 2; user++) {
		/* QEMU gives the bits of an instruction that faulted before as stval of an mret. */
		insn_exec2(INSN_MRET, 0, 0, user);
		expect_eq(hart_self()->trap.cause, EXC_ILLEGAL_INSN, "cause of mret");
		expect_eq(hart_self()->trap.epc, insn_address(), "sepc of mret");
		expect_illegal(0x00200073, user, "uret");
		expect_illegal(0x7b200073, user, "dret");
		expect_illegal(0x70200073, user, "mnret");
	}
}

static void user_insns(void)
{
	expect_illegal(INSN_SRET, true, "sret");
	expect_illegal(INSN_WFI, true, "wfi");
	expect_illegal(INSN_SFENCE, true, "sfence.vma");
	expect_illegal(INSN_SFENCE | 10U << 15 | 11U << 20, true, "sfence.vma a0, a1");
	if (machine_has("svinval"))
		expect_illegal(0x16000073, true, "sinval.vma");
}

static void user_csrs(void)
{
	static const uint16_t csrs[] = {CSR_SSTATUS,  CSR_SIE,  CSR_STVEC,  CSR_SCOUNTEREN,
					CSR_SSCRATCH, CSR_SEPC, CSR_SCAUSE, CSR_STVAL,
					CSR_SIP,      CSR_SATP, CSR_SENVCFG};

	for (size_t i = 0; i < ARRAY_SIZE(csrs); i++)
		for (uint32_t f3 = 1; f3 < 8; f3++)
			if (f3 != 4)
				expect_illegal(insn_csr(f3, csrs[i], 12, 0), true,
					       "supervisor CSR");
}

/* Machine CSRs, custom ones and holes; in every form of access. */
static void absent_csrs(void)
{
	static const uint16_t csrs[] = {
	    0x300, 0x301, 0x302, 0x303, 0x304, 0x305, 0x306, 0x30a, 0x320, 0x340, 0x341,
	    0x342, 0x343, 0x344, 0x3a0, 0x3b0, 0x7a8, 0x7b0, 0x7b1, 0xb00, 0xb02, 0xf11,
	    0xf12, 0xf13, 0xf14, 0xf15, 0x747, 0x7c0, 0x5c0, 0x9c0, 0x800, 0xcc0, 0x1ff,
	    0x101, 0x102, 0x103, 0x107, 0x145, 0x181, 0xdc0, 0x004, 0x040, 0xfff,
	};

	for (int user = 0; user < 2; user++)
		for (size_t i = 0; i < ARRAY_SIZE(csrs); i++) {
			expect_illegal(insn_csr(2, csrs[i], 12, 0), user, "csrr");
			expect_illegal(insn_csr(1, csrs[i], 0, 11), user, "csrw");
			expect_illegal(insn_csr(3, csrs[i], 12, 11), user, "csrrc");
			expect_illegal(insn_csr(6, csrs[i], 0, 1), user, "csrsi");
		}
}

static void read_only_csrs(void)
{
	static const uint16_t csrs[] = {CSR_CYCLE, CSR_TIME, CSR_INSTRET};

	csr_write(CSR_SCOUNTEREN, 7);
	for (int user = 0; user < 2; user++)
		for (size_t i = 0; i < ARRAY_SIZE(csrs); i++) {
			expect_illegal(insn_csr(1, csrs[i], 0, 0), user, "csrw of a counter");
			expect_illegal(insn_csr(2, csrs[i], 12, 11), user, "csrrs of a counter");
			expect_illegal(insn_csr(7, csrs[i], 12, 1), user, "csrrci of a counter");
			insn_exec2(insn_csr(2, csrs[i], 12, 0), 0, 0, user);
			expect(insn_completed(), "read of 0x%x failed: cause %lu", csrs[i],
			       hart_self()->trap.cause);
		}
}

static void hypervisor_csrs(void)
{
	static const uint16_t csrs[] = {
	    CSR_HSTATUS, CSR_HEDELEG, CSR_HIDELEG,  CSR_HIE,  CSR_HTIMEDELTA, CSR_HCOUNTEREN,
	    CSR_HGEIE,   CSR_HENVCFG, CSR_HTVAL,    CSR_HIP,  CSR_HVIP,       CSR_HTINST,
	    CSR_HGATP,   CSR_HGEIP,   CSR_VSSTATUS, CSR_VSIE, CSR_VSTVEC,     CSR_VSSCRATCH,
	    CSR_VSEPC,   CSR_VSCAUSE, CSR_VSTVAL,   CSR_VSIP, CSR_VSATP,      CSR_VSTIMECMP,
	};

	if (machine_has("h")) {
		test_skip("this machine has H");
		return;
	}
	for (int user = 0; user < 2; user++)
		for (size_t i = 0; i < ARRAY_SIZE(csrs); i++) {
			/* OpenSBI emulates this one for everybody. */
			if (machine.opensbi && csrs[i] == CSR_HTIMEDELTA)
				continue;
			expect_illegal(insn_csr(2, csrs[i], 12, 0), user, "hypervisor CSR");
			expect_illegal(insn_csr(1, csrs[i], 0, 11), user, "hypervisor CSR");
		}
}

static void hypervisor_insns(void)
{
	static const uint32_t insns[] = {
	    0x22000073, 0x62000073, /* hfence.vvma, hfence.gvma */
	    0x22b50073, 0x62b50073, 0x60054673, 0x60154673,
	    0x64054673, 0x64154673, 0x64354673, 0x68054673, /* hlv.b to .w */
	    0x68154673, 0x68354673, 0x6c054673,             /* .wu, hlvx.wu, .d */
	    0x62b54073, 0x66b54073, 0x6ab54073, 0x6eb54073, /* hsv.b to .d */
	    0x26000073, 0x66000073,                         /* hinval.vvma, .gvma */
	};

	if (machine_has("h")) {
		test_skip("this machine has H");
		return;
	}
	for (int user = 0; user < 2; user++)
		for (size_t i = 0; i < ARRAY_SIZE(insns); i++)
			expect_illegal(insns[i], user, "hypervisor instruction");
}

static void counters(void)
{
	static const struct {
		uint16_t csr, bit;
	} counter[] = {{CSR_CYCLE, 1}, {CSR_TIME, 2}, {CSR_INSTRET, 4}};

	for (uint64_t enabled = 0; enabled < 8; enabled++) {
		csr_write(CSR_SCOUNTEREN, enabled);
		for (size_t i = 0; i < ARRAY_SIZE(counter); i++) {
			uint32_t insn = insn_csr(2, counter[i].csr, 12, 0);

			insn_exec2(insn, 0, 0, false);
			expect(insn_completed(), "0x%x in S with scounteren %lu", counter[i].csr,
			       enabled);
			/* When it is closed: time_closed. */
			if (!(enabled & COUNTEREN_TM) && counter[i].csr == CSR_TIME)
				continue;
			insn_exec2(insn, 0, 0, true);
			if (enabled & counter[i].bit)
				expect(insn_completed(), "0x%x in U with scounteren %lu: cause %lu",
				       counter[i].csr, enabled, hart_self()->trap.cause);
			else
				expect_trap(EXC_ILLEGAL_INSN, insn, "0x%x in U with scounteren %lu",
					    counter[i].csr, enabled);
		}
	}
}

/* A guest whose user mode runs in the host's sees what OpenSBI does: it emulates the reading of
 * `time` whatever scounteren says. */
static void time_closed(void)
{
	uint32_t insn = insn_csr(2, CSR_TIME, 12, 0);

	csr_write(CSR_SCOUNTEREN, COUNTEREN_CY | COUNTEREN_IR);
	insn_exec2(insn, 0, 0, true);
	if (insn_completed())
		test_skip("the firmware reads it for user mode");
	else
		expect_trap(EXC_ILLEGAL_INSN, insn, "time in U with scounteren.TM clear");
}

static void counters_advance(void)
{
	uint64_t time = csr_read(CSR_TIME), cycle = csr_read(CSR_CYCLE),
		 instret = csr_read(CSR_INSTRET);

	test_delay(2);
	expect(csr_read(CSR_TIME) - time < machine.timebase * 60, "time jumped");
	expect(csr_read(CSR_TIME) > time, "time stands still");
	expect(csr_read(CSR_CYCLE) > cycle, "cycle stands still");
	expect(csr_read(CSR_INSTRET) > instret, "instret stands still");
	time = csr_read(CSR_TIME);
	for (int i = 0; i < 10000; i++) {
		uint64_t now = csr_read(CSR_TIME);

		expect(now >= time, "time went back by %lu", time - now);
		time = now;
	}
}

static void stimecmp(void)
{
	if (machine_has("sstc")) {
		insn_exec2(insn_csr(2, CSR_STIMECMP, 12, 0), 0, 0, false);
		expect(insn_completed(), "Sstc is there, but stimecmp gives cause %lu",
		       hart_self()->trap.cause);
	} else {
		expect_illegal(insn_csr(2, CSR_STIMECMP, 12, 0), false, "stimecmp");
	}
	expect_illegal(insn_csr(2, CSR_STIMECMP, 12, 0), true, "stimecmp");
}

/* Instructions that need FS: all illegal when it is off, in both modes. */
static void fs_off(void)
{
	static const uint32_t insns[] = {
	    0x00053087, 0x00153027, 0x00052087, 0x00152027, /* fld, fsd, flw, fsw */
	    0x02208053, 0xf2050053, 0xe2008553,             /* fadd.d, fmv.d.x, fmv.x.d */
	    0x003025f3, 0x00301073, 0x001025f3, 0x002025f3, /* frcsr, fscsr, frflags, frrm */
	    0x2100,     0xa100,                             /* c.fld, c.fsd */
	};

	for (int user = 0; user < 2; user++)
		for (size_t i = 0; i < ARRAY_SIZE(insns); i++) {
			csr_clear(CSR_SSTATUS, SSTATUS_FS);
			insn_exec2(insns[i], machine.heap, 0, user);
			expect_trap(EXC_ILLEGAL_INSN, insns[i], "FS off, user %d", user);
			csr_set(CSR_SSTATUS, SSTATUS_FS);
			insn_exec2(insns[i], machine.heap, 0, user);
			expect(insn_completed(), "FS on, user %d, 0x%x: cause %lu", user, insns[i],
			       hart_self()->trap.cause);
		}
}

static void fs_dirty(void)
{
	uint64_t status;

	csr_clear(CSR_SSTATUS, SSTATUS_FS | SSTATUS_VS);
	csr_set(CSR_SSTATUS, XS_CLEAN << SSTATUS_FS_SHIFT);
	expect_eq(csr_read(CSR_SSTATUS) & SSTATUS_FS, XS_CLEAN << SSTATUS_FS_SHIFT, "clean");
	expect_eq(csr_read(CSR_SSTATUS) >> 63, 0, "SD when clean");
	insn_exec2(0xf20500d3, 5, 0, false); /* fmv.d.x f1, a0 */
	status = hart_self()->trap.status;
	expect_eq(status & SSTATUS_FS, SSTATUS_FS, "FS after a write");
	expect_eq(status >> 63, 1, "SD after a write");
	csr_clear(CSR_SSTATUS, SSTATUS_FS);
	csr_set(CSR_SSTATUS, XS_INITIAL << SSTATUS_FS_SHIFT);
	insn_exec2(0x00301073 | 10U << 15, 0x20, 0, true); /* fscsr a0 */
	expect_eq(hart_self()->trap.status & SSTATUS_FS, SSTATUS_FS, "FS after a write in U");
}

static void vs_off(void)
{
	static const uint32_t insns[] = {0x0c0575d7 /* vsetvli a1, a0, e8 */,
					 0xc20025f3 /* csrr vl */, 0x02050007 /* vle8.v */};

	csr_clear(CSR_SSTATUS, SSTATUS_VS);
	for (int user = 0; user < 2; user++)
		for (size_t i = 0; i < ARRAY_SIZE(insns); i++) {
			insn_exec2(insns[i], machine.heap, 0, user);
			expect_trap(EXC_ILLEGAL_INSN, insns[i], "VS off, user %d", user);
		}
	if (machine_has("v"))
		return;
	/* QEMU 7.2 has the field all the same. */
	csr_set(CSR_SSTATUS, SSTATUS_VS);
	insn_exec2(insns[0], machine.heap, 0, false);
	expect_trap(EXC_ILLEGAL_INSN, insns[0], "vsetvli without V");
}

static const struct test tests[] = {
    {"machine-insns", machine_insns},
    {"user-insns", user_insns},
    {"user-csrs", user_csrs},
    {"absent-csrs", absent_csrs},
    {"read-only-csrs", read_only_csrs},
    {"hypervisor-csrs", hypervisor_csrs},
    {"hypervisor-insns", hypervisor_insns},
    {"counters", counters},
    {"time-closed", time_closed},
    {"counters-advance", counters_advance},
    {"stimecmp", stimecmp},
    {"fs-off", fs_off},
    {"fs-dirty", fs_dirty},
    {"vs-off", vs_off},
};
TEST_GROUP(priv, tests);

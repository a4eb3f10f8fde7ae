/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_SOFT_SOFT_H
#define ENGINE_SOFT_SOFT_H

/*
 * Between the files of the soft engine. A guest's S-mode and U-mode both run in the hart's
 * U-mode, on shadow page tables (shadow.h); its supervisor CSRs are memory (csr.h), and its
 * privileged instructions are emulated, in runs where that pays (interp.h, code.h).
 */

#include "engine/engine.h"
#include "engine/soft/csr.h"
#include "engine/soft/shadow.h"
#include "riscv/csr.h"

struct block_cache;
struct code;

/*
 * The guest's privilege. switch.S compares it with scause: what traps as a breakpoint in S-mode
 * may be one of its sites; a cause of 0, an instruction's address that is not even, there is not.
 */
#define SOFT_U 0
#define SOFT_S EXC_BREAKPOINT

/* How the guest's accesses are translated, by its privilege, sstatus.SUM and sstatus.MXR. */
enum soft_view {
	VIEW_U,   /* its U-mode */
	VIEW_S,   /* its S-mode */
	VIEW_SUM, /* its S-mode with SUM: pages of U-mode can be read and written too */
	VIEW_MXR, /* added to the others: what can be executed can be read */
};

/*
 * A short run of privileged instructions that is executed right behind the trap (switch.S), at
 * the guest's pc. What is known here is true as long as the shadow's code_generation stays.
 */
struct soft_fast_op {
	int32_t handler; /* its low address bits, which the others follow from */
	int16_t csr;     /* where it is, from struct vcpu on; an immediate */
	uint16_t offset; /* of the instruction from pc */
};

#define SOFT_FAST_OPS   15
#define SOFT_FAST_SITES 1024

struct soft_fast_site {
	uint64_t pc;
	struct soft_fast_op ops[SOFT_FAST_OPS];
};

_Static_assert(sizeof(struct soft_fast_site) == 128 && SOFT_FAST_SITES == 1024,
	       "known to fast_ops.h");

/* A site's pc, where there is none: no instruction lies at an odd address. */
#define SOFT_SITE_NONE UINT64_MAX

#define SOFT_FENCES  16
#define SOFT_DEVICES 32

/* A root that may be switched to without more ado while the shadow's version stays. */
struct soft_fast_root {
	uint64_t version;
	uint64_t host_satp;
	struct shadow_root *root;
	uint64_t view;
};

/*
 * A vCPU's part that only this engine knows; aligned to a page. The assembly finds what it uses of
 * it by its distance from struct vcpu: see struct soft_block.
 */
struct soft_vcpu {
	struct soft_csrs csrs;
	uint64_t privilege;   /* SOFT_U or SOFT_S */
	uint64_t fp_fields;   /* of SSTATUS_FS and SSTATUS_VS, those the guest has */
	uint64_t writable;    /* all fields of sstatus that it can write */
	uint64_t read_fields; /* those that are as in the hart's sstatus when the guest reads it */
	uint64_t unsaved_fp;  /* of their low bits: it was Dirty when the guest said it was not */
	uint64_t scratch, stash; /* fast_ops.S's */

	/*
	 * SFENCE.VMAs for one address of all ASIDs that fast_ops.S has taken, in VIEW_S, for C to
	 * do before it does anything else: addresses of the lower half, of which the root of that
	 * view translates none (else low_pages is set). So they are about other roots.
	 */
	uint64_t low_pages;
	uint64_t fence_count;
	uint64_t fences[SOFT_FENCES];

	/* The translation in use: what it was selected for, and the hart's satp for it. */
	uint64_t satp, view, host_satp;
	struct soft_fast_root fast[VIEW_MXR]; /* for the views before that, with the satp in use */
	/* SOFT_FAST_SITES of them; the pair whose turn it is (fast.c), for which code_generation */
	struct soft_fast_site *sites;
	uint64_t site_places, site_generation;
	struct shadow shadow;

	/*
	 * For the interpreter's loads and stores (access_inline.h): an address is canonical if it
	 * is below the limit with the bias added. A limit of 0: there are none.
	 */
	uint64_t access_bias, access_limit;

	uint64_t counteren, envcfg; /* what the hart's scounteren and senvcfg hold */
	bool opened; /* in S-mode they are as that demands; until it does, as U-mode has them */
	uint64_t unsaved; /* as unsaved_fp; whole fields */
	struct gspace_cache backing;
	struct block_cache *blocks;

	/* The page fault that its U-mode had last: its page is filled when it goes on there. */
	bool refill;
	uint8_t refill_kind; /* enum access_kind */
	gva_t refill_address;
	/* Pages where no memory was found: soft_quick_fault() is not for them. */
	uint64_t devices[SOFT_DEVICES];
	bool waits;          /* it executed WFI */
	uint64_t doubted_pc; /* where the hart refused something else than is there */
	unsigned doubts;     /* how often, one after the other */
	uint64_t executed;   /* traps of privileged instructions, when it last read such code */

	struct trampoline *trampoline; /* for when vcpu->trampoline is not NULL */
	unsigned pin;                  /* its place; engine/soft/pin.h */
};

/*
 * How a vCPU lies in memory: where tp points at struct vcpu, the other part is within reach of an
 * instruction's offset, so that it needs no register.
 */
struct soft_block {
	struct soft_vcpu soft;
	struct vcpu vcpu;
};

#define SOFT_REACH 2048

_Static_assert(offsetof(struct soft_block, vcpu) -
		       offsetof(struct soft_block, soft.csrs.sscratch) <=
		   SOFT_REACH,
	       "switch.S reaches all of it but the empty page");

/*
 * Of shadow->work, after one trap: interrupts are off meanwhile. From then on nothing more is
 * interpreted; what need not be done is left from the half of it on.
 */
#define SOFT_WORK_MAX 24
#define SOFT_DECODING 10 /* a block, or a site */

/* engine/soft/hart.c */
bool soft_init_hart(void);
bool soft_can_use(const struct hart *hart);
void soft_limit_isa(struct isa *isa);
uint64_t soft_asid_max(void);           /* the largest ASID that all harts have */
void soft_write_envcfg(uint64_t value); /* senvcfg, where this hart has one */

/* engine/soft/vcpu.c: engine.h says what they do. */
void soft_log_use(const struct guest *guest, const char *name);
uint64_t soft_overhead(uint64_t ram_size, uint32_t vcpus);
int soft_guest_init(struct guest *guest, unsigned address_bits);
int soft_vcpu_init(struct vcpu *vcpu);
void soft_vcpu_reset(struct vcpu *vcpu, uint64_t pc, uint64_t argument, bool resumed);
void soft_load(struct vcpu *vcpu);
void soft_put(struct vcpu *vcpu);
void soft_write_fp(struct vcpu *vcpu, unsigned n, uint64_t value);

/* The bound for the shadow tables of all vCPUs and the rewritten code together, in 4 KiB pages. */
uint64_t soft_table_pages(const struct guest *guest);

/*
 * Makes the hart use the translations of the guest's present satp, privilege, SUM and MXR: after
 * each of these may have changed; and what its scounteren and senvcfg say. engine/soft/vcpu.c
 */
void soft_update(struct vcpu *vcpu);
void soft_update_environment(struct vcpu *vcpu);

/*
 * The guest's S-mode met an illegal instruction: if it was so because of what its U-mode has of
 * scounteren and senvcfg, this has changed now (true), and it is to try again.
 */
bool soft_open_environment(struct vcpu *vcpu);

/* The same after the shadow tables were emptied or given another layout. */
void soft_update_after_flush(struct vcpu *vcpu);

/* The guest takes an exception. */
void soft_inject(struct vcpu *vcpu, uint64_t cause, uint64_t value);

/* Leaves the guest for the run loop. engine/soft/run.c */
void soft_leave(struct vcpu *vcpu, const struct exit *exit) __noreturn;
void soft_leave_for_nothing(struct vcpu *vcpu) __noreturn;

/*
 * engine/soft/fault.c: a page fault in the guest; `cause` as in scause. Returns to enter it: what
 * it was, for the statistics.
 */
enum exit_class soft_page_fault(struct vcpu *vcpu, uint64_t cause, gva_t va);

/* The same for an access that the run loop has to look at. */
void soft_leave_for_access(struct vcpu *vcpu, enum access_kind kind, gpa_t gpa, gva_t gva)
    __noreturn;

/* Where a page is noted in which no memory was found. Kernels leave pages between devices. */
static inline uint64_t *soft_device_place(struct soft_vcpu *soft, gva_t va)
{
	uint64_t page = va.v >> PAGE_SHIFT;

	return &soft->devices[(page ^ page >> 5) % SOFT_DEVICES];
}

/* Whether no memory was found lately where the guest faulted. */
static inline bool soft_is_device(struct soft_vcpu *soft, gva_t va)
{
	return *soft_device_place(soft, va) == va.v >> PAGE_SHIFT;
}

/*
 * fast_ops.S: the same right behind the trap, in the resident layout, as far as it is plain: the
 * page was filled; or the guest was given the fault, and sepc is where it goes on. Or nothing was
 * done, and soft_page_fault() has to do it.
 */
enum soft_fault_result { SOFT_FAULT_LEFT, SOFT_FAULT_FILLED, SOFT_FAULT_INJECTED };
enum soft_fault_result soft_quick_fault(struct vcpu *vcpu);

/*
 * engine/soft/device.c: the instruction at pc, as the hart has fetched it for a load or a store
 * that faulted, unless it was changed since. 0: it cannot be read so.
 */
uint32_t soft_read_instruction(const struct vcpu *vcpu);

/*
 * engine/soft/device.c: performs the guest's load or store at pc, of what a device that the
 * hypervisor emulates has at `gpa`, and goes past it. false: it is none that is done so easily, and
 * nothing has been done.
 */
bool soft_access_device(struct vcpu *vcpu, enum access_kind kind, gpa_t gpa);

/*
 * The same for a page fault (`cause` as in scause) in a page where a device answered before. Leaves
 * for the run loop where it is not done so easily. false: it is no such page.
 */
bool soft_quick_access(struct vcpu *vcpu, uint64_t cause, gva_t va);

/* An interrupt, by its scause, that the guest takes, for the statistics. engine/soft/run.c */
void soft_count_interrupt(struct vcpu *vcpu, uint64_t cause);

/*
 * fast_ops.S calls C: what was done is counted in shadow.work from here on, unless it has been
 * since a page fault of the same trap.
 */
static inline void soft_begin_quickly(struct vcpu *vcpu)
{
	if (csr_read(CSR_SCAUSE) <= EXC_ECALL_U)
		vcpu->soft->shadow.work = 0;
}

/*
 * fast_ops.S: SRET to the guest's U-mode, in the resident layout: changes the privilege, and makes
 * the hart use what belongs to it. engine/soft/run.c
 */
void soft_enter_user(struct vcpu *vcpu);

/* Does the fences that fast_ops.S has put off. engine/soft/run.c */
void soft_do_fences(struct vcpu *vcpu);

/*
 * fast_ops.S: SFENCE.VMA for one address of all ASIDs, in the resident layout. false: nothing was
 * done, and it is to be executed as others are. engine/soft/fault.c
 */
bool soft_fence_page(struct vcpu *vcpu, gva_t va);

/* Fills what the last page fault of U-mode was about, if that is possible now. */
void soft_refill(struct vcpu *vcpu);

/* The context for walk_address() of the guest's own accesses at present. */
struct walk_context;
struct walk_context soft_walk_context(const struct vcpu *vcpu);

/*
 * Where what the guest may read at `gpa` lies, RAM or not; false: nothing is mapped there.
 * engine/soft/memory.c
 */
bool soft_find_memory(struct vcpu *vcpu, gpa_t gpa, hpa_t *hpa);

/* engine/soft/memory.c; engine.h: fetch, waits_at_wrs, read_word. */
int soft_fetch(struct vcpu *vcpu, uint32_t *bits);
bool soft_waits_at_wrs(struct vcpu *vcpu);
int soft_read_word(struct vcpu *vcpu, gva_t address, uint64_t *word, struct exit_access *fault);

/* engine/soft/emulate.c: the guest is at an instruction that is illegal in the hart's U-mode. */
void soft_illegal_instruction(struct vcpu *vcpu, uint64_t value);

/* A breakpoint: a genuine one, or a privileged instruction that was replaced. */
void soft_breakpoint(struct vcpu *vcpu, uint64_t value);

/*
 * Interprets what there is to interpret at pc: at a replaced instruction, and after a trap into
 * the guest's handler. Whether anything was executed.
 */
bool soft_run_blocks(struct vcpu *vcpu);

/*
 * A fault at the last page, which has the guest's CSRs (pilae,fast-csr), but not now: does what the
 * access stands for. false: it stands for nothing.
 */
bool soft_emulate_access(struct vcpu *vcpu);

/* engine/soft/switch.S */
void soft_enter(struct vcpu *vcpu) __noreturn;
void soft_trapped(struct vcpu *vcpu, uint64_t cause, uint64_t value);

#endif

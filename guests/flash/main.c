/* SPDX-License-Identifier: MIT */
/* A guest that checks its flash, and then does it no good. See README.md. */
#include "guests/lib/console.h"
#include "guests/lib/insn.h"
#include "guests/lib/machine.h"
#include "guests/lib/memory.h"
#include "guests/lib/paging.h"
#include "guests/lib/sync.h"
#include "guests/lib/trap.h"

#define BANK       UINT64_C(0x22000000)
#define SECTOR     KIB(256)
#define BUFFER     KIB(4)
#define IMAGE_SIZE MIB(1) /* what it holds at first; erased from there on */

#define STATUS_READY  0x800080U
#define STATUS_ERRORS 0x300030U

#define WORDS(value) ((value) * 0x10001U)

/* l… a0, (a1) and s… a0, (a1) */
#define LOAD(funct3)  insn_i(OP_LOAD, funct3, REG_A0, 11, 0)
#define STORE(funct3) insn_s(OP_STORE, funct3, 11, REG_A0, 0)

static unsigned failures;

static void report(const char *name, const char *wrong)
{
	if (wrong)
		print("not ok %s: %s\n", name, wrong);
	else
		print("ok %s\n", name);
	failures += wrong != NULL;
}

static volatile uint32_t *word(uint64_t offset)
{
	return (volatile uint32_t *)(BANK + offset);
}

/* Two devices side by side get the same command. */
static void command(uint64_t offset, uint32_t byte)
{
	*word(offset) = WORDS(byte);
}

static uint32_t pattern(uint64_t offset)
{
	return (uint32_t)(offset / 4 * 2654435761U + 12345);
}

static bool wait_ready(uint64_t offset)
{
	bool ready = wait_until((*word(offset) & STATUS_READY) == STATUS_READY, 2000);

	return ready && !(*word(offset) & STATUS_ERRORS);
}

static bool erase(uint64_t offset)
{
	bool good;

	command(offset, 0x60);
	command(offset, 0xd0);
	command(offset, 0x20);
	command(offset, 0xd0);
	good = wait_ready(offset);
	command(0, 0xff);
	return good;
}

static bool program(uint64_t offset, uint32_t value)
{
	bool good;

	command(offset, 0x40);
	*word(offset) = value;
	good = wait_ready(offset);
	command(0, 0xff);
	return good;
}

static bool program_buffer(uint64_t offset, const uint32_t *values, uint32_t count)
{
	bool good;

	command(offset, 0xe8);
	if (!wait_ready(offset))
		return false;
	*word(offset) = WORDS(count - 1);
	for (uint32_t i = 0; i < count; i++)
		*word(offset + 4 * i) = values[i];
	command(offset, 0xd0);
	good = wait_ready(offset);
	command(0, 0xff);
	return good;
}

/*
 * What a driver does.
 */

static const char *check_contents(void)
{
	for (uint64_t offset = 0; offset < IMAGE_SIZE; offset += 4) {
		if (*word(offset) != pattern(offset))
			return "it does not hold its image";
	}
	for (uint64_t offset = IMAGE_SIZE; offset < MIB(32); offset += KIB(4)) {
		if (*word(offset) != UINT32_MAX)
			return "what is behind the image is not erased";
	}
	return *(volatile uint64_t *)(BANK + 8) == (pattern(8) | (uint64_t)pattern(12) << 32)
		   ? NULL
		   : "eight bytes are not right";
}

static const char *check_query(void)
{
	bool good;

	command(0x55 * 4, 0x98);
	good = *word(0x10 * 4) == WORDS((uint32_t)'Q') && *word(0x11 * 4) == WORDS((uint32_t)'R') &&
	       *word(0x12 * 4) == WORDS((uint32_t)'Y') && *word(0x13 * 4) == WORDS(1U) &&
	       *word(0x27 * 4) == WORDS(24U) && *word(0x2a * 4) == WORDS(11U);
	command(0, 0xff);
	if (!good)
		return "there is no CFI table";
	command(0, 0x90);
	good = *word(0) == WORDS(0x89U) && *word(4) == WORDS(0x18U);
	command(0, 0x70);
	good = good && (*word(0) & STATUS_READY) == STATUS_READY;
	command(0, 0xff);
	if (!good)
		return "the identification is not right";
	return *word(0) == pattern(0) ? NULL : "it is no array again";
}

static const char *check_writes(void)
{
	static uint32_t values[BUFFER / 4];

	for (uint32_t i = 0; i < ARRAY_SIZE(values); i++)
		values[i] = ~pattern(4 * i);
	if (!erase(SECTOR))
		return "erasing fails";
	for (uint64_t offset = SECTOR; offset < 2 * SECTOR; offset += 4) {
		if (*word(offset) != UINT32_MAX)
			return "it is not erased";
	}
	if (*word(SECTOR - 4) != pattern(SECTOR - 4) || *word(2 * SECTOR) != pattern(2 * SECTOR))
		return "more than a sector is erased";
	if (!program(SECTOR + 4, 0x12345678) || *word(SECTOR + 4) != 0x12345678)
		return "a word is not programmed";
	if (*word(SECTOR) != UINT32_MAX || *word(SECTOR + 8) != UINT32_MAX)
		return "more than a word is programmed";
	if (!program_buffer(MIB(30), values, ARRAY_SIZE(values)))
		return "programming a buffer fails";
	for (uint32_t i = 0; i < ARRAY_SIZE(values); i++) {
		if (*word(MIB(30) + 4 * i) != values[i])
			return "the buffer is not programmed";
	}
	/* QEMU overwrites. */
	if (!machine.native &&
	    (!program(SECTOR + 4, 0xffff0000) || *word(SECTOR + 4) != 0x12340000))
		return "programming makes ones";
	return NULL;
}

/*
 * Code in flash.
 */

#define CODE  (MIB(16) + 0xff0) /* it goes on in the next page */
#define SPINS 100000

/* uint64_t sum(uint64_t from, const uint32_t *word, uint64_t times), with something privileged. */
static uint32_t sum_code[] = {
    0x100022f3, /*    csrr t0, sstatus */
    0x10029073, /*    csrw sstatus, t0 */
    0x0005e303, /* 1: lwu t1, (a1) */
    0x00650533, /*    add a0, a0, t1 */
    0xfff60613, /*    addi a2, a2, -1 */
    0xfe061ae3, /*    bnez a2, 1b */
    0x00008067, /*    ret */
};

typedef uint64_t sum_function(uint64_t from, const volatile uint32_t *at, uint64_t times);

static sum_function *sum_in_flash(void)
{
	return (sum_function *)(BANK + CODE);
}

static uint64_t spin(sum_function *sum, uint64_t *value)
{
	uint64_t start;

	/* The compiler knows better than to call what is data. */
	__asm__("" : "+r"(sum));
	*value = sum(7, word(SECTOR * 3), 10);
	start = time_now();
	*value = sum(7, word(SECTOR * 3), SPINS);
	return time_now() - start;
}

/* What the test makes of the times: from flash it takes no more than from RAM. */
static const char *check_code(void)
{
	uint64_t in_ram, in_flash, value, expected = 7 + pattern(SECTOR * 3) * (uint64_t)SPINS;

	if (!erase(CODE))
		return "erasing fails";
	for (uint32_t i = 0; i < ARRAY_SIZE(sum_code); i++) {
		if (!program(CODE + 4 * i, sum_code[i]))
			return "programming fails";
	}
	__asm__ volatile("fence.i" ::: "memory");
	in_ram = spin((sum_function *)sum_code, &value);
	in_flash = spin(sum_in_flash(), &value);
	print("flash: %lu ticks in RAM, %lu in flash\n", in_ram, in_flash);
	return value == expected ? NULL : "code in flash does not do what it should";
}

/* It is programmed anew: a copy of what was there must not be executed. */
static const char *check_new_code(void)
{
	uint64_t value;

	/* addi a2, a2, -1: ones can only become zeroes: addi a2, a2, -2. */
	if (machine.native)
		return NULL;
	if (!program(CODE + 16, 0xffe60613))
		return "programming fails";
	__asm__ volatile("fence.i" ::: "memory");
	value = sum_in_flash()(0, word(SECTOR * 3), 10);
	return value == pattern(SECTOR * 3) * UINT64_C(5) ? NULL : "old code is executed";
}

/*
 * What no driver does.
 */

static bool gets_fault(const struct trap_frame *trap, uint64_t cause, uint64_t address)
{
	return !insn_completed() && trap->cause == cause && trap->tval == address;
}

static const struct trap_frame *access(uint32_t insn, uint64_t offset, uint64_t value)
{
	uint64_t x[32] = {[REG_A0] = value, [REG_A1] = BANK + offset};

	return insn_exec(insn, x, false);
}

/* Every width and alignment is answered, and leaves the array as it is. */
static const char *check_odd(void)
{
	for (uint32_t f3 = 0; f3 < 7; f3++) {
		uint64_t size = 1U << (f3 & 3);

		for (uint64_t at = 0; at < 16; at += size) {
			uint64_t expected = 0, mask = ~UINT64_C(0) >> (64 - 8 * size);

			for (uint64_t i = 0; i < size; i++)
				expected |= (uint64_t)(uint8_t)(pattern((at + i) & ~UINT64_C(3)) >>
								8 * ((at + i) & 3))
					    << 8 * i;
			access(LOAD(f3), at, 0);
			if (!insn_completed() || ((hart_self()->trap.x[REG_A0] ^ expected) & mask))
				return "a load is not right";
		}
	}
	for (uint64_t at = 0; at < 8; at++) {
		access(STORE(3), at, 0x00ff00ff00ff00ff);
		if (!insn_completed() && at % 8 == 0)
			return "a store of eight bytes fails";
		command(0, 0xff);
		command(0, 0xff);
	}
	return *word(0) == pattern(0) ? NULL : "stores have changed it";
}

/* AMOs and SC are a load and a command. */
static const char *check_atomics(void)
{
	const struct trap_frame *trap = access(insn_amo(1, 2, 12, 11, 10), 0, WORDS(0x70U));

	if (!insn_completed() || (uint32_t)trap->x[12] != pattern(0))
		return "an AMO does not read the array";
	trap = access(insn_amo(1, 2, 12, 11, 10), 0, WORDS(0xffU));
	if (!insn_completed() || ((uint32_t)trap->x[12] & STATUS_READY) != STATUS_READY)
		return "an AMO's write is no command";
	access(insn_amo(2, 2, 12, 11, 0), 0, 0);
	access(insn_amo(3, 2, 12, 11, 10), 0, 0);
	command(0, 0xff);
	return *word(0) == pattern(0) ? NULL : "an SC has changed it";
}

/* While it takes commands it holds no code. (QEMU executes what it reads.) */
static const char *check_jump(void)
{
	const struct trap_frame *trap;

	if (machine.native)
		return NULL;
	sum_in_flash()(0, word(0), 2);
	command(0, 0x70);
	trap = trap_exec(BANK + CODE, NULL, false);
	if (!gets_fault(trap, EXC_INSN_ACCESS, BANK + CODE))
		return "status is executed";
	command(0, 0xff);
	return sum_in_flash()(0, word(0), 2) == pattern(0) ? NULL : "code is not there again";
}

#define TABLE MIB(20) /* of a page table: where nothing is programmed yet */

/* A page table in flash, whose A bits are set or not. */
static const char *check_table(void)
{
	uint64_t x[32] = {[REG_A1] = GIB(8) + 8}, leaf;
	const struct trap_frame *trap;
	struct paging paging;

	leaf = pte_make(BANK, PTE_V | PTE_R | PTE_A | PTE_D);
	if (!erase(TABLE) || !program(TABLE, (uint32_t)leaf) ||
	    !program(TABLE + 4, (uint32_t)(leaf >> 32)) ||
	    !program(TABLE + 8, (uint32_t)leaf & ~(uint32_t)PTE_A) ||
	    !program(TABLE + 12, (uint32_t)(leaf >> 32)))
		return "programming fails";
	paging_init_identity(&paging, 3);
	*paging_pte(&paging, GIB(8), 2) = pte_make(machine.heap, PTE_V);
	memset((void *)machine.heap, 0, PAGE_SIZE);
	*(uint64_t *)machine.heap = pte_make(BANK + TABLE, PTE_V);
	paging_on(&paging, 0);
	trap = insn_exec(LOAD(2), x, false);
	paging_off();
	if (!insn_completed() || (uint32_t)trap->x[REG_A0] != pattern(8))
		return "it cannot be read";
	/*
	 * A cannot be set there. (QEMU's hardware does, for a guest of the H extension: it forgets
	 * that the second stage does not allow it.) And then there is no table at all.
	 */
	x[REG_A1] += PAGE_SIZE;
	paging_on(&paging, 0);
	insn_exec(LOAD(2), x, false);
	command(0, 0x70);
	sfence_all();
	insn_exec(LOAD(2), x, false);
	command(0, 0xff);
	paging_off();
	if (insn_completed())
		return "status is a table";
	return (*word(TABLE + 8) ^ (uint32_t)leaf) & ~(uint32_t)(PTE_A | PTE_D) ? "it was changed"
										: NULL;
}

/*
 * Two harts: what one of them has done to the modes the other sees.
 */

#define ROUNDS 300

static volatile uint32_t phase, seen;
static const char *volatile other_wrong;

static void watch(void *argument)
{
	(void)argument;
	for (uint32_t round = 1; round <= 2 * ROUNDS; round++) {
		uint32_t value;

		while (__atomic_load_n(&phase, __ATOMIC_ACQUIRE) != round)
			;
		value = *word(SECTOR * 3);
		if (round % 2 ? value != STATUS_READY : value != pattern(SECTOR * 3))
			other_wrong = round % 2 ? "the other hart reads the array still"
						: "the other hart reads no array";
		if (round % 2 == 0 && sum_in_flash()(0, word(SECTOR * 3), 2) == 0)
			other_wrong = "the other hart executes something else";
		__atomic_store_n(&seen, round, __ATOMIC_RELEASE);
	}
}

static const char *check_harts(void)
{
	if (machine.hart_count < 2)
		return "there is one hart only";
	phase = seen = 0;
	hart_run(1, watch, NULL);
	for (uint32_t round = 1; round <= 2 * ROUNDS; round++) {
		command(0, round % 2 ? 0x70 : 0xff);
		__atomic_store_n(&phase, round, __ATOMIC_RELEASE);
		while (__atomic_load_n(&seen, __ATOMIC_ACQUIRE) != round)
			;
	}
	hart_join(1, 5000);
	return other_wrong;
}

/* Anything at all, in a part of the flash, and every hart at once. */

#define STORM (MIB(24))

static uint64_t storm(uint64_t seed, uint64_t count, uint64_t unused)
{
	static const uint8_t bytes[] = {0x10, 0x20, 0x40, 0x50, 0x60, 0x70,
					0x90, 0x98, 0xd0, 0xe8, 0xff};

	(void)unused;
	while (count--) {
		uint64_t random = random_next(&seed);
		uint64_t offset = STORM + (random & (MIB(1) - 1) & ~UINT64_C(7));
		uint64_t value = random >> 32 & 1 ? random : WORDS(bytes[random % sizeof(bytes)]);

		switch (random >> 40 & 7) {
		case 0:
			*(volatile uint8_t *)(BANK + offset + (random >> 50 & 7)) = (uint8_t)value;
			break;
		case 1:
			*(volatile uint64_t *)(BANK + offset) = value;
			break;
		case 2:
			__atomic_fetch_xor((uint32_t *)(BANK + offset), (uint32_t)value,
					   __ATOMIC_RELAXED);
			break;
		case 3:
			(void)*(volatile uint64_t *)(BANK + offset);
			break;
		default:
			*word(offset) = (uint32_t)value;
		}
	}
	return 0;
}

static void storm_on(void *argument)
{
	/* Code may be gone, or fetched from what was written. */
	trap_run(storm, (uint64_t)argument, 20000, 0);
}

static const char *check_storm(void)
{
	for (size_t i = 1; i < machine.hart_count; i++)
		hart_run(i, storm_on, (void *)(77 + i));
	storm(99, 20000, 0);
	for (size_t i = 1; i < machine.hart_count; i++) {
		if (!hart_join(i, 20000))
			return "a hart does not come back";
	}
	/* A command may be under way; what it is given leads nowhere. */
	for (uint32_t i = 0; i < 0x10003; i++)
		command(STORM, 0xff);
	if (*word(0) != pattern(0) || *word(SECTOR * 3) != pattern(SECTOR * 3))
		return "something else is changed";
	command(0, 0x50);
	return erase(STORM) && program(STORM, 1) && *word(STORM) == 1 ? NULL
								      : "it does not work again";
}

/*
 * Over a reboot: it keeps what was written, and is an array again.
 */

#define MARK (MIB(28))

static void reboot_once(void)
{
	if (*word(MARK) == 0x600dca5e) {
		report("reset", *word(MARK + 4) == UINT32_MAX && *word(0) == pattern(0)
				    ? NULL
				    : "it holds something else");
		return;
	}
	report("mark", program(MARK, 0x600dca5e) ? NULL : "programming fails");
	command(0, 0x70);
	print("flash: reboots\n");
	*(volatile uint32_t *)FINISHER_BASE = 0x7777;
	for (;;)
		;
}

/* Programs words with rising numbers for ever, and tells of each when it is done. */

#define MARKS (2 * SECTOR)

static void mark_on(void)
{
	uint32_t n = 0;

	if (*word(MARKS) == pattern(MARKS))
		erase(MARKS);
	while (*word(MARKS + 4 * n) != UINT32_MAX)
		n++;
	for (; n < SECTOR / 4; n++) {
		if (!program(MARKS + 4 * n, n + 1))
			break;
		print("mark %u\n", n + 1);
	}
	print("not ok marks\n");
}

static const struct {
	const char *name;
	const char *(*check)(void);
} checks[] = {
    {"contents", check_contents}, {"query", check_query},       {"writes", check_writes},
    {"code", check_code},         {"new-code", check_new_code}, {"odd", check_odd},
    {"atomics", check_atomics},   {"jump", check_jump},         {"table", check_table},
    {"harts", check_harts},       {"storm", check_storm},
};

void guest_main(void)
{
	char only[16];
	bool all = !machine_option("only", only, sizeof(only));

	if (machine_option("mark", only, sizeof(only)))
		mark_on();
	for (size_t i = 0; i < ARRAY_SIZE(checks) && *word(MARK) != 0x600dca5e; i++) {
		if (all || strcmp(only, checks[i].name) == 0)
			report(checks[i].name, checks[i].check());
	}
	if (machine_option("reboot", only, sizeof(only)))
		reboot_once();
	print("flash: %u not ok\n", failures);
	machine_shutdown(failures == 0);
}

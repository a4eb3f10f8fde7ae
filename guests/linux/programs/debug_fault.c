/* SPDX-License-Identifier: MIT */
/* Signals for what user mode may not do: each tells exactly what, and where. */
#define _GNU_SOURCE
#include "debug.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Often enough that whatever is done about code that traps a lot has been done. */
#define REPEATS 40

#define CSRR(csr)  ((uint32_t)(csr) << 20 | 2u << 12 | 10u << 7 | 0x73)
#define CSRWI(csr) ((uint32_t)(csr) << 20 | 5u << 12 | 0x73)

static const struct {
	const char *name;
	uint32_t bits;
} illegal[] = {
    {"zeroes", 0},
    {"custom-3", 0x7b},
    {"csrr sstatus", CSRR(0x100)},
    {"csrr sie", CSRR(0x104)},
    {"csrr stvec", CSRR(0x105)},
    {"csrr sscratch", CSRR(0x140)},
    {"csrr sepc", CSRR(0x141)},
    {"csrr scause", CSRR(0x142)},
    {"csrr stval", CSRR(0x143)},
    {"csrr sip", CSRR(0x144)},
    {"csrr stimecmp", CSRR(0x14d)},
    {"csrr satp", CSRR(0x180)},
    {"csrwi sscratch", CSRWI(0x140)},
    {"csrwi satp", CSRWI(0x180)},
    {"csrwi sstatus", CSRWI(0x100)},
    {"csrwi time", CSRWI(0xc01)},
    {"csrr custom s", CSRR(0x5c0)},
    {"csrr hstatus", CSRR(0x600)},
    {"csrr vsatp", CSRR(0x280)},
    {"csrr mstatus", CSRR(0x300)},
    {"csrr mhartid", CSRR(0xf14)},
    {"sret", 0x10200073},
    {"mret", 0x30200073},
    {"sfence.vma", 0x12000073},
    {"hlv.w", 0x68054573},
    {"c.unimp above", 0x9c41}, /* reserved in the quadrant of c.addw */
};
#define ILLEGAL (sizeof(illegal) / sizeof(illegal[0]))

static void run_code(const void *code)
{
	code_call(code);
}

static int expect(const char *what, const struct trap *trap, int signal, int code, uint64_t pc,
		  uint64_t address)
{
	if (trap->signal == signal && trap->code == code && trap->pc == pc &&
	    trap->address == address)
		return 0;
	return check_fail("%s: signal %d, si_code %d, si_addr %#lx, pc %#lx instead of %d, %d, "
			  "%#lx, %#lx",
			  what, trap->signal, trap->code, trap->address, trap->pc, signal, code,
			  address, pc);
}

/* After a c.nop, so that 4-byte instructions lie at addresses of both kinds. */
static void put_with_nop(char *at, uint32_t bits, bool nop)
{
	if (nop)
		code_put(at, INSN_C_NOP);
	at += nop ? 2 : 0;
	code_put(at, bits);
	code_put(at + code_length(bits), INSN_RET);
}

int check_illegal(void)
{
	char *code = code_map(ILLEGAL * 32);
	struct trap trap;

	for (unsigned i = 0; i < ILLEGAL; i++)
		put_with_nop(code + (size_t)i * 32, illegal[i].bits, i % 2);
	code_changed(code, ILLEGAL * 32);
	for (unsigned n = 0; n < REPEATS * ILLEGAL; n++) {
		unsigned i = n % ILLEGAL;
		char *at = code + (size_t)i * 32;
		uint64_t pc = (uint64_t)at + (i % 2 ? 2 : 0);

		if (!trap_catch(run_code, at, &trap))
			return check_fail("%s: was executed", illegal[i].name);
		TRY(expect(illegal[i].name, &trap, SIGILL, ILL_ILLOPC, pc, pc));
	}
	return 0;
}

/* An illegal instruction of 4 bytes, of which two are on another page. */
int check_illegal_across_pages(void)
{
	char *code = code_map(2 * (size_t)PAGE);
	char *at = code + PAGE - 2;
	struct trap trap;

	for (unsigned n = 0; n < REPEATS * ILLEGAL; n++) {
		uint32_t bits = illegal[n % ILLEGAL].bits;

		if (code_length(bits) == 2)
			continue;
		code_put(at, bits);
		code_put(at + 4, INSN_RET);
		code_changed(at, 8);
		if (!trap_catch(run_code, at, &trap))
			return check_fail("%s: was executed", illegal[n % ILLEGAL].name);
		TRY(expect(illegal[n % ILLEGAL].name, &trap, SIGILL, ILL_ILLOPC, (uint64_t)at,
			   (uint64_t)at));
	}
	return 0;
}

/* User mode's own ebreak and c.ebreak, among code that is executed in between. */
int check_own_breakpoints(void)
{
	char *code = code_map(PAGE);
	struct trap trap;

	for (unsigned i = 0; i < 32; i++)
		put_with_nop(code + (size_t)i * 32, i % 3 ? INSN_EBREAK : INSN_C_EBREAK, i % 2);
	code_return(code + 2048, 12345);
	code_changed(code, PAGE);
	for (unsigned n = 0; n < REPEATS * 32; n++) {
		char *at = code + (size_t)(n * 7 % 32) * 32;
		uint64_t pc = (uint64_t)at + (n * 7 % 2 ? 2 : 0);

		REQUIRE(trap_catch(run_code, at, &trap));
		TRY(expect("ebreak", &trap, SIGTRAP, TRAP_BRKPT, pc, pc));
		REQUIRE(code_call(code + 2048) == 12345);
	}
	return 0;
}

/*
 * Addresses that no process may use, of all translation modes: the kernel's own, canonical and
 * not. The first two are not mapped because of vm.mmap_min_addr.
 */
static const uint64_t bad_addresses[] = {
    0,
    0xff0,
    0x4000000000,
    0x7ffffffff000,
    0x800000000000,
    0x0100000000000000,
    0x4000000000000000,
    0x7ffffffffffff000,
    0x8000000000000000,
    0xff00000000000000,
    0xff60000000000000,
    0xfffeffffffffff00,
    0xffff800000000000,
    0xffff8000abcdef00,
    0xffffaf8000000000,
    0xffffffc000000000,
    0xffffffc800000000,
    0xffffffd800000000,
    0xffffffe000000000,
    0xffffffff00000000,
    0xffffffff80000000,
    0xffffffff80001000,
    0xffffffffc0000000,
    0xffffffffc0001ff0,
    0xfffffffffffff000,
    0xfffffffffffffff8,
};
#define BAD_ADDRESSES (sizeof(bad_addresses) / sizeof(bad_addresses[0]))

/* Of each kind one instruction that accesses a0, which must stay the first of its function. */
__asm__(".pushsection .text\n"
	".option push\n"
	".option norvc\n"
	"debug_load: ld a0, 0(a0)\n ret\n"
	"debug_load_byte: lbu a0, 0(a0)\n ret\n"
	"debug_store: sd zero, 0(a0)\n ret\n"
	"debug_amo: amoadd.d a0, zero, (a0)\n ret\n"
	"debug_reserve: lr.w a0, (a0)\n ret\n"
	"debug_jump: jr a0\n"
	".option pop\n"
	".popsection\n");
void debug_load(const void *at);
void debug_load_byte(const void *at);
void debug_store(const void *at);
void debug_amo(const void *at);
void debug_reserve(const void *at);
void debug_jump(const void *at);

static const struct {
	const char *name;
	void (*run)(const void *at);
} accesses[] = {
    {"load", debug_load}, {"byte", debug_load_byte}, {"store", debug_store},
    {"amo", debug_amo},   {"lr", debug_reserve},     {"jump", debug_jump},
};
#define ACCESSES (sizeof(accesses) / sizeof(accesses[0]))

static int check_bad_access(unsigned kind, uint64_t address)
{
	bool jump = accesses[kind].run == debug_jump;
	uint64_t pc = jump ? address : (uint64_t)accesses[kind].run;
	struct trap trap;

	if (!trap_catch(accesses[kind].run, (void *)address, &trap))
		return check_fail("%s at %#lx: no signal", accesses[kind].name, address);
	return expect(accesses[kind].name, &trap, SIGSEGV, SEGV_MAPERR, pc, address);
}

int check_kernel_addresses(void)
{
	for (unsigned n = 0; n < 5; n++) {
		for (unsigned i = 0; i < BAD_ADDRESSES; i++) {
			for (unsigned kind = 0; kind < ACCESSES; kind++)
				TRY(check_bad_access(kind, bad_addresses[i]));
		}
	}
	return 0;
}

/* An instruction of 4 bytes whose second half is missing, then is there, then may not be executed.
 */
int check_fetch_across_pages(void)
{
	char *code = code_map(2 * (size_t)PAGE);
	char *at = code + PAGE - 10, *second = code + PAGE;
	struct trap trap;

	for (int i = 0; i < REPEATS; i++) {
		REQUIRE(mprotect(second, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
		code_return(at, 0x12340000 + i);
		code_changed(at, CODE_RETURN_BYTES);
		REQUIRE(code_call(at) == 0x12340000 + i);
		REQUIRE(mprotect(second, PAGE, i % 2 ? PROT_NONE : PROT_READ) == 0);
		REQUIRE(trap_catch(run_code, at, &trap));
		TRY(expect("second half", &trap, SIGSEGV, SEGV_ACCERR, (uint64_t)at + 8,
			   (uint64_t)second));
	}
	return 0;
}

static const struct {
	int protection;
	bool load, store, execute;
} protections[] = {
    {PROT_NONE, false, false, false},
    {PROT_READ, true, false, false},
    {PROT_READ | PROT_WRITE, true, true, false},
    {PROT_READ | PROT_EXEC, true, false, true},
    {PROT_READ | PROT_WRITE | PROT_EXEC, true, true, true},
    {PROT_EXEC, false, false, true},
};

static int check_access(const char *what, void (*run)(const void *), char *at, bool allowed)
{
	bool jump = run == run_code;
	struct trap trap;

	if (!trap_catch(run, at, &trap))
		return allowed ? 0 : check_fail("%s was allowed", what);
	if (allowed)
		return check_fail("%s: signal %d, si_addr %#lx", what, trap.signal, trap.address);
	return expect(what, &trap, SIGSEGV, SEGV_ACCERR, jump ? (uint64_t)at : (uint64_t)run,
		      (uint64_t)at);
}

/* Each change of a page's protection holds from then on, in both directions. */
int check_protection(void)
{
	static const unsigned count = sizeof(protections) / sizeof(protections[0]);
	char *page = code_map(PAGE);

	code_return(page + 64, 77);
	code_changed(page, PAGE);
	for (unsigned n = 0; n < REPEATS * count; n++) {
		unsigned i = (n * n + n / count) % count;

		REQUIRE(mprotect(page, PAGE, protections[i].protection) == 0);
		TRY(check_access("load", debug_load, page, protections[i].load));
		TRY(check_access("store", debug_store, page, protections[i].store));
		TRY(check_access("execution", run_code, page + 64, protections[i].execute));
		TRY(check_access("store", debug_store, page + 8, protections[i].store));
		TRY(check_access("load", debug_load, page + 8, protections[i].load));
	}
	return 0;
}

/* The kernel copies to and from memory that ends, and memory that may only be read. */
int check_bad_buffers(void)
{
	char *pages = code_map(3 * (size_t)PAGE);
	int zero = open("/dev/zero", O_RDWR), ends[2];

	REQUIRE(zero >= 0 && pipe(ends) == 0);
	for (unsigned i = 0; i < REPEATS; i++) {
		REQUIRE(mprotect(pages + PAGE, PAGE, PROT_NONE) == 0);
		REQUIRE(write(ends[1], pages + PAGE, 8) == -1 && errno == EFAULT);
		memset(pages, 0x55, PAGE);
		REQUIRE(read(zero, pages + PAGE - 100, 200) == 100);
		REQUIRE(pages[PAGE - 101] == 0x55 && pages[PAGE - 100] == 0 &&
			pages[PAGE - 1] == 0);
		REQUIRE(mprotect(pages + PAGE, PAGE, PROT_READ) == 0);
		REQUIRE(read(zero, pages + PAGE, 8) == -1 && errno == EFAULT);
		REQUIRE(write(ends[1], pages + PAGE, 8) == 8);
		REQUIRE(read(ends[0], pages + 8, 8) == 8);
		REQUIRE(mprotect(pages + PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
		REQUIRE(read(zero, pages, 3 * (size_t)PAGE) == 3 * PAGE);
		for (unsigned k = 0; k < BAD_ADDRESSES; k++) {
			REQUIRE(read(zero, (void *)bad_addresses[k], 8) == -1 && errno == EFAULT);
			REQUIRE(write(ends[1], (void *)bad_addresses[k], 8) == -1);
		}
	}
	return 0;
}

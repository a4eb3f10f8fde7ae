/* SPDX-License-Identifier: MIT */
#ifndef MINIKERNEL_KERNEL_H
#define MINIKERNEL_KERNEL_H

/*
 * What the kernel's files know of each other, in the order in which they are best read.
 *
 * One lock covers everything. A hart takes it when a trap brings it in from a program, and
 * releases it before it returns to one or idles; interrupts are off all the while. So every
 * function below, unless it says otherwise, is called with the kernel lock held, runs to its
 * end without being disturbed, and needs no further locks. (A kernel that has to do well on
 * many harts cannot afford that. This one can, since programs run most of the time.)
 *
 * Addresses that are uint64_t and called pa are physical, va virtual. Physical address 0 is
 * never allocated and means "none".
 */

#include "guests/minikernel/layout.h"
#include "guests/minikernel/syscall.h"
#include "guests/minikernel/text.h"
#include "kernel/error.h"
#include "kernel/types.h"

#define MAX_HARTS 512
#define MAX_PROCS 64

struct frame;
struct hart;
struct proc;

/* start.S, main.c */

/* Where start.S brings the boot hart, with translation on and a stack, without the lock. */
void kernel_main(uint64_t hart_id, const void *tree, uint64_t image) __noreturn;

/* print.c */

/* To the console. The message must be whole lines. */
void print(const char *text, ...) __printf(1, 2);

/*
 * For broken invariants: prints, and ends the machine with SBI's reason "system failure".
 * Callable from anywhere, with or without the lock.
 */
void panic(const char *text, ...) __printf(1, 2) __noreturn;

void machine_poweroff(void) __noreturn;
void machine_reboot(void) __noreturn;

/* fdt.c: a reader of flattened device trees. */

#define FDT_DEPTH 8

/* A walk over all nodes, in the order of the tree; the fields describe the node reached. */
struct fdt_walk {
	int depth;                   /* 0 before the first node, 1 at the root */
	const char *name[FDT_DEPTH]; /* of the node, at [depth], and the nodes that it is in */
	uint32_t address_cells[FDT_DEPTH];
	uint32_t size_cells[FDT_DEPTH];
	const uint32_t *properties;
	const uint32_t *next;
};

/* `tree` may be any pointer to mapped memory. Panics if it is no device tree. */
void fdt_init(const void *tree);
uint64_t fdt_size(void);
struct fdt_walk fdt_begin(void);
/* Step to the next node; false at the end of the tree. */
bool fdt_next(struct fdt_walk *w);
/* The value of a property and, unless NULL, its length in bytes; NULL if there is none. */
const void *fdt_property(const struct fdt_walk *w, const char *name, uint32_t *length);
/* A property of one cell, or `otherwise`. */
uint32_t fdt_cell(const struct fdt_walk *w, const char *name, uint32_t otherwise);
/* Whether a property is a list of strings with `text` among them. */
bool fdt_has_string(const struct fdt_walk *w, const char *name, const char *text);
/* The index'th pair of "reg"; false if there is none. */
bool fdt_reg(const struct fdt_walk *w, uint32_t index, uint64_t *base, uint64_t *size);
/* The index'th pair of numbers of the memory reservation block. */
bool fdt_reserved(uint32_t index, uint64_t *base, uint64_t *size);
uint32_t fdt_be32(const void *cell);

/* machine.c: what the device tree says about this machine. */

#define MAX_RANGES 32

struct range {
	uint64_t base;
	uint64_t size;
};

struct machine {
	uint64_t image; /* physical addresses: where this kernel was loaded */
	struct range ram;
	struct range uart;
	struct range plic;
	struct range reserved[MAX_RANGES]; /* RAM that belongs to others */
	uint32_t reserved_count;
	uint32_t uart_irq;
	uint32_t uart_shift;   /* a register takes 1 << uart_shift bytes */
	uint32_t plic_context; /* the boot hart's for S-mode */
	uint32_t timebase;     /* ticks in a second */
	uint32_t hart_count;
	bool sstc; /* all harts have stimecmp */
	struct {
		uint64_t id;
		uint32_t interrupts; /* phandle of its interrupt controller */
	} harts[MAX_HARTS];
	char bootargs[1024];
};

extern struct machine machine;

/* Fills `machine`. `image` is where the kernel was loaded, `hart_id` the boot hart's number. */
void machine_probe(uint64_t image, uint64_t hart_id);

/* page.c: physical memory in pages, each with a count of its users. */

/* Works out which RAM is free; then page_init() once vm_init() has mapped it. */
void page_find_ranges(void);
extern struct range page_ranges[MAX_RANGES];
extern uint32_t page_range_count;
void page_init(void);

/* A page with one user, its contents arbitrary or zero; 0 when memory is full. */
uint64_t page_alloc(void);
uint64_t page_alloc_zeroed(void);
void page_hold(uint64_t pa);
/* One user less. The last one frees it. */
void page_release(uint64_t pa);
uint32_t page_users(uint64_t pa);
uint64_t page_total(void);
uint64_t page_free_count(void);

/* vm.c: page tables, and the kernel's half. */

#define PTE_V   BIT(0)
#define PTE_R   BIT(1)
#define PTE_W   BIT(2)
#define PTE_X   BIT(3)
#define PTE_U   BIT(4)
#define PTE_G   BIT(5)
#define PTE_A   BIT(6)
#define PTE_D   BIT(7)
#define PTE_COW BIT(8) /* ours: was writable, and is again once it is not shared */

#define PTE_FLAGS   BITS(9, 0)
#define PTE_ENTRIES 512

static inline uint64_t pte_pa(uint64_t pte)
{
	return (pte >> 10) << PAGE_SHIFT;
}

static inline uint64_t pte_make(uint64_t pa, uint64_t flags)
{
	return pa >> PAGE_SHIFT << 10 | flags;
}

extern uint64_t kernel_root; /* physical address of the kernel's own root table */

/* Where the kernel sees physical memory that is RAM and not firmware's. */
void *page_virt(uint64_t pa);
void vm_init(void);
void *vm_map_device(uint64_t pa, uint64_t size);
/* A page of kernel stack with a hole below; returns its top, NULL when memory is full. */
void *vm_new_stack(void);
/* The leaf entry for va in the table at `root`; `create` makes the tables on the way to it.
   NULL when there is none (or no memory). */
uint64_t *vm_find_pte(uint64_t root, uint64_t va, bool create);

/* space.c: the user half, one for each process. */

struct space {
	uint64_t root; /* physical address of the root table */
	uint64_t heap; /* [heap, heap_end) is zero until written */
	uint64_t heap_end;
	uint64_t pages; /* mapped */
	uint32_t asid;
	uint64_t cached[MAX_HARTS / 64]; /* harts, by id, whose TLBs may hold entries of it */
};

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_EXECUTE };

void space_probe_asids(void);
bool space_has_asids(void);
int space_create(struct space *s, uint32_t asid);
/* A copy of all that `from` holds, page by page, made when either side writes. */
int space_fork(struct space *to, struct space *from, uint32_t asid);
/* Frees everything. The caller runs in another space by now. */
void space_destroy(struct space *s);
/* Make it the one in which programs run on this hart; NULL: none, the kernel's half alone. */
void space_enter(struct space *s);
/* Map a page where there is none, taking over the caller's count of it. ERR_NOMEM. */
int space_map(struct space *s, uint64_t va, uint64_t pa, uint64_t flags);
/* A program wants to access va and may not. 0: now it may, try again. ERR_NOMEM, ERR_FAULT. */
int space_fault(struct space *s, uint64_t va, enum access access);
/* Move the end of the heap; its former end goes to *old. */
int space_sbrk(struct space *s, int64_t change, uint64_t *old);
/* Copy between the kernel and a program's memory. ERR_FAULT, ERR_NOMEM. */
int space_read(struct space *s, void *to, uint64_t va, uint64_t size);
int space_write(struct space *s, uint64_t va, const void *from, uint64_t size);
/* Reads a string with its terminator, of up to `size` bytes; its length, or ERR_…. */
int space_read_string(struct space *s, char *to, uint64_t va, uint64_t size);

/* exec.c: programs, which are built into the kernel's image. */

#define ARGS_MAX 16

/* Arguments on their way to a program: so many strings, one after the other. */
struct args {
	uint32_t count;
	uint32_t used; /* bytes of text */
	char text[2000];
};

int args_add(struct args *args, const char *text);
/* Replaces the program of `p`, who need not be running. On an error it keeps the old one. */
int exec_program(struct proc *p, const char *name, const struct args *args);

/* proc.c: processes. */

/* What context_switch() saves: ra, sp, s0 to s11. */
struct context {
	uint64_t ra;
	uint64_t sp;
	uint64_t s[12];
};

/* A program's registers, on its kernel stack, while the kernel works for it. */
struct frame {
	uint64_t x[32];
	uint64_t pc;
	uint64_t status;
	uint64_t cause;
	uint64_t value;
};

enum { REG_RA = 1, REG_SP = 2, REG_TP = 4, REG_A0 = 10, REG_A7 = 17 };

struct proc {
	enum proc_state state;
	uint32_t pid;
	uint32_t slot;
	struct proc *parent;
	int status;          /* a zombie's, for wait() */
	bool killed;         /* to exit, with `status`, before it returns to its program */
	struct proc *next;   /* in the queue it is in: of those ready, or of a hart's sleepers */
	const void *channel; /* what it sleeps on, if any */
	uint64_t deadline;   /* when it wakes, in ticks; 0 if nothing but a wakeup ends its sleep */
	struct hart *hart;   /* where it runs, or ran last; its sleep's deadline is seen to there */
	uint64_t run_time;   /* ticks, up to when it last got a hart */
	uint64_t started;    /* when that was */
	void *stack;         /* top of its kernel stack */
	struct frame *frame;
	struct context context;
	struct space space;
	char name[NAME_SIZE];
};

extern struct proc procs[MAX_PROCS];

void proc_init(void);
/* The process that this hart works for; NULL if none. */
struct proc *proc_current(void);
/* Makes process 1 of the program "init". */
void proc_start_init(const struct args *args);
/* Process ids, or ERR_…. */
int64_t proc_fork(void);
/* Waits for child `pid`, or any when that is 0. ERR_NOENT: no such child. ERR_AGAIN: none has
   ended yet and `poll` says not to wait. ERR_DENIED: killed meanwhile. */
int64_t proc_wait(uint32_t pid, bool poll, int *status);
void proc_exit(int status) __noreturn;
/* Have it exit with `status` as soon as it can. Not the first process, though. */
void proc_kill(struct proc *p, int status);
struct proc *proc_find(uint32_t pid);
/* Kills the process and its descendants. */
void proc_kill_tree(struct proc *root, int status);
/* The one with the most memory, the first process aside. */
struct proc *proc_largest(void);
/* Describes the index'th of MAX_PROCS slots; returns its state. */
uint32_t proc_list(struct proc_info *info, uint32_t index);

/* sched.c: who runs where and when. */

void sched_make_ready(struct proc *p);
/* Give way to those that are ready. */
void sched_yield(void);
/* Sleep until someone calls sched_wakeup() with the same channel, or kills the process. */
void sched_sleep(const void *channel);
void sched_sleep_until(uint64_t deadline);
void sched_wakeup(const void *channel);
/* Ends a sleep early. */
void sched_unsleep(struct proc *p);
/* The current process, a zombie now, runs no more. */
void sched_exit(void) __noreturn;
/* Wakes this hart's sleepers whose time has come. */
void sched_expire(void);
/* Programs the timer for whatever is next on this hart. */
void sched_set_timer(void);
void sched_loop(void) __noreturn;
void context_switch(struct context *from, struct context *to);

/* trap.c, vector.S */

void trap_user(struct frame *frame);
void trap_leave(void);
void trap_kernel(struct frame *frame);
extern char trap_vector[], process_entry[];

/* syscall.c */
void syscall_dispatch(struct proc *p);

/* hart.c: harts, the lock, and calls from one hart to another. */

struct hart {
	uint64_t saved_sp;  /* for vector.S, an instruction or two */
	uint64_t kernel_sp; /* top of the current process's kernel stack */
	uint64_t trap_sp;   /* top of the stack for traps out of the kernel */
	uint64_t stack;     /* top of the stack on which this hart schedules */
	uint64_t id;
	struct proc *current;
	struct proc *sleepers; /* by deadline */
	struct context context;
	uint64_t timer;     /* what the timer is set to, in ticks */
	uint64_t slice_end; /* when the current process has to give way */
	uint64_t root;      /* the root table in satp */
	uint32_t index;
	bool idle;    /* waits for an interrupt, and nobody has sent one yet */
	bool preempt; /* the current process is to give way */
};

extern struct hart boot_hart;
extern struct hart *harts[MAX_HARTS];
extern uint32_t hart_count;

static inline struct hart *hart_self(void)
{
	struct hart *self;

	/* Not to be held over a sched_…() call, which may return on another hart. */
	__asm__ volatile("mv %0, tp" : "=r"(self));
	return self;
}

void hart_init_boot(uint64_t id);
void hart_start_others(void);
/* Where start.S brings the other harts, without the lock. */
void hart_main(void) __noreturn;
void hart_interrupt(struct hart *hart);
void kernel_lock(void);
void kernel_unlock(void);

/* timer.c: time is in ticks of the machine's timebase since it was switched on. */

#define TIME_NEVER (~UINT64_C(0))

void timer_init(void);
uint64_t time_now(void);
uint64_t time_from_ms(uint64_t ms);
uint64_t time_to_us(uint64_t ticks);
/* Since this kernel started. */
uint64_t time_uptime(void);
/* The next timer interrupt of this hart. */
void timer_set(uint64_t deadline);

/* plic.c: interrupts of devices, all of them to the boot hart. */

void plic_init(void);
void plic_enable(uint32_t irq);
void plic_interrupt(void);

/* uart.c */

void uart_init(void);
bool uart_present(void);
void uart_interrupt(void);
/* Sends what console_next() has, as far as the UART takes it now. */
void uart_start(void);
/* Sends everything, waiting for the UART. Without the lock only from panic(). */
void uart_drain(void);

/* console.c */

/* The next byte to be sent, or -1. For uart.c. */
int console_next(void);
void console_input(char c);
void console_put(char c);
int64_t console_write(struct proc *p, uint64_t va, uint64_t size);
int64_t console_read(struct proc *p, uint64_t va, uint64_t size);
/* The process that ^C kills, with its descendants; 0: none. */
void console_set_foreground(uint32_t pid);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * A guest that ends badly by a key, with known values in its registers: xN holds REGISTER(N),
 * but for those that the way of its end needs. It runs with translation, at VIRTUAL above where
 * it is linked, on a stack of two frames. With SECOND, a second hart spins without translation.
 */
#define UART     0x10000000
#define FINISHER 0x100000
#define SRST     0x53525354
#define HSM      0x48534d
#define TIME     0x54494d45
#define VIRTUAL  0x2000000000

#define REGISTER(n) 0xabcd00000000 + 0x1111 * n

	.option	norvc
	.globl	_start
_start:
	bnez	a0, other
	/* A root of Sv39: [0, 4 GiB) and VIRTUAL + [0, 4 GiB) map 0 to 4 GiB by gigapages. */
	la	t0, root
	li	t1, 0xcf		/* D A X W R V */
	li	t2, 4
	mv	t3, t0
1:	sd	t1, 0(t3)
	sd	t1, (VIRTUAL >> 30) * 8(t3)
	li	t4, 1 << 28
	add	t1, t1, t4
	addi	t3, t3, 8
	addi	t2, t2, -1
	bnez	t2, 1b
	srli	t0, t0, 12
	li	t1, 8 << 60 | 5 << 44	/* Sv39, ASID 5 */
	or	t0, t0, t1
	csrw	satp, t0
	sfence.vma
	li	t1, VIRTUAL
	la	t0, go_on
	add	t0, t0, t1
	jr	t0
go_on:	la	sp, stack_end
	la	t0, trapped
	csrw	stvec, t0
	li	t0, 0x5c5c5c5c
	csrw	sscratch, t0
	/* A trap for scause, sepc and stval. */
	.globl	bad
bad:	.word	0
after:	li	t0, 0x202
	csrw	sie, t0
#ifdef SECOND
	li	a0, 1
	la	a1, _start
	slli	a1, a1, 27		/* without VIRTUAL */
	srli	a1, a1, 27
	li	a7, HSM
	li	a6, 0
	ecall
#endif
	la	s1, text
2:	lbu	a0, 0(s1)
	beqz	a0, 3f
	addi	s1, s1, 1
	li	a7, 1
	ecall
	j	2b
3:	li	s0, 0
	call	outer
outer:	addi	sp, sp, -16
	sd	ra, 8(sp)
	sd	s0, 0(sp)
	addi	s0, sp, 16
	call	inner
inner:	addi	sp, sp, -32
	sd	ra, 24(sp)
	sd	s0, 16(sp)
	addi	s0, sp, 32
	li	t0, UART
4:	lbu	t1, 5(t0)
	andi	t1, t1, 1
	beqz	t1, 4b
	lbu	s1, 0(t0)
	.irp	n, 3, 4, 5, 6, 7, 12, 13, 14, 15, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	li	x\n, REGISTER(\n)
	.endr
	li	a0, 's'
	beq	s1, a0, srst
	li	a0, 'f'
	beq	s1, a0, fail
	li	a0, 'd'
	beq	s1, a0, stop
	li	a0, 'g'
	beq	s1, a0, garbage
	li	a0, 'p'
	beq	s1, a0, devices
	li	a0, 'c'
	beq	s1, a0, circle
	li	a0, 'u'
	beq	s1, a0, unmapped
	li	a0, 'w'
	beq	s1, a0, wait
	/* Any other key: counts in t6. */
	.globl	spin
spin:	addi	t6, t6, 1
	j	spin

	/* System failure. */
srst:	li	a0, 0
	li	a1, 1
	li	a6, 0
	li	a7, SRST
	.globl	srst_call
srst_call:
	ecall
	j	.
fail:	li	a0, FINISHER
	li	a1, 0x73333
	.globl	fail_store
fail_store:
	sw	a1, 0(a0)
	j	.
stop:	li	a6, 1
	li	a7, HSM
	ecall
	j	.
	/* Frames that lead into devices, in a circle, and nowhere. */
devices:
	li	s0, UART + 0x10
	j	srst
circle:	addi	s0, sp, 16
	sd	s0, 0(sp)
	la	a0, circle
	sd	a0, 8(sp)
	j	srst
	/* A root of no RAM: the next fetch fails, where nobody deals with it. */
garbage:
	li	a0, 8 << 60 | 0xfffffffffff
	csrw	satp, a0
	sfence.vma
	j	.
unmapped:
	li	s0, 0x123456789abcdef0
	csrw	stvec, s0
	jr	s0
	/* Sleeps for 10 ms again and again, and counts in t6. */
wait:	li	a0, 0x20
	csrw	sie, a0
	li	a7, TIME
	li	a6, 0
	rdtime	a0
	li	a1, 100000
	add	a0, a0, a1
	ecall
	wfi
	addi	t6, t6, 1
	j	wait

other:	li	a0, 0x77
	j	.

	.balign	4
trapped:
	la	t0, after
	jr	t0
text:	.asciz	"crash: ready\n"
	.balign	16
	.zero	512
stack_end:
	.balign	4096
root:	.zero	4096

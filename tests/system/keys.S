/* SPDX-License-Identifier: MIT */
/*
 * A guest that does one thing for each key that comes over its UART, and shows that it got
 * there. Position-independent, for one hart. At start and after each key it prints "keys> ".
 */
#define UART     0x10000000
#define FINISHER 0x100000
#define SRST     0x53525354

	.globl _start
_start:
	la	sp, stack_end
	la	a0, banner
	call	print
next:
	la	a0, prompt
	call	print
	call	getc
	mv	s0, a0
	la	t0, table
1:	lbu	t1, 0(t0)
	beqz	t1, echo
	lbu	t2, 1(t0)
	lw	a1, 4(t0)
	lw	t3, 8(t0)
	addi	t0, t0, 12
	bne	t1, s0, 1b
	bnez	t2, finisher
	/* SBI system reset: type a0, reason a1. */
	mv	a0, t3
	li	a6, 0
	li	a7, SRST
	ecall
	j	next
finisher:
	li	t0, FINISHER
	sw	a1, 0(t0)
	j	next
	/* Any other key. */
echo:
	li	t0, 'h'
	beq	s0, t0, hang
	li	t0, 'i'
	beq	s0, t0, illegal
	la	a0, bracket
	call	print
	mv	a0, s0
	call	putc
	la	a0, newline
	call	print
	j	next
hang:
	csrw	sie, zero
1:	wfi
	j	1b
illegal:
	la	t0, trapped
	csrw	stvec, t0
	.word	0
	.balign	4
trapped:
	csrr	t0, scause
	li	t1, 2
	bne	t0, t1, hang
	la	a0, illegal_text
	call	print
	j	next

putc:
	li	t0, UART
1:	lbu	t1, 5(t0)
	andi	t1, t1, 0x20
	beqz	t1, 1b
	sb	a0, 0(t0)
	ret
getc:
	li	t0, UART
1:	lbu	t1, 5(t0)
	andi	t1, t1, 1
	beqz	t1, 1b
	lbu	a0, 0(t0)
	ret
print:
	mv	t4, ra
	mv	t5, a0
1:	lbu	a0, 0(t5)
	addi	t5, t5, 1
	beqz	a0, 2f
	call	putc
	j	1b
2:	jr	t4

	.balign	4
	/* key, whether it is the finisher's, (padding), reason or value, reset type */
table:
	.byte	'p', 0, 0, 0
	.word	0, 0
	.byte	'f', 0, 0, 0
	.word	1, 0
	.byte	'c', 0, 0, 0
	.word	0, 1
	.byte	'w', 0, 0, 0
	.word	0, 2
	.byte	'P', 1, 0, 0
	.word	0x5555, 0
	.byte	'F', 1, 0, 0
	.word	0x13333, 0
	.byte	'R', 1, 0, 0
	.word	0x7777, 0
	.byte	0, 0, 0, 0
banner:		.asciz	"keys: started\n"
prompt:		.asciz	"keys> "
bracket:	.asciz	"key "
newline:	.asciz	"\n"
illegal_text:	.asciz	"illegal instruction came back\n"
	.balign	16
stack:
	.zero	256
stack_end:

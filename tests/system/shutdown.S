/* SPDX-License-Identifier: MIT */
/*
 * Two harts. The second one counts; when the first one sees that, it makes the legacy call for
 * shutdown, which does not return, whether the machine ends or not. RESET is what SRST's calls
 * for a shutdown and a reboot have to return before; without it they are not made.
 */
#define HSM	0x48534d
#define SRST	0x53525354

	.globl _start
_start:
	la	s0, count
	sd	zero, 0(s0)
	mv	s1, a0
#ifdef RESET
	li	s2, 1
1:	mv	a0, s2
	li	a1, 0
	li	a6, 0
	li	a7, SRST
	ecall
	li	t0, RESET
	la	a2, wrong
	bne	a0, t0, say
	addi	s2, s2, -1
	bgez	s2, 1b
#endif
	xori	a0, s1, 1
	la	a1, second
	mv	a2, s0
	li	a6, 0			/* hart_start */
	li	a7, HSM
	ecall
	la	a2, wrong
	bnez	a0, say
2:	ld	t0, 0(s0)
	beqz	t0, 2b
	la	a2, calling
	jal	ra, print
	li	a7, 8
	ecall
	la	a2, returned
say:	jal	ra, print
3:	wfi
	j	3b

second:	ld	t0, 0(a1)
	addi	t0, t0, 1
	sd	t0, 0(a1)
	j	second

print:	lbu	a0, 0(a2)
	beqz	a0, 4f
	addi	a2, a2, 1
	li	a7, 1
	ecall
	j	print
4:	ret

calling:  .asciz "shutdown: calling\n"
returned: .asciz "shutdown: it has returned\n"
wrong:	  .asciz "shutdown: another error was expected\n"
	.balign	8
count:	.dword	0

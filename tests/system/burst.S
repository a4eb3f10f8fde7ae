/* SPDX-License-Identifier: MIT */
/*
 * Prints LINES numbered lines of 16 bytes to the debug console, "line 00000042..", as fast as it
 * can; then says "done", and shows each key that is typed. Position-independent, one hart.
 */
#define DBCN	0x4442434e
#define UART	0x10000000

	.globl _start
_start:
	li	s0, 0
	li	s1, LINES
next:	beq	s0, s1, done
	la	t0, digits_end
	mv	t1, s0
	li	t2, 10
	li	t3, 8
1:	remu	t4, t1, t2
	divu	t1, t1, t2
	addi	t4, t4, '0'
	addi	t0, t0, -1
	sb	t4, 0(t0)
	addi	t3, t3, -1
	bnez	t3, 1b
	la	s2, line
	li	s3, 16
	call	write
	addi	s0, s0, 1
	j	next
done:	la	s2, text
	li	s3, 5
	call	write
echo:	li	t0, UART
1:	lbu	t1, 5(t0)
	andi	t1, t1, 1
	beqz	t1, 1b
	lbu	t1, 0(t0)
	la	s2, key
	sb	t1, 4(s2)
	li	s3, 6
	call	write
	j	echo

	/* s3 bytes at s2; the debug console may take them in parts. */
write:	mv	a0, s3
	mv	a1, s2
	li	a2, 0
	li	a6, 0
	li	a7, DBCN
	ecall
	add	s2, s2, a1
	sub	s3, s3, a1
	bnez	s3, write
	ret

line:	.ascii	"line "
	.ascii	"00000000"
digits_end:
	.ascii	"..\n"
text:	.ascii	"done\n"
key:	.ascii	"key ?\n"

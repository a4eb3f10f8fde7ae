/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_STACK_H
#define KERNEL_STACK_H

/*
 * Two stacks on one hart, which take turns: what is left on one goes on when it is switched to
 * again. Interrupts are off.
 */

/* A stack that is switched to for the first time calls `function`, which never returns. */
char *stack_prepare(char *top, void (*function)(void));

/*
 * Leaves this stack, keeping at `left` where it is, and goes on at `to`: what stack_prepare() gave,
 * or what was kept when that stack was left. Returns when this one is switched to again.
 */
void stack_switch(char **left, char *to);

#endif

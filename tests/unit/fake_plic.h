/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_FAKE_PLIC_H
#define TESTS_UNIT_FAKE_PLIC_H

/* The host's PLIC, of which one source is used. */

#include "tests/unit/fake_kernel.h"

#include "driver/plic.h"

#define PLIC_SOURCE 9

static void (*plic_handler)(void *argument);
static void *plic_argument;

void host_plic_release(uint32_t source)
{
	assert_int_equal(source, PLIC_SOURCE);
	plic_handler = NULL;
}

int host_plic_enable(uint32_t source, void (*handler)(void *argument), void *argument)
{
	assert_int_equal(source, PLIC_SOURCE);
	plic_handler = handler;
	plic_argument = argument;
	return 0;
}

#endif

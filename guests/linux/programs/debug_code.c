/* SPDX-License-Identifier: MIT */
/* Code that a process writes and then executes, in all the ways there are to write it. */
#define _GNU_SOURCE
#include "debug.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROUNDS 1000

static int32_t value_of(unsigned round)
{
	return (int32_t)(round * 2654435761u);
}

/* Each function lies across the boundary of two pages. */
int check_jit(void)
{
	char *code = code_map(3 * (size_t)PAGE);

	for (unsigned i = 0; i < ROUNDS; i++) {
		char *at = code + PAGE - 2 * (i % 8);

		code_return(at, value_of(i));
		code_return(code + 2 * PAGE, -value_of(i));
		code_changed(code, 3 * (size_t)PAGE);
		if (code_call(at) != value_of(i) || code_call(code + 2 * PAGE) != -value_of(i))
			return check_fail("round %u: an older function ran", i);
	}
	/* fence.i alone, which is right for one thread that stays where it is. */
	cpu_bind(0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		code_return(code, value_of(i));
		__asm__ volatile("fence.i" ::: "memory");
		if (code_call(code) != value_of(i))
			return check_fail("round %u: an older function ran after fence.i", i);
	}
	return 0;
}

/*
 * Written by one thread, executed by others on other CPUs: one after the other, so that no CPU
 * looks the page up while another fetches from it for the first time. QEMU's harts lose sight of
 * later writes when that coincides: all of them then execute what the page held before, while loads
 * see what was written, and no fence mends it.
 */
#define RUNNERS 3
struct shop {
	char *code;
	unsigned round; /* that the code in place belongs to */
	unsigned done[RUNNERS];
	bool wrong;
};
struct runner {
	struct shop *shop;
	unsigned id;
	pthread_t thread;
};

static unsigned await(const unsigned *word, unsigned least)
{
	unsigned value;

	while ((value = __atomic_load_n(word, __ATOMIC_ACQUIRE)) < least)
		sched_yield();
	return value;
}

static void *runner_main(void *argument)
{
	struct runner *runner = argument;
	struct shop *shop = runner->shop;

	cpu_bind(runner->id + 1);
	for (unsigned i = 1; i <= ROUNDS; i++) {
		await(runner->id == 0 ? &shop->round : &shop->done[runner->id - 1], i);
		if (code_call(shop->code) != value_of(i))
			__atomic_store_n(&shop->wrong, true, __ATOMIC_RELAXED);
		__atomic_store_n(&shop->done[runner->id], i, __ATOMIC_RELEASE);
	}
	return NULL;
}

int check_jit_threads(void)
{
	struct shop shop = {.code = code_map(PAGE)};
	struct runner runners[RUNNERS];

	cpu_bind(0);
	for (unsigned i = 0; i < RUNNERS; i++) {
		runners[i] = (struct runner){.shop = &shop, .id = i};
		REQUIRE(pthread_create(&runners[i].thread, NULL, runner_main, &runners[i]) == 0);
	}
	for (unsigned i = 1; i <= ROUNDS; i++) {
		code_return(shop.code, value_of(i));
		code_changed(shop.code, CODE_RETURN_BYTES);
		__atomic_store_n(&shop.round, i, __ATOMIC_RELEASE);
		await(&shop.done[RUNNERS - 1], i);
	}
	for (unsigned i = 0; i < RUNNERS; i++)
		pthread_join(runners[i].thread, NULL);
	return shop.wrong ? check_fail("a thread ran an older function") : 0;
}

/* Two mappings of the same memory: one to write, one to execute. */
int check_jit_alias(void)
{
	int file = memfd_create("code", 0);
	char *writable, *code;

	REQUIRE(file >= 0 && ftruncate(file, PAGE) == 0);
	writable = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	code = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
	REQUIRE(writable != MAP_FAILED && code != MAP_FAILED);
	for (unsigned i = 0; i < ROUNDS; i++) {
		code_return(writable + 128, value_of(i));
		code_changed(code + 128, CODE_RETURN_BYTES);
		REQUIRE(code_call(code + 128) == value_of(i));
		REQUIRE(memcmp(code, writable, PAGE) == 0);
	}
	return 0;
}

/* The kernel writes it, through its own mapping of the page. */
int check_jit_file(void)
{
	int file = memfd_create("code", 0);
	char buffer[CODE_RETURN_BYTES], *code;

	REQUIRE(file >= 0 && ftruncate(file, PAGE) == 0);
	code = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
	REQUIRE(code != MAP_FAILED);
	for (unsigned i = 0; i < ROUNDS; i++) {
		code_return(buffer, value_of(i));
		REQUIRE(pwrite(file, buffer, sizeof(buffer), 256) == sizeof(buffer));
		code_changed(code + 256, sizeof(buffer));
		REQUIRE(code_call(code + 256) == value_of(i));
	}
	return 0;
}

static int child_rewrites(char *code, unsigned round)
{
	if (code_call(code) != value_of(round))
		return 1;
	code_return(code, value_of(round + 1));
	code_changed(code, CODE_RETURN_BYTES);
	return code_call(code) == value_of(round + 1) ? 0 : 2;
}

/* A child changes its copy of the page, not its parent's. */
int check_jit_fork(void)
{
	char *code = code_map(PAGE);

	for (unsigned i = 0; i < ROUNDS / 20; i++) {
		pid_t pid;

		code_return(code, value_of(i));
		code_changed(code, CODE_RETURN_BYTES);
		pid = fork();
		if (pid == 0)
			_exit(child_rewrites(code, i));
		REQUIRE(pid > 0);
		REQUIRE(child_wait(pid) == 0);
		REQUIRE(code_call(code) == value_of(i));
	}
	return 0;
}

/* Frames that had other code, or data, before. */
int check_jit_frames(void)
{
	for (unsigned i = 0; i < ROUNDS / 2; i++) {
		size_t bytes = (1 + i % 4) * (size_t)PAGE;
		char *code = code_map(bytes);

		for (size_t k = 0; k < bytes; k += PAGE)
			code_return(code + k, value_of(i) ^ (int32_t)k);
		code_changed(code, bytes);
		for (size_t k = 0; k < bytes; k += PAGE)
			REQUIRE(code_call(code + k) == (value_of(i) ^ (int32_t)k));
		REQUIRE(munmap(code, bytes) == 0);
	}
	return 0;
}

/* Never writable and executable at once. */
int check_jit_protect(void)
{
	char *code = code_map(PAGE);

	for (unsigned i = 0; i < ROUNDS / 2; i++) {
		REQUIRE(mprotect(code, PAGE, PROT_READ | PROT_WRITE) == 0);
		code_return(code, value_of(i));
		REQUIRE(mprotect(code, PAGE, PROT_READ | PROT_EXEC) == 0);
		code_changed(code, CODE_RETURN_BYTES);
		REQUIRE(code_call(code) == value_of(i));
	}
	return 0;
}

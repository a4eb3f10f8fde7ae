/* SPDX-License-Identifier: MIT */

/* The sieve of Eratosthenes: work for the processor, and memory that is backed when touched. */

#include "guests/minikernel/user/user.h"

#define LIMIT UINT64_C(100000000)

/* `composite` has n + 1 bytes, all 0. */
static uint64_t count_primes(char *composite, uint64_t n)
{
	uint64_t count = 0;

	for (uint64_t i = 2; i <= n; i++) {
		if (composite[i])
			continue;
		count++;
		for (uint64_t j = i * i; j <= n; j += i)
			composite[j] = 1;
	}
	return count;
}

int main(int argc, char **argv)
{
	int64_t start = uptime(), memory;
	uint64_t n, count;

	if (argc != 2 || !parse_number(argv[1], &n) || n > LIMIT) {
		print("usage: primes N (N up to %lu)\n", LIMIT);
		return 2;
	}
	memory = sbrk((int64_t)n + 1);
	if (memory < 0) {
		print("primes: no memory\n");
		return 1;
	}
	count = count_primes((char *)memory, n);
	print("primes: %lu up to %lu, in %ld us\n", count, n, uptime() - start);
	return 0;
}

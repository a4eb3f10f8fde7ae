/* SPDX-License-Identifier: MIT */
/* unit: engine/hext/space.c */
#include "tests/unit/fake_kernel.h"

#include "engine/guest.h"
#include "engine/hext/hext.h"
#include "engine/hext/space.h"
#include "engine/vcpu.h"

#define GUESTS 6
#define VCPUS  3
#define VMIDS  (HGATP_VMID_MAX + 1)
#define NONE   (-1)
#define TABLE  UINT64_C(0x8000000000123456)

/*
 * Harts that never forget by themselves: for each VMID whose translations are there, of either
 * stage. A hart that holds those of two would serve one with the other's.
 */
struct tlb {
	int guest[VMIDS];        /* whose G-stage translations, or NONE */
	uint64_t hidings[VMIDS]; /* of its space, when the oldest of them was made */
	int vcpu[VMIDS];         /* whose VS-stage translations, or NONE */
	uint64_t turn[VMIDS];    /* of that vCPU */
	uint64_t now;            /* the VMID in hgatp */
};

struct hext_hart hext_harts[HARTS_MAX];

static struct tlb tlbs[FAKE_HARTS];
static struct guest guests[GUESTS];
static struct guest_on_hart on_hart[GUESTS][HARTS_MAX];
static struct vcpu vcpus[GUESTS * VCPUS];
static uint64_t stays[GUESTS * VCPUS]; /* how often it has come to another hart */
static int births[GUESTS], names;      /* a guest that is made anew is another one */
static unsigned flushes;
static uint64_t seed;

static uint64_t below(uint64_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (seed >> 33) % n;
}

/* As vm_build.c and the arena leave one, at the same address. */
static void make_guest(unsigned g)
{
	memset(&guests[g], 0, sizeof(guests[g]));
	memset(on_hart[g], 0, sizeof(on_hart[g]));
	guests[g].on_hart = on_hart[g];
	births[g] = ++names;
	for (unsigned v = g * VCPUS; v < (g + 1) * VCPUS; v++) {
		memset(&vcpus[v], 0, sizeof(vcpus[v]));
		vcpus[v].guest = &guests[g];
		stays[v] += 1;
	}
}

static void set_masks(const uint64_t masks[FAKE_HARTS])
{
	for (unsigned h = 0; h < FAKE_HARTS; h++)
		hext_harts[h] = (struct hext_hart){.usable = true, .vmid_mask = masks[h]};
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	seed = 1;
	for (unsigned h = 0; h < FAKE_HARTS; h++) {
		harts[h].index = h;
		for (unsigned i = 0; i < VMIDS; i++)
			tlbs[h].guest[i] = tlbs[h].vcpu[i] = NONE;
	}
	for (unsigned g = 0; g < GUESTS; g++)
		make_guest(g);
	return 0;
}

void tlb_use_guest(uint64_t vmid, uint64_t table)
{
	assert_int_equal(table, TABLE);
	assert_int_equal(vmid & ~hext_harts[present_hart->index].vmid_mask, 0);
	tlbs[present_hart->index].now = vmid;
}

void tlb_flush_guests(void)
{
	for (unsigned i = 0; i < VMIDS; i++)
		tlbs[present_hart->index].guest[i] = NONE;
	flushes++;
}

/* Under the VMID that is in hgatp, and nothing of the G stage. */
void tlb_flush_guest_addresses(void)
{
	struct tlb *tlb = &tlbs[present_hart->index];

	tlb->vcpu[tlb->now] = NONE;
	flushes++;
}

/* The vCPU, which is loaded on hart h, translates what it likes. */
static void use(unsigned h, unsigned v)
{
	struct tlb *tlb = &tlbs[h];
	unsigned g = v / VCPUS;
	uint64_t vmid = tlb->now, hidings = guests[g].space.hidings;

	assert_true(tlb->guest[vmid] == NONE ||
		    (tlb->guest[vmid] == births[g] && tlb->hidings[vmid] == hidings));
	assert_true(tlb->vcpu[vmid] == NONE ||
		    (tlb->vcpu[vmid] == (int)v && tlb->turn[vmid] == stays[v]));
	tlb->guest[vmid] = births[g];
	tlb->hidings[vmid] = hidings;
	tlb->vcpu[vmid] = (int)v;
	tlb->turn[vmid] = stays[v];
}

/* As hext_load() does. */
static void load(unsigned v, unsigned h)
{
	if (vcpus[v].last_hart != &harts[h])
		stays[v]++;
	present_hart = &harts[h];
	hext_space_load(&vcpus[v], &harts[h], TABLE);
	assert_ptr_equal(vcpus[v].last_hart, &harts[h]);
	use(h, v);
}

/* Something is hidden while guests run: those that run there are told to look. */
static void hide(unsigned g, const int running[FAKE_HARTS])
{
	guests[g].space.hidings++;
	for (unsigned h = 0; h < FAKE_HARTS; h++) {
		if (running[h] == NONE || (unsigned)running[h] / VCPUS != g)
			continue;
		present_hart = &harts[h];
		hext_space_forget_hidden(&guests[g], &on_hart[g][h]);
		use(h, (unsigned)running[h]);
	}
}

static bool runs(const int running[FAKE_HARTS], unsigned first, unsigned count)
{
	for (unsigned h = 0; h < FAKE_HARTS; h++) {
		if (running[h] >= (int)first && running[h] < (int)(first + count))
			return true;
	}
	return false;
}

static void run_at_random(const uint64_t masks[FAKE_HARTS])
{
	int running[FAKE_HARTS] = {NONE, NONE, NONE, NONE};

	set_masks(masks);
	for (int i = 0; i < 20000; i++) {
		unsigned h = (unsigned)below(FAKE_HARTS), g = (unsigned)below(GUESTS);
		unsigned v = g * VCPUS + (unsigned)below(VCPUS);

		if (below(16) == 0) {
			hide(g, running);
		} else if (below(16) == 0) {
			if (!runs(running, g * VCPUS, VCPUS))
				make_guest(g);
		} else if (running[h] != NONE && below(2)) {
			/* It goes on. */
			use(h, (unsigned)running[h]);
		} else {
			running[h] = NONE;
			if (runs(running, v, 1))
				continue;
			load(v, h);
			running[h] = (int)v;
		}
	}
}

static void test_random(void **state)
{
	static const uint64_t masks[][FAKE_HARTS] = {
	    {0x3fff, 0x3fff, 0x3fff, 0x3fff},
	    {0, 0, 0, 0},
	    {1, 1, 1, 1},
	    {3, 3, 3, 3},
	    {7, 7, 7, 7},
	    {0x3fff, 0x7f, 3, 0x3fff},
	    {0x7f, 0, 0x7f, 0x7f},
	    {1, 3, 7, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
		setup(state);
		run_at_random(masks[i]);
	}
}

/* Each guest has a VMID of its own while they suffice, and nothing is forgotten on the way. */
static void test_kept(void **state)
{
	static const uint64_t masks[FAKE_HARTS] = {7, 7, 7, 7};
	bool seen[VMIDS] = {false};

	(void)state;
	set_masks(masks);
	for (int round = 0; round < 3; round++) {
		unsigned before = flushes;

		for (unsigned g = 0; g < GUESTS; g++) {
			load(g * VCPUS, 0);
			assert_false(round == 2 && seen[tlbs[0].now]);
			seen[tlbs[0].now] = round == 2;
		}
		assert_true(round < 2 || flushes == before);
	}
}

/* A hart that no guest of the engine's runs on does not count. */
static void test_unusable_hart(void **state)
{
	static const uint64_t masks[FAKE_HARTS] = {7, 0, 7, 7};

	(void)state;
	set_masks(masks);
	hext_harts[1].usable = false;
	for (unsigned i = 0; i < 2; i++)
		load(i * VCPUS, 0);
	assert_int_not_equal(guests[0].vmid, guests[1].vmid);
	assert_int_equal(guests[0].vmid >> 16, guests[1].vmid >> 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_random, setup),
	    cmocka_unit_test_setup(test_kept, setup),
	    cmocka_unit_test_setup(test_unusable_hart, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

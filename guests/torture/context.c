/* SPDX-License-Identifier: MIT */
#include "guests/torture/torture.h"

/* A root under two ASIDs, an ASID for two roots, and ASID 0 for two. */
static const struct {
	uint8_t root, asid;
} contexts[CONTEXTS] = {
    {0, 0},
    {1, 1},
    {2, 2},
    {1, 3},
    {SHARED_ROOTS, 4},
    {SHARED_ROOTS + 1, 4},
    {SHARED_ROOTS + 1, 5},
    {SHARED_ROOTS, 0},
};

uint64_t context_root(unsigned int context)
{
	return contexts[context].root;
}

uint64_t context_asid(unsigned int context)
{
	return contexts[context].asid & settings.asid_mask;
}

void context_switch(struct worker *w, unsigned int context)
{
	uint64_t satp = 0;

	trace(w, "satp: context", context, 0, 0);
	w->context = context;
	if (context == CONTEXT_GARBAGE) {
		satp = paging_satp(&w->garbage, GARBAGE_ASID & settings.asid_mask);
	} else if (context != CONTEXT_OFF) {
		w->window.maybe[context] = ~UINT64_C(0);
		w->window.maybe_global[context_root(context)] = ~UINT64_C(0);
		satp = paging_satp(&w->roots[context_root(context)]->tables, context_asid(context));
	}
	csr_write(CSR_SATP, satp);
	if (csr_read(CSR_SATP) != satp)
		fail(w, "satp is 0x%lx after 0x%lx was written", csr_read(CSR_SATP), satp);
}

void context_set_status(struct worker *w, bool sum, bool mxr)
{
	trace(w, "SUM, MXR", sum, mxr, 0);
	w->sum = sum;
	w->mxr = mxr;
	if (sum)
		csr_set(CSR_SSTATUS, SSTATUS_SUM);
	else
		csr_clear(CSR_SSTATUS, SSTATUS_SUM);
	if (mxr)
		csr_set(CSR_SSTATUS, SSTATUS_MXR);
	else
		csr_clear(CSR_SSTATUS, SSTATUS_MXR);
}

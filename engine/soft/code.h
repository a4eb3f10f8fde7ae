/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_SOFT_CODE_H
#define ENGINE_SOFT_CODE_H

/*
 * Rewritten code. A page of guest memory in which the guest's S-mode executes privileged
 * instructions has a copy in which they are replaced by C.EBREAK: a breakpoint reaches Pilae
 * without the firmware, an illegal instruction does not. The copy is what S-mode fetches, and is
 * mapped for nothing else: loads are answered by the original.
 *
 * A page with a copy is protected: nobody may write to it. Who wants to drops the copy first:
 * - vCPUs never have a writable translation of a protected page. Before a page becomes protected,
 *   all vCPUs forget theirs if there may be one.
 * - The walker and the hypervisor's own writes ask before they write.
 * The copy goes when no vCPU has a translation to it any more.
 *
 * One copy serves all vCPUs of a VM. The lock is held for short moments only: while all vCPUs are
 * made to forget, nobody holds it.
 */

#include "engine/guest.h"
#include "engine/soft/read.h"
#include "kernel/types.h"

/* Why a copy is dropped: what it costs to get one again depends on it. */
enum code_reason {
	CODE_WRITTEN, /* the guest, or a device, is about to write to the page */
	CODE_READ,    /* it is read as data so often that a copy does not pay */
	CODE_EVICTED, /* another page gets its place */
};

/* ERR_NOMEM. */
int code_init(struct guest *guest);

/*
 * Whether the page of the guest around `gpa` is protected. No lock; any hart. What is not
 * protected may become so at any time, but then those who hold a writable translation are made to
 * forget it.
 */
bool code_is_protected(const struct guest *guest, gpa_t gpa);

/* Whether any page of the 2 MiB around `gpa` is. */
bool code_is_protected_2m(const struct guest *guest, gpa_t gpa);

/* Notes that a vCPU is about to have a writable translation for the page (4 KiB or 2 MiB). */
void code_note_writable(struct guest *guest, gpa_t gpa, unsigned level);

/* The copy of the page around `gpa`, if it has one that may be mapped. Its vCPU is in the guest. */
bool code_find_copy(const struct guest *guest, gpa_t gpa, hpa_t *copy);

/*
 * The instruction at `gpa` is privileged, and was trapped: replaces it in the page's copy, if there
 * is one (true: the copy may be mapped). If there is none but should be, *wanted is set:
 * code_create() is for the caller, who has to leave the guest for it.
 */
bool code_replace(struct guest *guest, gpa_t gpa, bool *wanted);

/*
 * Puts these instructions of 4 bytes in place of those from `gpa` on in the copy of their page, if
 * it has one: they do the same. At least one of the old ones is C.EBREAK there. As code_create().
 */
void code_substitute(struct guest *guest, gpa_t gpa, const uint32_t *bits, unsigned count,
		     struct vcpu *self);

/*
 * Makes a copy of the page around `gpa`, which is backed by `original`. `self`: the calling vCPU,
 * which has left the guest, and whose translations may be forgotten; waits for the others.
 */
void code_create(struct guest *guest, gpa_t gpa, hpa_t original, struct vcpu *self);

/*
 * Drops the copy of the page around `gpa`, if it has one. As above; `self` NULL: no vCPU is
 * calling.
 */
void code_drop(struct guest *guest, gpa_t gpa, struct vcpu *self, enum code_reason reason);

/* What a vCPU is to do about a load from the page: read_choose(), and READ_MAPPED without a copy.
 */
enum read_way code_note_read(struct guest *guest, gpa_t gpa, const struct read_terms *terms);

/* engine.h: begin_write, end_write, note_written. */
void code_begin_write(struct guest *guest, gpa_t gpa, uint64_t size);
void code_end_write(struct guest *guest);
void code_note_written(struct guest *guest, gpa_t gpa, uint64_t size);

/* How many 4 KiB pages copies and what is known of them have taken, at most. No lock. */
uint64_t code_pages(const struct guest *guest);

/* Changes whenever a copy is dropped. */
uint64_t code_epoch(const struct guest *guest);

#endif

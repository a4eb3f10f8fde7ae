/* SPDX-License-Identifier: MIT */
/* unit: riscv/insn.c */
#include "tests/fuzz/fenced.h"

#include "kernel/error.h"
#include "riscv/insn.h"

static void check_insn(const struct insn *insn)
{
	check(insn->length == 2 || insn->length == 4);
	check(insn->size == 1 || insn->size == 2 || insn->size == 4 || insn->size == 8);
	check(insn->rd < 32 && insn->rs2 < 32 && insn->offset < 32);
	check(insn->kind <= INSN_SC);
}

/* Eight bytes of instruction or hint, and two operands. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t words[3];
	struct insn insn, hinted;

	if (size < sizeof(words))
		return 0;
	memcpy(words, data, sizeof(words));

	uint32_t bits = (uint32_t)words[0];

	if (insn_decode(bits, &insn) == 0) {
		check_insn(&insn);
		check(insn.length == ((bits & 3) == 3 ? 4 : 2));
		insn_extend(&insn, words[1]);
		insn_amo_result(&insn, words[1], words[2]);
	}
	if (insn_decode_transformed(words[0], &hinted) == 0) {
		check_insn(&hinted);
		check(words[0] >> 32 == 0);
		/* Both forms say the same. */
		check(insn_decode(bits | 2, &insn) == 0 && insn.kind == hinted.kind &&
		      insn.size == hinted.size && insn.rd == hinted.rd && insn.rs2 == hinted.rs2);
	}
	if (insn_is_plain(words[0]))
		check(insn_decode_transformed(words[0], &hinted) == 0 && hinted.offset == 0 &&
		      hinted.kind <= INSN_STORE);
	return 0;
}

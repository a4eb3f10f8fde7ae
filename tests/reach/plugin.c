/* SPDX-License-Identifier: MIT */
/*
 * A plugin of QEMU's: which instructions of some programs are reached. Translated counts: QEMU does
 * that to a block of instructions when it is about to run it, so that what follows a trap in a
 * block may be taken for reached as well.
 *
 *     -plugin reach.so,text=FILE,base=0x…,map=FILE[,text=…]
 *
 * `text` is what lies at `base`, and `map` as long: its byte becomes 1 where an instruction was
 * reached that is what `text` has there (a guest may have something else at that address). Machines
 * that run beside one another share the file, and one that is killed has written what it knew.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* QEMU's interface for plugins, as its documentation has it (devel/tcg-plugins). */

#define EXPORTED __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*translated_t)(qemu_plugin_id_t id, struct qemu_plugin_tb *block);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, translated_t translated);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *to, size_t size);

EXPORTED int qemu_plugin_version = 4;

#define PROGRAMS 4

static struct program {
	const uint8_t *text;
	uint8_t *map;
	uint64_t base, size;
} programs[PROGRAMS];
static size_t program_count;

static void *map_file(const char *path, bool shared, uint64_t *size)
{
	struct stat status;
	int file = open(path, shared ? O_RDWR | O_CREAT : O_RDONLY, 0666);
	void *at;

	if (file < 0 || (shared && ftruncate(file, (off_t)*size) != 0) || fstat(file, &status) != 0)
		return NULL;
	*size = (uint64_t)status.st_size;
	at = mmap(NULL, *size, PROT_READ | (shared ? PROT_WRITE : 0),
		  shared ? MAP_SHARED : MAP_PRIVATE, file, 0);
	close(file);
	return at == MAP_FAILED ? NULL : at;
}

static void reached(const struct qemu_plugin_insn *insn)
{
	uint64_t address = qemu_plugin_insn_vaddr(insn);

	for (size_t i = 0; i < program_count; i++) {
		const struct program *program = &programs[i];
		uint64_t offset = address - program->base;
		uint8_t bytes[8];
		size_t length;

		if (offset >= program->size)
			continue;
		length = qemu_plugin_insn_data(insn, bytes, sizeof(bytes));
		if (length <= program->size - offset &&
		    memcmp(bytes, program->text + offset, length) == 0)
			program->map[offset] = 1;
	}
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++)
		reached(qemu_plugin_tb_get_insn(block, i));
}

static bool take_argument(const char *argument)
{
	struct program *program = &programs[program_count];

	if (strncmp(argument, "text=", 5) == 0) {
		program->text = map_file(argument + 5, false, &program->size);
		return program->text != NULL;
	}
	if (strncmp(argument, "base=", 5) == 0) {
		program->base = strtoull(argument + 5, NULL, 0);
		return true;
	}
	if (strncmp(argument, "map=", 4) != 0 || !program->text)
		return false;
	program->map = map_file(argument + 4, true, &program->size);
	return program->map && ++program_count;
}

EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv);

EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++)
		if (program_count == PROGRAMS || !take_argument(argv[i])) {
			fprintf(stderr, "reach: %s: cannot be used\n", argv[i]);
			return -1;
		}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}

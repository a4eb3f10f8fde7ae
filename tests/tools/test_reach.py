# SPDX-License-Identifier: MIT
"""tools/reach and its plugin: what a program did is found reached, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/system"))

import pilae  # noqa: E402

BASE = 0x80000000
# Ends QEMU through the finisher of `virt`.
PROGRAM = """\
__asm__(".globl _start\\n_start: li sp, 0x80100000\\n\\tj begin");
volatile int zero;
static int done(int x)
{
	return x + 1; /* reached */
}
static int left_out(int x)
{
	return x - 1; /* missed */
}
void begin(void)
{
	if (zero)
		left_out(1); /* missed */
	else
		done(1); /* reached */
	*(volatile unsigned *)0x100000 = 0x5555;
	for (;;)
		;
}
"""
REACHED, MISSED = ([n for n, text in enumerate(PROGRAM.splitlines(), 1) if word in text]
                   for word in ("/* reached", "/* missed"))


@pytest.fixture
def program(tmp_path):
    """As ELF; what lies at its base is beside it."""
    (tmp_path / "program.c").write_text(PROGRAM, encoding="utf-8")
    elf = tmp_path / "program.elf"
    subprocess.run([pilae.CROSS + "gcc", "-march=rv64imac", "-mabi=lp64", "-mcmodel=medany", "-g",
                    "-O0", "-nostdlib", "-static", f"-Wl,-Ttext={BASE:#x}",
                    "program.c", "-o", elf], cwd=tmp_path, check=True)
    subprocess.run([pilae.CROSS + "objcopy", "-O", "binary", "--only-section=.text", elf,
                    elf.with_suffix(".bin")], check=True)
    return elf


@pytest.fixture
def run(program):
    """Runs it; `text` is what the plugin takes for the program."""
    plugin = pilae.BUILD / "tests/reach.so"
    subprocess.run(["make", "-s", f"B={pilae.BUILD}", str(plugin)], cwd=TOP, check=True)

    def run(text):
        subprocess.run([pilae.qemu_binary(), "-M", "virt", "-m", "64M", "-display", "none",
                        "-bios", program, "-plugin", f"{plugin},text={text},base={BASE:#x},"
                        f"map={program.with_suffix('.reach')}"], check=True, timeout=60)
    return run


def missed(program):
    """(file and line, mark) of what tools/reach tells to be missed."""
    folder = program.parent
    subprocess.run([TOP / "tools/reach", ".", program.name, "not-there.elf"], cwd=folder, check=True)
    rows = (folder / "reach/lines.txt").read_text(encoding="utf-8").splitlines()
    return {tuple(row[2:].split(":")[:2]): row[0] for row in rows}


def test_lines(program, run):
    run(program.with_suffix(".bin"))
    rows = missed(program)
    assert {("program.c", str(n)) for n in MISSED} <= set(rows)
    assert not {("program.c", str(n)) for n in REACHED} & set(rows)
    assert set(rows.values()) == {"!"}


def test_runs_add_up(program, run):
    """A run that reaches nothing takes nothing away."""
    run(program.with_suffix(".bin"))
    before = missed(program)
    (program.parent / "other.bin").write_bytes(bytes(program.with_suffix(".bin").stat().st_size))
    run(program.parent / "other.bin")
    assert missed(program) == before


def test_other_code_at_that_address(program, run):
    (program.parent / "other.bin").write_bytes(bytes(program.with_suffix(".bin").stat().st_size))
    run(program.parent / "other.bin")
    assert {("program.c", str(n)) for n in REACHED + MISSED} <= set(missed(program))


def test_unit_tests_count(program, run):
    """What a unit test reaches is told without a mark."""
    (program.parent / "coverage").mkdir()
    lines = [{"line_number": n, "count": n == MISSED[0]} for n in MISSED]
    (program.parent / "coverage/lines.json").write_text(
        json.dumps({"files": [{"file": "program.c", "lines": lines}]}), encoding="utf-8")
    run(program.with_suffix(".bin"))
    rows = missed(program)
    assert [rows["program.c", str(n)] for n in MISSED] == [" ", "!"]

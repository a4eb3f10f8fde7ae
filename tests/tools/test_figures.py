# SPDX-License-Identifier: MIT
"""The figures in the documents are those of bench/results.json, and of what is built."""

import json
import os
import re

import pytest

from program import TOP

RESULTS = json.loads((TOP / "bench/results.json").read_text(encoding="utf-8"))["opensbi"]["numbers"]
NATIVE = {"hext": RESULTS["native on rv64,h=true"], "soft": RESULTS["native on rv64,h=false"]}
# Rows of tables with what is native, Pilae's and how many times: the number's part and name.
TIMES = {
    "Linux boot, reset to init": ("soft", "boot", "boot-from-reset"),
    "`getppid`": ("soft", "linux", "getppid"),
    "`getppid`, a call that does nothing": ("soft", "linux", "getppid"),
    "the same with `pilae,fast-csr`": ("soft-fast", "linux", "getppid"),
    "anonymous page fault": ("soft", "linux", "fault-anonymous"),
    "fork and exec": ("soft", "linux", "fork-exec"),
    "pipe": ("soft", "linux", "pipe"),
}
# Rows of the table with a budget, what was measured, and what is native.
BUDGETS = {
    "SBI probe": "sbi-probe",
    "`set_timer`": "sbi-set-timer",
    "`send_ipi` to itself": "sbi-ipi-self",
    "remote `fence.i` to itself": "sbi-remote-fence-i-self",
    "IPI to itself, until the handler runs": "ipi-self-to-handler",
    "read of the UART's LSR": "mmio-uart-lsr",
    "read of a PLIC priority": "mmio-plic-priority",
    "first touch of 2 MiB, pool filled": "first-touch-2m",
    "switch between two vCPUs, FP clean": "switch",
    "lateness of a timer in WFI": "wfi-timer-wake-late",
    "illegal instruction, until the handler runs": "illegal-insn-to-handler",
}
# A system that is measured again takes a little more or less.
CLOSE = 0.005


def rows(document, names):
    """The cells of those that begin with one of these, each of which is there."""
    table = [[cell.strip() for cell in line.strip("|").split("|")]
             for line in (TOP / document).read_text(encoding="utf-8").splitlines()]
    found = [cells for cells in table if len(cells) == 4 and cells[0] in names]
    assert found, document
    return found


def number(text):
    """1,050.2 M, or 440."""
    value, _, unit = text.partition(" ")
    return float(value.replace(",", "")) * {"": 1, "M": 1e6}[unit]


def times(engine, part, name):
    return RESULTS[engine][part][name] / NATIVE[engine.partition("-")[0]][part][name]


@pytest.mark.parametrize("document", ["README.md", "docs/soft-engine.md"])
def test_times_native(document):
    for what, native, measured, ratio in rows(document, TIMES):
        engine, part, name = TIMES[what]
        assert number(native) == pytest.approx(NATIVE["soft"][part][name], rel=CLOSE), what
        assert number(measured) == pytest.approx(RESULTS[engine][part][name], rel=CLOSE), what
        assert float(ratio) == pytest.approx(times(engine, part, name), abs=0.0051 + CLOSE), what


def test_budgets():
    document = "docs/hext-engine.md"
    table = rows(document, BUDGETS)
    assert len(table) == len(BUDGETS)
    for what, _, measured, native in table:
        name = BUDGETS[what]
        assert int(measured) == RESULTS["hext"]["micro"][name], what
        assert (int(native) if native else None) == NATIVE["hext"]["micro"].get(name), what


def test_first_lines():
    """What README begins with."""
    text = " ".join((TOP / "README.md").read_text(encoding="utf-8").split("```")[0].split())
    said = re.search(r"Linux boots in ([\d.]+) times .* boot takes ([\d.]+) times .* a fork and exec "
                     r"([\d.]+)\. The hypervisor is one file of (\d+) KB", text)
    size = (TOP / os.environ.get("PILAE_BUILD", "build") / "pilae.bin").stat().st_size / 1024
    assert float(said[1]) == pytest.approx(times("hext", "boot", "boot-from-reset"), abs=0.01)
    assert float(said[2]) == pytest.approx(times("soft", "boot", "boot-from-reset"), abs=0.01)
    assert float(said[3]) == pytest.approx(times("soft", "linux", "fork-exec"), abs=0.01)
    assert int(said[4]) == pytest.approx(size, rel=0.05)

# SPDX-License-Identifier: MIT
"""What vCPUs and harts count, what that costs, and the commands that show it."""

import re
import time

import pytest

from pilae import BUILD, MIB, MINIKERNEL, Machine, assemble, boots_on, build_variant
from shell import ESCAPE, PROMPT, ask, command, open_shell

BENCH = BUILD / "guests/bench.elf"
COST_MAX = 10  # instructions an exit

# Operations that are one exit each; and those that are dealt with on a quick way.
FULL = {
    "hext": ["getchar-empty", "first-touch-2m"],
    "soft": ["getchar-empty", "sbi-probe", "sbi-set-timer", "sbi-remote-fence-i-self",
             "mmio-uart-lsr", "mmio-plic-priority", "mmio-plic-priority-write",
             "illegal-insn-to-handler", "ecall-u-to-handler", "page-fault-to-handler",
             "sfence-page", "satp-switch"],
}
QUICK = {
    "hext": ["sbi-probe", "sbi-set-timer", "sbi-remote-fence-i-self", "mmio-uart-lsr",
             "mmio-plic-priority", "mmio-plic-priority-write"],
    "soft": ["csr-read-sstatus", "csr-toggle-sie", "csr-swap-sscratch"],
}


@pytest.fixture(scope="module")
def not_counting():
    """Pilae built so that it counts nothing."""
    return build_variant("nostats", "PILAE_NO_STATISTICS")


def measure(folder, engine, system, name, kernel=None):
    """The micro-benchmarks: instructions of each operation."""
    with Machine(folder, engine, system, icount=True, limit=120, kernel=kernel,
                 extra=["-seed", "1"], name=name) as machine:
        assert machine.wait_exit() == 0
        return {m[1]: int(m[2])
                for m in re.finditer(r"^bench (\S+) (\d+)\s*$", machine.output(), re.MULTILINE)}


def test_cost(folder, engine, system, not_counting):
    """An exit is counted with 10 instructions at most, a quick one with 3."""
    system.image("bench", BENCH)
    system.vm("bench", kernel="bench", memory=128 * MIB)
    path = system.build()
    counting = measure(folder, engine, path, "counting")
    plain = measure(folder, engine, path, "plain", not_counting)
    for name in FULL[engine]:
        assert 0 < counting[name] - plain[name] <= COST_MAX, name
    for name in QUICK[engine]:
        assert counting[name] - plain[name] == 3, name
    assert counting["alu-loop-1000"] == plain["alu-loop-1000"]


def statistics(machine, name):
    return ask(machine, f"vm stats {name}")


def test_counts(folder, engine, system):
    """A guest's exits are counted, by what they are about; instructions as the guest sees them."""
    system.image("exits", assemble(folder, "exits.S"))
    system.vm("guest", kernel="exits", memory=16 * MIB)
    with Machine(folder, engine, system.build(), limit=60) as m:
        taken = int(m.expect(r"exits: ([0-9a-f]{16})")[1], 16) / 1000
        open_shell(m)
        [vcpu] = statistics(m, "guest")
        # Alone on its hart, hext's WFI waits in the guest.
        while engine == "soft" and not vcpu["wfi_exits"]:
            [vcpu] = statistics(m, "guest")
        text = command(m, "vm stats guest")
        shell = command(m, "vm stats gues")
        m.sendline("poweroff")
        assert m.wait_exit() == 0
    assert vcpu["vcpu"] == vcpu["hart"] == 0
    quick = 500 if engine == "hext" else 0
    assert (vcpu["sbi_exits"], vcpu["sbi_quick"]) == (1500, quick)
    # 300 loads, and the characters printed.
    assert vcpu["mmio_exits"] == 300 + len("exits: \n") + 16
    assert vcpu["mmio_quick"] == (vcpu["mmio_exits"] if engine == "hext" else 0)
    assert vcpu["memory_exits"] >= 1
    assert vcpu["run_ns"] > 0
    assert (vcpu["privileged_exits"] > 0) == (vcpu["shadow_exits"] > 0) == (engine == "soft")
    # Without the way in and out, which each call has besides.
    full = vcpu["sbi_exits"] - quick
    assert 0 < vcpu["sbi_instructions"] / full < taken
    assert re.search(rf"^  sbi +1500 +{quick} +\d+ +\d+$", text, re.MULTILINE)
    assert "vCPU 0 on hart 0:  ran " in text and "gues: no such VM" in shell


def test_alone(folder, engine, system):
    """A vCPU alone on its hart runs without exits but its own, busy or idle."""
    own = {"sbi_exits"} if engine == "hext" else {"sbi_exits", "wfi_exits"}

    def watch(m):
        """The exits of the two in half a second: which kinds, of each."""
        before = [statistics(m, name)[0] for name in ("idle", "busy")]
        time.sleep(0.5)
        after = [statistics(m, name)[0] for name in ("idle", "busy")]
        assert after[1]["run_ns"] > before[1]["run_ns"]
        return [{key for key in old if key.endswith("_exits") and old[key] != new[key]}
                for old, new in zip(before, after)]

    for i, name in enumerate(["idle", "busy"]):
        system.image(name, assemble(folder, "alone.S", name=name, BUSY=i))
        system.vm(name, kernel=name, memory=4 * MIB, **{"pilae,cpus": [i + 1]})
    # The hart that boots serves the shell, and has no VM here.
    with Machine(folder, engine, system.build(), harts=3, limit=90,
                 extra=boots_on(folder, 0)) as m:
        m.expect("alone: ready")
        m.expect("alone: ready")
        open_shell(m)
        # At first it is there that a hart fills its stock of cleared pages: when its guest waits.
        while watch(m) != [own, set()]:
            pass
        for _ in range(3):
            assert watch(m) == [own, set()]
        m.sendline("poweroff")
        m.wait_exit()


def test_jobs_do_not_hold_a_vcpu(folder, engine, system):
    """A vCPU whose hart does jobs, as the shell's, is had by a hart that has nothing to do."""
    system.image("busy", assemble(folder, "alone.S", BUSY=1))
    system.vm("busy", kernel="busy", memory=4 * MIB)
    with Machine(folder, engine, system.build(), harts=2, limit=30,
                 extra=boots_on(folder, 0)) as m:
        m.expect("alone: ready")
        open_shell(m)
        while statistics(m, "busy")[0]["hart"] != 1:
            pass
        m.sendline("poweroff")
        m.wait_exit()


@pytest.fixture
def minikernels(system):
    system.image("kernel", MINIKERNEL)
    system.vm("first", kernel="kernel", memory=64 * MIB)
    system.vm("second", kernel="kernel", memory=64 * MIB)
    system.vm("third", kernel="kernel", memory=64 * MIB, **{"pilae,manual": True})
    return system


def wait_for_boot(machine):
    """Both have said all that they say by themselves; the first is focused."""
    machine.expect("pilae: second: ")
    for console in "21":
        machine.send(ESCAPE + console)
        machine.expect("console of .*mk> ")


def test_irq(folder, engine, minikernels):
    with Machine(folder, engine, minikernels.build(), harts=2, limit=60) as m:
        wait_for_boot(m)
        m.send("uptime\r")
        m.expect("up .*mk> ")
        open_shell(m)
        found = ask(m, "irq")
        text = command(m, "irq")
        m.sendline("poweroff")
        assert m.wait_exit() == 0
    harts = [entry for entry in found if "hart" in entry]
    assert [hart["hart"] for hart in harts] == [0, 1]
    assert harts[0]["externals"] > 0
    assert harts[1]["ipis"] > 0 and harts[0]["ipis_sent"] > 0
    # Where they come from: the UART, over which the keys came.
    sources = {entry["source"]: entry["interrupts"] for entry in found if "source" in entry}
    assert sources[10] > 0
    injected = {entry["vm"]: entry for entry in found if "vm" in entry}
    assert injected["first"]["injected_external"] > 0
    assert injected["third"]["injected_external"] == 0
    assert re.search(r"^  source 10 +\d+  UART$", text, re.MULTILINE)
    assert re.search(r"^  first +\d+ +\d+ +\d+$", text, re.MULTILINE)


def test_top(folder, engine, minikernels):
    """It is shown anew while VMs and the shell's harts go on, until a key is pressed."""
    with Machine(folder, engine, minikernels.build(), harts=2, limit=90) as m:
        wait_for_boot(m)
        open_shell(m)
        m.sendline("top")
        for _ in range(3):
            m.expect(r"\x1b\[Hup \d+ s, 2 harts, 3 VMs; any key ends this")
            m.expect(r"first +\d+ +\d+ +\d+.*second .*hart +busy%.*\x1b\[J")
        # A key ends it, and is not taken for anything else.
        m.send("v")
        m.expect(PROMPT)
        assert "1 hart" not in command(m, "hart list")
        # So does another console; VMs are alive meanwhile.
        m.sendline("top")
        m.expect(r"\x1b\[J")
        m.send(ESCAPE + "2")
        m.expect("console of second")
        m.send("uptime\r")
        m.expect(r"mk> ")
        assert "any key ends" not in m.child.before
        m.send(ESCAPE + "s")
        m.expect(PROMPT)
        assert sum(e.get("timers", 0) for e in ask(m, "irq")) >= 2  # any hart may have booted
        first, second = (ask(m, "top") for _ in range(2))
        m.sendline("poweroff")
        assert m.wait_exit() == 0
    assert second[0]["time_ns"] > first[0]["time_ns"]
    vms = {entry["vm"]: entry for entry in second if "vm" in entry}
    assert set(vms) == {"first", "second", "third"}
    assert vms["first"]["mmio_exits"] > 0 == vms["third"]["mmio_exits"]
    idle = [[entry["idle_ns"] for entry in sample if "idle_ns" in entry]
            for sample in (first, second)]
    assert len(idle[0]) == 2 and all(a <= b for a, b in zip(*idle)) and idle[1][1] > 0

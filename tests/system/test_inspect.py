# SPDX-License-Identifier: MIT
"""Crash reports, and the commands that look into VMs and the machine."""

import json
import re
import subprocess

import pytest

from pilae import CROSS, MIB, Machine, assemble, check_interrupts_off, qemu_binary
from shell import ESCAPE, PROMPT, ask, command, open_shell

LOAD = 0x80200000        # where a flat image lies in RAM
VIRTUAL = 0x2000000000   # what crash.S adds to it
SETTLED = "crash: ready"
NAMES = ("zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 "
         "t3 t4 t5 t6").split()


def register(n):
    return 0xabcd00000000 + 0x1111 * n


class Crash:
    """A system with crash.S, and where its labels are."""

    def __init__(self, folder, system, vcpus=1, name="crash", **properties):
        defines = {"SECOND": 1} if vcpus > 1 else {}
        image = assemble(folder, "crash.S", base=LOAD, **defines)
        listing = subprocess.run([CROSS + "nm", image.with_suffix(".elf")], capture_output=True,
                                 text=True, check=True).stdout
        self.labels = {line.split()[2]: int(line.split()[0], 16) + VIRTUAL
                       for line in listing.splitlines()}
        self.code = image.read_bytes()
        system.image("crash", image)
        system.vm(name, kernel="crash", memory=4 * MIB, vcpus=vcpus, **properties)
        self.system = system

    def word(self, address):
        offset = address - VIRTUAL - LOAD
        return int.from_bytes(self.code[offset:offset + 4], "little")


def reports(output):
    """The reports of the log: a list of lists of lines, from the reason on."""
    found = []
    for line in output.splitlines():
        if re.match(r"pilae: \S+: stopped: ", line):
            found.append([line])
        elif found and re.match(r"pilae:   |pilae: \S+: vCPU ", line):
            found[-1].append(line)
    return found


def values(text):
    """The registers of a report, and what follows the titles."""
    found = {m[1]: int(m[2], 16) for m in re.finditer(r"\b([a-z]{1,2}\d{0,2}) ([0-9a-f]{16})\b",
                                                      text)}
    found["scause"] = re.search(r"scause +(.*?), sepc", text)[1]
    found["sepc"] = int(re.search(r"sepc ([0-9a-f]+)", text)[1], 16)
    for name in "stval", "sscratch", "sie", "sip":
        found[name] = int(re.search(name + r" ([0-9a-f]+)", text)[1], 16)
    found["stvec"] = int(re.search(r"stvec +([0-9a-f]+)", text)[1], 16)
    found["satp"] = re.search(r"satp +(.*?), stval", text)[1]
    found["sstatus"] = re.search(r"sstatus +(.*)", text)[1]
    return found


def callers(text):
    return re.search(r"callers +(.*)", text)[1]


def check_registers(found, crash, but=()):
    for n in set(range(3, 32)) - {8, 9, 10, 11, 16, 17} - set(but):
        assert found[NAMES[n]] == register(n), NAMES[n]
    assert found["sscratch"] == 0x5c5c5c5c
    assert found["sepc"] == crash.labels["bad"]
    assert found["scause"] == "illegal instruction (2)"
    assert found["stvec"] == crash.labels["trapped"]
    assert found["sie"] == 0x202
    root = crash.labels["root"] - VIRTUAL
    assert found["satp"] == f"Sv39, ASID 5, table {root:x}"
    assert "SPP=S" in found["sstatus"]


def check_screen(report):
    assert len(report) <= 24, "\n".join(report)
    assert all(len(line) <= 80 for line in report[1:]), "\n".join(report)


def crash_by(folder, engine, crash, key, harts=1):
    """The only report of a crash by that key, as lines and as one text."""
    with Machine(folder, engine, crash.system.build(), harts=harts, limit=60) as m:
        m.expect(SETTLED)
        m.send(key)
        assert m.wait_exit() == 1
        found = reports(m.output())
    assert len(found) == 1
    check_screen(found[0])
    return found[0], "\n".join(found[0])


def test_report(folder, engine, system):
    """All of what a report says, of a guest that reports a failure."""
    crash = Crash(folder, system)
    lines, text = crash_by(folder, engine, crash, "s")
    assert lines[0] == "pilae: crash: stopped: the guest reports a system failure"
    assert lines[1] == f"pilae: crash: vCPU 0 of 1, {engine}, S-mode, parked"
    found = values(text)
    check_registers(found, crash)
    call = crash.labels["srst_call"]
    # Behind the call, with its arguments still there.
    assert found["pc"] == call + 4
    assert found["a0"] == 0 and found["a1"] == 1 and found["a7"] == 0x53525354
    assert callers(text) == f"{crash.labels['inner']:x}, {crash.labels['outer']:x}"
    before = re.search(r"code +([0-9a-f]{16}):((?: [0-9a-f]{4})+)\r?\n", text + "\n")
    parcels = before[2].split()
    assert int(before[1], 16) + 2 * len(parcels) == call + 4
    assert parcels[-2:] == ["0073", "0000"]
    behind = re.search(r"pc -> +([0-9a-f]{16}): ([0-9a-f]{8}) ", text)
    assert int(behind[1], 16) == call + 4 and int(behind[2], 16) == crash.word(call + 4)
    assert re.search(rf"exits +SBI SRST 0 @{call:x}", text)


def test_report_of_the_finisher(folder, engine, system):
    crash = Crash(folder, system)
    lines, text = crash_by(folder, engine, crash, "f")
    assert lines[0].endswith("stopped: the guest reports a failure to its test finisher, code 7")
    found = values(text)
    check_registers(found, crash, but=[16, 17])
    assert found["pc"] == crash.labels["fail_store"]
    assert found["a0"] == 0x100000 and found["a1"] == 0x73333


def test_report_of_a_dead_vm(folder, engine, system):
    crash = Crash(folder, system)
    lines, text = crash_by(folder, engine, crash, "d")
    assert lines[0].endswith("its last hart has stopped itself; none is left to start one")
    assert ", stopped" in lines[1]
    check_registers(values(text), crash)
    assert re.search(r"exits +SBI HSM 1 @", text)


@pytest.mark.parametrize("harts", [1, 2])
def test_report_with_others(folder, engine, system, harts):
    """Another vCPU, that runs or waits its turn meanwhile, has its line."""
    crash = Crash(folder, system, vcpus=3)
    lines, text = crash_by(folder, engine, crash, "s", harts=harts)
    assert "vCPU 0 of 3" in lines[1]
    others = re.search(r"others +(.*)", text)[1]
    assert re.fullmatch(r"1 parked S 802[0-9a-f]+, 2 stopped [SU] 0", others)
    check_registers(values(text), crash)


@pytest.mark.parametrize("key, expected", [("p", "unknown"), ("c", "{circle:x}")],
                         ids=["devices", "circle"])
def test_report_of_strange_frames(folder, engine, system, key, expected):
    crash = Crash(folder, system)
    _, text = crash_by(folder, engine, crash, key)
    assert callers(text).startswith(expected.format(**crash.labels))
    check_registers(values(text), crash)


def test_crashes_in_a_loop(folder, engine, system):
    """A VM that crashes again and again does not flood the log with reports."""
    system.image("bad", assemble(folder, "hello.S", REASON=1))
    system.vm("bad", kernel="bad", memory=4 * MIB, **{"pilae,on-crash": "restart"})
    with Machine(folder, engine, system.build(), limit=60, icount=True) as m:
        for _ in range(100):
            m.expect("bad: stopped: ")
        open_shell(m)
        m.sendline("poweroff")
        m.wait_exit()
        output = m.output()
    full = [report for report in reports(output) if len(report) > 1]
    assert 1 <= len(full) < 20
    for report in full:
        check_screen(report)
    if len(full) > 1:
        assert re.search(r"bad: \d+ crashes? before", output)


def regs(machine, name="crash", vcpu=0):
    found = ask(machine, f"vm regs {name} {vcpu}")[0]
    return {key: int(value, 16) if str(value).startswith("0x") else value
            for key, value in found.items()}


@pytest.mark.parametrize("harts", [1, 2])
@pytest.mark.parametrize("key", ["x", "w"], ids=["spins", "sleeps"])
def test_registers_of_a_running_vm(folder, engine, system, key, harts):
    crash = Crash(folder, system, vcpus=2)
    system.vm("another", kernel="crash", memory=4 * MIB, **{"pilae,manual": True})
    with Machine(folder, engine, system.build(), harts=harts, limit=120) as m:
        m.expect(SETTLED)
        m.send(key)
        open_shell(m)
        m.sendline("vm start another")
        m.expect(r"\[another\] " + SETTLED)
        # It has got there, and goes on after each look.
        last = 0
        while last < 3:
            now = regs(m)
            assert now["state"] in ("runs", "waits") and now["vcpu"] == 0
            if key == "x" and crash.labels["spin"] <= now["pc"] <= crash.labels["spin"] + 4:
                assert now["t5"] == register(30) and now["sscratch"] == 0x5c5c5c5c
                last += now["t6"] > register(31)
            elif key == "w" and now["t6"] > register(31) + last:
                last += 1
        first = regs(m)["t6"]
        while regs(m)["t6"] == first:
            pass
        text = command(m, "vm regs crash")
        assert re.search(rf"^crash: vCPU 0 of 2, {engine}, S-mode, (runs|waits)", text,
                         re.MULTILINE)
        assert values(text)["t5"] == register(30)
        # Its first turns may pass while QEMU itself has none.
        while regs(m, vcpu=1)["a0"] != 0x77:
            pass
        second = regs(m, vcpu=1)
        assert second["a0"] == 0x77 and second["satp"] == 0
        assert LOAD <= second["pc"] < LOAD + 0x10000
        # A dump has the same and more.
        text = command(m, "vm dump crash")
        assert "callers" in text and "exits" in text and "others  1 " in text
        assert callers(text).startswith(f"{crash.labels['inner']:x}")
        assert "no such vCPU; crash has 2" in command(m, "vm regs crash 2")
        assert "no such vCPU" in command(m, "vm dump crash 0xffffffffffffffff")
        assert "not understood" in command(m, "vm regs crash 1 1")
        m.sendline("poweroff")
        m.wait_exit()


def test_guests_gone_astray(folder, engine, system):
    """satp of no RAM, and pc where nothing is mapped: shown, and the VM is none the worse."""
    crash = Crash(folder, system)
    system.vm("second", kernel="crash", memory=4 * MIB, **{"pilae,manual": True})
    with Machine(folder, engine, system.build(), limit=60) as m:
        m.expect(SETTLED)
        m.send("g")
        open_shell(m)
        m.sendline("vm start second")
        m.expect(r"\[second\] " + SETTLED)
        m.send(ESCAPE + "2")
        m.expect("console of second")
        m.send("u")
        open_shell(m)
        while "table fffffffffff000" not in (text := command(m, "vm dump crash")):
            pass
        assert "code    none at pc: not mapped, as a page table is in no RAM" in text
        assert "callers unknown" in text
        while regs(m, "second")["pc"] != 0x123456789abcdef0:
            pass
        text = command(m, "vm dump second")
        assert "code    none at pc: not mapped" in text
        assert crash.labels and callers(text).startswith("unknown")
        m.sendline("vm kill crash")
        m.expect("crash: powered off")
        m.expect(PROMPT)
        assert "it does not run" in command(m, "vm regs crash")
        assert "it does not run" in command(m, "vm dump crash")
        assert "it does not run" in command(m, "vm mem crash 0x80000000")
        m.sendline("vm kill second")
        m.wait_exit()


def test_memory(folder, engine, system):
    crash = Crash(folder, system)
    with Machine(folder, engine, system.build(), limit=60) as m:
        m.expect(SETTLED)
        m.send("x")
        open_shell(m)
        while not regs(m)["pc"] >= VIRTUAL:
            pass
        text = command(m, f"vm mem crash {LOAD:#x} 40")
        lines = re.findall(r"^([0-9a-f]{16}): ((?: ?[0-9a-f]{2} ){1,16}) ", text, re.MULTILINE)
        assert [int(line[0], 16) for line in lines] == [LOAD, LOAD + 16, LOAD + 32]
        assert bytes.fromhex("".join(line[1] for line in lines)) == crash.code[:40]
        # By way of its tables, from an odd address on.
        found = ask(m, f"vm mem crash {LOAD + VIRTUAL + 3:#x} 30 virtual")
        assert [int(line["address"], 16) for line in found] == \
            [LOAD + VIRTUAL + 3, LOAD + VIRTUAL + 16, LOAD + VIRTUAL + 32]
        assert bytes.fromhex("".join(line["bytes"] for line in found)) == crash.code[3:33]

        before = ask(m, "vm info crash")[0]["ram_kib"]
        for address, count, word in ((0x80000000 - 8, 16, "not in RAM"), (0x10000000, 128, "not in RAM"),
                                     (0x80400000 - 16, 32, "not in RAM"),
                                     ((1 << 64) - 4, 100, "not in RAM")):
            text = command(m, f"vm mem crash {address:#x} {count}")
            assert word in text, text
        assert "not mapped" in command(m, "vm mem crash 0x3000000000 16 virtual")
        assert "not mapped" in command(m, "vm mem crash 0x8000000000000000 16 virtual")
        assert "not in RAM" in command(m, f"vm mem crash {VIRTUAL + 0x10000000:#x} 16 virtual")
        command(m, "vm mem crash 0x80000000 65536")
        # What was looked at only was not backed by that.
        assert ask(m, "vm info crash")[0]["ram_kib"] == before

        for wrong, message in {
                "": "expected: vm mem NAME ADDRESS",
                "0x": "0x: not understood",
                "80q": "not understood",
                "0x10000000000000000": "not understood",
                "1 2 3": "3: not understood",
                "0x80000000 0": "not a number of bytes",
                "0x80000000 65537": "not a number of bytes",
                "0x80000000 16 physical": "physical: not understood",
                "0x80000000 --virtual": "not understood",
        }.items():
            assert message in command(m, f"vm mem crash {wrong}".strip())
        assert "no such VM" in command(m, "vm mem nobody 0x80000000")
        m.sendline("poweroff")
        m.wait_exit()


def test_untouched_memory(folder, engine, system):
    """RAM that the guest has never touched stays that way when it is looked at."""
    system.image("keys", assemble(folder, "keys.S"))
    system.vm("keys", kernel="keys", memory=16 * MIB)
    with Machine(folder, engine, system.build(), limit=60) as m:
        m.expect("keys> ")
        open_shell(m)
        before = ask(m, "vm info keys")[0]["ram_kib"]
        text = command(m, "vm mem keys 0x80800000 0x1800")
        assert re.search(r"^0000000080800000: 6144 bytes never touched", text, re.MULTILINE)
        found = ask(m, "vm mem keys 0x807ffff0 48")
        assert found[-1] == {"address": found[-1]["address"], "count": found[-1]["count"],
                             "missing": "never touched, so not backed"}
        assert ask(m, "vm info keys")[0]["ram_kib"] == before
        m.sendline("poweroff")
        m.wait_exit()


def compiled(source):
    """A device tree as dtc writes it, sorted, of source or of a blob."""
    done = subprocess.run(["dtc", "-q", "-I", "dts" if isinstance(source, str) else "dtb", "-O",
                           "dtb", "-", ], input=source.encode() if isinstance(source, str) else source,
                          capture_output=True)
    assert done.returncode == 0, done.stderr
    text = subprocess.run(["dtc", "-q", "-s", "-I", "dtb", "-O", "dts", "-"], input=done.stdout,
                          capture_output=True, check=True).stdout.decode()
    return text


def node(text, name):
    """A node below the root, in the form of dtc, but for what the firmware changes."""
    found = re.search(rf"\n\t{name} \{{.*?\n\t\}};\n", text, flags=re.DOTALL)[0]
    return re.sub(r"\t+interrupts-extended = .*\n", "", found)


def test_device_tree(folder, engine, system):
    """What `dt` prints compiles to the tree that QEMU gave."""
    system.image("keys", assemble(folder, "keys.S"))
    system.vm("keys", kernel="keys", memory=4 * MIB)
    blob = folder / "host.dtb"
    with Machine(folder, engine, system.build(), limit=60) as m:
        m.expect("keys> ")
        arguments = [a + f",dumpdtb={blob}" if a == "virt" else a for a in m.arguments]
        subprocess.run([qemu_binary(), *arguments], check=True, capture_output=True)
        open_shell(m)
        text = command(m, "dt")
        ours, given = compiled("/dts-v1/;\n" + text), compiled(blob.read_bytes())
        for name in "soc", "cpus", "memory@80000000", "platform-bus@4000000", "flash@20000000":
            assert node(ours, name) == node(given, name)
        assert not re.search(r"rng-seed = ", text) and "rng-seed; /* not shown */" in text
        text = command(m, "dt /soc/serial")
        assert text.startswith("serial@10000000 {\n") and 'compatible = "ns16550a";' in text
        assert command(m, "dt /soc/serial@10000000/") == text
        assert command(m, "dt /cpus/cpu@0").startswith("cpu@0 {")
        for wrong in "/soc/seria", "/soc/serial@1", "soc", "/soc/serial/serial", "/nothing":
            assert "the device tree has no such node" in command(m, f"dt {wrong}")
        m.sendline("poweroff")
        m.wait_exit()


def test_log(folder, engine, system):
    system.image("bad", assemble(folder, "hello.S", REASON=1))
    system.vm("bad", kernel="bad", memory=4 * MIB, **{"pilae,manual": True})
    with Machine(folder, engine, system.build(), limit=60) as m:
        m.expect(PROMPT)
        m.sendline("vm start bad")
        m.expect("no VM is running")
        m.expect(PROMPT)
        text = command(m, "log")
        assert re.search(rf"^pilae: bad: {engine}, 1 vCPU, 4 MiB", text, re.MULTILINE)
        assert "pilae: bad: stopped: the guest reports a system failure" in text
        m.sendline("log --json")
        m.expect(r"\[")
        m.expect(r"\}\]")
        messages = [e["message"] for e in json.loads("[" + m.child.before + "}]")]
        assert "pilae: bad: stopped: the guest reports a system failure" in messages
        m.expect(PROMPT)
        m.sendline("poweroff")
        m.wait_exit()


def test_interrupts_off_in_reports(folder, engine, system, measuring):
    """Neither a report nor a command has a long stretch with interrupts off."""
    crash = Crash(folder, system, vcpus=2, **{"pilae,on-crash": "restart"})
    with Machine(folder, engine, crash.system.build(), icount=True, kernel=measuring,
                 limit=200) as m:
        m.expect(SETTLED)
        m.send("s")
        m.expect("exits +SBI SRST")
        m.expect(SETTLED)
        m.send("c")
        m.expect(SETTLED)
        open_shell(m)
        for text in ("vm regs crash", "vm regs crash --json", "vm dump crash", "log", "log --json",
                     "dt", "dt /soc/nothing", "vm mem crash 0x80200000 4096",
                     "vm mem crash 0x80200000 4096 virtual --json", "vm mem crash 0 65536"):
            command(m, text)
        m.sendline("poweroff")
        m.wait_exit()
    check_interrupts_off(m)

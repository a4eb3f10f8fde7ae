# SPDX-License-Identifier: MIT
"""Pilae's own machine-mode firmware, mostly without Pilae on it. With --firmware=own the other tests
boot with it, too."""

import re
import subprocess

import pytest

from pilae import (CROSS, FIRMWARE, INITRD, KIB, LINUX, MIB, SELFTEST, Machine, assemble, host_cpu,
                   native, qemu_can)

CODE_MOST = 32 * KIB
RESERVED_MOST = 256 * KIB
# What it tells where it cannot go on.
REFUSED = "Pilae firmware: "
# The groups of the self-test that are about SBI.
SBI_GROUPS = "sbi,hsm,dbcn,legacy,pmu"

HOSTS = {
    "plain": "rv64,h=false",
    "h": "rv64,h=true",
    "without-sstc": "rv64,h=false,sstc=off",
    "h-without-sstc": "rv64,h=true,sstc=off",
    "without-time": "rv64,h=false,zicntr=off",
    "h-without-time": "rv64,h=true,zicntr=off,sstc=off",
    "vectors": "rv64,v=true,svnapot=on",
    "overflows": "rv64,sscofpmf=on",
    "sv39": "rv64,sv48=off,sv57=off,svadu=off",
}


# Harts and memory of four harts in two nodes; 256 MiB.
TWO_NODES = ["-object", "memory-backend-ram,id=m0,size=128M",
             "-object", "memory-backend-ram,id=m1,size=128M",
             "-numa", "node,nodeid=0,cpus=0-1,memdev=m0",
             "-numa", "node,nodeid=1,cpus=2-3,memdev=m1"]


def selftest(folder, groups="", firmware="own", limit=120, **options):
    """Runs the self-test natively: the names of what passed, and of what was left out."""
    with native(folder, SELFTEST, bootargs=f"tests={groups}" if groups else "",
                firmware=firmware, limit=limit, name=f"selftest-{firmware}", **options) as m:
        m.expect(r"selftest: (\d+) ok, (\d+) not ok, (\d+) skipped")
        status = m.wait_exit()
        output = m.output()
    assert re.findall(r"^not ok .*", output, re.MULTILINE) == []
    assert status == 0
    return (set(re.findall(r"^ok (\S+)", output, re.MULTILINE)),
            set(re.findall(r"^skip (\S+):", output, re.MULTILINE)))


def test_size():
    """Code and data are what is loaded; all else is cleared memory, below the end that is closed."""
    elf = FIRMWARE.with_suffix(".elf")
    symbols = subprocess.run([CROSS + "nm", elf], capture_output=True, text=True, check=True).stdout
    address = {m[2]: int(m[1], 16) for m in re.finditer(r"^(\w+) \w (\w+)$", symbols, re.MULTILINE)}
    used = address["__firmware_end"] - address["__firmware_start"]
    print(f"{FIRMWARE.stat().st_size} bytes of code and data, {used} in all")
    assert 0 < FIRMWARE.stat().st_size <= CODE_MOST
    assert FIRMWARE.stat().st_size < used <= RESERVED_MOST


@pytest.mark.parametrize("host", HOSTS)
def test_hosts(folder, host):
    ok, _ = selftest(folder, f"{SBI_GROUPS},traps,priv,irq", cpu=HOSTS[host], harts=2)
    assert len(ok) >= 75


def test_selftest(folder):
    """Everything that a guest is checked for, natively."""
    ok, _ = selftest(folder, cpu=host_cpu("hext"), harts=2, limit=400)
    assert len(ok) >= 200


def test_without_pmp(folder):
    """Then nothing is closed, and sbi-firmware-memory would write where it must not."""
    ok, _ = selftest(folder, "hsm,traps", cpu="rv64,pmp=off", harts=2)
    assert len(ok) >= 20


@pytest.mark.parametrize("machine", ["virt", "virt,aclint=on", "virt,aia=aplic-imsic,aclint=on"])
@pytest.mark.parametrize("harts", [1, 3])
def test_interrupts_between_harts(folder, machine, harts):
    """By CLINT, ACLINT and IMSIC; the last machine has no PLIC, and nothing else for IPIs."""
    ok, _ = selftest(folder, f"{SBI_GROUPS},smp", machine=machine, harts=harts)
    assert "sbi-ipi-send" in ok
    assert harts == 1 or {"hsm-start-many", "smp-broadcast"} <= ok


@pytest.mark.parametrize("machine", ["virt", "virt,aclint=on", "virt,aia=aplic-imsic,aclint=on"])
def test_groups_of_harts(folder, machine):
    """A CLINT, ACLINT or group of an IMSIC for each node; and RAM in two parts."""
    ok, _ = selftest(folder, f"{SBI_GROUPS},smp", machine=machine, harts=4, memory="256M",
                     extra=TWO_NODES)
    assert {"hsm-start-many", "smp-broadcast"} <= ok


def test_same_answers(folder, system):
    """The same checks natively, on OpenSBI and in a guest. Where one of them leaves something out it
    is not Pilae's firmware, but for what no firmware can tell."""
    cpu = "rv64,sscofpmf=on"
    own, own_skipped = selftest(folder, SBI_GROUPS, harts=2, cpu=cpu)
    opensbi, _ = selftest(folder, SBI_GROUPS, firmware="opensbi", harts=2, cpu=cpu)
    system.image("selftest", SELFTEST)
    system.vm("selftest", kernel="selftest", vcpus=2, bootargs=f"tests={SBI_GROUPS}")
    with Machine(folder, "hext", system.build(), harts=2, firmware="own") as m:
        assert m.wait_exit() == 0
        guest = set(re.findall(r"^ok (\S+)", m.output(), re.MULTILINE))
    assert own_skipped == set()
    assert opensbi <= own
    assert own - guest == {"sbi-firmware-memory", "sbi-firmware-named",
                           "sbi-firmware-delegation", "sbi-firmware-stopped", "pmu-counters",
                           "pmu-states", "pmu-overflow", "pmu-errors"}
    assert guest <= own


@pytest.mark.parametrize("harts", range(1, 9))
def test_linux(folder, harts):
    """Debian's kernel without Pilae: all harts, a restart, the end."""
    with native(folder, LINUX, INITRD, bootargs="console=ttyS0", harts=harts, firmware="own",
                limit=200, cpu=host_cpu("hext")) as m:
        m.expect("SBI implementation ID=0x50696c66")
        m.expect(rf"Brought up 1 node, {harts} CPU")
        m.expect(r"riscv-pmu-sbi: 0 firmware and \d+ hardware counters")
        m.expect(r"Welcome to Debian's Linux without Pilae: .*, (\d+) CPUs")
        assert int(m.child.match[1]) == harts
        m.expect("# ")
        m.sendline("echo $((6*7)) $(seq 1000 | wc -l)")
        m.expect(r"\n42 1000\r")
        m.sendline("reboot")
        m.expect("Welcome to Debian's Linux without Pilae")
        m.expect("# ")
        m.sendline("poweroff")
        assert m.wait_exit() == 0


@pytest.mark.parametrize("features", ["sstc=off", "zicntr=off,sstc=off"])
def test_linux_under_load(folder, features):
    with native(folder, LINUX, INITRD, bootargs="console=ttyS0 pilae.test=load,-n,1", harts=2,
                firmware="own", limit=200, cpu=host_cpu("soft", features)) as m:
        m.expect(r"load: ok \d+\.\d+ s, \d+ workers on 2 CPUs", unless="load: FAILED")
        assert m.wait_exit() == 0


@pytest.mark.parametrize("machine", ["virt,aclint=on", "virt,aia=aplic", "virt,aia=aplic-imsic",
                                     "virt,aia=aplic-imsic,aclint=on,aia-guests=3"])
def test_linux_on_machines(folder, machine):
    """The console's interrupt comes through a PLIC, an APLIC, and as a message."""
    if not qemu_can(machine):
        pytest.skip("this QEMU is too old for that")
    with native(folder, LINUX, INITRD, bootargs="console=ttyS0", harts=3, firmware="own",
                limit=100, machine=machine) as m:
        m.expect("# ")
        m.sendline("echo $((6*7))")
        m.expect(r"\n42\r")
        m.sendline("poweroff")
        assert m.wait_exit() == 0


@pytest.mark.parametrize("machine", ["virt,aia=aplic-imsic", "virt,aia=aplic-imsic,aclint=on"])
def test_linux_on_groups(folder, machine):
    """Messages to harts of both groups: who gets the console's interrupts moves."""
    with native(folder, LINUX, INITRD, bootargs="console=ttyS0", harts=4, firmware="own",
                memory="256M", limit=100, machine=machine, extra=TWO_NODES) as m:
        m.expect(r"Brought up \d nodes?, 4 CPUs")
        m.expect("# ")
        for cpu in (3, 0, 2, 1):
            m.sendline("for i in /proc/irq/*/smp_affinity_list; do "
                       f"echo {cpu} > $i; done 2>/dev/null; taskset -c {cpu} echo $((6*{cpu}))")
            m.expect(rf"\n{6 * cpu}\r")
        m.sendline("poweroff")
        assert m.wait_exit() == 0


def refused(folder, kernel, **options):
    """The machine ends as failed, with a message of the firmware's."""
    with native(folder, kernel, firmware="own", limit=30, **options) as m:
        assert m.wait_exit() == 1
        return re.search(re.escape(REFUSED) + "(.*)", m.output())[1]


def test_no_kernel(folder):
    arguments = ["-kernel", str(SELFTEST)]
    m = native(folder, SELFTEST, firmware="own", limit=30)
    m.close()
    at = m.arguments.index("-kernel")
    assert m.arguments[at:at + 2] == arguments
    done = subprocess.run([m.child.command, *m.arguments[:at], *m.arguments[at + 2:]],
                          capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert "there is no kernel" in done.stdout


@pytest.mark.parametrize("spoiled", [b"\0" * 64, b"\xd0\x0d\xfe\xed" + b"\xff" * 60, b"\x5a" * 4096])
def test_broken_tree(folder, spoiled):
    """What QEMU has put there is overwritten. With 128 MiB of RAM that is 2 MiB before its end."""
    tree = folder / "tree"
    tree.write_bytes(spoiled)
    told = refused(folder, SELFTEST, memory="128M",
                   extra=["-device", f"loader,file={tree},addr=0x87e00000,force-raw=on"])
    assert "device tree" in told


def tree_of(folder, harts):
    """The device tree of a machine, in a file."""
    dtb = folder / "machine.dtb"
    m = native(folder, SELFTEST, firmware="own", harts=harts, limit=30)
    m.close()
    arguments = m.arguments.copy()
    arguments[arguments.index("-M") + 1] = f"virt,dumpdtb={dtb}"
    subprocess.run([m.child.command, *arguments], check=True, capture_output=True)
    return dtb


def test_harts_that_are_missing(folder):
    """The tree has four, the machine two: the other two cannot be started."""
    dtb = tree_of(folder, 4)
    with native(folder, SELFTEST, bootargs="tests=hsm", harts=2, firmware="own", limit=60,
                extra=["-dtb", dtb]) as m:
        m.expect("Pilae firmware: SBI 2.0, 2 harts")
        m.expect("selftest: 4 harts")
        # SBI_ERR_INVALID_PARAM; the others work.
        m.expect("not ok hsm-status: hart 2: got 0xfffffffffffffffd")
        m.expect(r"selftest: 12 ok, 1 not ok")
    # In hart masks, too. After a test all harts are to be stopped, which these are not.
    with native(folder, SELFTEST, bootargs="only=sbi-harts-named", harts=2, firmware="own",
                limit=60, extra=["-dtb", dtb], name="named") as m:
        m.expect("selftest: 4 harts")
        m.expect("not ok sbi-harts-named: hart 2 is left in state -3", unless="got 0x")


@pytest.mark.parametrize("machine", ["virt", "virt,aclint=on"])
def test_illegal_instructions_taken_over(folder, system, machine):
    """Without `time` the soft engine asks the firmware for illegal instructions, and emulates the
    counters itself."""
    system.image("selftest", SELFTEST)
    system.vm("selftest", kernel="selftest", vcpus=2,
              bootargs=f"tests={SBI_GROUPS},traps,priv,irq,code_behind")
    with Machine(folder, "soft", system.build(), harts=2, firmware="own", machine=machine,
                 cpu=HOSTS["without-time"].replace("zicntr", "sstc=off,zicntr")) as m:
        assert m.wait_exit() == 0
        output = m.output()
    assert output.count("illegal instructions are taken over from the firmware") == 1
    assert len(re.findall(r"^ok ", output, re.MULTILINE)) >= 75
    assert "not ok" not in output.replace("0 not ok", "")


def test_shutdown_that_cannot_be(folder):
    """The tree has nothing that ends the machine: SRST says so, and the legacy call, which knows no
    error, puts all harts to rest."""
    dtb = tree_of(folder, 2)
    for path in ("/poweroff", "/reboot", "/soc/test@100000"):
        subprocess.run(["fdtput", "-r", dtb, path], check=True)
    with native(folder, assemble(folder, "shutdown.S", 0x80200000, RESET=-2), firmware="own", harts=2,
                limit=30, extra=["-dtb", dtb]) as m:
        m.expect("shutdown: calling", unless="expected")
        places = []
        while len(places) != 2 or not all(0x80000000 <= p < 0x80040000 for p in places):
            m.left()
            answer = m.monitor.type("info registers -a")
            places = [int(p, 16) for p in re.findall(r"^ pc +(\w+)", answer, re.MULTILINE)]
        assert "returned" not in m.output()


def test_shutdown_of_a_guest(folder, engine, system):
    """The same call, of a VM."""
    system.image("shutdown", assemble(folder, "shutdown.S"))
    system.vm("shutdown", kernel="shutdown", vcpus=2, memory=4 * MIB)
    with Machine(folder, engine, system.build(), harts=2, limit=30) as m:
        assert m.wait_exit() == 0
        assert "shutdown: calling" in m.output()
        assert "returned" not in m.output()

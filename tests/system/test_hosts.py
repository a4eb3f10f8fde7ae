# SPDX-License-Identifier: MIT
"""Host machines of many kinds: processors, numbers of harts, RAM, boot hart."""

import subprocess

import pytest

from pilae import (CROSS, MIB, MINIKERNEL, PILAE_ELF, SELFTEST, Machine, boots_on, host_cpu,
                   host_tree, qemu_can)

SCRIPT = 'script="selfcheck; poweroff"'


@pytest.fixture
def short(system):
    """A guest that checks itself and ends."""
    system.image("mk", MINIKERNEL)
    system.vm("mk", kernel="mk", vcpus=2, bootargs=SCRIPT)
    return system


def check(folder, engine, built, harts=2, vcpus=2, **options):
    with Machine(folder, engine, built, harts=harts, limit=90, **options) as m:
        m.expect(r"mk: %s, %d vCPUs?, 64 MiB, \d+ KiB kept" % (engine, vcpus))
        m.expect("minikernel: %d harts, 64 MiB" % vcpus)
        m.expect("minikernel: all checks passed", unless="not ok")
        assert m.wait_exit() == 0
        return m.output()


# Features that differ from those of the processor that an engine's tests have elsewhere.
FEATURES = {
    "plain": "",
    "no sstc": "sstc=off",
    "sv39": "sv48=off,sv57=off",
    "sv48": "sv57=off",
    "vector": "v=true",
    "vector 1024": "v=true,vlen=1024",
    "no svadu": "svadu=off",
    "svade": "svade=on,svadu=off",
    "svade and svadu": "svade=on,svadu=on",
    "smstateen": "smstateen=on",
    "svpbmt, svinval, svnapot": "svpbmt=on,svinval=on,svnapot=on",
    "sscofpmf": "sscofpmf=on",
    "no fp": "d=off,f=off,zfa=off,zcd=off,v=off",
    "no zicbom, zicboz": "zicbom=off,zicboz=off",
    "pmu off": "pmu-mask=0",
}


def check_cpu(folder, engine, built, cpu):
    if not qemu_can(cpu=cpu):
        pytest.skip("this QEMU is too old for that")
    check(folder, engine, built, cpu=cpu)


@pytest.mark.parametrize("what", FEATURES)
def test_features(folder, engine, short, what):
    check_cpu(folder, engine, short.build(), host_cpu(engine, FEATURES[what]))


def test_selftest_without_fp(folder, engine, system):
    """Device accesses, also by code that changes into loads and stores of f registers."""
    system.image("selftest", SELFTEST)
    system.vm("selftest", kernel="selftest", vcpus=2, memory=256 * MIB,
              bootargs="tests=mmio,mmio_insns,code_stale,code_behind,code_hidden")
    with Machine(folder, engine, system.build(), harts=2, limit=200,
                 cpu=host_cpu(engine, FEATURES["no fp"])) as m:
        counts = m.expect(r"selftest: (\d+) ok, (\d+) not ok, (\d+) skipped")
        assert m.wait_exit() == 0
    # Two are about f registers.
    assert int(counts[1]) >= 40 and int(counts[2]) == 0 and int(counts[3]) == 2


@pytest.mark.parametrize("cpu", ["rva23s64", "max", "veyron-v1"])
def test_cpu(folder, engine, short, cpu):
    """Processors that have H, whether the engine uses it or not."""
    check_cpu(folder, engine, short.build(), cpu)


@pytest.mark.engines("soft")
@pytest.mark.parametrize("features", ["", "sv48=off,sv57=off", "sv57=off", "sstc=off", "v=true"])
def test_soft_on_harts_with_h(folder, engine, short, features):
    check_cpu(folder, engine, short.build(), host_cpu("hext", features))


@pytest.mark.parametrize("harts", [1, 2, 3, 4, 5, 6, 7, 8])
def test_harts(folder, engine, short, harts):
    check(folder, engine, short.build(), harts=harts)


def test_more_vcpus_than_harts(folder, engine, short):
    short.vms["mk"]["pilae,vcpus"] = 8
    check(folder, engine, short.build(), harts=1, vcpus=8)


@pytest.mark.parametrize("memory", ["256M", "300M", "512M", "3G", "8G"])
def test_memory(folder, engine, short, memory):
    check(folder, engine, short.build(), memory=memory)


@pytest.mark.parametrize("machine", ["virt,aclint=on", "virt,acpi=off"])
def test_machine(folder, engine, short, machine):
    if not qemu_can(machine):
        pytest.skip("this QEMU is too old for that")
    check(folder, engine, short.build(), machine=machine)


def test_two_numa_nodes(folder, engine, short):
    """Two memory nodes in the tree, and two clusters of harts."""
    check(folder, engine, short.build(), harts=4, extra=[
        "-object", "memory-backend-ram,id=m0,size=512M",
        "-object", "memory-backend-ram,id=m1,size=512M",
        "-numa", "node,nodeid=0,cpus=0-1,memdev=m0",
        "-numa", "node,nodeid=1,cpus=2-3,memdev=m1"])


@pytest.mark.parametrize("hart", [1, 3])
def test_boot_hart(folder, engine, short, hart):
    """The firmware picks any hart to boot. It is not at the start of RAM here."""
    output = check(folder, engine, short.build(), harts=4, extra=boots_on(folder, hart))
    assert f"Boot HART ID              : {hart}\n" in output


def test_icount(folder, engine, short):
    """Time that is exactly the number of instructions, and harts that take turns."""
    check(folder, engine, short.build(), icount=True)


def test_single_threaded(folder, engine, short):
    check(folder, engine, short.build(), harts=4, extra=["-accel", "tcg,thread=single"])


def test_other_words_on_the_command_line(folder, engine, short):
    """Unknown options are told of and do no harm."""
    output = check(folder, engine, short.build(),
                   append="console=ttyS0 pilae.loglevel=debug pilae.nonsense=1 quiet")
    assert "pilae.nonsense" in output


def test_large_vm(folder, engine, system):
    """More RAM than fits below 4 GiB; only what is touched is backed."""
    system.image("mk", MINIKERNEL)
    system.vm("mk", kernel="mk", vcpus=1, memory=6144 * MIB, bootargs='script="free; poweroff"')
    with Machine(folder, engine, system.build(), memory="8G", limit=90) as m:
        m.expect("minikernel: 1 harts, 6144 MiB")
        assert m.wait_exit() == 0


WITHOUT = {
    "PLIC": (["-r", "/soc/plic@c000000"],),
    "UART": (["-d", "/chosen", "stdout-path"],),
    "either": (["-r", "/soc/plic@c000000"], ["-d", "/chosen", "stdout-path"]),
}


@pytest.mark.parametrize("what", WITHOUT)
def test_without(folder, engine, system, what):
    """Without a PLIC the UART is polled; without that the console is the firmware's. Either way
    what is typed arrives, and all that a guest prints is there, in order."""
    system.image("mk", MINIKERNEL)
    system.vm("mk", kernel="mk", bootargs='script="selfcheck"')
    with Machine(folder, engine, system.build(), limit=90,
                 extra=["-dtb", host_tree(folder, engine, *WITHOUT[what])]) as m:
        m.expect("minikernel: all checks passed", unless="not ok")
        assert ("no usable PLIC" in m.output()) == (what != "UART")
        m.expect("mk> ")
        m.sendline("help")
        m.expect("poweroff")
        m.expect("mk> ")
        m.sendline("poweroff")
        assert m.wait_exit() == 0


def test_panic(folder, engine):
    """What cannot go on says why and where it was, and ends the machine as failed."""
    parent = "/reserved-memory"
    ranges = [["-ptx", f"{parent}/r{n}", "reg", "0", f"{0xa0000000 + n * 0x2000:x}", "0", "1000"]
              for n in range(200)]
    tree = host_tree(folder, engine, *(["-ptx", parent, f"#{what}-cells", "2"]
                                       for what in ("address", "size")),
                     ["-p", parent, "ranges"], *ranges)
    # QEMU's status after OpenSBI's end for a failure is 0.
    with Machine(folder, engine, None, limit=60, extra=["-dtb", tree], firmware="own") as m:
        m.expect(r"pilae: PANIC on hart 0: more than \d+ reserved memory ranges")
        addresses = m.expect(r"build/pilae.elf:\r*\n((?: +0x[0-9a-f]+)+)\r*\n")[1].split()
        assert m.wait_exit() != 0
    places = subprocess.run([CROSS + "addr2line", "-fpe", PILAE_ELF, *addresses],
                            capture_output=True, text=True, check=True).stdout.splitlines()
    assert places[0].startswith("boot_memory_take at ")
    assert places[-1].startswith("boot_entry at ")
    assert len(places) == len(set(places)) == len(addresses)

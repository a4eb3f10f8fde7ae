# SPDX-License-Identifier: MIT
"""Host machines of many kinds: processors, numbers of harts, RAM, boot hart."""

import pytest

from pilae import MIB, MINIKERNEL, OPENSBI, Machine, assemble, qemu_can

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


CPUS = {
    "h": "rv64,h=true",
    "no sstc": "rv64,h=true,sstc=off",
    "sv39": "rv64,h=true,sv48=off,sv57=off",
    "sv48": "rv64,h=true,sv57=off",
    "vector": "rv64,h=true,v=true",
    "vector 1024": "rv64,h=true,v=true,vlen=1024",
    "no svadu": "rv64,h=true,svadu=off",
    "svade": "rv64,h=true,svade=on,svadu=off",
    "svade and svadu": "rv64,h=true,svade=on,svadu=on",
    "smstateen": "rv64,h=true,smstateen=on",
    "svpbmt, svinval, svnapot": "rv64,h=true,svpbmt=on,svinval=on,svnapot=on",
    "sscofpmf": "rv64,h=true,sscofpmf=on",
    "no fp": "rv64,h=true,d=off,f=off,zfa=off,zcd=off,v=off",
    "no zicbom, zicboz": "rv64,h=true,zicbom=off,zicboz=off",
    "pmu off": "rv64,h=true,pmu-mask=0",
    "rva23": "rva23s64",
    "max": "max",
    "veyron": "veyron-v1",
}


@pytest.mark.parametrize("what", CPUS)
def test_cpu(folder, engine, short, what):
    if not qemu_can(cpu=CPUS[what]):
        pytest.skip("this QEMU is too old for that")
    check(folder, engine, short.build(), cpu=CPUS[what])


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
    start = 0x80040000
    boot = assemble(folder, "boothart.S", 0x80000000, HART=hart, START=start)
    output = check(folder, engine, short.build(), harts=4, extra=[
        "-bios", boot, "-device", f"loader,file={OPENSBI},addr={start:#x},force-raw=on"])
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

# SPDX-License-Identifier: MIT
"""How long the hypervisor keeps interrupts off, in instructions."""

import pytest

from pilae import MIB, SELFTEST, Machine, assemble, check_interrupts_off, host_cpu


# One hart: with several, QEMU's instruction counter is that of all of them.
@pytest.mark.parametrize("features", ["", "zicboz=off,sstc=off"])
def test_interrupts_off(folder, system, engine, measuring, features):
    system.linux(vcpus=2, memory=512 * MIB, test="load,-n,1")
    with Machine(folder, engine, system.build(), memory="1G", icount=True,
                 cpu=host_cpu(engine, features), kernel=measuring, limit=400) as machine:
        machine.expect("load: ok")
        assert machine.wait_exit() == 0
    check_interrupts_off(machine)


def test_interrupts_off_while_consoles_are_flooded(folder, engine, system, measuring):
    system.image("flood", assemble(folder, "flood.S", ROUNDS=20))
    # The first one has the terminal, the second one's lines are shown with its name.
    system.vm("shown", kernel="flood", memory=4 * MIB)
    system.vm("other", kernel="flood", memory=4 * MIB)
    with Machine(folder, engine, system.build(), icount=True, kernel=measuring,
                 limit=200) as machine:
        assert machine.wait_exit() == 0
        assert machine.output().count("[other]") > 20 * 256
    check_interrupts_off(machine)


# Without Sv48 the hypervisor is not in the guest's tables.
@pytest.mark.parametrize("features", ["", "sv48=off,sv57=off"])
def test_interrupts_off_in_storms_of_fences(folder, engine, system, measuring, features):
    """Rows of fences, of writes to satp with fences to follow, and fences for the other vCPU;
    more address spaces than translations are kept for."""
    system.image("selftest", SELFTEST)
    system.vm("selftest", kernel="selftest", vcpus=2, memory=128 * MIB,
              bootargs="tests=code_fence,top")
    with Machine(folder, engine, system.build(), icount=True, cpu=host_cpu(engine, features),
                 kernel=measuring, limit=300) as machine:
        counts = machine.expect(r"selftest: (\d+) ok, (\d+) not ok, (\d+) skipped")
        assert machine.wait_exit() == 0
    assert int(counts[1]) >= 23 and int(counts[2]) == int(counts[3]) == 0
    check_interrupts_off(machine)


# So much memory that there is room for tables of 4 KiB in all places of one of 1 GiB, or so little
# that address spaces have to go.
@pytest.mark.parametrize("features, memory", [("", 512), ("zicboz=off", 128),
                                              ("sv48=off,sv57=off", 512)])
def test_interrupts_off_when_there_is_much_to_drop(folder, engine, system, measuring, features,
                                                   memory):
    """Tables and pages that become parts of a larger page, which is fenced; rows of CSRs; address
    spaces of one table each, which have to go before a page fault is dealt with."""
    system.image("selftest", SELFTEST)
    system.vm("selftest", kernel="selftest", vcpus=2, memory=memory * MIB,
              bootargs="tests=code_bounds")
    with Machine(folder, engine, system.build(), icount=True, cpu=host_cpu(engine, features),
                 kernel=measuring, limit=300) as machine:
        counts = machine.expect(r"selftest: (\d+) ok, (\d+) not ok, (\d+) skipped")
        assert machine.wait_exit() == 0
    # The hart has no Svnapot; the soft engine needs none.
    assert int(counts[1]) >= (6 if engine == "hext" else 7) and int(counts[2]) == 0
    check_interrupts_off(machine)

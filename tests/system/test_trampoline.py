# SPDX-License-Identifier: MIT
"""Guests that use the addresses where the hypervisor is, too."""

import re

import pytest

from pilae import GIB, MIB, SELFTEST, Machine, assemble, host_cpu, u64

# Hosts with fewer address bits than a guest may want, and with more.
HOSTS = ["sv48=off,sv57=off", "sv57=off", ""]

# Pages that are pinned in one GiB: engine/soft/pin.h.
PINS = {"FIRST": 0x1D54355000, "STEP": 102 * MIB, "COUNT": 4}


@pytest.mark.parametrize("harts", [1, 4])
@pytest.mark.parametrize("features", HOSTS)
def test_top(folder, engine, system, features, harts):
    system.image("selftest", SELFTEST)
    system.vm("selftest", kernel="selftest", vcpus=4, memory=256 * MIB, bootargs="tests=top")
    with Machine(folder, engine, system.build(), harts=harts, limit=200,
                 cpu=host_cpu(engine, features)) as m:
        counts = m.expect(r"selftest: (\d+) ok, (\d+) not ok, (\d+) skipped")
        assert m.wait_exit() == 0
    assert int(counts[1]) >= 13 and int(counts[2]) == int(counts[3]) == 0


@pytest.mark.parametrize("features", HOSTS)
def test_bare(folder, engine, system, features):
    """RAM is where the pinned pages are, and the guest has no translation."""
    system.image("bare", assemble(folder, "bare.S", **PINS))
    system.vm("bare", kernel="bare", memory=512 * MIB, **{"pilae,ram-base": u64(0x1D54200000)})
    with Machine(folder, engine, system.build(), limit=60, cpu=host_cpu(engine, features)) as m:
        m.expect("bare: ok", unless="bare: (wrong|trapped)")
        assert m.wait_exit() == 0


@pytest.mark.parametrize("features", HOSTS)
def test_linux_in_the_way(folder, engine, system, features):
    system.linux(test="load,-n,1", vcpus=2, **{"pilae,ram-base": u64(0x1D54200000)})
    with Machine(folder, engine, system.build(), harts=2, limit=300,
                 cpu=host_cpu(engine, features)) as m:
        m.expect("load: ok")
        assert m.wait_exit() == 0


@pytest.mark.engines("soft")
def test_ram_out_of_reach(folder, engine, system):
    """Without translation a guest on a small host reaches 256 GiB."""
    system.image("bare", assemble(folder, "bare.S", **PINS))
    system.vm("bare", kernel="bare", **{"pilae,ram-base": u64(256 * GIB)})
    with Machine(folder, engine, system.build(), limit=60,
                 cpu=host_cpu(engine, HOSTS[0])) as m:
        assert m.wait_exit() == 1
        assert re.search(r"^pilae: /configurations/bare: pilae,ram-base", m.output(), re.MULTILINE)


@pytest.mark.engines("soft")
@pytest.mark.parametrize("vcpus,harts", [(1, 1), (2, 2)])
def test_selftest_on_small_host(folder, engine, system, vcpus, harts):
    system.image("selftest", SELFTEST)
    system.vm("selftest", kernel="selftest", vcpus=vcpus, memory=512 * MIB)
    with Machine(folder, engine, system.build(), harts=harts, limit=900,
                 cpu=host_cpu(engine, HOSTS[0])) as m:
        counts = m.expect(r"selftest: (\d+) ok, (\d+) not ok, (\d+) skipped")
        assert m.wait_exit() == 0
    assert int(counts[1]) >= 120 and int(counts[2]) == 0

# SPDX-License-Identifier: MIT
"""Page tables changed at random by several harts, every access checked against a model."""

import re

import pytest

from pilae import BUILD, MIB, Machine, host_cpu, qemu_can

TORTURE = BUILD / "guests/torture.elf"
OPS = 100_000
# On the soft engine most operations are exits: the rest of them is for --soak.
SOFT_OPS = 30_000


def torture(folder, engine, system, vcpus, harts=None, ops=OPS, seed=1, levels=3, limit=600,
            **options):
    system.image("torture", TORTURE)
    system.vm("torture", kernel="torture", vcpus=vcpus, memory=64 * MIB,
              bootargs=f"seed={seed} ops={ops} levels={levels}")
    with Machine(folder, engine, system.build(), harts=harts or vcpus, limit=limit,
                 **options) as m:
        first = m.expect(rf"torture: seed {seed}, {ops} operations, {vcpus} workers, "
                         rf"{levels} levels|skip torture: no page tables")
        if first[0].startswith("skip"):
            # A shadow page table needs room beside the guest's addresses.
            assert engine != "hext" and levels > 3
            pytest.skip(f"guests have no page tables of {levels} levels here")
        m.expect(rf"ok torture: {ops} operations", unless="not ok torture|unexpected exception")
        assert m.wait_exit() == 0
        workers = re.findall(r"^torture: worker \d+: (\d+) operations, (\d+) accesses, (\d+) faults, "
                             r"(\d+) exact, (\d+) inconclusive", m.output(), re.MULTILINE)
    assert len(workers) == vcpus
    done, accesses, faults, exact, inconclusive = (sum(map(int, w)) for w in zip(*workers))
    # It tried enough of everything, and the model nearly always knew what to expect.
    assert done == ops
    assert accesses > ops / 2 and ops / 10 < faults < accesses
    assert exact > ops / 10 and inconclusive <= ops / 1000


@pytest.mark.parametrize("vcpus", [1, pytest.param(2, marks=pytest.mark.alone("soft"))])
def test_torture(folder, engine, system, request, vcpus):
    short = engine == "soft" and not request.config.getoption("--soak")
    torture(folder, engine, system, vcpus, ops=SOFT_OPS if short else OPS)


@pytest.mark.parametrize("levels", [4, 5])
def test_torture_with_more_levels(folder, engine, system, levels):
    torture(folder, engine, system, 2, levels=levels, seed=2)


@pytest.mark.parametrize("extensions", ["svade=on,svadu=off", "svade=on,svadu=on", "svinval=on"])
def test_torture_with_extensions(folder, engine, system, extensions):
    """Whether A and D are set by the hart or fault is found out by the guest."""
    cpu = host_cpu(engine, extensions)
    if not qemu_can(cpu=cpu):
        pytest.skip("this QEMU is too old for that")
    torture(folder, engine, system, 2, cpu=cpu, seed=3)


def test_torture_on_small_host(folder, engine, system):
    """The guest's mode is the largest one that the host has."""
    torture(folder, engine, system, 2, cpu=host_cpu(engine, "sv48=off,sv57=off"), seed=4)


def test_torture_on_one_hart(folder, engine, system):
    """Two vCPUs take turns: what one had must not be seen by the other."""
    torture(folder, engine, system, 2, harts=1, seed=5)


@pytest.mark.soak
@pytest.mark.parametrize("vcpus,harts", [(1, 1), (2, 2), (2, 1), (4, 2)])
@pytest.mark.parametrize("levels", [3, 4])
def test_torture_long(folder, engine, system, vcpus, harts, levels):
    torture(folder, engine, system, vcpus, harts, ops=10_000_000, seed=6, levels=levels,
            limit=20000)


@pytest.mark.soak
def test_torture_many_seeds(folder, engine, system, seeds):
    for seed in seeds:
        torture(folder, engine, system, 2, seed=seed, name=f"console-{seed}")

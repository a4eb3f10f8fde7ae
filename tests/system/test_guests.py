# SPDX-License-Identifier: MIT
"""Other guests: the small kernel, the self-test, U-Boot."""

import re

import pytest

from pilae import MIB, MINIKERNEL, SELFTEST, UBOOT, Machine, host_cpu

# Checks that the self-test makes on one hart at least: fewer would mean that some were lost.
SELFTEST_LEAST = 120


def test_minikernel(folder, engine, system):
    system.image("mk", MINIKERNEL)
    system.vm("mk", kernel="mk", vcpus=2)
    with Machine(folder, engine, system.build(), harts=2, limit=60) as m:
        m.expect("minikernel: 2 harts, 64 MiB")
        m.expect("mk> ")
        m.sendline("selfcheck")
        m.expect("minikernel: all checks passed", unless="not ok")
        m.expect("mk> ")
        m.sendline("echo $ it answers")
        m.expect(r"\n\$ it answers")
        m.expect("mk> ")
        m.sendline("poweroff")
        assert m.wait_exit() == 0
        assert len(re.findall(r"^ok ", m.output(), re.MULTILINE)) >= 15


def selftest(folder, engine, system, vcpus, harts, limit, **options):
    """Runs all checks: the names of those that passed."""
    system.image("selftest", SELFTEST)
    # QEMU's own harts may fetch an instruction that changes in two halves.
    system.vm("selftest", kernel="selftest", vcpus=vcpus, memory=512 * MIB,
              bootargs="fetch=whole" if engine == "soft" else None)
    with Machine(folder, engine, system.build(), harts=harts, limit=limit, **options) as m:
        m.expect("selftest: %d harts" % vcpus)
        counts = m.expect(r"selftest: (\d+) ok, (\d+) not ok, (\d+) skipped")
        status = m.wait_exit()
        output = m.output()
    ok = re.findall(r"^ok (\S+)", output, re.MULTILINE)
    assert re.findall(r"^not ok .*", output, re.MULTILINE) == []
    assert int(counts[1]) == len(ok) and int(counts[2]) == 0
    assert len(set(ok)) == len(ok) >= SELFTEST_LEAST
    assert status == 0
    print(f"{len(ok)} checks")
    return ok


@pytest.mark.parametrize("vcpus,harts", [(1, 1), pytest.param(2, 2, marks=pytest.mark.soak),
                                         (4, 4)])
def test_selftest(folder, engine, system, record_property, vcpus, harts):
    ok = selftest(folder, engine, system, vcpus, harts, limit=600)
    record_property("checks", len(ok))


def test_selftest_with_vectors(folder, engine, system, record_property):
    ok = selftest(folder, engine, system, 2, 2, limit=600,
                  cpu=host_cpu(engine, "v=true,svnapot=on"))
    record_property("checks", len(ok))
    assert any(name.startswith("fp-vector") for name in ok)


# What Smstateen would close is open where a hart has it not: siselect, and jvt.
@pytest.mark.parametrize("features", ["v=true,vlen=128", "v=true,vlen=512", "smaia=on,ssaia=on",
                                      "d=off,zcd=off,zca=on,zcmp=on,zcmt=on"])
def test_registers_of_several(folder, engine, system, features):
    """VMs that take turns on two harts: each finds all its registers again."""
    groups = "fp,kept" if "v=true" in features else "kept"
    system.image("selftest", SELFTEST)
    for seed in range(1, 5):
        system.vm(f"vm{seed}", kernel="selftest", vcpus=2, memory=8 * MIB,
                  bootargs=f"tests={groups} seed={seed} rounds=1000")
    with Machine(folder, engine, system.build(), harts=2, limit=120,
                 cpu=host_cpu(engine, features)) as m:
        assert m.wait_exit() == 0
        output = m.output()
    assert "not ok " not in output
    assert len(re.findall(r"ok kept-any-csrs", output)) == 4
    assert len(re.findall(r"ok fp-vector-kept", output)) == (4 if "fp" in groups else 0)


# Not those about the last page of the address space, which is not the guest's then.
FAST_CSR_GROUPS = "code,code_flow,code_modify,code_read,code_stale,fp,irq,paging,priv,smp,traps"


@pytest.mark.engines("soft")
@pytest.mark.parametrize("features", ["", "sv57=off,sv48=off"])
def test_selftest_with_fast_csrs(folder, engine, system, features):
    system.image("selftest", SELFTEST)
    system.vm("selftest", kernel="selftest", vcpus=2, memory=512 * MIB,
              bootargs=f"tests={FAST_CSR_GROUPS}",
              **{"pilae,fast-csr": True})
    with Machine(folder, engine, system.build(), harts=2, limit=600,
                 cpu=host_cpu(engine, features)) as m:
        counts = m.expect(r"selftest: (\d+) ok, 0 not ok")
        assert int(counts[1]) >= 70
        assert m.wait_exit() == 0


@pytest.mark.soak
@pytest.mark.parametrize("vcpus,harts", [(2, 1), (4, 2), (8, 4)])
def test_selftest_on_fewer_harts(folder, engine, system, vcpus, harts):
    """Harts that spin for one another take turns: this takes long."""
    selftest(folder, engine, system, vcpus, harts, limit=1800)


def test_uboot(folder, engine, system):
    system.image("uboot", UBOOT)
    system.vm("uboot", kernel="uboot", memory=256 * MIB)
    with Machine(folder, engine, system.build(), limit=120) as m:
        m.expect("Hit any key to stop autoboot")
        m.sendline("")
        m.expect("=> ")
        m.sendline("version")
        m.expect(r"U-Boot 20\d\d\.\d\d")
        m.expect("=> ")
        m.sendline("bdinfo")
        m.expect(r"-> start\s+= 0x0000000080000000")
        m.expect(r"-> size\s+= 0x0000000010000000")
        m.expect("=> ")
        m.sendline("poweroff")
        assert m.wait_exit() == 0

# SPDX-License-Identifier: MIT
"""Other guests: the small kernel, the self-test, U-Boot."""

import re

import pytest

from pilae import MIB, MINIKERNEL, SELFTEST, UBOOT, Machine

# Checks that the self-test makes on one hart at least: fewer would mean that some were lost.
SELFTEST_LEAST = 60


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


@pytest.mark.parametrize("vcpus,harts", [(1, 2), (2, 2), (4, 2), (4, 4)])
def test_selftest(folder, engine, system, record_property, vcpus, harts):
    system.image("selftest", SELFTEST)
    system.vm("selftest", kernel="selftest", vcpus=vcpus, memory=128 * MIB)
    with Machine(folder, engine, system.build(), harts=harts, limit=180) as m:
        m.expect(r"selftest: %d harts" % vcpus)
        counts = m.expect(r"selftest: (\d+) ok, (\d+) not ok, (\d+) skipped")
        status = m.wait_exit()
        ok = re.findall(r"^ok (\S+)", m.output(), re.MULTILINE)
        not_ok = re.findall(r"^not ok .*", m.output(), re.MULTILINE)
    record_property("checks", len(ok))
    print(f"{len(ok)} checks")
    assert not_ok == []
    assert int(counts[1]) == len(ok) and int(counts[2]) == 0
    assert len(set(ok)) == len(ok) >= SELFTEST_LEAST
    assert status == 0


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

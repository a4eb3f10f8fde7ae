# SPDX-License-Identifier: MIT
"""Many VMs on many harts."""

import re

import pytest

from pilae import MIB, MINIKERNEL, Machine, host_cpu


@pytest.mark.engines("soft")
def test_eight_linuxes(folder, engine, system):
    """Of both engines by turns, with two vCPUs each, on four harts: each checks what it does."""
    names = [f"vm{i}" for i in range(8)]
    for i, name in enumerate(names):
        system.linux(name, test="load,-n,1", vcpus=2, memory=256 * MIB,
                     **{"pilae,engine": ("hext", "soft")[i % 2]})
    with Machine(folder, engine, system.build(), harts=4, memory="4G", limit=1500,
                 cpu=host_cpu("hext")) as m:
        assert m.wait_exit() == 0
        output = m.output()
    assert "load: FAILED" not in output
    for i, name in enumerate(names):
        assert re.search(rf"pilae: {name}: {('hext', 'soft')[i % 2]}, 2 vCPUs", output)
        assert f"pilae: {name}: powered off" in output
        prefix = "" if i == 0 else re.escape(f"[{name}] ")
        assert re.search(rf"^{prefix}.*load: ok", output, re.MULTILINE)


def test_sixty_four_minikernels(folder, engine, system):
    system.image("mk", MINIKERNEL)
    names = [f"mk{i}" for i in range(64)]
    for name in names:
        system.vm(name, kernel="mk", memory=16 * MIB, bootargs="script=selfcheck;poweroff")
    with Machine(folder, engine, system.build(), harts=4, memory="4G", limit=1200) as m:
        assert m.wait_exit() == 0
        output = m.output()
    assert "not ok " not in output
    for name in names:
        assert f"pilae: {name}: powered off" in output
    # The first one's, without a name, may be split by others' lines.
    for name in names[1:]:
        assert f"[{name}] minikernel: all checks passed" in output

# SPDX-License-Identifier: MIT
"""Debian's kernel, as it was packaged, in a VM: boots, works under a checked load, powers off."""

import itertools
import re
import subprocess
from pathlib import Path

import pytest

from pilae import MIB, SELFTEST, Machine, host_cpu, kept_lines, qemu_can

VCPUS = (1, 2, 4, 8)
HARTS = (1, 2, 4)
ONCE = [(1, 1), (2, 1), (4, 2), (2, 4), (8, 4)]


def load_for(vcpus):
    """The load grows with the number of CPUs by itself; QEMU has two cores for it all."""
    return {1: "load", 2: "load", 4: "load,-n,2"}.get(vcpus, "load,-n,1,-w,8,-m,128")


def run_load(folder, engine, system, harts, vcpus, name="console", limit=240, **options):
    with Machine(folder, engine, system, harts=harts, name=name, limit=limit, **options) as m:
        m.expect(r"debian: %s, %d vCPUs?, 512 MiB, \d+ KiB kept" % (engine, vcpus))
        m.expect(r"load: ok \d+\.\d+ s, \d+ workers on %d CPUs" % vcpus, unless="load: FAILED")
        m.expect(r"pilae\.test: load: exit 0\s")
        assert m.wait_exit() == 0
        assert "Kernel panic" not in m.output() and "Oops" not in m.output()


@pytest.mark.parametrize("vcpus,harts", ONCE)
def test_load(folder, engine, system, vcpus, harts):
    system.linux(test=load_for(vcpus), vcpus=vcpus)
    run_load(folder, engine, system.build(), harts, vcpus)


@pytest.mark.soak
@pytest.mark.parametrize("vcpus,harts", list(itertools.product(VCPUS, HARTS)))
def test_load_often(folder, engine, system, vcpus, harts, repeats):
    system.linux(test=load_for(vcpus), vcpus=vcpus)
    built = system.build()
    for i in range(repeats):
        run_load(folder, engine, built, harts, vcpus, name=f"console-{i}")


@pytest.mark.parametrize("features", [
    "sstc=off",
    "v=true,vlen=256",
    "sv48=off,sv57=off",
    "sv57=off",
])
def test_load_on_other_hosts(folder, engine, system, features):
    cpu = host_cpu(engine, features)
    if not qemu_can(cpu=cpu):
        pytest.skip("this QEMU is too old for that")
    system.linux(test="load", vcpus=2)
    run_load(folder, engine, system.build(), 2, 2, cpu=cpu)


def test_tree_of_the_users(folder, engine, system):
    """What the user says of the machine is what Linux sees; its memory, ramdisk and command line
    are those of the VM."""
    tree = folder / "tree.dtb"
    subprocess.run(["dtc", "-I", "dts", "-O", "dtb", "-o", tree, Path(__file__).parent / "mine.dts"],
                   check=True)
    system.image("tree", tree, type="flat_dt")
    system.linux(fdt="tree", bootargs="console=ttyS0")
    with Machine(folder, engine, system.build(), limit=120) as m:
        m.expect("Machine model: a machine of mine")
        m.expect(r"Memory: \d+K/524288K available")
        m.expect("Welcome to Debian's Linux on Pilae")
        m.expect("# ")
        m.sendline("tr '\\0' '\\n' </proc/device-tree/compatible; grep -c ^processor /proc/cpuinfo; "
                   "tr -d '\\0' </proc/device-tree/chosen/bootargs; echo; poweroff -f")
        m.expect(r"mine\s+1\s+console=ttyS0\s")
        assert m.wait_exit() == 0


@pytest.mark.engines("soft")
def test_load_with_fast_csrs(folder, engine, system):
    system.linux(test="load", vcpus=2, **{"pilae,fast-csr": True})
    run_load(folder, engine, system.build(), 2, 2)


@pytest.mark.engines("soft")
def test_load_on_harts_with_h(folder, engine, system):
    system.linux(test="load", vcpus=2)
    run_load(folder, engine, system.build(), 2, 2, cpu=host_cpu("hext"))


def test_shell_takes_input_and_reboots(folder, engine, system):
    system.linux()
    with Machine(folder, engine, system.build(), limit=240) as m:
        m.expect("Welcome to Debian's Linux on Pilae")
        m.expect("# ")
        m.sendline("echo $((6*7))")
        m.expect(r"\n42\r")
        m.sendline("echo 'long " + "0123456789" * 8 + "' | md5sum")
        m.expect("0252a4dc3ad1dc5eaaee299080f8857a")
        m.sendline("reboot")
        m.expect("Welcome to Debian's Linux on Pilae")
        m.expect("# ")
        m.sendline("poweroff")
        assert m.wait_exit() == 0


def test_hashes_are_checked(folder, engine, system):
    """What mkimage writes by default: every image with its hash."""
    system.linux(test="boottime")
    system.images["linux"]["hash-1"] = {"algo": "crc32"}
    system.images["initrd"]["hash-1"] = {"algo": "sha256"}
    with Machine(folder, engine, system.build(), limit=240) as m:
        m.expect(r"boottime \d+ \d+")
        assert m.wait_exit() == 0


def without_background(output, name):
    """Whole lines of the VM in the background stand between the other's text: taken out."""
    return re.sub(rf"\n(\[{name}\]|pilae:) [^\n]*\n", "", output)


def check_two_loads(output):
    assert re.search(r"^\[two\] load: ok", output, re.MULTILINE)
    assert "load: ok" in without_background(output, "two")
    assert "load: FAILED" not in output


def test_two_linuxes(folder, engine, system):
    """Two VMs share images and harts, each with its own memory."""
    system.linux("one", test="load,-n,2", vcpus=2)
    system.linux("two", test="load,-n,2", vcpus=1)
    with Machine(folder, engine, system.build(), harts=2, memory="2G", limit=360) as m:
        assert m.wait_exit() == 0
        output = m.output()
    assert kept_lines(output).keys() == {"one", "two"}
    check_two_loads(output)


@pytest.mark.engines("soft")
@pytest.mark.parametrize("first,second", [("hext", "soft"), ("soft", "hext")])
def test_two_linuxes_of_two_engines(folder, engine, system, first, second):
    system.linux("one", test="load,-n,2", vcpus=2, **{"pilae,engine": first})
    system.linux("two", test="load,-n,2", vcpus=1, **{"pilae,engine": second})
    with Machine(folder, engine, system.build(), harts=2, memory="2G", limit=480,
                 cpu=host_cpu("hext")) as m:
        assert m.wait_exit() == 0
        output = m.output()
    assert {k: v[0] for k, v in kept_lines(output).items()} == {"one": first, "two": second}
    check_two_loads(output)


@pytest.mark.engines("soft")
@pytest.mark.parametrize("first,second", [("hext", "soft"), ("soft", "hext")])
def test_linux_beside_selftest_of_two_engines(folder, engine, system, first, second):
    """On one hart, which changes from one engine to the other and back all the time."""
    system.linux("linux", test="load,-n,2", **{"pilae,engine": first})
    system.image("selftest", SELFTEST)
    system.vm("selftest", kernel="selftest", memory=512 * MIB, **{"pilae,engine": second})
    with Machine(folder, engine, system.build(), harts=1, memory="2G", limit=600,
                 cpu=host_cpu("hext")) as m:
        assert m.wait_exit() == 0
        output = m.output()
    assert {k: v[0] for k, v in kept_lines(output).items()} == {"linux": first,
                                                               "selftest": second}
    assert re.search(r"selftest: \d+ ok, 0 not ok, \d+ skipped", output)
    assert "load: ok" in without_background(output, "selftest")
    assert "not ok " not in output and "load: FAILED" not in output

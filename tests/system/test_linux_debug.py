# SPDX-License-Identifier: MIT
"""Debian's kernel while instructions change: debuggers, code made at run time, the kernel's own
probes; and while there are more processes than what is kept for them has room for."""

import re

import pytest

from pilae import MIB, Machine, host_cpu, qemu_can

# Fewer checks would mean that some were lost.
DEBUG_LEAST = 29


def check_kernel(output):
    assert not re.search("Kernel panic|Oops|failed to come online|Out of memory", output)


def run_debug(folder, engine, system, harts, vcpus, features="", limit=400):
    """Makes all checks: the names of those that were skipped."""
    cpu = host_cpu(engine, features)
    if not qemu_can(cpu=cpu):
        pytest.skip("this QEMU is too old for that")
    system.linux(test="debug", vcpus=vcpus)
    with Machine(folder, engine, system.build(), harts=harts, cpu=cpu, limit=limit) as m:
        m.expect(r"pilae\.test: debug: exit \d+\s")
        status = m.wait_exit()
        output = m.output()
    assert re.findall(r"^not ok .*", output, re.MULTILINE) == []
    ok = re.findall(r"^ok (\S+)", output, re.MULTILINE)
    assert re.search(r"^debug: %d ok, 0 not ok" % len(ok), output, re.MULTILINE)
    assert len(set(ok)) == len(ok) >= DEBUG_LEAST
    check_kernel(output)
    assert status == 0
    return re.findall(r"^skip ([^:]+)", output, re.MULTILINE)


def test_debug(folder, engine, system):
    assert run_debug(folder, engine, system, 1, 1) == ["vector-signals"]


def test_debug_on_two_harts_with_vectors(folder, engine, system):
    assert run_debug(folder, engine, system, 2, 2, "v=true,vlen=256") == []


@pytest.mark.soak
@pytest.mark.parametrize("features", ["sv48=off,sv57=off", "sv57=off", "sstc=off,svadu=off"])
@pytest.mark.parametrize("vcpus,harts", [(2, 1), (4, 2), (4, 4)])
def test_debug_on_other_hosts(folder, engine, system, vcpus, harts, features):
    run_debug(folder, engine, system, harts, vcpus, features, limit=1200)


def run_procs(folder, engine, system, vcpus, arguments="", memory=512, limit=300):
    """Runs as many processes as are asked for: all that was printed."""
    system.linux(test="procs" + arguments, vcpus=vcpus, memory=memory * MIB)
    with Machine(folder, engine, system.build(), harts=2, limit=limit,
                 append="pilae.loglevel=debug") as m:
        m.expect(r"procs: ok \d+ processes", unless="procs: FAILED")
        m.expect(r"pilae\.test: procs: exit 0\s")
        assert m.wait_exit() == 0
        output = m.output()
    check_kernel(output)
    return output


@pytest.mark.parametrize("vcpus", [1, 4])
def test_many_processes(folder, engine, system, vcpus):
    run_procs(folder, engine, system, vcpus)


@pytest.mark.engines("soft")
@pytest.mark.parametrize("memory,processes", [(256, 60), (512, 200)])
def test_shadow_tables_are_bounded(folder, engine, system, memory, processes):
    """The processes' tables, were all kept, would take far more than the bound."""
    output = run_procs(folder, engine, system, 2, f",-n,{processes}", memory)
    line = r"^pilae: debug: debian: shadow tables: (\d+) of (\d+) pages at most, (\d+) evictions"
    used = re.search(line, output, re.MULTILINE)
    assert used, "no line on shadow tables"
    pages, most, evictions = (int(n) for n in used.groups())
    assert pages <= most and most * 4096 <= memory * MIB // 32
    assert evictions > 0

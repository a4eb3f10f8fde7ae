# SPDX-License-Identifier: MIT
"""Who gets how much of a hart, and when."""

import re
import subprocess
from pathlib import Path

import pytest

from pilae import BUILD, INTERRUPTS_OFF_MAX, MIB, Machine, check_interrupts_off
from shell import ESCAPE

NEIGHBOUR = BUILD / "guests/neighbour.elf"


@pytest.fixture
def neighbours(system):
    """Adds VMs that use their harts as told; gives the system."""
    system.image("neighbour", NEIGHBOUR)

    def add(name, do, start=100, until=1100, memory=8 * MIB, vcpus=1, options="", **properties):
        system.vm(name, kernel="neighbour", memory=memory, vcpus=vcpus,
                  bootargs=f"do={do} from={start} until={until} {options}",
                  **{f"pilae,{key}": value for key, value in properties.items()})
        return system

    system.add = add
    return system


def run(folder, engine, system, harts=1, icount=True, limit=120, **others):
    with Machine(folder, engine, system.build(), harts=harts, icount=icount, limit=limit,
                 **others) as machine:
        assert machine.wait_exit() == 0
        output = machine.output()
    assert not icount or "neighbour: late" not in output
    return output


def rounds(output, name):
    """What a VM's harts computed, the first VM's without a prefix."""
    return [int(n) for n in re.findall(rf"\[{name}\] neighbour: \d+: (\d+) rounds", output)]


def test_shares_follow_weights(folder, engine, neighbours):
    weights = {"a": 100, "b": 200, "c": 50, "d": 650, "e": 100}
    neighbours.add("quiet", "sleep")
    for name, weight in weights.items():
        # One turn more or less is 2 % of what the smallest has.
        neighbours.add(name, "burn", until=3100, weight=weight)
    output = run(folder, engine, neighbours)
    got = {name: sum(rounds(output, name)) for name in weights}
    total, all_weights = sum(got.values()), sum(weights.values())
    for name, weight in weights.items():
        assert got[name] / total == pytest.approx(weight / all_weights, rel=0.03), got


def test_shares_of_vms_with_several_vcpus(folder, engine, neighbours):
    """The weight is the VM's, however many vCPUs it has."""
    neighbours.add("quiet", "sleep")
    neighbours.add("one", "burn")
    neighbours.add("three", "burn", vcpus=3)
    output = run(folder, engine, neighbours)
    one, three = rounds(output, "one"), rounds(output, "three")
    assert len(three) == 3
    assert sum(one) == pytest.approx(sum(three), rel=0.03)
    assert max(three) <= min(three) * 1.06


def test_many(folder, engine, neighbours):
    """64 VMs on a hart: each has its share, and sleepers among them wake when they want to."""
    neighbours.add("quiet", "sleep", until=2200)
    for i in range(60):
        neighbours.add(f"b{i}", "burn", start=1200, until=2200)
    for i in range(3):
        neighbours.add(f"p{i}", "periodic", start=1200, until=2200,
                       options="period=20000 work=100")
    output = run(folder, engine, neighbours, limit=400, memory="2G")
    got = [sum(rounds(output, f"b{i}")) for i in range(60)]
    assert max(got) <= 1.06 * min(got)
    late = re.findall(r"latency at most (\d+) ns", output)
    # Sleepers go first: they wait for the end of another's short turn at the most.
    assert len(late) == 3 and max(map(int, late)) < 2_000_000


def test_harts_share_the_work(folder, engine, neighbours):
    """Where there are as many harts as vCPUs that want one, each has one."""
    neighbours.add("a", "burn", vcpus=2)
    neighbours.add("b", "sleep", vcpus=1)
    neighbours.add("c", "burn", vcpus=1)
    output = run(folder, engine, neighbours, harts=3, icount=False)
    assert output.count(" rounds") == 3


@pytest.mark.parametrize("cpus, harts", [([2], 4), ([0, 1], 4), ([3], 4)])
def test_affinity(folder, engine, neighbours, cpus, harts):
    neighbours.add("a", "burn", vcpus=3, cpus=cpus)
    neighbours.add("b", "burn", vcpus=2)
    run(folder, engine, neighbours, harts=harts, icount=False)


# A period of 10 ms, of which 2 are reserved; what it does takes 1.6 ms.
PERIODIC = {"do": "periodic", "start": 300, "until": 1300,
            "options": "period=10000 work=16000"}


LATENCY = (r"neighbour: (\d+) periods, (\d+) missed, latency at most (\d+) ns, "
           r"done after at most (\d+) ns")


def latency(output, prefix=""):
    found = re.search(prefix + LATENCY, output)
    return tuple(int(found[i]) for i in range(1, 5))


def test_reservation(folder, engine, neighbours):
    """It never misses a period beside VMs that do what they can to take the hart."""
    add = neighbours.add
    add("rt", **PERIODIC, **{"budget-us": 2000, "period-us": 10000})
    alone = latency(run(folder, engine, neighbours))
    assert alone[:2] == (100, 0)

    add("burn", "burn", until=1200, vcpus=2, weight=10000)
    add("timers", "timers", until=1200)
    add("flood", "flood", until=1200)
    add("faults", "faults", until=1200)
    add("memory", "memory", until=1200, memory=64 * MIB)
    output = run(folder, engine, neighbours, limit=400)
    beside = latency(output)
    assert beside[:2] == (100, 0)
    assert beside[2] <= alone[2] + 50_000
    assert output.count("memory: restarts") > 2
    assert sum(rounds(output, "burn")) > 0


def test_reservation_beside_jobs(folder, engine, neighbours, measuring):
    """A job gives way at its next preemption point, as what is promised of stretches with
    interrupts off is all that a reservation waits for: while VMs are built, loaded for the first
    time and again, and taken down, and while the shell prints much."""
    add = neighbours.add
    periodic = {**PERIODIC, "until": 1300}
    add("rt", **periodic, **{"budget-us": 2000, "period-us": 10000})
    alone = latency(run(folder, engine, neighbours))
    assert alone[:2] == (100, 0)

    # This one lets time pass slowly enough for somebody to type meanwhile.
    add("burn", "burn", until=1200)
    add("big", "memory", until=800, vcpus=32, memory=64 * MIB, manual=True)
    with Machine(folder, engine, neighbours.build(), icount=True, kernel=measuring,
                 limit=400) as machine:
        machine.expect("1 vCPU")
        machine.send(ESCAPE + "s" + "vm start big\r" + "dt /\r" * 4)
        machine.expect("big: restarts")
        machine.expect("big: powered off")
        machine.send("vm start big\r" + "dt /\r" * 4 + "vm destroy big\r")
        beside = latency(machine.expect(LATENCY)[0])
        assert machine.wait_exit() == 0
        assert "neighbour: late" not in machine.output()
    assert beside[:2] == (100, 0)
    # A stretch, and what two turns take.
    check_interrupts_off(machine)
    assert beside[2] <= alone[2] + INTERRUPTS_OFF_MAX + 5_000


def make_tree(folder, nodes):
    """A device tree of a user who says much."""
    source, tree = folder / "tree.dts", folder / "tree.dtb"
    much = "".join(f"much{i} {{ of = <{i}>; }};" for i in range(nodes))
    source.write_text((Path(__file__).parent / "mine.dts").read_text() + f"/ {{ {much} }};")
    subprocess.run(["dtc", "-I", "dts", "-O", "dtb", "-o", tree, source], check=True)
    return tree


def test_reservation_beside_a_device_tree(folder, engine, neighbours, measuring):
    """libfdt has no preemption points, and takes longer than a period: it gives way anywhere."""
    add = neighbours.add
    add("rt", **PERIODIC, **{"budget-us": 2000, "period-us": 10000})
    alone = latency(run(folder, engine, neighbours))
    assert alone[:2] == (100, 0)

    neighbours.image("tree", make_tree(folder, 2000), type="flat_dt")
    add("described", "memory", until=1200, memory=8 * MIB)
    neighbours.vms["described"]["fdt"] = "tree"
    with Machine(folder, engine, neighbours.build(), icount=True, kernel=measuring,
                 limit=200) as machine:
        beside = latency(machine.expect(LATENCY)[0])
        assert machine.wait_exit() == 0
        assert machine.output().count("described: restarts") > 5
    assert beside[:2] == (100, 0)
    check_interrupts_off(machine)
    assert beside[2] <= alone[2] + INTERRUPTS_OFF_MAX + 5_000


def test_budget_is_a_bound(folder, engine, neighbours):
    """Who has used up its budget waits while others want the hart, and runs when they do not."""
    neighbours.add("quiet", "sleep", until=2100)
    neighbours.add("rt", "burn", until=2100, **{"budget-us": 3000, "period-us": 10000})
    neighbours.add("other", "burn")
    neighbours.add("third", "burn")
    output = run(folder, engine, neighbours)
    rt = sum(rounds(output, "rt"))
    other, third = sum(rounds(output, "other")), sum(rounds(output, "third"))
    assert other == pytest.approx(third, rel=0.03)
    # All of the second second, and three tenths of the first.
    second = (rt + other + third) / 2
    assert rt == pytest.approx(1.3 * second, rel=0.03)
    assert other == pytest.approx(0.35 * second, rel=0.04)


def test_two_reservations(folder, engine, neighbours):
    """Earliest deadline first: with 85 % in all, none is late."""
    neighbours.add("a", "periodic", start=300, until=1300, options="period=10000 work=28000",
                   **{"budget-us": 3500, "period-us": 10000})
    neighbours.add("b", "periodic", start=300, until=1300, options="period=4000 work=14500",
                   **{"budget-us": 2000, "period-us": 4000})
    neighbours.add("burn", "burn", until=1200, weight=1000)
    output = run(folder, engine, neighbours)
    assert latency(output)[:2] == (100, 0)
    assert latency(output, r"\[b\] ")[:2] == (250, 0)


def test_admission(folder, engine, neighbours):
    """What cannot be guaranteed is refused, with the sums."""
    add = neighbours.add
    add("a", "sleep", **{"budget-us": 5000, "period-us": 10000})
    add("b", "sleep", **{"budget-us": 1500, "period-us": 5000}, vcpus=2)
    add("c", "sleep", **{"budget-us": 3500, "period-us": 10000}, vcpus=2)
    add("d", "sleep", **{"budget-us": 500, "period-us": 10000})
    with Machine(folder, engine, neighbours.build(), harts=2, limit=60) as machine:
        assert machine.wait_exit() == 1
        output = machine.output()
    # One hart has 50 and then 35, the other twice 30: a second 35 fit nowhere.
    assert ("/configurations/c: pilae,budget-us: 3500 of each 10000 us cannot be guaranteed to all "
            "of its 2 vCPUs: one hart has 90 % for reservations") in output
    assert re.search(r"/configurations/c: hart \d: 85\.0 % are promised", output)
    assert re.search(r"/configurations/c: hart \d: 60\.0 % are promised, and this is 35\.0 %", output)
    assert output.count("neighbour: slept") == 3

# SPDX-License-Identifier: MIT
"""Tracing: from `trace on` to the JSON that tools/trace2json makes of a dump."""

import json
import re
import subprocess

import pytest

from pilae import MIB, MINIKERNEL, TOP, Machine
from shell import ESCAPE, command, open_shell, wait_for
from test_statistics import wait_for_boot

HARTS, FIRST, SECOND = 1, 11, 12  # processes in the JSON


@pytest.fixture
def minikernels(system):
    system.image("kernel", MINIKERNEL)
    system.vm("first", kernel="kernel", memory=64 * MIB)
    system.vm("second", kernel="kernel", memory=64 * MIB)
    return system


def convert(log):
    done = subprocess.run([TOP / "tools/trace2json", log], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["traceEvents"]


def slices_of(events):
    """All slices of each track: (name, begin, end, depth). They nest, and time does not go back."""
    tracks, open_slices, times = {}, {}, {}
    for event in events:
        track = event["pid"], event["tid"]
        if event["ph"] == "M":
            continue
        assert event["ts"] >= times.get(track, 0), event
        times[track] = event["ts"]
        stack = open_slices.setdefault(track, [])
        if event["ph"] == "B":
            stack.append((event["name"], event["ts"]))
        elif event["ph"] == "E":
            name, begin = stack.pop()
            assert name == event["name"]
            tracks.setdefault(track, []).append((name, begin, event["ts"], len(stack)))
        else:
            assert event["ph"] == "i"
    assert not any(open_slices.values())
    return tracks


def use_both(m):
    """Each VM does something, by keys on its console."""
    for console in "12":
        m.send(ESCAPE + console)
        m.expect("console of ")
        m.send("uptime\r")
        m.expect("mk> ")
    open_shell(m)


def give_turns(m):
    """A vCPU alone on its hart keeps it: it loses it, and gets it again."""
    for name in "first", "second":
        m.sendline(f"vm pause {name}")
        wait_for(m, name, "paused")
        m.sendline(f"vm resume {name}")
        wait_for(m, name, "running")


def test_trace(folder, engine, minikernels):
    with Machine(folder, engine, minikernels.build(), limit=90) as m:
        wait_for_boot(m)
        open_shell(m)
        before = command(m, "trace show")
        wrong = command(m, "trace on exits,nonsense")
        assert "records of each hart are kept" in command(m, "trace on")
        use_both(m)
        assert command(m, "trace off").strip() == ""
        shown = command(m, "trace show 3000")
        few = command(m, "trace show 5")
        assert command(m, "trace dump").count("pilae-trace") > 5
        command(m, "trace clear")
        after = command(m, "trace dump")
        m.sendline("poweroff")
        assert m.wait_exit() == 0
        log = m.log_path
    assert "nothing has been recorded" in before and "nothing has been recorded" in after
    assert "nonsense: nothing that can be traced; have: exits, sbi," in wrong
    lines = re.findall(r"^ +(\d+\.\d{9})  hart 0   (\S+) +(.*)$", shown, re.MULTILINE)
    assert len(re.findall("hart 0 ", few)) == 5
    assert [line[0] for line in lines] == sorted(line[0] for line in lines)
    for vm in ("first/0", "second/0"):
        said = {line[2] for line in lines if line[1] == vm}
        assert {"turn begins", "enters the guest", "is given an external interrupt"} <= said

    events = convert(log)
    names = {(event["pid"], event["name"]): event["args"]["name"]
             for event in events if event["ph"] == "M"}
    assert names[HARTS, "process_name"] == "harts" and names[HARTS, "thread_name"] == "hart 0"
    assert names[FIRST, "process_name"] == "VM first"
    assert names[SECOND, "thread_name"] == "vCPU 0"
    tracks = slices_of(events)
    check_turns(tracks)
    instants = {(event["pid"], event["name"]) for event in events if event["ph"] == "i"}
    assert {(FIRST, "injected: external"), (SECOND, "injected: external")} <= instants


def check_turns(tracks):
    """A hart's turns are its vCPUs' running, and of these there is one at a time."""
    hart = tracks[HARTS, 0]
    running = {pid: [s for s in tracks[pid, 0] if s[0] == "running"] for pid in (FIRST, SECOND)}
    for pid, name in ((FIRST, "first/0"), (SECOND, "second/0")):
        turns = [(begin, end) for what, begin, end, _ in hart if what == name]
        assert turns and turns == [(begin, end) for _, begin, end, _ in running[pid]]
        # Exits lie in the time that it runs.
        assert any(depth == 1 for _, _, _, depth in tracks[pid, 0])
    ordered = sorted((begin, end) for slices in running.values() for _, begin, end, _ in slices)
    assert all(a[1] <= b[0] for a, b in zip(ordered, ordered[1:]))
    # Alone, a vCPU sleeps within its turn: whether the hart was idle is left to chance.
    assert "jobs" in {name for name, *_ in hart}


def test_trace_of_some_kinds_and_while_it_goes_on(folder, engine, minikernels):
    """Only what was asked for; shown without being stopped, it goes on; four harts."""
    with Machine(folder, engine, minikernels.build(), harts=4, limit=90) as m:
        wait_for_boot(m)
        open_shell(m)
        memory = command(m, "mem")
        command(m, "trace on schedule,ipi")
        taken = command(m, "mem")
        give_turns(m)
        use_both(m)
        first = command(m, "trace show 1000")
        use_both(m)
        command(m, "trace dump")
        log = m.log_path.read_text(errors="replace")
        # Begun anew: the former records are gone.
        command(m, "trace on inject")
        use_both(m)
        inject = command(m, "trace show")
        command(m, "trace clear")
        given_back = command(m, "mem")
        m.sendline("poweroff")
        assert m.wait_exit() == 0
    assert "turn begins" in first and "IPI to hart" in first and "enters the guest" not in first
    assert "is given an" in inject and "turn" not in inject
    # Half a MiB for each of the harts.
    promised = [int(re.search(r"(\d+) MiB promised", text)[1])
                for text in (memory, taken, given_back)]
    assert promised[1] - promised[0] == 2 and promised[2] == promised[0]

    (folder / "dump").write_text(log)
    events = convert(folder / "dump")
    named = [event["args"]["name"] for event in events
             if event["ph"] == "M" and event["pid"] == HARTS]
    assert named == ["harts", *(f"hart {i}" for i in range(4))]
    tracks = slices_of(events)
    # A hart may have been clearing pages all the time.
    assert sum(pid == HARTS for pid, _ in tracks) >= 2
    for pid in (FIRST, SECOND):
        assert "running" in {name for name, *_ in tracks[pid, 0]}

# SPDX-License-Identifier: MIT
"""What can be done with VMs by the shell, in every state and at any moment."""

import random
import re
import time

import pytest

from pilae import MIB, MINIKERNEL, Machine, assemble
from shell import ESCAPE, ask, free_bytes, open_shell, run, states, wait_for

MANUAL = {"pilae,manual": True}

# What becomes of a VM in a state (`None`: it is not known any more), and what is said.
EXPECTED_RUNNING = {
    "start": ("running", "it is running; expected one that is not started, ended or crashed"),
    "stop": ("ended", "its machine has no power button: it is ended by force"),
    "kill": ("ended", "pilae: it: powered off"),
    "reset": ("running", "pilae: it: restarts"),
    "pause": ("paused", ""),
    "resume": ("running", "it is running; expected one that is paused"),
    "destroy": (None, ""),
    "define": ("running", "it: there is a VM of this name already"),
}
EXPECTED_PAUSED = {
    **EXPECTED_RUNNING,
    "start": ("paused", "it is paused; expected one that is not started, ended or crashed"),
    "stop": ("ended", "it does not run, and cannot answer: it is ended by force"),
    "pause": ("paused", "it is paused; expected one that is running"),
    "resume": ("running", ""),
    "define": ("paused", "it: there is a VM of this name already"),
}
EXPECTED_PAUSED_BY_CRASH = {
    **EXPECTED_PAUSED,
    "stop": ("crashed", "it does not run, and cannot answer: it is ended by force"),
    "kill": ("crashed", "pilae: it: ended by a failure"),
    "resume": ("paused", "it: it has crashed; reset or kill it"),
}


def expected_off(state):
    refused = (state, f"it: it is {state}; expected one that is running")
    return {
        "start": ("running", "pilae: it: "),
        **{verb: refused for verb in ("stop", "kill", "reset", "pause")},
        "resume": (state, f"it: it is {state}; expected one that is paused"),
        "destroy": (None, ""),
        "define": (state, "it: there is a VM of this name already"),
    }


EXPECTED = {
    "not started": expected_off("not started"),
    "running": EXPECTED_RUNNING,
    "paused": EXPECTED_PAUSED,
    "paused by a crash": EXPECTED_PAUSED_BY_CRASH,
    "ended": expected_off("ended"),
    "crashed": expected_off("crashed"),
    None: {
        **{verb: (None, "it: no such VM; have: ")
           for verb in ("start", "stop", "kill", "reset", "pause", "resume", "destroy")},
        "define": ("not started", ""),
    },
}


@pytest.fixture
def operated(folder, system):
    """A VM to operate, and one that shows whether it is disturbed."""
    system.image("keys", assemble(folder, "keys.S"))
    system.image("beat", assemble(folder, "beat.S", HARTS=1))
    system.vm("beat", kernel="beat", memory=4 * MIB)
    system.vm("it", kernel="keys", memory=4 * MIB, **MANUAL, **{"pilae,on-crash": "pause"})
    return system


def beats(machine, name="beat", letter="a"):
    """The counts that a VM with beat.S has shown, without the lines' other parts."""
    pattern = rf"\[{name}\] {letter} ([0-9a-f]{{8}})$"
    return [int(m[1], 16) for m in re.finditer(pattern, machine.output(), re.MULTILINE)]


def check_undisturbed(machine):
    """All its lines are there: what was not shown is shown again when it gets the terminal."""
    last = max(beats(machine)) + 3
    machine.send(ESCAPE + "1")
    machine.expect("console of beat")
    counts = []
    while not counts or counts[-1] < last:
        counts.append(int(machine.expect(r"\ba ([0-9a-f]{8})\r*\n")[1], 16))
    assert len(counts) > 10
    assert [(a, b) for a, b in zip(counts, counts[1:]) if b != a + 1] == []
    assert "timer lost" not in machine.output()
    open_shell(machine)


def press(machine, key):
    """Lets the guest of `it` have a key."""
    run(machine, "vm console it", "pilae: console of it")
    machine.send(key)
    open_shell(machine)


def bring_to(machine, state):
    """Makes `it` anew, and brings it to this state."""
    if "it" in states(machine):
        machine.sendline("vm destroy it")
        wait_for(machine, "it", None)
    if state is None:
        return
    machine.sendline("vm define it")
    if state == "not started":
        return
    run(machine, "vm start it", r"\[it\] .*keys: started")
    if state == "paused":
        machine.sendline("vm pause it")
    elif state == "ended":
        press(machine, "p")
    elif state in ("crashed", "paused by a crash"):
        press(machine, "f")
        wait_for(machine, "it", "paused")
        if state == "crashed":
            machine.sendline("vm kill it")
    wait_for(machine, "it", state.split(" by ")[0])


@pytest.mark.parametrize("harts", [1, 2])
def test_every_command_in_every_state(folder, engine, operated, harts):
    with Machine(folder, engine, operated.build(), harts=harts, limit=120) as m:
        m.expect("a 0000")
        open_shell(m)
        for state, verbs in EXPECTED.items():
            for verb, (after, says) in verbs.items():
                bring_to(m, state)
                m.sendline(f"vm {verb} it")
                if says:
                    m.expect(re.escape(says))
                if state in ("paused", "paused by a crash") and verb == "reset":
                    m.expect(r"\[it\] .*keys: started")
                wait_for(m, "it", after)
        # What can be said wrongly.
        bring_to(m, "running")
        run(m, "vm stop it 3601", "3601: expected up to 3600 seconds")
        run(m, "vm stop it soon", "soon: not understood; expected: vm stop NAME .NUMBER.")
        run(m, "vm stop it -1", "-1: not understood")
        run(m, "vm pause i", "i: no such VM; have: beat, it")
        run(m, "vm define nobody", "nobody: the system does not describe it; it has besides: none")
        assert states(m)["it"] == "running"
        check_undisturbed(m)
        m.sendline("poweroff")
        assert m.wait_exit() == 1


@pytest.mark.parametrize("harts", [1, 2])
def test_pause_keeps_everything(folder, engine, system, harts):
    """Nothing happens in a paused VM, and nothing is missing when it goes on."""
    system.image("beat", assemble(folder, "beat.S", HARTS=3))
    system.image("keys", assemble(folder, "keys.S"))
    system.vm("two", kernel="beat", memory=4 * MIB, vcpus=3)
    system.vm("it", kernel="keys", memory=4 * MIB)
    with Machine(folder, engine, system.build(), harts=harts, limit=60) as m:
        m.expect("c 0000")
        open_shell(m)
        for _ in range(10):
            for letter in "abc":
                m.expect(rf"\[two\] {letter} 0000")
            m.sendline("vm pause two")
            wait_for(m, "two", "paused")
            before = [beats(m, "two", letter)[-1] for letter in "abc"]
            time.sleep(0.3)
            states(m)
            assert [beats(m, "two", letter)[-1] for letter in "abc"] == before
            m.sendline("vm resume two")
            wait_for(m, "two", "running")
        # Again and again, before all its harts have noticed.
        for _ in range(20):
            m.sendline("vm pause two\rvm resume two")
        wait_for(m, "two", "running")
        for letter in "abc":
            m.expect(rf"\[two\] {letter} 0000")
            counts = beats(m, "two", letter)
            assert counts == list(range(counts[0], counts[-1] + 1))
        assert "timer lost" not in m.output()
        m.sendline("vm kill two")
        wait_for(m, "two", "ended")
        m.sendline("vm pause it")
        wait_for(m, "it", "paused")
        # A paused VM is alive: only when it is killed the machine ends.
        m.sendline("vm kill it")
        assert m.wait_exit() == 0


def test_paused_by_a_crash(folder, engine, system):
    """It stays to be looked at, and the machine with it."""
    system.image("bad", assemble(folder, "hello.S", REASON=1))
    system.vm("bad", kernel="bad", memory=4 * MIB, **{"pilae,on-crash": "pause"})
    with Machine(folder, engine, system.build(), limit=60) as m:
        m.expect("pilae: bad: stopped: the guest reports a system failure")
        open_shell(m)
        wait_for(m, "bad", "paused")
        assert ask(m, "vm info bad")[0]["crashed"]
        run(m, "vm info bad", r"state:    paused after a crash\r+\n")
        run(m, "vm resume bad", "bad: it has crashed; reset or kill it")
        run(m, "vm reset bad", "pilae: bad: restarts")
        m.expect("pilae: bad: stopped: the guest reports a system failure")
        wait_for(m, "bad", "paused")
        run(m, "vm kill bad", "pilae: bad: ended by a failure")
        assert m.wait_exit() == 1


def test_numbers_are_used_again(folder, engine, operated):
    with Machine(folder, engine, operated.build(), limit=60) as m:
        m.expect("a 0000")
        open_shell(m)
        run(m, "vm start it", r"\[it\] .*keys: started")
        m.sendline("vm destroy beat")
        wait_for(m, "beat", None)
        assert [vm["number"] for vm in ask(m, "vm list")] == [2]
        m.send("vm def\tb\t\r")
        wait_for(m, "beat", "not started")
        assert [(vm["number"], vm["name"]) for vm in ask(m, "vm list")] == [(1, "beat"), (2, "it")]
        run(m, "vm start beat", r"\[beat\] a 00000000")
        # One that has the terminal goes: the shell gets it.
        m.sendline("vm destroy it")
        wait_for(m, "it", None)
        run(m, "vm console beat", "pilae: console of beat")
        open_shell(m)
        m.send("vm destroy beat\r\x1d1")
        assert m.wait_exit() == 0


@pytest.fixture
def minikernel(folder, system):
    system.image("beat", assemble(folder, "beat.S", HARTS=1))
    system.image("minikernel", MINIKERNEL)
    system.vm("beat", kernel="beat", memory=4 * MIB)
    system.vm("mini", kernel="minikernel", memory=16 * MIB, vcpus=2, **MANUAL)
    return system


def free_besides_beat(machine):
    """Free memory, with what `beat` has of it: that changes, as soft's copies of code do."""
    def own():
        [beat] = [vm for vm in ask(machine, "vm list") if vm["name"] == "beat"]
        return sum(beat[key] for key in ("ram_kib", "tables_kib", "objects_kib"))

    before = own()
    while True:
        free, after = free_bytes(machine), own()
        if before == after:
            return free + after * 1024
        before = after


@pytest.mark.parametrize("count", [50, pytest.param(1000, marks=pytest.mark.soak)])
def test_nothing_leaks(folder, engine, minikernel, count):
    """A VM made, booted and destroyed again and again, on harts that run it at that moment."""
    with Machine(folder, engine, minikernel.build(), harts=2, limit=10 * count) as m:
        m.expect("a 0000")
        open_shell(m)
        wait_for(m, "mini", "not started")
        free = free_besides_beat(m)
        for _ in range(count):
            run(m, "vm start mini", r"\[mini\] +A small kernel, for reading")
            m.sendline("vm destroy mini")
            wait_for(m, "mini", None)
            m.sendline("vm define mini")
            wait_for(m, "mini", "not started")
        while free_besides_beat(m) != free:
            pass
        assert ask(m, "mem")[0]["promised_bytes"] < 256 * MIB
        check_undisturbed(m)
        m.sendline("poweroff")
        assert m.wait_exit() == 0


def busy_ns(machine):
    """The time that hart 0 has not been idle."""
    found = ask(machine, "top")
    idle = [entry["idle_ns"] for entry in found if entry.get("hart") == 0]
    return found[0]["time_ns"] - idle[0]


@pytest.mark.parametrize("count", [50, pytest.param(1000, marks=pytest.mark.soak)])
def test_time_is_constant(folder, engine, system, count):
    """To make, boot and destroy a VM takes as many instructions the last times as the first."""
    system.image("idle", assemble(folder, "alone.S", BUSY=0))
    system.image("minikernel", MINIKERNEL)
    # QEMU hangs if no timer is set anywhere, with -icount sleep=off.
    system.vm("idle", kernel="idle", memory=4 * MIB, **{"pilae,cpus": [1]})
    system.vm("mini", kernel="minikernel", memory=16 * MIB, vcpus=2, **MANUAL,
              **{"pilae,cpus": [0]})
    taken = []
    with Machine(folder, engine, system.build(), harts=2, icount=True,
                 limit=60 + 5 * count) as m:
        m.expect("alone: ready")
        open_shell(m)
        for _ in range(count):
            before = busy_ns(m)
            run(m, "vm start mini", r"\[mini\] +A small kernel, for reading")
            m.sendline("vm destroy mini")
            wait_for(m, "mini", None)
            m.sendline("vm define mini")
            wait_for(m, "mini", "not started")
            taken.append(busy_ns(m) - before)
        m.sendline("poweroff")
        assert m.wait_exit() == 0
    # The first fills stocks. How often is asked, and how soon, is left to chance.
    first, last = sorted(taken[1:11]), sorted(taken[-10:])
    print(first, last)
    assert 0.9 < sum(last[:5]) / sum(first[:5]) < 1.1


def disturb(machine, random_source, name):
    """Does something to a VM at some moment of its life, whatever its state is then."""
    time.sleep(random_source.choice((0, 0, 0.01, 0.1, 0.3)) * random_source.random())
    verb = random_source.choice(("kill", "reset", "pause", "destroy", "stop"))
    machine.sendline(f"vm {verb} {name}")
    if verb == "pause":
        time.sleep(0.05 * random_source.random())
        machine.sendline(f"vm {random_source.choice(('resume', 'kill', 'reset', 'destroy'))} {name}")


def revive(machine, name):
    """Starts it if it does not run."""
    state = wait_for(machine, name, None, "running", "loading", "paused", "ended", "not started")
    if state == "paused":
        machine.sendline(f"vm resume {name}")
    if state is None:
        machine.sendline(f"vm define {name}")
    if state in (None, "ended", "not started"):
        run(machine, f"vm start {name}", f"pilae: {name}: (hext|soft), ")


def operate_at_random(machine, name, booted, count):
    random_source = random.Random(count)
    open_shell(machine)
    revive(machine, name)
    for _ in range(count):
        disturb(machine, random_source, name)
        revive(machine, name)
    # And it comes back.
    machine.sendline(f"vm kill {name}")
    wait_for(machine, name, "ended")
    run(machine, f"vm start {name}", booted)
    check_undisturbed(machine)
    machine.sendline("poweroff")
    assert machine.wait_exit() == 0


@pytest.mark.parametrize("count", [20, pytest.param(500, marks=pytest.mark.soak)])
@pytest.mark.parametrize("harts", [1, 2])
def test_random_moments(folder, engine, minikernel, harts, count):
    with Machine(folder, engine, minikernel.build(), harts=harts, limit=60 + 10 * count) as m:
        m.expect("a 0000")
        operate_at_random(m, "mini", r"\[mini\] +A small kernel, for reading", count)


@pytest.mark.parametrize("count", [20, pytest.param(500, marks=pytest.mark.soak)])
def test_random_moments_of_linux(folder, engine, system, count):
    system.image("beat", assemble(folder, "beat.S", HARTS=1))
    system.vm("beat", kernel="beat", memory=4 * MIB)
    system.linux("debian", vcpus=2, memory=256 * MIB, bootargs="console=ttyS0", **MANUAL)
    with Machine(folder, engine, system.build(), harts=2, limit=300 + 20 * count) as m:
        m.expect("a 0000")
        operate_at_random(m, "debian", r"\[debian\] .*Run /init as init process", count)

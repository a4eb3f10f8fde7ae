# SPDX-License-Identifier: MIT
"""The shell: its keys and commands, and what it does to VMs."""


import pytest

from pilae import MIB, Machine, assemble, check_interrupts_off
from shell import ESCAPE, PROMPT, ask, open_shell, run, states, wait_for

LEFT, UP, DELETE = "\x1b[D", "\x1b[A", "\x1b[3~"


@pytest.fixture
def keys(folder, system):
    """Two VMs that do what the keys sent to them say, of which one is not started at boot."""
    system.image("keys", assemble(folder, "keys.S"))
    system.vm("first", kernel="keys", memory=4 * MIB)
    system.vm("later", kernel="keys", memory=4 * MIB, **{"pilae,manual": True})
    return system


def test_shell(folder, engine, keys):
    with Machine(folder, engine, keys.build(), limit=60) as m:
        m.expect("keys> ")
        open_shell(m)
        run(m, "help", r"  vm start NAME +start a VM[^\n]+\n(.*\n)*  poweroff")

        run(m, "vm list", r"\n +1 +first +running +" + engine + r" +1 +4 MiB\r+\n")
        m.expect(r" +2 +later +not started ")
        assert states(m) == {"first": "running", "later": "not started"}
        info = ask(m, "vm info first")[0]
        assert info["engine"] == engine and info["memory_bytes"] == 4 * MIB
        assert info["vcpus"] == 1 and not info["manual"] and info["ram_kib"] > 0
        harts = ask(m, "hart list")
        assert len(harts) == 1 and harts[0]["h"] == (engine == "hext")
        mem = ask(m, "mem")[0]
        assert 0 < mem["free_bytes"] < mem["total_bytes"] <= 1 << 30
        run(m, "vm info first", r"state:    running\r+\n")
        run(m, "version", r"Pilae, on firmware with SBI \d")

        # A VM that is not started at boot. Its lines appear above the prompt.
        run(m, "vm start later", r"pilae: later: " + engine + ", 1 vCPU, 4 MiB")
        m.expect(r"\[later\] .*keys: started")
        wait_for(m, "later", "running")
        run(m, "vm start later", "later: it is running; expected one that is not started")
        run(m, "vm console later", "pilae: console of later")
        m.send("a")
        m.expect("key a")

        # And back to the one that had the terminal before, by key.
        m.send(ESCAPE + "1")
        m.expect("pilae: console of first")
        m.send("b")
        m.expect("key b")
        open_shell(m)
        m.sendline("poweroff")
        assert m.wait_exit() == 0


def test_editing(folder, engine, keys):
    with Machine(folder, engine, keys.build(), limit=60) as m:
        m.expect("keys> ")
        open_shell(m)
        # "vm list", with two characters put right, one put in and one taken out.
        m.send("vm lsiit" + LEFT * 4 + DELETE + "\x05\x7f\x7fst" + LEFT * 2 + "\x7fi\r")
        m.expect(r"1  first +running")
        m.expect(PROMPT)
        m.send(UP + "\r")
        m.expect(r"1  first +running")
        m.expect(PROMPT)
        m.send("vm in\tf\t\r")
        m.expect(r"name:     first")
        m.expect(PROMPT)
        # Nothing can be added: all that fit are listed, and the line comes back.
        m.send("vm star\t\r")
        m.expect("expected: vm start NAME")
        m.expect(PROMPT)
        m.send("vm \t\t")
        m.expect(r"list  info  stats  start  stop  kill  reset  pause  resume  destroy  "
                 r"define  console  regs  dump  mem  \r+\n")
        m.expect(r"pilae> vm \x1b\[K")
        m.send("\x15nonsense\r")
        m.expect("nonsense: no such command; have: help, version, vm, hart, top, irq, trace, "
                 "disk, net, mem, dt, log, poweroff, reboot")
        m.expect(PROMPT)
        # The escape character is the guest's again when the shell has been left.
        m.send("\x04")
        m.expect("console of first")
        m.send("q" + ESCAPE + ESCAPE)
        m.expect("key q")
        m.expect("key " + ESCAPE)
        m.send(ESCAPE + "?")
        m.expect(r"Ctrl-\] 1  console of first \(shown\)")
        m.expect(r"Ctrl-\] s  the shell")
        open_shell(m)
        # What follows a command goes where it leads, however fast it comes.
        m.send("vm console first\rxyz" + ESCAPE + "s" + "vm list\r")
        # The guest answers the keys when it gets to run: maybe after the list.
        missing = {"key x", "key y", "key z", "1  first"}
        while missing:
            missing.discard(m.expect("|".join(sorted(missing)))[0])
        m.sendline("poweroff")
        assert m.wait_exit() == 0


@pytest.mark.parametrize("harts", [1, 2])
def test_lives_of_a_vm(folder, engine, keys, harts):
    """Killed, reset, ended and crashed, and started again, with nothing lost on the way."""
    with Machine(folder, engine, keys.build(), harts=harts, limit=60) as m:
        m.expect("keys> ")
        open_shell(m)
        for _ in range(5):
            run(m, "vm start later", r"\[later\] .*keys: started")
            run(m, "vm reset later", "pilae: later: restarts")
            m.expect(r"\[later\] .*keys: started")
            wait_for(m, "later", "running")
            run(m, "vm console later", "pilae: console of later")
            m.send("i")
            m.expect("illegal instruction came back")
            open_shell(m)
            run(m, "vm kill later", "pilae: later: powered off")
            wait_for(m, "later", "ended")
            assert ask(m, "mem")[0]["promised_bytes"] < 256 * MIB
        run(m, "vm kill later", "later: it is ended; expected one that is running")
        # The last VM ends, and so does the machine.
        m.sendline("vm kill first")
        assert m.wait_exit() == 0


def test_manual_alone(folder, engine, system):
    """The machine stays in the shell, whatever becomes of them."""
    system.image("keys", assemble(folder, "keys.S"))
    system.vm("one", kernel="keys", memory=4 * MIB, **{"pilae,manual": True})
    with Machine(folder, engine, system.build(), limit=60) as m:
        m.expect("pilae: shell")
        m.expect(PROMPT)
        for key, state in ("p", "ended"), ("f", "crashed"):
            m.sendline("vm start one")
            m.expect("keys: started")
            m.send(ESCAPE + "1")
            m.expect("console of one")
            m.send(key)
            m.expect("pilae: no VM is running; the shell can start one")
            open_shell(m)
            assert states(m) == {"one": state}
        m.sendline("poweroff")
        assert m.wait_exit() == 1


def test_manual_that_never_started(folder, engine, keys):
    with Machine(folder, engine, keys.build(), limit=60) as m:
        m.expect("keys> ")
        m.send("p")
        m.expect("pilae: no VM is running; the shell can start one")
        open_shell(m)
        m.sendline("vm start later")
        m.expect(r"\[later\] .*keys: started")
        m.sendline("vm kill later")
        assert m.wait_exit() == 0


def test_reboot_of_the_machine(folder, engine, keys):
    with Machine(folder, engine, keys.build(), limit=20, extra=["-no-reboot"]) as m:
        m.expect("keys> ")
        open_shell(m)
        m.sendline("reboot")
        assert m.wait_exit() == 0
        assert "rebooted by the shell" in m.output()


def test_refused(folder, engine, keys):
    """Refused VMs are listed, and nothing can be done with them."""
    keys.vm("wrong", kernel="no-such-image", memory=4 * MIB)
    keys.vm("large", kernel="keys", memory=1 << 36, **{"pilae,manual": True})
    with Machine(folder, engine, keys.build(), limit=60) as m:
        m.expect("keys> ")
        open_shell(m)
        assert states(m) == {"first": "running", "later": "not started", "wrong": "refused",
                             "large": "not started"}
        run(m, "vm info wrong", r"state:    refused\r+\nits description was refused")
        for verb in "start", "stop", "kill", "reset", "pause", "resume":
            run(m, f"vm {verb} wrong", "wrong: its description was refused: see")
        run(m, "vm start large", "/configurations/large: pilae,memory: 65536 MiB do not fit")
        assert states(m)["large"] == "not started"
        m.sendline("poweroff")
        assert m.wait_exit() == 1


def test_interrupts_off(folder, engine, keys, measuring):
    """With another VM's lines above the prompt, and commands that print much."""
    keys.image("flood", assemble(folder, "flood.S", ROUNDS=20))
    keys.vm("flood", kernel="flood", memory=4 * MIB, vcpus=1, **{"pilae,manual": True})
    with Machine(folder, engine, keys.build(), icount=True, kernel=measuring,
                 limit=200) as m:
        m.expect("keys> ")
        open_shell(m)
        for text in "help", "vm list", "vm list --json", "hart list --json", "vm info first":
            m.sendline(text)
        m.send("vm \t\t\x15" + "vm l\t\t" + "x" * 300 + "\x01y\x15\r")
        m.send("vm start flood\r" + "long line to be shown " * 5)
        m.expect("pilae: flood: powered off")
        m.send(ESCAPE + "?\x15poweroff\r")
        assert m.wait_exit() == 0
    check_interrupts_off(m)

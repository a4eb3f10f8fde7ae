# SPDX-License-Identifier: MIT
"""How VMs end, and what QEMU's exit status then is."""

import pytest

from pilae import Machine, assemble


@pytest.fixture
def keys(folder, system):
    """A system with one guest that does what the keys sent to it say."""
    system.image("keys", assemble(folder, "keys.S"))
    system.vm("keys", kernel="keys", memory=0x400000)
    return system.build()


@pytest.mark.parametrize("key,status", [("p", 0), ("f", 1), ("P", 0), ("F", 1)],
                         ids=["srst-shutdown", "srst-failure", "finisher-pass", "finisher-fail"])
def test_end(folder, engine, keys, key, status):
    with Machine(folder, engine, keys, limit=30) as m:
        m.expect("keys: started")
        m.expect("keys> ")
        m.send(key)
        assert m.wait_exit() == status
        assert m.output().count("keys: started") == 1


@pytest.mark.parametrize("key", ["c", "w", "R"], ids=["srst-cold", "srst-warm", "finisher"])
def test_reboot(folder, engine, keys, key):
    with Machine(folder, engine, keys, limit=30) as m:
        for _ in range(3):
            m.expect("keys: started")
            m.expect("keys> ")
            m.send(key)
        m.expect("keys: started")
        m.expect("keys> ")
        m.send("p")
        assert m.wait_exit() == 0


def test_console_input(folder, engine, keys):
    text = "abdegjklmnoqstuvxyz0123456789 .,-"
    with Machine(folder, engine, keys, limit=30) as m:
        for letter in text:
            m.expect("keys> ")
            m.send(letter)
            m.expect("key " + letter.replace(".", r"\."))
        m.expect("keys> ")
        m.send("i")
        m.expect("illegal instruction came back")
        m.expect("keys> ")
        m.send("p")
        assert m.wait_exit() == 0


def test_one_crash_of_two_counts(folder, engine, system):
    system.image("good", assemble(folder, "hello.S", name="good"))
    system.image("bad", assemble(folder, "hello.S", name="bad", REASON=1))
    system.vm("good", kernel="good", memory=0x400000)
    system.vm("bad", kernel="bad", memory=0x400000)
    with Machine(folder, engine, system.build(), limit=30) as m:
        assert m.wait_exit() == 1
        assert "[bad] hello from a guest" in m.output()


def test_two_clean_ends(folder, engine, system):
    system.image("good", assemble(folder, "hello.S"))
    system.vm("one", kernel="good", memory=0x400000)
    system.vm("two", kernel="good", memory=0x400000)
    with Machine(folder, engine, system.build(), limit=30) as m:
        assert m.wait_exit() == 0


@pytest.mark.parametrize("harts", [1, 2])
def test_restart_while_sleeping(folder, engine, system, harts):
    """A restart at any moment of a hart's sleep leaves nothing of its former life."""
    system.image("restart", assemble(folder, "restart.S", ROUNDS=300))
    system.vm("restart", kernel="restart", vcpus=2, memory=0x400000)
    with Machine(folder, engine, system.build(), harts=harts, limit=120) as m:
        m.expect("every hart came up anew")
        assert m.wait_exit() == 0
        assert m.output().count("restart: restarts") == 300

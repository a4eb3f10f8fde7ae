# SPDX-License-Identifier: MIT
"""What cannot be counted on: memory for the making of a VM, and that interrupts are as they should be."""

import re

import pytest

from pilae import BUILD, MIB, MINIKERNEL, SELFTEST, Machine, assemble
from shell import PROMPT, free_bytes, open_shell, states, wait_for
from test_chaos import MANUAL, add_canary, check_canary, first_free

MACHINE = ("-netdev", "user,id=net", "-device", "virtio-net-device,netdev=net",
           "-device", "virtio-rng-device")
DEVICES = {
    "ram": {"compatible": "pilae,virtio-blk", "pilae,image": "keys"},
    "disk": {"compatible": "pilae,virtio-blk", "pilae,host": "virtio-blk0"},
    "net": {"compatible": "pilae,virtio-net", "pilae,switch": "lan0"},
    "console": {"compatible": "pilae,virtio-console"},
    "rng": {"compatible": "pilae,virtio-rng"},
    "flash": {"compatible": "pilae,flash", "pilae,bank": 1, "pilae,image": "keys"},
    "passed": {"compatible": "pilae,passthrough", "pilae,host": "/soc/rtc@101000"},
}


def add_drive(folder):
    path = folder / "disk.img"
    path.write_bytes(bytes(4 * MIB))
    return ("-drive", f"file={path},if=none,format=raw,id=disk",
            "-device", "virtio-blk-device,drive=disk")


def fail_until_it_works(machine, command, complaint):
    """Gives a command again and again, with one allocation more before they fail: how often it
    failed, and in what words it said so each time."""
    words = []
    free = free_bytes(machine)
    while True:
        machine.sendline(command)
        nth = machine.expect(r"pilae: fault: (?:allocation (\d+) failed|none of \d+ )")[1]
        if nth is None:
            return words
        said = machine.child.before
        machine.expect(PROMPT)
        words += re.findall(complaint, said + machine.child.before)
        assert int(nth) == len(words), f"{command}: allocation {nth}: {said}"
        assert free_bytes(machine) == free, f"{command}: allocation {nth} leaks"


def test_no_memory_to_make_a_vm(folder, engine, system, failing):
    """With each allocation failing in turn, and all after it: nothing is left behind, and it is
    said. When none fails, the VM has all that it should."""
    system.image("keys", assemble(folder, "keys.S"))
    system.root["lan0"] = {"compatible": "pilae,switch", "pilae,uplink": "virtio-net0"}
    system.vm("it", kernel="keys", memory=4 * MIB, vcpus=3, **DEVICES, **{"pilae,manual": True})
    with Machine(folder, engine, system.build(), kernel=failing, limit=30,
                 extra=(*MACHINE, *add_drive(folder))) as m:
        m.expect("MiB of memory")
        open_shell(m)
        builds = fail_until_it_works(m, "vm start it", "no memory left to build it|or its uplink no memory, left")
        assert len(builds) > 20
        m.expect("keys: started")
        m.sendline("vm destroy it")
        wait_for(m, "it", None)
        assert len(fail_until_it_works(m, "vm define it", "no memory left")) == 2
        assert states(m)["it"] == "not started"
        m.sendline("poweroff")
        assert m.wait_exit() == 0


# What a VM is, and what it says at last if it has all memory.
LIVES = {
    "minikernel": ({"memory": 16 * MIB, "vcpus": 2, "bootargs": "script=selfcheck;poweroff"},
                   "all checks passed"),
    "torture": ({"memory": 64 * MIB, "vcpus": 2, "bootargs": "seed=1 ops=2000 levels=3"},
                "ok torture: 2000 operations"),
    "rings": ({"memory": 64 * MIB, "vcpus": 2, "bootargs": "n=300 seed=1", **DEVICES},
              "rings: ok 300 operations"),
}
# What is said of one that is ended.
WORDS = "no memory left to load it|no memory left for the guest's RAM at 0x[0-9a-f]+"


@pytest.mark.parametrize("guest", LIVES)
def test_no_memory_for_a_vm(folder, engine, system, failing, guest):
    """The same while it is loaded and runs, which admission should prevent: it does with less, or is
    ended, in words; its neighbour goes on, and nothing is left behind."""
    properties, well = LIVES[guest]
    add_canary(system)
    system.image("keys", assemble(folder, "keys.S"))
    system.root["lan0"] = {"compatible": "pilae,switch", "pilae,uplink": "virtio-net0"}
    system.image("guest", BUILD / f"guests/{guest}.elf")
    system.vm("it", kernel="guest", **MANUAL, **properties)
    with Machine(folder, engine, system.build(), kernel=failing, append="fail=life", limit=200,
                 extra=(*MACHINE, *add_drive(folder))) as m:
        free, ends = first_free(m), []
        while True:
            m.sendline("vm start it")
            nth = m.expect(r"pilae: fault: (?:allocation (\d+) failed|none of \d+ )")[1]
            said = m.child.before
            wait_for(m, "it", "ended", "crashed")
            assert free_bytes(m) == free, f"allocation {nth} leaks"
            if nth is None:
                break
            ends += re.findall(WORDS, said)
        assert well in said
        assert len(ends) >= 5 and "no memory left to load it" in ends
        check_canary(m)


def test_disturbed_interrupts(folder, engine, system, disturbing):
    """IPIs that are late, come twice, or have no reason, timer and external interrupts without a
    cause: nothing is lost. More vCPUs than harts, so that they move, beside page tables that change
    under way."""
    system.image("mk", MINIKERNEL)
    system.vm("mk", kernel="mk", memory=16 * MIB, vcpus=2, bootargs="script=selfcheck;poweroff")
    system.image("torture", BUILD / "guests/torture.elf")
    system.vm("torture", kernel="torture", memory=64 * MIB, vcpus=2,
              bootargs="seed=1 ops=3000 levels=3")
    with Machine(folder, engine, system.build(), harts=2, kernel=disturbing, limit=100) as m:
        assert m.wait_exit() == 0
        output = m.output()
    assert "not ok " not in output
    assert "ok torture: 3000 operations" in output
    assert "minikernel: all checks passed" in output


def test_lost_ipis(folder, engine, system, disturbing):
    """An IPI that does not come while another hart waits for what it asks for, and a vCPU that
    leaves the guest for nothing else: it is sent again."""
    system.image("selftest", SELFTEST)
    system.vm("selftest", kernel="selftest", vcpus=2, memory=128 * MIB, bootargs="tests=smp,sbi")
    with Machine(folder, engine, system.build(), harts=2, kernel=disturbing, limit=60) as m:
        assert m.wait_exit() == 0
        output = m.output()
    assert "not ok " not in output
    assert re.search(r"selftest: [1-9]\d* ok, 0 not ok", output)

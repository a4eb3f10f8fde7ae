# SPDX-License-Identifier: MIT
"""A guest that does to Pilae whatever a guest can, beside a canary and a Linux that works."""

import re

import pytest

from debian import BROKEN, PROMPT, add_debian, copy_disk, drive, log_in
from debian import run as shell
from pilae import BUILD, MIB, Machine, check_interrupts_off
from shell import free_bytes, open_shell, run, states, wait_for

CHAOS = BUILD / "guests/chaos.elf"
MANUAL = {"pilae,manual": True}
KINDS = ["code", "csr", "sbi", "mmio", "tables", "modify", "storm", "wfi", "hsm", "rings"]
# As many as fit beside all other tests into half an hour: two to three minutes.
OPS = 10_000_000
# With the default of 20 repeats a billion on each engine, of 1, 2, 4 and 8 vCPUs together.
SOAK_OPS = 12_500_000
DISK = {"compatible": "pilae,virtio-blk", "pilae,image": "disk"}
DEVICES = {
    "one": DISK,
    "two": {**DISK, "pilae,legacy": True},
    "console": {"compatible": "pilae,virtio-console"},
    "net": {"compatible": "pilae,virtio-net", "pilae,switch": "lan0"},
    "flash": {"compatible": "pilae,flash", "pilae,bank": 1, "pilae,image": "disk"},
}
WRONG = "not ok|unexpected exception|panic|FAILED|timer lost"


def add_chaos(system, ops, seed, vcpus=2, options="", **others):
    system.image("chaos", CHAOS)
    system.image("disk", bytes(2 * MIB), type="filesystem")
    system.root["lan0"] = {"compatible": "pilae,switch"}
    system.vm("chaos", kernel="chaos", vcpus=vcpus, memory=64 * MIB,
              bootargs=f"seed={seed} ops={ops} {options}", **DEVICES, **MANUAL, **others)


def add_canary(system):
    """It says so when its timer is late or its memory not what it was, and a number each round."""
    system.image("neighbour", BUILD / "guests/neighbour.elf")
    system.vm("canary", kernel="neighbour", memory=8 * MIB, bootargs="do=canary until=100000000")


def show(machine):
    """Has the console's log tell where a guest is that has not come to its end."""
    machine.allow(60)
    dumps = [f"vm dump chaos {vcpu}" for vcpu in range(3)]
    for command in ("vm list", "vm stats chaos", *dumps, *dumps):
        machine.sendline(command)
        # As good as a second.
        machine.expect(r"neighbour: canary \d+\r*\n")


def expect_done(machine, ops):
    """The guest's last words: it did about so many operations, and all kinds of them."""
    try:
        # What the guest says of that may be lost among what else it prints.
        line = machine.expect(r"ok chaos: (\d+) operations in \d+ ms:([a-z0-9 ]*\d)\r*\n",
                              unless=f"{WRONG}|ended by a failure")
    except AssertionError:
        show(machine)
        raise
    done = dict(re.findall(r"(\w+) (\d+)", line[2]))
    assert int(line[1]) >= ops * 0.99 and list(done) == KINDS
    assert all(int(n) > ops / 10000 for n in done.values()), line[0]


def check_canary(machine):
    """It has gone on, and goes on."""
    last = max(int(n) for n in re.findall(r"neighbour: canary (\d+)", machine.output()))
    while int(machine.expect(r"neighbour: canary (\d+)\r*\n", unless=WRONG)[1]) <= last + 1:
        pass


def check_over(machine, free):
    """Pilae is there, the guest starts anew, can be killed in the midst of it, and has left nothing."""
    # Its last words come before its end.
    wait_for(machine, "chaos", "ended")
    run(machine, "vm start chaos", r"chaos: seed \d+")
    machine.expect(r"chaos: \d+ operations", unless=WRONG)
    run(machine, "vm kill chaos", "pilae: chaos: powered off")
    wait_for(machine, "chaos", "ended")
    assert free_bytes(machine) >= free - MIB
    check_canary(machine)


def first_free(machine):
    """What is free before the guest has been started."""
    machine.expect(r"neighbour: canary 1\r")
    open_shell(machine)
    return free_bytes(machine)


def check_linux(machine):
    if "load: ok" not in machine.output():
        machine.expect("load: ok", unless=WRONG)
    wait_for(machine, "debian", "ended")
    assert not re.search(WRONG, machine.output())


@pytest.mark.alone("soft")
def test_chaos(folder, engine, system):
    add_canary(system)
    add_chaos(system, OPS, seed=1, vcpus=3)
    system.linux(test="load,-n,1", vcpus=2, memory=256 * MIB, **MANUAL)
    with Machine(folder, engine, system.build(), harts=2, limit=1200) as m:
        free = first_free(m)
        m.sendline("vm start debian")
        run(m, "vm start chaos", r"chaos: seed 1, \d+ operations, 3 harts")
        expect_done(m, OPS)
        check_linux(m)
        check_over(m, free)


def test_nothing_outside_ram(folder, engine, system):
    """Addresses beside RAM, and across its ends, for devices and SBI calls: none is made memory."""
    add_chaos(system, 60_000, seed=1, options="kinds=sbi,rings")
    del system.vms["chaos"]["pilae,manual"]
    with Machine(folder, engine, system.build(), harts=2, limit=120) as m:
        m.expect(r"ok chaos: \d+ operations", unless=WRONG)
        assert m.wait_exit() == 0


@pytest.mark.parametrize("vcpus", [1, 2])
def test_amok(folder, engine, system, vcpus):
    """Code at random, with nothing that brings the guest back: it loops, ends, crashes, or sleeps
    for good; whichever it is, it is ended and started from outside."""
    add_canary(system)
    add_chaos(system, 20_000, seed=3, vcpus=vcpus, options="kinds=code,tables amok=1",
              **{"pilae,on-crash": "restart"})
    with Machine(folder, engine, system.build(), harts=2, limit=150) as m:
        free = first_free(m)
        for _ in range(3):
            run(m, "vm start chaos", r"ok chaos: \d+ operations")
            check_canary(m)
            if states(m)["chaos"] == "running":
                m.sendline("vm kill chaos")
            wait_for(m, "chaos", "ended", "crashed")
        assert free_bytes(m) >= free - MIB


def test_interrupts_off_in_chaos(folder, engine, system, measuring):
    """Each kind by itself, so that one that is slow leaves enough of the others."""
    add_chaos(system, 30_000, seed=5)
    del system.vms["chaos"]["pilae,manual"]
    with Machine(folder, engine, system.build(), icount=True, kernel=measuring, limit=300) as m:
        expect_done(m, 30_000)
        assert m.wait_exit() == 0
    check_interrupts_off(m)


def begin_debian_work(machine):
    """Reads its disk again and again from now on, and says so if a file is not what it was.
    In between it leaves the harts to the others."""
    run(machine, "vm start debian", "pilae: debian: ")
    run(machine, "vm console debian", "pilae: console of debian")
    log_in(machine)
    shell(machine, "find /usr/bin /usr/lib/systemd -type f | xargs md5sum > /root/sums")
    machine.sendline("(while md5sum -c --quiet /root/sums; do echo 3 > /proc/sys/vm/drop_caches; "
                     "sleep 5; done; echo sums: FAI''LED) &")
    machine.expect(PROMPT)
    open_shell(machine)


def end_debian_work(machine):
    run(machine, "vm console debian", "pilae: console of debian")
    machine.sendline("kill %1")
    shell(machine, "md5sum -c --quiet /root/sums")
    machine.sendline("systemctl poweroff")
    machine.expect("debian: powered off", unless=BROKEN)
    open_shell(machine)


@pytest.mark.soak
@pytest.mark.parametrize("vcpus", [1, 2, 4, 8])
def test_chaos_many_seeds(folder, engine, system, vcpus, seeds):
    """A seed after the other, beside a Debian on a disk of the machine."""
    disk = copy_disk(folder)
    add_canary(system)
    add_debian(system, disk={"compatible": "pilae,virtio-blk", "pilae,host": "virtio-blk0"},
               **MANUAL)
    for seed in seeds:
        add_chaos(system, SOAK_OPS, seed, vcpus)
        with Machine(folder, engine, system.build(), harts=2, memory="2G", extra=drive(disk),
                     limit=7200, name=f"console-{seed}") as m:
            free = first_free(m)
            begin_debian_work(m)
            run(m, "vm start chaos", r"chaos: seed \d+")
            expect_done(m, SOAK_OPS)
            end_debian_work(m)
            check_over(m, free)

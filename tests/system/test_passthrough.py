# SPDX-License-Identifier: MIT
"""Host devices given to VMs, and VMs whose RAM has the machine's addresses."""

import hashlib
import random
import re
import time

import pytest

from pilae import BUILD, MIB, Machine, assemble, check_interrupts_off, kept_lines, u64
from shell import PROMPT, ask, expect_all, free_bytes, open_shell, run, states, wait_for

DEVICES = BUILD / "guests/devices.elf"

MANUAL = {"pilae,manual": True}
MODERN = ("-global", "virtio-mmio.force-legacy=false")

# Where QEMU puts the first and the second -device virtio-…-device: address and interrupt.
FIRST = (0x10008000, 8)
SECOND = (0x10007000, 7)


def slot(place):
    return f"/soc/virtio_mmio@{place[0]:x}"


def at(place):
    return f"{place[0]:#x},{place[1]}"


def passed(host, dma=True):
    return {"compatible": "pilae,passthrough", "pilae,host": host, "pilae,allow-dma": dma}


def identity(base=0x90000000):
    return {"pilae,identity-map": True, "pilae,ram-base": u64(base) if base else None}


def disk_of(folder, sectors=512):
    """A disk, and what QEMU needs for it."""
    path = folder / "disk.img"
    path.write_bytes(b"disk" + bytes(512 * sectors - 4))
    return path, ("-drive", f"file={path},format=raw,if=none,id=disk",
                  "-device", "virtio-blk-device,drive=disk")


RNG = ("-device", "virtio-rng-device")


def said(machine):
    """The lines of all VMs, without their names."""
    return [re.sub(r"^\[[\w-]+\] ", "", line) for line in machine.output().splitlines()]


@pytest.fixture
def devices(system):
    """A system whose VMs are given devices."""
    system.image("devices", DEVICES)

    def add(name, bootargs, memory=16 * MIB, **others):
        others.setdefault("pilae,ram-base", u64(0x90000000))
        system.vm(name, kernel="devices", memory=memory, bootargs=bootargs, **others)
    system.devices = add
    return system


@pytest.mark.parametrize("layout", [(), MODERN], ids=["legacy", "modern"])
def test_disk_and_rng(folder, engine, devices, layout):
    """The ramdisk is where the VM's RAM is to be, on a machine of this size."""
    path, disk = disk_of(folder)
    devices.devices("it", f"blk={at(FIRST)} rng={at(SECOND)} hostile={SECOND[0]:#x}",
                    disk=passed("virtio-blk0"), rng=passed(slot(SECOND)), **identity())
    with Machine(folder, engine, devices.build(), memory="512M", harts=2,
                 extra=(*disk, *RNG, *layout)) as m:
        assert m.wait_exit() == 0
        assert {"ok blk", "ok rng", "ok hostile"} <= set(said(m))
    contents = path.read_bytes()
    assert contents[512:1024] == b"w" * 512
    assert contents[16 * 512:].count(0) < len(contents) / 100


def test_rtc_and_fw_cfg(folder, engine, devices):
    """Registers that fill a page and that do not, of two VMs; one of them has other RAM."""
    devices.devices("clock", "rtc=981173106", rtc=passed("/soc/rtc@101000", dma=False))
    devices.devices("config", "fw-cfg=0x10100000", fw_cfg=passed("/fw-cfg@10100000"),
                    **identity())
    with Machine(folder, engine, devices.build(), memory="512M",
                 extra=("-rtc", "base=2001-02-03T04:05:06")) as m:
        assert m.wait_exit() == 0
        assert {"ok rtc", "ok fw-cfg"} <= set(said(m))


WRONG = {
    # name: (what it is given, whether it is an identity-mapped VM, what is said)
    "nothing": (passed("/soc/nothing@1234"), True, "there is no such node"),
    "count": (passed("virtio-net1"), True, "there is no such device; this machine has 1 of the "
                                           "kind, from virtio-net0 up"),
    "pci": (passed("pci:00:02.0"), True, "PCI devices cannot be given to VMs"),
    "uart": (passed("/soc/serial@10000000"), True, "it is Pilae's console"),
    "plic": (passed("/soc/plic@c000000"), True, "it is the interrupt controller, which Pilae "
                                                "needs"),
    "finisher": (passed("/soc/test@100000"), True, "Pilae ends the machine by it"),
    "ports": (passed("/soc/virtio_mmio@10006000"), True, "its ports are consoles, which Pilae "
                                                         "drives"),
    "clint": (passed("/soc/clint@2000000"), True, "it is a part of the machine that no VM can "
                                                  "have"),
    "no-dma": (passed("virtio-net0", dma=False), True, "it does DMA, and as there is no IOMMU it "
                                                       "can reach all memory"),
    "no-map": (passed("virtio-net0"), False, "it does DMA, and as there is no IOMMU"),
    "unknown": (passed("/platform-bus@4000000", dma=False), False, "it "),
}


def test_refused(folder, engine, devices):
    base = 0x91000000
    for name, (node, mapped, _) in WRONG.items():
        devices.devices(name, "", memory=2 * MIB, thing=node,
                        **({**identity(base), "pilae,ram-base": u64(base)} if mapped else {}))
        base += 2 * MIB
    devices.devices("good", f"rng={at(FIRST)}", rng=passed(slot(FIRST)), **identity())
    extra = (*RNG, "-netdev", "user,id=n", "-device", "virtio-net-device,netdev=n",
             "-device", "virtio-serial-device", "-chardev", "null,id=c",
             "-device", "virtserialport,chardev=c,name=nobody")
    with Machine(folder, engine, devices.build(), memory="512M", extra=extra) as m:
        assert m.wait_exit() == 1
        output = m.output()
        assert "ok rng" in said(m)
    for name, (node, _, message) in WRONG.items():
        host = node["pilae,host"]
        assert f'pilae: /configurations/{name}/thing: pilae,host = "{host}": {message}' in output


def test_places(folder, engine, system):
    """Ranges that cannot be, and those that can; a VM that does not say where."""
    system.image("hello", assemble(folder, "hello.S"))

    def add(name, base, memory=8 * MIB):
        system.vm(name, kernel="hello", memory=memory, **identity(base))
    add("first", 0x88000000)
    add("second", 0x88600000)
    add("firmware", 0x80000000)
    add("nowhere", 0x60000000)
    add("all", 0x89000000, 0x17000000)
    add("any", None, 64 * MIB)
    with Machine(folder, engine, system.build(), memory="512M") as m:
        assert m.wait_exit() == 1
        output = m.output()
    for name, message in {
            "second": "0x88600000 to 0x88dfffff overlaps RAM of VM first, 0x88000000 to "
                      "0x887fffff; free: ",
            "firmware": "0x80000000 to 0x807fffff overlaps the firmware, or reserved memory",
            "nowhere": "0x60000000 to 0x607fffff is not one piece of the machine's memory",
    }.items():
        assert f"pilae: /configurations/{name}: pilae,ram-base: {message}" in output
    assert set(kept_lines(output)) == {"first", "all", "any"}
    assert output.count("hello from a guest") == 3


@pytest.mark.parametrize("layout", [(), MODERN], ids=["legacy", "modern"])
def test_ends_at_work(folder, engine, devices, layout):
    """A VM ends and restarts while its disk is at work; nobody else gets its memory."""
    _, disk = disk_of(folder)
    devices.image("keys", assemble(folder, "keys.S"))
    devices.vm("keys", kernel="keys", memory=4 * MIB)
    devices.devices("it", f"blk={at(FIRST)} rounds=20", disk=passed("virtio-blk0"), **identity(),
                    **MANUAL)
    with Machine(folder, engine, devices.build(), memory="512M", harts=2,
                 extra=(*disk, *layout)) as m:
        m.expect("keys: started")
        open_shell(m)
        free, reserved = free_bytes(m), ask(m, "mem")[0]
        for verb in ("reset", "kill", "reset", "destroy"):
            if "it" not in states(m) or states(m)["it"] != "running":
                run(m, "vm start it", r"\[it\] devices: started")
            for _ in range(2):
                m.expect(r"devices: round \d+")
            time.sleep(random.random() / 10)
            if verb == "reset":
                run(m, "vm pause it", "")
                run(m, "vm resume it", "")
                run(m, "vm reset it", "devices: started")
            elif verb == "kill":
                run(m, "vm kill it", "powered off")
                wait_for(m, "it", "ended")
                assert abs(free_bytes(m) - free) <= 2 * MIB * 4
            else:
                run(m, "vm destroy it", "powered off")
                wait_for(m, "it", None)
                run(m, "vm define it", "")
        # What was at work does not spoil the next one's: it checks all that it reads.
        run(m, "vm start it", r"\[it\] devices: started")
        expect_all(m, r"ok blk", r"devices: round 1")
        assert ask(m, "mem")[0]["total_bytes"] == reserved["total_bytes"]
        assert ask(m, "mem")[0]["promised_bytes"] >= 16 * MIB
        assert "not ok" not in m.output()
        run(m, "poweroff", "")
        m.wait_exit()


def test_one_at_a_time(folder, engine, devices):
    """Two VMs name the same disk, differently: the second gets it when the first has ended."""
    _, disk = disk_of(folder)
    devices.devices("one", f"blk={at(FIRST)} rounds=20", disk=passed("virtio-blk0"), **identity(),
                    **MANUAL)
    devices.devices("two", "", disk=passed(slot(FIRST)), again=passed("virtio-blk0"),
                    **identity(0x92000000), **MANUAL)
    devices.devices("three", "", disk=passed(slot(FIRST)), **identity(0x94000000), **MANUAL)
    with Machine(folder, engine, devices.build(), memory="512M", extra=disk) as m:
        # Keys that come before are lost, when Pilae takes over the UART.
        m.expect(PROMPT)
        run(m, "vm start one", r"devices: round 1")
        run(m, "vm start three",
            r'three/disk: pilae,host = "/soc/virtio_mmio@10008000": VM one has it')
        m.expect(r"devices: round \d+")
        run(m, "vm kill one", "one: powered off")
        wait_for(m, "one", "ended")
        run(m, "vm start two", r'two/again: pilae,host = "virtio-blk0": another node of this VM')
        run(m, "vm start three", r"three: (hext|soft), 1 vCPU")
        run(m, "poweroff", "")
        m.wait_exit()


def test_interrupts_off_with_devices(folder, engine, devices, measuring):
    """While such a VM is built, refused, interrupted and taken down."""
    _, disk = disk_of(folder)
    both = {"disk": passed("virtio-blk0"), "rng": passed(slot(SECOND)), **identity(), **MANUAL}
    devices.devices("it", f"blk={at(FIRST)} rng={at(SECOND)}", memory=64 * MIB, **both)
    devices.devices("wrong", "", **{**both, "pilae,ram-base": u64(0x80000000)})
    devices.devices("twice", "", **{**both, "pilae,ram-base": u64(0x98000000),
                                    "again": passed("/soc/virtio_mmio@10008000")})
    # A machine that only waits for its user does not go on, as time is instructions.
    devices.image("beat", assemble(folder, "beat.S", HARTS=1))
    devices.vm("beat", kernel="beat", memory=4 * MIB)
    with Machine(folder, engine, devices.build(), memory="512M", icount=True, kernel=measuring,
                 extra=(*disk, *RNG), limit=60) as m:
        m.expect("a 00000002")
        open_shell(m)
        for _ in range(2):
            run(m, "vm start wrong", "wrong: pilae,ram-base: 0x80000000 to")
            run(m, "vm start it", "ok blk")
            wait_for(m, "it", "ended")
            run(m, "vm start twice", "another node of this VM has it")
        run(m, "poweroff", "powered off by the shell")
        m.wait_exit()
        assert m.output().count("devices: 0 not ok") == 2
        check_interrupts_off(m)


def test_linux_with_devices(folder, engine, system):
    """Debian's own drivers, and its RAM where QEMU has put the system file."""
    path, disk = disk_of(folder, sectors=8192)
    system.linux("debian", bootargs="console=ttyS0 quiet pilae.modules=virtio_mmio,virtio_blk,"
                 "virtio-rng", memory=256 * MIB, vcpus=2,
                 disk=passed("virtio-blk0"), rng=passed(slot(SECOND)), **identity())
    with Machine(folder, engine, system.build(), memory="512M", harts=2, limit=240,
                 extra=(*disk, *RNG, *MODERN)) as m:
        m.expect(r"\(poweroff ends it\)")
        m.sendline("dd if=/dev/urandom of=/tmp/data bs=64k count=16 2>/dev/null; "
                   "dd if=/tmp/data of=/dev/vda bs=64k seek=4 2>/dev/null; sync; "
                   "echo 3 > /proc/sys/vm/drop_caches; "
                   "dd if=/dev/vda bs=64k skip=4 count=16 2>/dev/null | cmp - /tmp/data && "
                   "echo disk: $(md5sum </tmp/data); "
                   "dd if=/dev/hwrng bs=16 count=4 2>/dev/null | wc -c; "
                   "grep -c virtio /proc/interrupts; poweroff -f")
        checksum = m.expect(r"disk: ([0-9a-f]{32})")[1]
        m.expect(r"\n64\r")
        m.expect(r"\n2\r")
        assert m.wait_exit() == 0
    data = path.read_bytes()[4 << 16:][:16 << 16]
    assert hashlib.md5(data).hexdigest() == checksum

# SPDX-License-Identifier: MIT
"""Virtio devices that guests see: disks in memory, a second console, and what is refused."""

import hashlib
import os
import random
import re
import subprocess

import pytest

from pilae import BUILD, EXT4_MODULES, INITRD, MIB, Machine, assemble, check_interrupts_off, u64
from shell import free_bytes, open_shell, run, wait_for

MODULES = "pilae.modules=virtio_mmio,virtio_blk"
BOOTARGS = f"console=ttyS0 quiet {MODULES}"


def disk(image, **others):
    return {"compatible": "pilae,virtio-blk", "pilae,image": image, **others}


def check_end(machine):
    assert machine.wait_exit() == 0
    assert "Kernel panic" not in machine.output() and "Oops" not in machine.output()


def test_disks(folder, engine, system):
    """Threads on two vCPUs that know what each sector must hold; the same with a legacy device."""
    contents = random.Random(1).randbytes(4 * MIB + 512)
    system.image("disk", contents, type="filesystem", hash="sha256")
    system.linux("modern", test="disk", bootargs=BOOTARGS, vcpus=2, memory=256 * MIB,
                 disk=disk("disk"))
    system.linux("legacy", test="disk,-n,150", bootargs=BOOTARGS, memory=256 * MIB,
                 disk=disk("disk", **{"pilae,legacy": True, "pilae,slot": 5}))
    with Machine(folder, engine, system.build(), harts=2, limit=200) as m:
        check_end(m)
        assert len(re.findall(r"disk: ok 4 threads, \d+ KiB", m.output())) == 2, m.tail()


def file_system(folder):
    """An ext4 file system with files, and their sums."""
    files = folder / "files"
    (files / "some/where").mkdir(parents=True)
    sums = ""
    for n in range(20):
        path = files / ("some/where" if n % 2 else "") / f"file-{n}"
        path.write_bytes(random.Random(n).randbytes(1000 * n * n))
        sums += f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(files)}\n"
    (files / "sums").write_text(sums)
    image = folder / "ext4.img"
    environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", files, image, "16M"], check=True,
                   env=environment)
    return image


def test_files(folder, engine, system):
    system.image("both", INITRD.read_bytes() + EXT4_MODULES.read_bytes(), type="ramdisk")
    system.image("files", file_system(folder), type="filesystem", hash="crc32")
    modules = f"{MODULES},crc16,crc32c_generic,mbcache,jbd2,ext4"
    system.linux(test="files,/dev/vda,ro,/dev/vdb,rw,/dev/vdc,rw", vcpus=2, memory=256 * MIB,
                 bootargs=f"console=ttyS0 quiet {modules}",
                 seen=disk("files", **{"pilae,read-only": True}), changed=disk("files"),
                 old=disk("files", **{"pilae,legacy": True}))
    system.vms["debian"]["ramdisk"] = "both"
    with Machine(folder, engine, system.build(), harts=2, limit=200) as m:
        m.expect("files: ok", unless="files: FAILED")
        check_end(m)


def test_second_console(folder, engine, system):
    """What is typed goes to where the guest wrote last."""
    system.linux(bootargs="console=ttyS0 quiet pilae.modules=virtio_mmio", memory=256 * MIB,
                 console={"compatible": "pilae,virtio-console"})
    with Machine(folder, engine, system.build(), limit=100) as m:
        m.expect("# ")
        m.sendline("sh -i </dev/hvc0 >/dev/hvc0 2>&1")
        m.expect("built-in shell")
        m.expect("# ")
        m.sendline("readlink /proc/self/fd/0")
        m.expect("\n/dev/hvc0\r")
        m.expect("# ")
        m.sendline("head -c 3000 /dev/zero | tr '\\0' y; echo; echo end'ed'")
        m.expect("y{3000}\r+\nended\r")
        m.expect("# ")
        m.sendline("echo '" + "0123456789" * 20 + "' | md5sum")
        m.expect(hashlib.md5(b"0123456789" * 20 + b"\n").hexdigest())
        m.expect("# ")
        m.sendline("exit")
        m.expect("# ")
        m.sendline("readlink /proc/self/fd/0")
        m.expect("\n/dev/console\r|\n/dev/ttyS0\r")
        m.sendline("poweroff")
        assert m.wait_exit() == 0


def test_rng(folder, engine, system):
    """Debian's driver; a machine whose source gives a little at a time, to two VMs in turn."""
    for name in ("one", "two"):
        system.linux(name, bootargs="console=ttyS0 quiet pilae.modules=virtio_mmio,virtio-rng",
                     memory=256 * MIB, rng={"compatible": "pilae,virtio-rng"})
    source = ("-object", "rng-random,filename=/dev/urandom,id=source", "-device",
              "virtio-rng-device,rng=source,max-bytes=1024,period=100")
    with Machine(folder, engine, system.build(), harts=2, limit=150, extra=source) as m:
        for _ in range(2):
            m.expect("poweroff ends it")
        m.sendline("dd if=/dev/hwrng bs=64 count=8 2>/dev/null | od -An -tx8 -v | tr ' ' '\\n' | "
                   "sort -u | grep -c .; cat /dev/hwrng >/dev/null &")
        m.expect(r"\n64\r")
        open_shell(m)
        # Amid its reading.
        run(m, "vm kill one", "one: powered off")
        run(m, "vm start one", r"\[one\] .*poweroff ends it")
        run(m, "vm console two", "pilae: console of two")
        m.sendline("head -c 32 /dev/hwrng | wc -c; poweroff")
        m.expect(r"\n32\r")
        m.expect("two: powered off")
        open_shell(m)
        run(m, "vm kill one", "one: powered off")
        assert m.wait_exit() == 0


def test_disk_over_reboots(folder, engine, system):
    """What was written stays while the VM lives, and is gone when it is started anew."""
    system.image("disk", b"first" + bytes(MIB - 5), type="filesystem")
    system.linux(bootargs=BOOTARGS, memory=128 * MIB, disk=disk("disk"))
    # While it is there the machine does not end.
    system.image("beat", assemble(folder, "beat.S", HARTS=1))
    system.vm("beat", kernel="beat", memory=4 * MIB, **{"pilae,manual": True})
    with Machine(folder, engine, system.build(), limit=150) as m:
        for written, expected in (("second", "first"), ("third", "second")):
            m.expect("# ")
            m.sendline("head -c 6 /dev/vda | tr -d '\\0'; echo .")
            m.expect(rf"\n{expected}\.")
            m.sendline(f"printf '{written}\\0' | dd of=/dev/vda conv=fsync; reboot")
            m.expect("debian: restarts")
        open_shell(m)
        run(m, "vm kill debian", "debian: powered off")
        wait_for(m, "debian", "ended")
        run(m, "vm start debian", r"\[debian\] .*poweroff ends it")
        run(m, "vm console debian", "pilae: console of debian")
        m.expect("# ")
        m.sendline("head -c 6 /dev/vda | tr -d '\\0'; echo .")
        m.expect(r"\nfirst\.")


@pytest.mark.parametrize("count", [100000, pytest.param(10_000_000, marks=pytest.mark.soak)])
def test_hostile_rings(folder, engine, system, count):
    """Descriptors change while devices work, and registers are written in any order; the guest
    checks that its disks still work then, another VM that it was not disturbed."""
    system.image("rings", BUILD / "guests/rings.elf")
    system.image("beat", assemble(folder, "beat.S", HARTS=1))
    system.image("disk", bytes(2 * MIB), type="filesystem")
    system.vm("rings", kernel="rings", memory=64 * MIB, vcpus=3, bootargs=f"n={count} seed={count}",
              one=disk("disk"), two=disk("disk", **{"pilae,legacy": True}),
              three=disk("disk", **{"pilae,read-only": True}))
    system.vm("beat", kernel="beat", memory=4 * MIB)
    with Machine(folder, engine, system.build(), harts=2, limit=60 + count // 100) as m:
        m.expect(rf"rings: ok {count} operations, \d+ resets, \d+ used", unless="not ok")
        m.expect("rings: powered off")
        m.expect(r"\[beat\] a [0-9a-f]{8}")
        assert "timer lost" not in m.output()


def test_kill_and_reset_amid_writes(folder, engine, system):
    """A VM that is ended at any moment of its disk's work leaves nothing, and disturbs nobody."""
    system.image("disk", bytes(4 * MIB), type="filesystem")
    system.image("beat", assemble(folder, "beat.S", HARTS=1))
    system.vm("beat", kernel="beat", memory=4 * MIB)
    system.linux("it", test="disk,-f", bootargs=BOOTARGS, vcpus=2, memory=128 * MIB,
                 disk=disk("disk"), **{"pilae,manual": True})
    with Machine(folder, engine, system.build(), harts=2, limit=250) as m:
        m.expect(r"a [0-9a-f]{8}")
        open_shell(m)
        free = free_bytes(m)
        for verb in ("kill", "reset"):
            run(m, "vm start it", r"\[it\] disk: begins")
            if verb == "reset":
                run(m, "vm reset it", "pilae: it: restarts")
                m.expect(r"\[it\] disk: begins", unless="FAILED")
            run(m, "vm pause it", "")
            wait_for(m, "it", "paused")
            m.sendline("vm resume it")
            run(m, "vm kill it", "pilae: it: powered off")
            wait_for(m, "it", "ended")
            assert free_bytes(m) >= free - MIB
        assert "FAILED" not in m.output() and "timer lost" not in m.output()


def test_interrupts_off_with_disks(folder, engine, system, measuring):
    system.image("disk", bytes(4 * MIB + 512), type="filesystem")
    system.linux(test="disk,-n,100", bootargs=BOOTARGS, vcpus=2, memory=128 * MIB,
                 disk=disk("disk"))
    with Machine(folder, engine, system.build(), icount=True, kernel=measuring,
                 limit=250) as m:
        m.expect("disk: ok")
        assert m.wait_exit() == 0
    check_interrupts_off(m)


@pytest.mark.parametrize("devices,message", [
    ({"rng": {"compatible": "pilae,virtio-rng"}},
     "/configurations/it/rng: needs the host's entropy device"),
    ({"disk": disk("spoiled")}, "spoiled"),
    ({"disk": disk("disk", **{"pilae,offset": u64(4096), "pilae,size": u64(4096)})},
     "the slice exceeds"),
    ({"one": disk("disk", **{"pilae,slot": 1}), "two": disk("disk", **{"pilae,slot": 1})},
     "/configurations/it/two: pilae,slot: the same as in one"),
])
def test_refused(folder, engine, system, devices, message):
    system.image("good", assemble(folder, "hello.S"))
    system.image("disk", bytes(4096), type="filesystem")
    system.image("spoiled", bytes(4096), type="filesystem",
                 hash={"algo": "crc32", "value": 0x12345678})
    system.vm("other", kernel="good", memory=4 * MIB)
    system.vm("it", kernel="good", memory=4 * MIB, **devices)
    with Machine(folder, engine, system.build(tool="dtc"), limit=30) as m:
        assert m.wait_exit() == 1
        assert re.search(re.escape(message), m.output()), m.output()
        assert "other: powered off" in m.output()


def test_disks_that_do_not_fit(folder, engine, system):
    """What a guest may write counts with its size; what it only reads does not."""
    system.image("good", assemble(folder, "hello.S"))
    system.image("disk", bytes(48 * MIB), type="filesystem")
    for name, read_only in (("reads", True), ("writes", False), ("too", False), ("also", False)):
        system.vm(name, kernel="good", memory=4 * MIB,
                  disk=disk("disk", **{"pilae,read-only": read_only}))
    with Machine(folder, engine, system.build(), memory="192M", limit=30) as m:
        assert m.wait_exit() == 1
        refused = re.findall(r"/configurations/(\w+): pilae,memory: ", m.output())
        assert refused == ["also"], m.output()

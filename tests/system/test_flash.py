# SPDX-License-Identifier: MIT
"""Flash: contents, commands, code in it, and firmware that starts there."""

import re
import struct

import pytest

from pilae import BUILD, MIB, UBOOT, Machine, assemble, check_interrupts_off, native, u64
from shell import open_shell, run, wait_for

FLASH = BUILD / "guests/flash.elf"
BANK = 32 * MIB

# 512 KiB of a pattern that the guest knows, and the same again in any order of sectors.
IMAGE = b"".join(struct.pack("<I", (n * 2654435761 + 12345) & 0xffffffff) for n in range(MIB // 4))

CHECKS = ("contents", "query", "writes", "code", "new-code", "odd", "atomics", "jump", "table",
          "harts", "storm")


def flash(image, bank=0, **others):
    return {"compatible": "pilae,flash", "pilae,bank": bank, "pilae,image": image, **others}


def check_all(machine, checks=CHECKS):
    assert machine.wait_exit() == 0, machine.tail()
    lines = re.findall(r"\b((?:not )?ok [\w-]+)", machine.output())
    assert lines == [f"ok {name}" for name in checks], machine.tail()


def test_natively(folder):
    """What the guest wants is what `virt` has."""
    bank = folder / "bank.img"
    bank.write_bytes(IMAGE + b"\xff" * (BANK - len(IMAGE)))
    with native(folder, FLASH, harts=2, limit=60, extra=(
            "-drive", f"if=pflash,unit=1,format=raw,file={bank}")) as m:
        check_all(m)


def test_commands(folder, engine, system):
    """With a reboot, over which it keeps its contents."""
    system.image("bank", IMAGE, hash="crc32")
    system.image("flash", FLASH)
    system.vm("it", kernel="flash", vcpus=2, bootargs="reboot=1", bank=flash("bank", bank=1))
    with Machine(folder, engine, system.build(), harts=2, limit=100) as m:
        check_all(m, (*CHECKS, "mark", "reset"))
        assert "pilae: it: restarts" in m.output()


def test_no_exits(folder, engine, system):
    """Code in flash that reads flash takes as many instructions as in RAM."""
    system.image("bank", IMAGE)
    system.image("flash", FLASH)
    system.vm("it", kernel="flash", bootargs="only=code", bank=flash("bank", bank=1))
    with Machine(folder, engine, system.build(), icount=True, limit=100) as m:
        check_all(m, ["code"])
        in_ram, in_flash = map(int, re.search(r"(\d+) ticks in RAM, (\d+) in flash",
                                              m.output()).groups())
        # Of 100 instructions each; 400,000 are executed, but for interrupts of the host.
        assert 4000 <= in_ram < 4100 and abs(in_ram - in_flash) < 40


def test_uboot(folder, engine, system):
    """Its driver finds the bank, which it takes for half of what it is, as on `virt`, and works it."""
    system.image("uboot", UBOOT)
    system.image("bank", IMAGE)
    system.vm("uboot", kernel="uboot", memory=256 * MIB, zero=flash("bank"),
              bank=flash("bank", bank=1))
    with Machine(folder, engine, system.build(), limit=120) as m:
        m.expect("Hit any key to stop autoboot")
        m.sendline("")
        m.expect("=> ")
        for command, answer in (
                ("flinfo 2", "CFI conformant flash \\(16 x 16\\)  Size: 16 MB in 128 Sectors"),
                ("erase 22040000 2207ffff", "done"),
                ("cmp.b 22040000 22200000 40000", "Total of 262144 byte\\(s\\) were the same"),
                ("cp.b 22000000 22040000 2345", "done"),
                ("cmp.b 22000000 22040000 2345", "Total of 9029 byte\\(s\\) were the same"),
                ("md.l 22042348 1", "ffffffff")):
            m.sendline(command)
            m.expect(answer)
            m.expect("=> ")
        m.sendline("poweroff")
        assert m.wait_exit() == 0


def test_interrupts_off(folder, engine, system, measuring):
    system.image("bank", IMAGE)
    system.image("flash", FLASH)
    for check in "writes", "storm":
        system.vm(check, kernel="flash", bootargs=f"only={check}", bank=flash("bank", bank=1))
    with Machine(folder, engine, system.build(), icount=True, kernel=measuring, limit=100) as m:
        check_all(m, ["writes", "storm"])
    check_interrupts_off(m)


def test_start(folder, engine, system):
    """Without a kernel, in bank 0; in a slice of an image, and beside a ramdisk."""
    code = assemble(folder, "firmware.S").read_bytes()
    system.image("code", code, type="firmware")
    system.image("more", bytes(4096) + code + bytes(512 - len(code) % 512), type="firmware")
    system.image("initrd", bytes(100000), type="ramdisk")
    system.vm("one", kernel=None, memory=4 * MIB, code=flash("code", **{"pilae,read-only": True}))
    system.vm("two", kernel=None, ramdisk="initrd", memory=4 * MIB,
              code=flash("more", **{"pilae,offset": u64(4096)}))
    with Machine(folder, engine, system.build(), limit=30) as m:
        assert m.wait_exit() == 0
        assert "not ok" not in m.output() and m.output().count("powered off") == 2


@pytest.mark.parametrize("bank,message", [
    (flash("none"), 'pilae,image = "none": no such image'),
    (flash("spoiled"), "spoiled"),
    (flash("code", bank=2), "pilae,bank = <2>"),
    (flash("code", **{"pilae,offset": u64(1 << 20)}), "the slice exceeds"),
])
def test_refused(folder, engine, system, bank, message):
    system.image("code", assemble(folder, "firmware.S"), type="firmware")
    system.image("spoiled", bytes(4096), hash={"algo": "crc32", "value": 0x12345678})
    system.vm("other", kernel=None, memory=4 * MIB, code=flash("code"))
    system.vm("it", kernel=None, memory=4 * MIB, bank=bank)
    with Machine(folder, engine, system.build(tool="dtc"), limit=30) as m:
        assert m.wait_exit() == 1
        output = m.output()
    assert message in output and "other: powered off" in output


@pytest.fixture
def disk(folder):
    """A disk of the host's whose MiB from 4 KiB on is the bank, and what QEMU needs for it."""
    path = folder / "disk.img"
    path.write_bytes(b"before" + bytes(4090) + IMAGE[:MIB] + b"after" + bytes(MIB))
    return path, ("-drive", f"file={path},format=raw,if=none,id=disk",
                  "-device", "virtio-blk-device,drive=disk")


def host_flash(bank=1, size=MIB, **others):
    return {"compatible": "pilae,flash", "pilae,bank": bank, "pilae,host": "virtio-blk0",
            "pilae,offset": u64(4096), "pilae,size": u64(size), **others}


def test_disk(folder, engine, system, disk):
    """What is written is on the disk when its guest is told so, and there the next time."""
    path, arguments = disk
    system.image("flash", FLASH)
    for only in "contents", "query", "writes":
        system.vm("it", kernel="flash", bootargs=f"only={only}", bank=host_flash())
        with Machine(folder, engine, system.build(), harts=2, limit=60, extra=arguments) as m:
            check_all(m, [only])
        contents = path.read_bytes()
        changed = only == "writes"
        assert contents[:4096] == b"before" + bytes(4090)
        assert contents[4096 + MIB:] == b"after" + bytes(MIB)
        assert (contents[4096:4096 + MIB] != IMAGE[:MIB]) == changed
    sector = contents[4096 + 256 * 1024:4096 + 512 * 1024]
    assert sector == b"\xff" * 4 + struct.pack("<I", 0x12340000) + b"\xff" * (256 * 1024 - 8)


def test_disk_killed(folder, engine, system, disk):
    """A VM that is killed amid programming: what its guest was told to be done is on the disk."""
    path, arguments = disk
    system.image("flash", FLASH)
    system.vm("it", kernel="flash", bootargs="mark=1", bank=host_flash())
    system.vm("other", kernel="flash", memory=4 * MIB, **{"pilae,manual": True})
    with Machine(folder, engine, system.build(), harts=2, limit=60, extra=arguments) as m:
        for n in range(3):
            m.expect(r"mark \d+")
            if n == 0:
                open_shell(m)
            run(m, "vm kill it", "pilae: it: powered off")
            wait_for(m, "it", "ended")
            marks = struct.unpack("<65536I", path.read_bytes()[4096 + 512 * 1024:][:256 * 1024])
            last = max(mark for mark in marks if mark != 0xffffffff)
            seen = max(map(int, re.findall(r"\bmark (\d+)\b", m.output())))
            assert last >= seen and list(marks[:last]) == list(range(1, last + 1))
            assert set(marks[last:]) == {0xffffffff}
            if n < 2:
                m.sendline("vm start it")
        assert "not ok" not in m.output()

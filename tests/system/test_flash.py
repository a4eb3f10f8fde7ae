# SPDX-License-Identifier: MIT
"""Flash: contents, commands, code in it, and firmware that starts there."""

import re
import struct

import pytest

from pilae import BUILD, MIB, Machine, assemble, check_interrupts_off, native, u64

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

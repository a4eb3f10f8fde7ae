# SPDX-License-Identifier: MIT
"""Guests' disks that are disks of the host's, or slices of them."""

import hashlib
import os
import random
import re
import subprocess
import time
import zlib

import pytest

from pilae import (BUILD, EXT4_MODULES, INITRD, MIB, Machine, assemble, check_interrupts_off, u64)
from shell import ask, free_bytes, open_shell, run, wait_for
from test_virtio import BOOTARGS, MODULES, check_end, file_system

EXT4 = f"{MODULES},crc16,crc32c_generic,mbcache,jbd2,ext4"
TOOLS = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}


def tool(*command, ok=(0,)):
    """Runs a program of e2fsprogs, and returns what it prints."""
    done = subprocess.run(command, capture_output=True, env=TOOLS)
    assert done.returncode in ok, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def host_disk(number, path, kind="device", **options):
    """QEMU's options for virtio-blkN: the slots of virtio-mmio in their order, or PCI."""
    drive = "".join(f",{k}={options.pop(k)}" for k in ("readonly", "discard") if k in options)
    place = f"bus=virtio-mmio-bus.{number}," if kind == "device" else ""
    others = "".join(f",{key}={value}" for key, value in options.items())
    return ["-drive", f"file={path},if=none,format=raw,id=disk{number}{drive}", "-device",
            f"virtio-blk-{kind},{place}drive=disk{number},serial=serial{number}{others}"]


def disk(number=0, offset=None, size=None, **others):
    place = {"pilae,offset": offset, "pilae,size": size}
    return {"compatible": "pilae,virtio-blk", "pilae,host": f"virtio-blk{number}",
            **{k: u64(v) for k, v in place.items() if v is not None}, **others}


def linux(system, name, tests, **others):
    """A Linux that has the modules for ext4."""
    system.image("both", INITRD.read_bytes() + EXT4_MODULES.read_bytes(), type="ramdisk")
    others.setdefault("memory", 128 * MIB)
    system.linux(name, test=tests, bootargs=f"console=ttyS0 quiet {EXT4}", **others)
    system.vms[name]["ramdisk"] = "both"


def content(image, path):
    """A file's contents in a file system's image."""
    return tool("debugfs", "-R", f"cat /{path}", image)


def check_files(image):
    """What the guest's `files` has left on a disk, as others see it."""
    tool("e2fsck", "-fn", image)
    copies = [content(image, f"copies/{n}") for n in (1, 3, 4)]
    assert copies[0].startswith(b"\x7fELF") and copies == copies[:1] * 3
    for line in content(image, "sums").decode().splitlines():
        digest, path = line.split()
        assert hashlib.md5(content(image, path)).hexdigest() == digest



def test_code_read_over(folder, engine, system):
    """Code is read from a disk over code that has been executed: one disk in memory, one the
    host's, whose device writes to the guest's memory by itself."""
    path = folder / "disk.img"
    path.write_bytes(bytes(64 * 512))
    system.image("devices", BUILD / "guests/devices.elf")
    system.image("disk", path.read_bytes(), type="filesystem")
    for name, device in (("memory", {"compatible": "pilae,virtio-blk", "pilae,image": "disk"}),
                         ("host", disk())):
        system.vm(name, kernel="devices", memory=16 * MIB, bootargs="blk-code=0x10001000,1",
                  disk=device, **{"pilae,ram-base": u64(0x90000000)})
    with Machine(folder, engine, system.build(), harts=2, extra=host_disk(0, path)) as m:
        assert m.wait_exit() == 0
        assert len(re.findall(r"(?<!not )ok blk-code", m.output())) == 2, m.tail()


def test_files(folder, engine, system):
    """File systems on a disk, and on two slices of another that two VMs have."""
    whole, parts = folder / "whole.img", folder / "parts.img"
    filled = file_system(folder).read_bytes()
    whole.write_bytes(filled)
    guard = random.Random(2).randbytes(MIB)
    parts.write_bytes(guard + filled + guard + filled + guard)
    second = len(filled) + 2 * MIB
    linux(system, "one", "files,/dev/vda,rw,/dev/vdb,rw,/dev/vdc,ro", vcpus=2,
          whole=disk(0), part=disk(1, MIB, len(filled)), seen=disk(2, **{"pilae,read-only": True}))
    linux(system, "two", "files,/dev/vda,rw,/dev/vdb,ro", part=disk(1, second, len(filled)),
          seen=disk(2, **{"pilae,read-only": True, "pilae,legacy": True}))
    read_only = folder / "ext4.img"
    extra = [*host_disk(0, whole), *host_disk(1, parts), *host_disk(2, read_only, readonly="on")]
    with Machine(folder, engine, system.build(), harts=2, limit=250, extra=extra) as m:
        check_end(m)
        assert len(re.findall("files: ok", m.output())) == 2, m.tail()
    check_files(whole)
    data = parts.read_bytes()
    for start in (MIB, second):
        assert data[start - MIB:start] == guard
        assert data[start + len(filled):start + len(filled) + MIB] == guard
        part = folder / "part.img"
        part.write_bytes(data[start:start + len(filled)])
        check_files(part)
    assert read_only.read_bytes() == filled


def test_disk(folder, engine, system):
    """Threads that know what each sector must hold, on slices of one disk, modern and legacy, and on
    a disk of 4 KiB blocks on PCI."""
    both, blocks = folder / "both.img", folder / "blocks.img"
    both.write_bytes(bytes(9 * MIB))
    blocks.write_bytes(bytes(4 * MIB))
    system.linux("modern", test="disk", bootargs=BOOTARGS, vcpus=2, memory=128 * MIB,
                 disk=disk(0, MIB, 4 * MIB))
    system.linux("legacy", test="disk,-n,150", bootargs=BOOTARGS, memory=128 * MIB,
                 disk=disk(0, 5 * MIB, **{"pilae,legacy": True}))
    system.linux("blocks", test="disk,-n,100", bootargs=BOOTARGS, memory=128 * MIB,
                 disk={"compatible": "pilae,virtio-blk", "pilae,host": "pci:00:01.0"})
    extra = [*host_disk(0, both, discard="unmap"),
             *host_disk(1, blocks, "pci", logical_block_size=4096, physical_block_size=4096)]
    with Machine(folder, engine, system.build(), harts=2, limit=250, extra=extra) as m:
        check_end(m)
        assert len(re.findall(r"disk: ok 4 threads, \d+ KiB", m.output())) == 3, m.tail()
    assert both.read_bytes()[:MIB] == bytes(MIB)
    assert any(both.read_bytes()[MIB:5 * MIB]) and any(both.read_bytes()[5 * MIB:])


@pytest.mark.parametrize("devices,message", [
    ({"disk": disk(2)}, "virtio-blk2\": there is no such disk; there are 2, from virtio-blk0 up"),
    ({"disk": {"compatible": "pilae,virtio-blk", "pilae,host": "/soc/virtio_mmio@10008000"}},
     "there is no such disk"),
    ({"disk": disk(0, MIB, 2 * MIB)}, "the slice exceeds it"),
    ({"disk": disk(0, 1536)}, "or is not of whole blocks: it has 2097152 bytes, in blocks of 4096"),
    ({"one": disk(0, 0, MIB), "disk": disk(0, MIB - 4096)}, "VM it has sectors of that slice"),
    ({"disk": disk(1)}, "it is read-only: add pilae,read-only"),
    ({"one": disk(0), "disk": {"compatible": "pilae,passthrough", "pilae,allow-dma": True,
                               "pilae,host": "virtio-blk0"}}, "pilae,host: the same as in one"),
])
def test_refused(folder, system, devices, message):
    """What is wrong is named, the other VMs run, and what one refused has taken is free again."""
    system.image("good", assemble(folder, "hello.S"))
    system.vm("it", kernel="good", memory=4 * MIB, **devices)
    system.vm("other", kernel="good", memory=4 * MIB, one=disk(0), two=disk(1, 0, MIB, **{
        "pilae,read-only": True}), three=disk(1, 4096, **{"pilae,read-only": True}))
    for name in ("blocks", "fixed"):
        (folder / f"{name}.img").write_bytes(bytes(2 * MIB))
    extra = [*host_disk(0, folder / "blocks.img", logical_block_size=4096,
                        physical_block_size=4096),
             *host_disk(1, folder / "fixed.img", readonly="on")]
    with Machine(folder, "hext", system.build(), limit=30, extra=extra) as m:
        assert m.wait_exit() == 1
        assert "other: powered off" in m.output(), m.output()
        assert re.search(rf"/configurations/it/disk: .*{re.escape(message)}", m.output())


def test_disks_in_use(folder, system):
    """A disk that is another VM's: by virtio-blk as well, or passed through; and who has what."""
    path = folder / "disk.img"
    path.write_bytes(bytes(2 * MIB))
    passed = {"compatible": "pilae,passthrough", "pilae,allow-dma": True,
              "pilae,host": "virtio-blk0"}
    system.image("beat", assemble(folder, "beat.S", HARTS=1))
    manual = {"pilae,manual": True}
    system.vm("first", kernel="beat", memory=4 * MIB, **{"pilae,weight": 300},
              one=disk(0, 0, MIB), two=disk(0, MIB, 4096, **{"pilae,read-only": True}))
    system.vm("reads", kernel="beat", memory=4 * MIB,
              one=disk(0, MIB, **{"pilae,read-only": True}), **manual)
    system.vm("writes", kernel="beat", memory=4 * MIB, one=disk(0, MIB), **manual)
    system.vm("passed", kernel="beat", memory=4 * MIB, disk=passed, **manual,
              **{"pilae,identity-map": True})
    with Machine(folder, "hext", system.build(), limit=60, extra=host_disk(0, path)) as m:
        m.expect(r"a [0-9a-f]{8}")
        open_shell(m)
        run(m, "vm start writes", "writes/one: .*VM first has sectors of that slice")
        run(m, "vm start passed", "passed/disk: .*VMs have it, or parts of it, as their disks")
        run(m, "vm start reads", r"\[reads\] .*a [0-9a-f]{8}")
        clients = [c for c in ask(m, "disk list") if "client" in c]
        assert [(c["client"], c["first"], c["sectors"], c["read_only"], c["weight"])
                for c in clients] == [("first", 0, 2048, False, 300), ("first", 2048, 8, True, 300),
                                      ("reads", 2048, 2048, True, 100)]
        run(m, "disk list", r"reads: sectors 2048 to 4095, read-only, weight 100")
        for name in ("first", "reads"):
            run(m, f"vm kill {name}", f"{name}: powered off")
            wait_for(m, name, "ended")
        run(m, "vm start passed", r"\[passed\] .*a [0-9a-f]{8}")
        assert not [c for c in ask(m, "disk list") if "client" in c]
        run(m, "vm start first", "first/one: .*virtio-blk0.*VM passed has it")


def check_kept(folder, image, kept):
    """The file system recovers, and has all that the guest was told to be there."""
    copy = folder / "copy.img"
    copy.write_bytes(image.read_bytes())
    tool("e2fsck", "-p", copy, ok=(0, 1))
    tool("e2fsck", "-fn", copy)
    for name, digest in kept:
        assert zlib.crc32(content(copy, name)) == int(digest, 16), name


@pytest.mark.parametrize("count", [3, pytest.param(100, marks=pytest.mark.soak)])
def test_kill_keeps_what_was_synced(folder, engine, system, count):
    """A VM that is killed amid writes, at any moment, leaves a file system that recovers."""
    image = folder / "ext4.img"
    tool("mke2fs", "-q", "-t", "ext4", image, "24M")
    linux(system, "it", "keeps,/dev/vda", vcpus=2, disk=disk(0), **{"pilae,manual": True})
    chance = random.Random(count)
    with Machine(folder, engine, system.build(), harts=2, limit=60 + 40 * count,
                 extra=host_disk(0, image)) as m:
        m.expect("leaves it")
        for _ in range(count):
            m.sendline("vm start it")
            m.expect("keeps: begins", unless="FAILED")
            kept = {}
            for _ in range(chance.randint(1, 40)):
                found = m.expect(r"keeps: (\d+) ([0-9a-f]{8})")
                kept[int(found[1])] = found[2]
            time.sleep(chance.random() * 0.1)
            run(m, "vm kill it", "it: powered off")
            for found in re.findall(r"keeps: (\d+) ([0-9a-f]{8})", m.child.before):
                kept[int(found[0])] = found[1]
            wait_for(m, "it", "ended")
            # Older ones may have been removed meanwhile.
            check_kept(folder, image, [k for k in kept.items() if k[0] > max(kept) - 15])
        errors = [d["errors"] for d in ask(m, "disk list") if "errors" in d]
        assert errors == [0]


def test_hostile_rings(folder, engine, system):
    """As test_virtio.py's, with host requests in flight when a disk is reset at any moment."""
    count, guard = 3000, random.Random(3).randbytes(MIB)
    path = folder / "disk.img"
    path.write_bytes(guard + bytes(4 * MIB) + guard)
    system.image("rings", BUILD / "guests/rings.elf")
    system.image("beat", assemble(folder, "beat.S", HARTS=1))
    system.vm("rings", kernel="rings", memory=64 * MIB, vcpus=3, bootargs=f"n={count} seed={count}",
              one=disk(0, MIB, 2 * MIB), two=disk(0, 3 * MIB, 2 * MIB, **{"pilae,legacy": True}),
              three=disk(0, 5 * MIB, MIB, **{"pilae,read-only": True}))
    system.vm("beat", kernel="beat", memory=4 * MIB)
    with Machine(folder, engine, system.build(), harts=2, limit=150,
                 extra=host_disk(0, path)) as m:
        m.expect(rf"rings: ok {count} operations, \d+ resets, \d+ used", unless="not ok")
        m.expect("rings: powered off")
        m.expect(r"\[beat\] a [0-9a-f]{8}")
        assert "timer lost" not in m.output()
    assert path.read_bytes()[:MIB] == guard and path.read_bytes()[5 * MIB:] == guard


@pytest.mark.soak
def test_interrupts_off_with_host_disks(folder, system, engine, measuring):
    path = folder / "disk.img"
    path.write_bytes(bytes(4 * MIB))
    system.linux(test="disk,-n,100", bootargs=BOOTARGS, vcpus=2, memory=128 * MIB, disk=disk(0))
    with Machine(folder, engine, system.build(), icount=True, kernel=measuring, limit=250,
                 extra=host_disk(0, path, discard="unmap")) as m:
        m.expect("disk: ok")
        assert m.wait_exit() == 0
    check_interrupts_off(m)


def test_kill_and_reset_amid_writes(folder, engine, system):
    """A VM that is ended, reset or paused at any moment of its disk's work leaves nothing."""
    path = folder / "disk.img"
    path.write_bytes(bytes(8 * MIB))
    system.linux("it", test="disk,-f", bootargs=BOOTARGS, vcpus=2, memory=128 * MIB,
                 disk=disk(0), **{"pilae,manual": True})
    with Machine(folder, engine, system.build(), harts=2, limit=250,
                 extra=host_disk(0, path)) as m:
        m.expect("leaves it")
        free = free_bytes(m)
        for verb in ("kill", "reset"):
            run(m, "vm start it", r"\[it\] disk: begins")
            if verb == "reset":
                run(m, "vm reset it", "pilae: it: restarts")
                m.expect(r"\[it\] disk: begins", unless="FAILED")
            run(m, "vm pause it", "")
            wait_for(m, "it", "paused")
            # What it had begun ends; nothing more is begun.
            time.sleep(0.2)
            before, after = (ask(m, "disk list")[0]["requests"] for _ in range(2))
            assert before == after > 0
            m.sendline("vm resume it")
            while ask(m, "disk list")[0]["requests"] == after:
                pass
            run(m, "vm kill it", "pilae: it: powered off")
            wait_for(m, "it", "ended")
            assert free_bytes(m) >= free - MIB
        assert "FAILED" not in m.output()

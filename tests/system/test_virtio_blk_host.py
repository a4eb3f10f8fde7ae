# SPDX-License-Identifier: MIT
"""Guests' disks that are disks of the host's, or slices of them."""

import hashlib
import os
import random
import re
import subprocess

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
    a disk of 4 KiB blocks."""
    both, blocks = folder / "both.img", folder / "blocks.img"
    both.write_bytes(bytes(9 * MIB))
    blocks.write_bytes(bytes(4 * MIB))
    system.linux("modern", test="disk", bootargs=BOOTARGS, vcpus=2, memory=128 * MIB,
                 disk=disk(0, MIB, 4 * MIB))
    system.linux("legacy", test="disk,-n,150", bootargs=BOOTARGS, memory=128 * MIB,
                 disk=disk(0, 5 * MIB, **{"pilae,legacy": True}))
    system.linux("blocks", test="disk,-n,100", bootargs=BOOTARGS, memory=128 * MIB,
                 disk=disk(1))
    extra = [*host_disk(0, both, discard="unmap"),
             *host_disk(1, blocks, logical_block_size=4096, physical_block_size=4096)]
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

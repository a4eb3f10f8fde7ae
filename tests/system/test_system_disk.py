# SPDX-License-Identifier: MIT
"""pilae.system=virtio-blkN: the system file from a raw disk."""

import pytest

from pilae import MIB, MINIKERNEL, SELFTEST, Machine, assemble


def disk(folder, data, name="disk", size=None):
    """QEMU's options for a disk with that in it; of whole sectors."""
    path = folder / name
    size = size or (len(data) + 511) // 512 * 512
    path.write_bytes(data.ljust(size, b"\0")[:size])
    return ["-drive", f"file={path},format=raw,if=none,id={name}",
            "-device", f"virtio-blk-device,drive={name}"]


def boot(folder, engine, extra, name="virtio-blk0", **options):
    options.setdefault("limit", 60)
    with Machine(folder, engine, None, append=f"pilae.system={name}", extra=extra, **options) as m:
        status = m.wait_exit()
        return status, m.output()


@pytest.mark.parametrize("options", [[], ["-E"]], ids=["inside", "behind"])
def test_system(folder, engine, system, options):
    """Images in the tree, and behind it; an ELF file is loaded by its program headers."""
    system.image("selftest", SELFTEST, hash="sha256")
    system.vm("one", kernel="selftest", vcpus=2, memory=32 * MIB, bootargs="tests=sbi")
    built = system.build(options=options)
    status, output = boot(folder, engine, disk(folder, built.read_bytes()), harts=2)
    assert "pilae: one: " in output
    assert "0 not ok" in output
    assert status == 0


def test_on_own_firmware(folder, engine, system):
    """Nothing but a firmware, Pilae, and a disk that is larger than the file."""
    system.image("hello", assemble(folder, "hello.S"))
    system.vm("one", kernel="hello", memory=4 * MIB)
    data = system.build().read_bytes()
    status, output = boot(folder, engine, disk(folder, data, size=64 * MIB), firmware="own",
                          harts=4)
    assert "pilae: one: powered off" in output
    assert status == 0


@pytest.mark.engines("hext")
def test_passed_through(folder, engine, system):
    """A system from one disk that passes a device of the machine to its VM."""
    system.image("mk", MINIKERNEL)
    system.vm("one", kernel="mk", bootargs='script="poweroff"',
              **{"rtc": {"compatible": "pilae,passthrough", "pilae,host": "/soc/rtc@101000"}})
    status, output = boot(folder, engine, disk(folder, system.build().read_bytes()))
    assert "pilae: one: powered off" in output
    assert status == 0


BROKEN = {
    "empty": (lambda data: b"", "no system file"),
    "no-tree": (lambda data: b"\x5a" * 4096, "no system file"),
    "cut": (lambda data: data[:-1024], "larger than the disk"),
    "broken": (lambda data: data[:72] + b"\xff" * 400 + data[472:], "broken"),
    "endless": (lambda data: data[:4] + b"\x7f\xff\xff\xf0" + data[8:], "larger than the disk"),
}


@pytest.mark.engines("hext")
@pytest.mark.parametrize("kind", BROKEN)
def test_broken(folder, engine, system, kind):
    spoil, told = BROKEN[kind]
    system.image("hello", assemble(folder, "hello.S"))
    system.vm("one", kernel="hello", memory=4 * MIB)
    data = spoil(system.build().read_bytes())
    status, output = boot(folder, engine, disk(folder, data, size=None if data else 4096))
    assert f"command line: pilae.system=virtio-blk0: {told}" in output or told in output
    assert "pilae.system=virtio-blk0" in output
    assert status == 1


@pytest.mark.engines("hext")
def test_no_such_disk(folder, engine):
    status, output = boot(folder, engine, [], name="virtio-blk7")
    assert "command line: pilae.system=virtio-blk7: there is no such disk" in output
    assert status == 1


@pytest.mark.engines("hext")
def test_identity_map(folder, engine, system):
    """Memory would have to be set apart before there is a disk: that VM is refused, and says why;
    the other one is not."""
    system.image("hello", assemble(folder, "hello.S"))
    system.vm("same", kernel="hello", memory=4 * MIB, **{"pilae,identity-map": True})
    system.vm("one", kernel="hello", memory=4 * MIB)
    status, output = boot(folder, engine, disk(folder, system.build().read_bytes()))
    assert "pilae: one: powered off" in output
    assert "pilae: same: " not in output
    assert "/configurations/same: pilae,identity-map: memory is set apart at boot" in output
    assert status == 1

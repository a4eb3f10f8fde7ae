# SPDX-License-Identifier: MIT
"""The host's disks and its source of randomness, as a build that checks them finds them at boot."""

import pytest

from pilae import MIB, Machine, assemble, check_interrupts_off
from shell import ask, open_shell, run

SECTOR = 512

# driver/disk_check.c: what is written, and where.
REQUESTS = 150
BYTES = 8 * 1024
ROOM = BYTES + 64



class Way:
    """How the devices are reached: the kind of their names, what is added to QEMU's options for
    each disk, and what is then agreed on."""

    def __init__(self, kind, disk, features, queues=1):
        self.kind, self.disk, self.features, self.queues = kind, disk, set(features.split()), queues
        modern = kind == "device" and "VERSION_1" in self.features
        self.options = ["-global", "virtio-mmio.force-legacy=false"] if modern else []


USUAL = "INDIRECT_DESC EVENT_IDX"
WAYS = {
    "legacy": Way("device", "", USUAL),
    "modern": Way("device", "", f"{USUAL} VERSION_1"),
    "packed": Way("device", ",packed=on", f"{USUAL} VERSION_1 RING_PACKED"),
    "plain": Way("device", ",indirect_desc=off,event_idx=off,queue-size=16", ""),
    "pci": Way("pci", ",num-queues=2", f"{USUAL} VERSION_1 MQ", 2),
    "pci-packed": Way("pci", ",num-queues=2,packed=on,disable-legacy=on",
                      f"{USUAL} VERSION_1 MQ RING_PACKED", 2),
}


def disk(folder, way, name, size, options="", drive=""):
    """QEMU's options for a disk, whose serial number is its name."""
    path = folder / f"{name}.img"
    path.write_bytes(bytes(size))
    return ["-drive", f"file={path},if=none,format=raw,id={name}{drive}", "-device",
            f"virtio-blk-{WAYS[way].kind},drive={name},serial={name}{WAYS[way].disk}{options}"]


def check_contents(path, number):
    """What the check has left on disk `number` is there, byte for byte."""
    data = path.read_bytes()
    stride = len(data) // BYTES // REQUESTS * BYTES
    for i in range(REQUESTS):
        first = i * ROOM + i % 61
        expected = bytes((k * 31 + (k >> 8) * 17 + number) & 0xff
                         for k in range(first, first + BYTES))
        at = i * 7 % REQUESTS * stride
        assert data[at:at + BYTES] == expected, f"request {i}, at {at:#x}"


def agreed(machine, kind="virtio-blk"):
    """The features that were agreed on with the first virtio device of that kind, and its queues,
    by QMP."""
    disks = [d for d in machine.monitor.ask("x-query-virtio") if d["name"] == kind]
    status = machine.monitor.ask("x-query-virtio-status", path=disks[0]["path"])
    features = status["guest-features"]
    words = features["transports"] + features.get("dev-features", [])
    return {w.split(":")[0].split("_F_")[1] for w in words}, status["num-vqs"]


@pytest.mark.parametrize("way", WAYS)
def test_disks(folder, system, checking_disks, way):
    kind = WAYS[way].kind
    system.image("kernel", b"\0" * 64)
    system.vm("idle", kernel="kernel", memory=2 * MIB, **{"pilae,manual": True})
    # The order of their addresses is QEMU's; over PCI they get numbers from 1 up.
    extra = [*WAYS[way].options,
             *disk(folder, way, "kept", 10 * MIB, ",discard=off,write-zeroes=off"),
             *disk(folder, way, "blocks", 3 * MIB,
                   ",logical_block_size=4096,physical_block_size=4096", ",discard=unmap"),
             *disk(folder, way, "fixed", 2 * MIB, "", ",readonly=on"),
             "-device", f"virtio-rng-{kind}"]
    with Machine(folder, "hext", system.build(), harts=2, memory="256M", limit=60,
                 kernel=checking_disks, extra=extra) as m:
        m.expect("disks have been checked", unless="not ok")
        open_shell(m)
        disks = ask(m, "disk list")
        run(m, "disk list", r"virtio-blk\d +\S+, 10 MiB, serial kept\s")
        features, queues = agreed(m)
        run(m, "poweroff", "powered off")
        assert m.wait_exit() == 0
        output = m.output()
    assert output.count("ok disk") == 3 and "not ok" not in output
    assert "ok entropy, 40 bytes" in output
    assert [d["disk"] for d in disks] == ["virtio-blk0", "virtio-blk1", "virtio-blk2"]
    by_serial = {d["serial"]: d for d in disks}
    assert {s: d["bytes"] for s, d in by_serial.items()} == {
        "kept": 10 * MIB, "blocks": 3 * MIB, "fixed": 2 * MIB}
    assert by_serial["blocks"]["block_size"] == 4096
    assert by_serial["fixed"]["read_only"] and not by_serial["kept"]["read_only"]
    assert by_serial["kept"]["written_bytes"] == by_serial["kept"]["read_bytes"] == REQUESTS * BYTES
    assert all(d["errors"] == (2 if d["read_only"] else 1) for d in disks)
    assert ({"RING_PACKED", "VERSION_1", "INDIRECT_DESC", "EVENT_IDX", "MQ"} & features, queues) == (
        WAYS[way].features, WAYS[way].queues)
    paths = [d["path"] for d in disks]
    if kind == "pci":
        assert paths == ["pci:00:01.0", "pci:00:02.0", "pci:00:03.0"]
    else:
        assert paths == sorted(paths) and all(p.startswith("/soc/virtio_mmio@1000") for p in paths)
    check_contents(folder / "kept.img", disks.index(by_serial["kept"]))


@pytest.mark.parametrize("way", ["legacy", "pci-packed"])
def test_interrupts_off(folder, system, checking_disks, way):
    """No stretch is too long while two disks are busy, beside a VM that floods its console."""
    kind = WAYS[way].kind
    system.image("flood", assemble(folder, "flood.S", ROUNDS=400))
    system.vm("flood", kernel="flood", memory=4 * MIB)
    extra = [*WAYS[way].options, *disk(folder, way, "one", 10 * MIB), *disk(folder, way, "two", 3 * MIB),
             "-device", f"virtio-rng-{kind}"]
    with Machine(folder, "hext", system.build(), memory="256M", icount=True, limit=120,
                 kernel=checking_disks, extra=extra) as m:
        m.expect("disks have been checked", unless="not ok")
        assert m.wait_exit() == 0
    check_interrupts_off(m)

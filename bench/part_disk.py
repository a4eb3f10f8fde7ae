# SPDX-License-Identifier: MIT
"""The part `disk`: reads of a disk of the host's."""

import random
import sys

import pilae
import shell
from machines import OUTPUT, SEED, measure, one_vm

DISK_READS = ("disk-sequential-64k", "disk-random-4k")
# What keeps a guest from ending before it has been asked about its exits.
BUSY = "busy"


def disk_bootargs(*names):
    return ("console=ttyS0 quiet pilae.modules=virtio_mmio,virtio_blk "
            f"pilae.test=lbench,{','.join(names)}")


def disk_drive(column):
    """QEMU's options for a disk of random bytes."""
    path = OUTPUT / f"{column.file_name('disk')}.raw"
    path.write_bytes(random.Random(SEED).randbytes(64 * pilae.MIB))
    return ["-global", "virtio-mmio.force-legacy=false", "-drive",
            f"file={path},if=none,format=raw,id=disk", "-device", "virtio-blk-device,drive=disk"]


def disk_system(column, *names):
    disk = {"compatible": "pilae,virtio-blk", "pilae,host": "virtio-blk0"}
    return one_vm(column, f"disk {len(names)}", kernel=pilae.LINUX, ramdisk=pilae.INITRD,
                  bootargs=disk_bootargs(*names), memory=512 * pilae.MIB, disk=disk)


def disk_counts(machine):
    """The VM's exits, and the disk's requests, so far."""
    counts = shell.ask(machine, "vm stats bench")[0]
    requests = shell.ask(machine, "disk list")[0]["requests"]
    exits = sum(n for name, n in counts.items() if name.endswith("_exits"))
    # Privileged instructions and page faults are what this engine does to run a guest at all.
    return exits - counts["privileged_exits"] - counts["shadow_exits"], requests


def disk_exits(column):
    """How many exits 100 requests take. Asked for in real time, so not the same in each run."""
    print(f"  exits of requests ({column.name}, {column.firmware})", file=sys.stderr, flush=True)
    found = {}
    system = disk_system(column, *DISK_READS, BUSY)
    with pilae.Machine(OUTPUT, column.engine, system, limit=1200, cpu=column.cpu, icount=True,
                       extra=["-seed", SEED, *disk_drive(column)], firmware=column.firmware,
                       name=column.file_name("disk exits")) as machine:
        machine.expect("bench: ")
        shell.open_shell(machine)
        machine.expect(f"lbench: {DISK_READS[0]} begins")
        before = disk_counts(machine)
        for name in DISK_READS:
            machine.expect(f"lbench {name} ")
            after = disk_counts(machine)
            exits, requests = (b - a for a, b in zip(before, after))
            found[f"{name}-exits-of-100"] = round(100 * exits / requests)
            before = after
    return found


def disk(column):
    """Reads of a disk of the host's."""
    native = {"kernel": pilae.LINUX, "append": disk_bootargs(*DISK_READS), "memory": "512M",
              "extra": ["-initrd", pilae.INITRD]}
    found = measure("disk", column, column.engine and disk_system(column, *DISK_READS),
                    r"^lbench (disk\S+) (\d+)", native, extra=disk_drive(column))
    if column.engine:
        found.update(disk_exits(column))
    return found

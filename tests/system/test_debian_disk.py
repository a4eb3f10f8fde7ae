# SPDX-License-Identifier: MIT
"""Debian from its disk: systemd, two processors, what is written is there afterwards."""

import hashlib

import pytest

from debian import (ORIGINAL, add_debian, check_file_system, copy_disk, drive, log_in, machine,
                    power_off, read_file, run)

# The disk's node in the VM, and the VM's further properties.
WAYS = {
    "passthrough": {
        "pilae,identity-map": True,
        "disk": {"compatible": "pilae,passthrough", "pilae,host": "virtio-blk0",
                 "pilae,allow-dma": True},
    },
    "virtio": {
        "disk": {"compatible": "pilae,virtio-blk", "pilae,host": "virtio-blk0"},
    },
}

FIO = ("fio --directory=/root --ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1 "
       "--minimal --name=random --rw=randwrite --bs=4k --iodepth=16 --size=4M "
       "--name=sequential --rw=write --bs=64k --iodepth=4 --size=16M >/dev/null")


def use_disk(m):
    """Reads what was there, and writes; returns the sum of a new file."""
    assert run(m, "nproc") == "2\n"
    installed = read_file(ORIGINAL, "/var/lib/dpkg/status").count(b"Status: install ok installed")
    assert installed > 150
    assert run(m, "dpkg -l | grep -c ^ii") == f"{installed}\n"
    assert run(m, "dpkg --verify coreutils systemd libc6") == ""
    run(m, FIO)
    return run(m, "head -c 3000000 /dev/urandom | tee /root/random | md5sum").split()[0]


def check_disk(disk, digest):
    check_file_system(disk)
    assert hashlib.md5(read_file(disk, "/root/random")).hexdigest() == digest


def use(m, disk):
    log_in(m)
    digest = use_disk(m)
    power_off(m)
    check_disk(disk, digest)


@pytest.mark.soak
@pytest.mark.parametrize("way", WAYS)
def test_debian(folder, engine, system, way):
    """test_debian_net.py has such a disk among the quicker tests."""
    disk = copy_disk(folder)
    add_debian(system, **WAYS[way])
    with machine(folder, engine, system, drive(disk), limit=600) as m:
        use(m, disk)


@pytest.mark.soak
def test_debian_natively(folder):
    """Without Pilae: what fails here is not Pilae's."""
    disk = copy_disk(folder)
    with machine(folder, None, None, drive(disk), limit=600) as m:
        use(m, disk)

# SPDX-License-Identifier: MIT
"""Debian reaches the outside: DHCP, iperf3 both ways, 100 MB there and back."""

import re
import subprocess

import pytest

from debian import DEBIAN, add_debian, copy_disk, drive, log_in, machine, power_off, take_program
from debian_net import NIC, Peer, can_update, check_address, check_iperf, check_transfer
from pilae import INITRD, MIB, TOP, Machine
from test_debian_disk import check_disk, use_disk
from test_net import BOOTARGS, port


def use(m):
    with Peer() as peer:
        check_address(m)
        print("bits a second:", check_iperf(m, peer))
        check_transfer(m, peer)


@pytest.mark.alone("hext", "soft")
def test_debian_net(folder, engine, system):
    """Through a switch, whose uplink is the machine's NIC; and its disk as well."""
    disk = copy_disk(folder)
    system.root["lan0"] = {"compatible": "pilae,switch", "pilae,uplink": "virtio-net0"}
    add_debian(system, disk={"compatible": "pilae,virtio-blk", "pilae,host": "virtio-blk0"},
               net={"compatible": "pilae,virtio-net", "pilae,switch": "lan0"})
    with machine(folder, engine, system, (*drive(disk), *NIC), limit=600) as m:
        log_in(m)
        use(m)
        digest = use_disk(m)
        power_off(m)
    check_disk(disk, digest)


IPERF = """#!/bin/sh
ip addr add "$1/24" dev eth0
ip link set eth0 up
if [ -z "$2" ]; then
	iperf3 -s -1 && iperf3 -s -1
else
	until ping -q -c 1 -W 1 "$2" >/dev/null; do :; done
	for way in -Z -R; do
		until iperf3 -c "$2" -n 8M "$way"; do sleep 1; done
	done
fi && echo "iperf: ok"
"""


def iperf_ramdisk(folder):
    """Debian's iperf3, to be put after the small Linux's ramdisk."""
    files = take_program(DEBIAN / "disk.img", "/usr/bin/iperf3", folder)
    lines = [f"file /{'bin' if name == 'iperf3' else 'lib'}/{name} {path}"
             for name, path in files.items()]
    (folder / "iperf").write_text(IPERF)
    listed = folder / "iperf.list"
    listed.write_text("\n".join([*lines, f"file /tests/iperf {folder / 'iperf'} 0755"]) + "\n")
    archive = folder / "iperf.img"
    subprocess.run([TOP / "tools/mkinitrd", "-o", archive, listed], check=True)
    return archive.read_bytes()


def test_iperf_between_vms(folder, engine, system):
    system.root["lan0"] = {"compatible": "pilae,switch"}
    system.image("both", INITRD.read_bytes() + iperf_ramdisk(folder), type="ramdisk")
    for name, addresses in (("server", "10.0.0.1"), ("client", "10.0.0.2,10.0.0.1")):
        system.linux(name, test=f"iperf,{addresses}", bootargs=BOOTARGS, memory=192 * MIB,
                     net=port())
        system.vms[name]["ramdisk"] = "both"
    with Machine(folder, engine, system.build(), harts=2, limit=120) as m:
        assert m.wait_exit() == 0
        output = m.output()
    assert output.count("iperf: ok") == 2
    assert len(re.findall(r"\[client\].* 8\.\d\d MBytes .* receiver", output)) == 2


@pytest.mark.soak
def test_natively(folder):
    """Without Pilae: what fails here is not Pilae's."""
    with machine(folder, None, None, (*drive(copy_disk(folder)), *NIC), limit=600) as m:
        log_in(m)
        use(m)
        print("apt-get update:", can_update(m))
        power_off(m)

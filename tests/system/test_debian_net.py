# SPDX-License-Identifier: MIT
"""Debian reaches the outside: DHCP, iperf3 both ways, 100 MB there and back."""

import pytest

from debian import add_debian, copy_disk, drive, log_in, machine, power_off
from debian_net import NIC, Peer, can_update, check_address, check_iperf, check_transfer
from test_debian_disk import check_disk, use_disk


def use(m):
    with Peer() as peer:
        check_address(m)
        print("bits a second:", check_iperf(m, peer))
        check_transfer(m, peer)


def test_debian_net(folder, engine, system):
    """Through a switch, whose uplink is the machine's NIC; and its disk as well."""
    disk = copy_disk(folder)
    system.root["lan0"] = {"compatible": "pilae,switch", "pilae,uplink": "virtio-net0"}
    add_debian(system, disk={"compatible": "pilae,virtio-blk", "pilae,host": "virtio-blk0"},
               net={"compatible": "pilae,virtio-net", "pilae,switch": "lan0"})
    with machine(folder, engine, system, (*drive(disk), *NIC), limit=600) as m:
        log_in(m)
        use(m)
        digest = use_disk(m, disk)
        power_off(m)
    check_disk(disk, digest)


@pytest.mark.soak
def test_natively(folder):
    """Without Pilae: what fails here is not Pilae's."""
    with machine(folder, None, None, (*drive(copy_disk(folder)), *NIC), limit=600) as m:
        log_in(m)
        use(m)
        print("apt-get update:", can_update(m))
        power_off(m)

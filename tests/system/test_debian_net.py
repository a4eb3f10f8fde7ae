# SPDX-License-Identifier: MIT
"""Debian reaches the outside: DHCP, iperf3 both ways, 100 MB there and back."""

import pytest

from debian import copy_disk, drive, log_in, machine, power_off
from debian_net import NIC, Peer, can_update, check_address, check_iperf, check_transfer


def use(m):
    with Peer() as peer:
        log_in(m)
        check_address(m)
        print("bits a second:", check_iperf(m, peer))
        check_transfer(m, peer)
        print("apt-get update:", can_update(m))
        power_off(m)


@pytest.mark.soak
def test_natively(folder):
    """Without Pilae: what fails here is not Pilae's."""
    with machine(folder, None, None, (*drive(copy_disk(folder)), *NIC), limit=600) as m:
        use(m)

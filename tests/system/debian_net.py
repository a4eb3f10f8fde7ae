# SPDX-License-Identifier: MIT
"""Debian on a network: the other side, behind QEMU's user network, and what a VM does with it."""

import hashlib
import json
import queue
import random
import socket
import subprocess
import threading

from debian import run
from pilae import MIB

# This machine's loopback, as QEMU's user network shows it, and what its DHCP gives out.
OUTSIDE = "10.0.2.2"
ADDRESS = "10.0.2.15"
TRANSFER = 100 * MIB
NIC = ("-netdev", "user,id=net", "-device", "virtio-net-device,netdev=net")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Peer:
    """On this machine's loopback: an iperf3, and a port that sends the same data to each that
    connects, and one that sums what it is sent."""

    def __init__(self, size=TRANSFER):
        self.data = random.Random(size).randbytes(MIB) * (size // MIB)
        self.digest = hashlib.md5(self.data).hexdigest()
        self.taken = queue.Queue()

    def __enter__(self):
        self.iperf_port = free_port()
        self.iperf = subprocess.Popen(["iperf3", "-s", "-B", "127.0.0.1", "-p",
                                       str(self.iperf_port)], stdout=subprocess.DEVNULL)
        self.sender = self.serve(lambda connection: connection.sendall(self.data))
        self.receiver = self.serve(self.receive)
        return self

    def __exit__(self, *exception):
        self.iperf.terminate()
        self.iperf.wait()
        for server in (self.sender, self.receiver):
            server.close()

    @staticmethod
    def serve(work):
        server = socket.create_server(("127.0.0.1", 0))

        def loop():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    work(connection)
        threading.Thread(target=loop, daemon=True).start()
        return server

    def receive(self, connection):
        digest = hashlib.md5()
        while piece := connection.recv(MIB):
            digest.update(piece)
        self.taken.put(digest.hexdigest())


def port_of(server):
    return server.getsockname()[1]


def check_address(m):
    run(m, "/usr/lib/systemd/systemd-networkd-wait-online --any --timeout=300")
    assert f" {ADDRESS}/24 " in run(m, "ip -color=never -4 -br address show scope global")
    assert ", 0% packet loss" in run(m, f"ping -c 3 -W 30 {OUTSIDE}")


def check_iperf(m, peer, amount="8M"):
    """Both ways: bits a second that the receiver of each saw."""
    rates = []
    for way in ("", "-R"):
        output = run(m, f"iperf3 -c {OUTSIDE} -p {peer.iperf_port} -n {amount} {way} --json")
        ends = json.loads(output[output.index("{"):output.rindex("}") + 1])["end"]
        assert ends["sum_received"]["bytes"] > 0.9 * int(amount[:-1]) * MIB
        rates.append(ends["sum_received"]["bits_per_second"])
    return rates


def check_transfer(m, peer):
    """To the VM, and back."""
    run(m, f"cat </dev/tcp/{OUTSIDE}/{port_of(peer.sender)} >/dev/shm/data")
    assert run(m, "md5sum </dev/shm/data").split()[0] == peer.digest
    run(m, f"cat /dev/shm/data >/dev/tcp/{OUTSIDE}/{port_of(peer.receiver)}")
    assert peer.taken.get(timeout=m.left()) == peer.digest
    run(m, "rm /dev/shm/data")


def can_update(m):
    """Whether Debian's packages can be reached from here, by `apt-get update` of the VM's own."""
    m.sendline("apt-get update -o Acquire::Retries=0 -o Acquire::http::Timeout=30; echo rc=$?")
    return m.expect(r"rc=(\d+)\r")[1] == "0"

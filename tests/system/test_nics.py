# SPDX-License-Identifier: MIT
"""The host's network interfaces, as a build that checks them finds them at boot. Their peer is a
thread of the test, which looks at all frames and sends them back."""

import os
import socket
import struct
import subprocess
import threading

import pytest

from pilae import MIB, Machine, assemble, check_interrupts_off
from shell import open_shell, run
from test_disks import agreed

# driver/nic_check.c: what is sent.
SENDERS, FRAMES = 3, 1000
ETHERNET, LABEL = 14, 12
PATTERN = bytes((i * 31 + (i >> 8) * 17) & 0xff for i in range(128 * 1024))


class Way:
    """How the NIC is reached, what is added to QEMU's options for it, and what is then agreed on."""

    def __init__(self, kind, nic, features, mtu=1500):
        self.kind, self.nic, self.features, self.mtu = kind, nic, set(features.split()), mtu
        modern = kind == "device" and "VERSION_1" in self.features
        self.options = ["-global", "virtio-mmio.force-legacy=false"] if modern else []


USUAL = "INDIRECT_DESC EVENT_IDX MRG_RXBUF"
WAYS = {
    "legacy": Way("device", "", f"{USUAL} ANY_LAYOUT"),
    "legacy-short": Way("device", ",mrg_rxbuf=off", "INDIRECT_DESC EVENT_IDX ANY_LAYOUT"),
    "modern": Way("device", ",host_mtu=9000", f"{USUAL} VERSION_1 MTU", 9000),
    "packed": Way("device", ",packed=on", "INDIRECT_DESC MRG_RXBUF VERSION_1 RING_PACKED"),
    "plain": Way("device", ",indirect_desc=off,event_idx=off,mrg_rxbuf=off,host_mtu=9000",
                 "VERSION_1"),
    "pci": Way("pci", ",romfile=", f"{USUAL} VERSION_1"),
    "pci-packed": Way("pci", ",romfile=,packed=on,event_idx=off,disable-legacy=on",
                      "INDIRECT_DESC MRG_RXBUF VERSION_1 RING_PACKED"),
}


class Peer:
    """Sends all frames back. `mtu`: what the NIC says."""

    def __init__(self, mtu):
        self.mtu = mtu
        self.frames = {}  # (pass, sender): how many came
        self.long = 0
        self.wrong = None

    def begin(self):
        threading.Thread(target=self.work, daemon=True).start()

    def look(self, frame):
        """Each sender's frames come in their order, with the right size and contents."""
        if frame[:6] != b"\2Pilae":
            return
        is_long = frame[12:14] == b"\x08\x00"
        start = ETHERNET + (40 if is_long else 0) + LABEL
        number_pass, sender, number = struct.unpack("<III", frame[start - LABEL:start])
        key = number_pass, sender
        if is_long:
            size = 65535 if number % 64 == 7 else 40000 + number
        else:
            size = start + (number * 37 + sender * 11) % (self.mtu - LABEL + 1)
        first = (number * 7 + sender) % 251
        if (number, len(frame)) != (self.frames.get(key, 0), size) or (
                frame[start:] != PATTERN[first:first + size - start]):
            self.wrong = self.wrong or f"frame {number} of {key}, {len(frame)} bytes"
        self.frames[key] = number + 1
        self.long += is_long


class StreamPeer(Peer):
    """That of QEMU's network of kind `stream`."""

    def __init__(self, path, mtu=1500):
        super().__init__(mtu)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen(1)
        self.options = ["-netdev", f"stream,id=peer,server=off,addr.type=unix,addr.path={path}"]
        self.begin()

    def work(self):
        connection, _ = self.server.accept()
        stream = connection.makefile("rb")
        while header := stream.read(4):
            frame = stream.read(struct.unpack(">I", header)[0])
            self.look(frame)
            try:
                connection.sendall(header + frame)
            except OSError:
                return


class TapPeer(Peer):
    """At the other end of a network interface of this machine: frames may be longer than the MTU,
    and the kernel and QEMU say in a header how they are to be cut."""

    SOL_PACKET, PACKET_VNET_HDR, SO_RCVBUFFORCE = 263, 15, 33
    HEADER = 10

    def __init__(self):
        super().__init__(1500)
        self.name = f"pilae{os.getpid() % 100000}"
        for arguments in (f"tuntap add dev {self.name} mode tap vnet_hdr",
                          f"link set {self.name} up"):
            done = subprocess.run(["ip", *arguments.split()], capture_output=True, check=False)
            if done.returncode != 0:
                pytest.skip("no tap interface can be made here")
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.bind((self.name, 3))
        self.socket.setsockopt(socket.SOL_SOCKET, self.SO_RCVBUFFORCE, 128 * MIB)
        self.socket.setsockopt(self.SOL_PACKET, self.PACKET_VNET_HDR, 1)
        self.options = ["-netdev", f"tap,id=peer,ifname={self.name},script=no,downscript=no,vhost=off"]
        self.begin()

    def work(self):
        while True:
            try:
                frame = self.socket.recv(80000)
                self.look(frame[self.HEADER:])
                if frame[self.HEADER:self.HEADER + 6] == b"\2Pilae":
                    self.socket.send(frame)
            except OSError:
                return

    def close(self):
        self.socket.close()
        subprocess.run(["ip", "link", "del", self.name], check=False)


def idle(system):
    system.image("kernel", b"\0" * 64)
    system.vm("idle", kernel="kernel", memory=2 * MIB, **{"pilae,manual": True})
    return system.build()


def options(way, peer):
    nic = f"virtio-net-{WAYS[way].kind},netdev=peer,mac=52:54:00:12:ab:cd{WAYS[way].nic}"
    return [*WAYS[way].options, *peer.options, "-device", nic]


def check(folder, system, kernel, way, peer):
    """Returns what the check says of the NIC, and the features that were agreed on."""
    with Machine(folder, "hext", idle(system), harts=2, memory="256M", limit=12, kernel=kernel,
                 extra=options(way, peer)) as m:
        ok = m.expect(r"ok nic virtio-net0 mac (\w+) mtu (\d+): (\d+) bytes, (\d+) pieces, "
                      r"(\d+) long, \d+ waits, (\d+) errors", unless="not ok|fatal")
        m.expect("nics have been checked", unless="not ok")
        features, _ = agreed(m, "virtio-net")
        open_shell(m)
        run(m, "poweroff", "powered off")
        assert m.wait_exit() == 0
    assert peer.wrong is None
    assert [peer.frames[1, sender] for sender in range(SENDERS)] == [FRAMES] * SENDERS
    assert (ok[1], int(ok[2]), int(ok[6])) == ("52540012abcd", peer.mtu, 0)
    return ok, features


@pytest.mark.parametrize("way", WAYS)
def test_nics(folder, system, checking_nics, way):
    peer = StreamPeer(folder / "peer", WAYS[way].mtu)
    ok, features = check(folder, system, checking_nics, way, peer)
    assert {"RING_PACKED", "VERSION_1", "INDIRECT_DESC", "EVENT_IDX", "MRG_RXBUF", "MTU",
            "ANY_LAYOUT"} & features == WAYS[way].features
    # Pages are merged where the MTU is large, and only there.
    assert (int(ok[4]) > SENDERS * FRAMES * 3 // 2) == (WAYS[way].mtu > 4000)


@pytest.mark.parametrize("way", ["legacy", "packed", "pci"])
def test_long_frames(folder, system, checking_nics, way):
    """Checksums and segmentation are left to the device, both ways."""
    peer = TapPeer()
    try:
        ok, features = check(folder, system, checking_nics, way, peer)
    finally:
        peer.close()
    assert peer.long >= SENDERS * FRAMES // 8
    assert int(ok[5]) >= SENDERS * FRAMES // 8
    assert {"CSUM", "GUEST_CSUM", "HOST_TSO4", "GUEST_TSO4"} <= features


@pytest.mark.parametrize("way", ["legacy", "pci-packed"])
def test_interrupts_off(folder, system, checking_nics, way):
    """No stretch is too long while a NIC is busy, beside a VM that floods its console."""
    system.image("flood", assemble(folder, "flood.S", ROUNDS=400))
    system.vm("flood", kernel="flood", memory=4 * MIB)
    peer = StreamPeer(folder / "peer")
    with Machine(folder, "hext", system.build(), memory="256M", icount=True, limit=120,
                 kernel=checking_nics, extra=options(way, peer)) as m:
        m.expect("nics have been checked", unless="not ok")
        assert m.wait_exit() == 0
    check_interrupts_off(m)

# SPDX-License-Identifier: MIT
"""The part `fair`: what a VM has of a disk and a NIC beside one that takes all it can of both.

The disk and the NIC are slowed down, so that they are what there is too little of. The fair share
is the VM's part by weight of what it has alone. Time is real here, as QEMU's disks are; shares
depend little on how busy this machine is.
"""

import socket
import sys

import pilae
import shell
from machines import OUTPUT, failures

MODULES = "pilae.modules=virtio_mmio,failover,net_failover,virtio_net,virtio_blk"
SLICE = 16 * pilae.MIB
GREEDY_WEIGHT = 100
READS_A_SECOND = 250
# Frames that QEMU sends at a time, and how often.
FRAMES = 8
FRAMES_NS = 32_000_000


def devices():
    """QEMU's options for a slow disk and a slow NIC."""
    disk = OUTPUT / "fair.raw"
    disk.write_bytes(bytes(2 * SLICE))
    return ["-drive", f"file={disk},if=none,format=raw,id=disk,"
            f"throttling.iops-total={READS_A_SECOND}", "-device", "virtio-blk-device,drive=disk",
            "-netdev", "user,id=net", "-device",
            f"virtio-net-device,netdev=net,tx=timer,x-txtimer={FRAMES_NS},x-txburst={FRAMES}"]


def two_vms(column, weight, port):
    system = pilae.System(OUTPUT, column.file_name("fair"))
    system.root["lan0"] = {"compatible": "pilae,switch", "pilae,uplink": "virtio-net0"}
    for number, (name, share) in enumerate({"modest": weight, "greedy": GREEDY_WEIGHT}.items()):
        disk = {"compatible": "pilae,virtio-blk", "pilae,host": "virtio-blk0",
                "pilae,offset": pilae.u64(number * SLICE), "pilae,size": pilae.u64(SLICE)}
        system.linux(name, test=f"neighbour,10.0.2.{30 + number},10.0.2.2:{port},{name}",
                     bootargs=f"console=ttyS0 quiet {MODULES}", memory=128 * pilae.MIB,
                     **{"pilae,weight": share, "pilae,manual": name == "greedy",
                        "disk": disk, "net": {"compatible": "pilae,virtio-net",
                                              "pilae,switch": "lan0"}}, **column.properties)
    return system.build()


def next_round(machine):
    """How long the modest one's next reads and datagrams take."""
    return {what: int(machine.expect(rf"flood: {what} (\d+) us")[1]) for what in ("disk", "net")}


def shares(column, weight):
    """In percent of the fair ones."""
    part = weight / (weight + GREEDY_WEIGHT)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
        target.bind(("127.0.0.1", 0))
        system = two_vms(column, weight, target.getsockname()[1])
        with pilae.Machine(OUTPUT, column.engine, system, limit=200, cpu=column.cpu,
                           extra=devices(), name=column.file_name(f"fair {weight}"),
                           firmware=column.firmware) as machine:
            machine.expect("neighbour: modest begins")
            shell.open_shell(machine)
            alone = next_round(machine)
            machine.sendline("vm start greedy")
            machine.expect("neighbour: greedy begins")
            # This one it was alone in still.
            next_round(machine)
            beside = next_round(machine)
    return {what: round(100 * alone[what] / beside[what] / part) for what in alone}


def fair(column):
    found = {}
    if not column.engine:
        return found
    for weight, name in ((100, ""), (50, "-half-weight")):
        print(f"  a neighbour of weight {weight} ({column.name}, {column.firmware})",
              file=sys.stderr, flush=True)
        try:
            for what, percent in shares(column, weight).items():
                found[f"fair-{what}{name}-percent"] = percent
        except AssertionError as problem:
            failures.append(f"fair shares ({column.name}): {problem}")
    return found

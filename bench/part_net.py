# SPDX-License-Identifier: MIT
"""The part `net`: TCP between two VMs on one hart, and within one guest."""

import pilae
from machines import OUTPUT, measure, measure_linux

MODULES = "pilae.modules=virtio_mmio,failover,net_failover,virtio_net"
KIB = 64 << 10
# How the two sides of a connection take turns, and so what it takes, differs from one to the next.
CONNECTIONS = 6
TOOK = rf"^(traffic): ok {KIB} KiB .*, (\d+) us in all"


def two_vms(column):
    system = pilae.System(OUTPUT, column.file_name("network"))
    system.root["lan0"] = {"compatible": "pilae,switch"}
    more = f",10.0.0.1,{KIB}" * (CONNECTIONS - 1)
    for name, what in (("one", f"10.0.0.1,10.0.0.2,serve,-n,{CONNECTIONS},-q"),
                       ("two", f"10.0.0.2,10.0.0.1,send,-q,{KIB}{more}")):
        system.linux(name, test=f"net,{what}", bootargs=f"console=ttyS0 quiet {MODULES}",
                     memory=128 * pilae.MIB, **column.properties,
                     net={"compatible": "pilae,virtio-net", "pilae,switch": "lan0"})
    return system.build()


def net(column):
    """Instructions that a MiB takes, the mean of some connections; as many go there as come back."""
    found = {"net-loopback-1m": measure_linux("loopback", column, TOOK,
                                              "pilae.test=loop" + f",{KIB}" * CONNECTIONS)}
    if column.engine:
        found["net-between-vms-1m"] = measure("network", column, two_vms(column),
                                              rf"\[two\] {TOOK[1:]}")
    return {name: took["traffic"] * 1000 * 1024 // (2 * KIB)
            for name, took in found.items() if took}

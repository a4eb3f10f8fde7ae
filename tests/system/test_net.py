# SPDX-License-Identifier: MIT
"""Networks of VMs: what is sent arrives, to whom it is for, and ends with who it is for."""

import re
import socket
import threading

import pytest

from pilae import BUILD, MIB, Machine, assemble, check_interrupts_off
from shell import ask, free_bytes, open_shell, run, wait_for

MODULES = "pilae.modules=virtio_mmio,failover,net_failover,virtio_net"
BOOTARGS = f"console=ttyS0 quiet {MODULES}"


def port(switch="lan0", **others):
    return {"compatible": "pilae,virtio-net", "pilae,switch": switch, **others}


def guest(system, name, address, peer, what, vcpus=1, ports=None, **others):
    """A VM that does this on its network, and ends."""
    ports = ports or {"net": port()}
    return system.linux(name, test=f"net,{address},{peer},{what}", bootargs=BOOTARGS,
                        memory=128 * MIB, vcpus=vcpus, **ports, **others)


def check_end(machine):
    assert machine.wait_exit() == 0
    assert "FAILED" not in machine.output() and "Kernel panic" not in machine.output()


@pytest.fixture
def lan(system):
    system.root["lan0"] = {"compatible": "pilae,switch"}
    return system


def test_transfer(folder, engine, lan):
    """Pings both ways, and 100 MB there and back, each byte of which is checked."""
    guest(lan, "one", "10.0.0.1", "10.0.0.2", "serve")
    guest(lan, "two", "10.0.0.2", "10.0.0.1", "send,100000")
    with Machine(folder, engine, lan.build(), harts=2, limit=240) as m:
        check_end(m)
        assert m.output().count("net: ok") == 2
        assert re.search(r"traffic: ok 100000 KiB there", m.output())


def test_turns_are_not_lost(folder, engine, lan):
    """Two vCPUs of a VM on one hart that wait for one another's spinlocks do not lose a turn each
    time: 4 MB go there and back in about the time that they take with one vCPU each."""
    guest(lan, "one", "10.0.0.1", "10.0.0.2", "serve", vcpus=2)
    guest(lan, "two", "10.0.0.2", "10.0.0.1", "send,4000")
    with Machine(folder, engine, lan.build(), icount=True, limit=120) as m:
        took = m.expect(r"traffic: ok 4000 KiB there in (\d+) ms, back in (\d+) ms")
        assert int(took[1]) + int(took[2]) < 200
        check_end(m)


def test_legacy(folder, engine, lan):
    """A device from before virtio 1.0, on one hart."""
    guest(lan, "old", "10.0.0.1", "10.0.0.2", "serve",
          ports={"net": port(**{"pilae,legacy": True, "pilae,slot": 4})})
    guest(lan, "new", "10.0.0.2", "10.0.0.1", "send,4000")
    with Machine(folder, engine, lan.build(), limit=120) as m:
        check_end(m)
        assert m.output().count("net: ok") == 2


def test_forged(folder, engine, lan):
    """A guest cannot speak for another; addresses are as the system says."""
    mac = bytes.fromhex("525400123456")
    guest(lan, "one", "10.0.0.1", "10.0.0.2", "forge", ports={
        "net": port(**{"local-mac-address": mac})})
    guest(lan, "two", "10.0.0.2", "10.0.0.1", "serve,-f")
    with Machine(folder, engine, lan.build(), harts=2, limit=200) as m:
        m.expect("net: ok", unless="net: FAILED.*")
        open_shell(m)
        wait_for(m, "one", "ended")
        ports = ask(m, "net list")
        run(m, "net list", r"lan0\s+two/net ")
        run(m, "poweroff", "powered off")
        assert m.wait_exit() == 0
    assert [p["vm"] for p in ports] == ["two"]
    assert ports[0]["received"] > 0 and ports[0]["address"] >> 40 & 3 == 2


def test_kill_amid_traffic(folder, engine, lan):
    """A VM that ends at any moment of a transfer leaves nothing, and the other goes on."""
    guest(lan, "one", "10.0.0.1", "10.0.0.2", "serve,-f", **{"pilae,manual": True})
    guest(lan, "two", "10.0.0.2", "10.0.0.1", "send,1000000", **{"pilae,manual": True})
    lan.image("beat", assemble(folder, "beat.S", HARTS=1))
    lan.vm("beat", kernel="beat", memory=4 * MIB)
    with Machine(folder, engine, lan.build(), harts=2, limit=240) as m:
        m.expect(r"a [0-9a-f]{8}")
        open_shell(m)
        free = free_bytes(m)
        for victim, other in (("one", "two"), ("two", "one")):
            m.sendline("vm start one")
            m.sendline("vm start two")
            for vm in "one", "two":
                m.expect(r"3 packets received")
            while {p["vm"]: p["received_bytes"] for p in ask(m, "net list")}["one"] < 200_000:
                pass
            run(m, f"vm kill {victim}", f"pilae: {victim}: powered off")
            wait_for(m, victim, "ended")
            assert [p["vm"] for p in ask(m, "net list")] == [other]
            run(m, f"vm kill {other}", f"pilae: {other}: powered off")
            wait_for(m, other, "ended")
            assert free_bytes(m) >= free - MIB
        assert "timer lost" not in m.output()


def test_interrupts_off_on_networks(folder, engine, lan, measuring):
    guest(lan, "one", "10.0.0.1", "10.0.0.2", "serve", vcpus=2)
    guest(lan, "two", "10.0.0.2", "10.0.0.1", "send,3000")
    with Machine(folder, engine, lan.build(), icount=True, kernel=measuring, limit=240) as m:
        check_end(m)
        assert m.output().count("net: ok") == 2
    check_interrupts_off(m)


def echo_server():
    """A server of the machine's that does what `traffic serve` does; its socket."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        peer, _ = listener.accept()
        with peer:
            size = 0
            while data := peer.recv(1 << 16):
                there = numbers(0x1234567, size, len(data))
                assert data == there
                size += len(data)
            peer.sendall(numbers(0x89abcdef, 0, size))

    threading.Thread(target=serve, daemon=True).start()
    return listener


def numbers(seed, start, size):
    """The bytes that guests/linux/programs/traffic.c sends."""
    mask = (1 << 64) - 1
    words = bytearray()
    for place in range(start // 8, (start + size + 7) // 8):
        word = (seed + place) * 0x9e3779b97f4a7c15 & mask
        words += (word ^ word >> 29).to_bytes(8, "little")
    return bytes(words[start % 8:start % 8 + size])


@pytest.mark.parametrize("kind", ["device", "pci"])
def test_uplink(folder, engine, lan, kind):
    """Two VMs talk to a server outside by way of QEMU's user network, and to each other."""
    lan.root["lan0"]["pilae,uplink"] = "virtio-net0"
    guest(lan, "one", "10.0.2.30", "10.0.2.31", "serve")
    with echo_server() as server:
        # What is sent to 10.0.2.2 goes to the machine that QEMU is on.
        outside = f"10.0.2.2:{server.getsockname()[1]}"
        guest(lan, "two", "10.0.2.31", "10.0.2.30", f"send,2000,{outside},300")
        extra = ["-netdev", "user,id=n", "-device", f"virtio-net-{kind},netdev=n"
                 + (",romfile=" if kind == "pci" else "")]
        with Machine(folder, engine, lan.build(), harts=2, limit=240, extra=extra) as m:
            check_end(m)
            assert "traffic: ok 2000 KiB" in m.output()
            assert "traffic: ok 300 KiB" in m.output()


def test_router(folder, engine):
    """The example: one client reaches the other by way of the router, which is one hop away."""
    with Machine(folder, engine, BUILD / "examples/router.itb", harts=2, limit=200) as m:
        for _ in range(3):
            m.expect("poweroff ends it")
        m.send("\x1d2")
        m.sendline("until ping -c 2 -W 2 10.0.2.2; do sleep 1; done")
        m.expect("ttl=63")


MAC = {"local-mac-address": bytes.fromhex("525400123456")}


@pytest.mark.parametrize("devices,message", [
    ({"net": port("lan1")},
     '/configurations/it/net: pilae,switch = "lan1": no such switch; have: lan0'),
    ({"net": port(**MAC)},
     "/configurations/it/net: local-mac-address: another port of its switch has it"),
    ({"net": port(**{"local-mac-address": bytes(6)})},
     "/configurations/it/net: local-mac-address: must be the six bytes of a unicast address"),
    ({"net": port(**{"local-mac-address": bytes([3, 0, 0, 0, 0, 1])})},
     "/configurations/it/net: local-mac-address: must be the six bytes of a unicast address"),
])
def test_refused(folder, engine, lan, devices, message):
    lan.image("good", assemble(folder, "hello.S"))
    lan.vm("other", kernel="good", memory=4 * MIB, net=port(**MAC))
    lan.vm("it", kernel="good", memory=4 * MIB, **devices)
    with Machine(folder, engine, lan.build(tool="dtc"), limit=30) as m:
        assert m.wait_exit() == 1
        assert message in m.output(), m.output()
        assert "other: powered off" in m.output()

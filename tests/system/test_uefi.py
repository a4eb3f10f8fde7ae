# SPDX-License-Identifier: MIT
"""EDK2 in flash: its shell, its variables over a reset, and a kernel that it boots from a disk."""

import re

import pytest

from pilae import BUILD, Machine

SYSTEM = BUILD / "examples/uefi.itb"
GUID = "a3cfd9e6-5c1f-4e3a-9d55-6f2f0a8d8c11"
PROMPT = r"Shell> (?:\x1b\[[\d;]*m)*"


def boot_to_shell(machine):
    """Without waiting where it would."""
    machine.expect("Press ESCAPE within 5 seconds")
    machine.send("\r")
    machine.expect("in 5 seconds to skip")
    machine.send("\x1b")
    machine.expect(PROMPT)


def boot(folder, engine, limit):
    with Machine(folder, engine, SYSTEM, harts=2, memory="2G", limit=limit) as m:
        boot_to_shell(m)
        m.sendline(f"setvar Pilae -guid {GUID} -nv -bs =0x600dca5e")
        m.expect(PROMPT)
        m.sendline("reset")
        m.expect("pilae: uefi: restarts")
        boot_to_shell(m)
        m.sendline(f"setvar Pilae -guid {GUID}")
        m.expect("5E CA 0D 60", unless="Unable")
        m.expect(PROMPT)
        m.sendline("fs0:")
        m.expect("FS0:")
        m.sendline("startup.nsh")
        m.expect("efi: EFI v2.7 by Debian distribution of EDK II")
        m.expect(r"/ # ")
        m.sendline("poweroff -f")
        assert m.wait_exit() == 0
        assert not re.search("Kernel panic|Oops", m.output())


@pytest.mark.engines("hext")
def test_uefi(folder, engine):
    boot(folder, engine, limit=400)


@pytest.mark.soak
@pytest.mark.engines("soft")
def test_uefi_soft(folder, engine):
    boot(folder, engine, limit=1200)

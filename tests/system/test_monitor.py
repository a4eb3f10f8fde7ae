# SPDX-License-Identifier: MIT
"""What a test says that has waited in vain."""

import pytest

from pilae import MIB, Machine


def test_time_limit(folder, engine, system):
    """Where each hart is: both sleep, as nothing runs but a VM that is not started."""
    system.image("kernel", b"\0" * 64)
    system.vm("idle", kernel="kernel", memory=2 * MIB, **{"pilae,manual": True})
    with Machine(folder, engine, system.build(), harts=2, limit=30) as m:
        m.expect("pilae: .*harts")
        m.allow(2)
        with pytest.raises(AssertionError) as failure:
            m.expect("never")
    text = str(failure.value)
    assert "time limit" in text and "2 harts" in text
    for hart in range(2):
        places = [part for part in text.split("hart ")[1:] if part.startswith(f"{hart}: ")]
        assert len(places) == 2
        assert all("pc=" in p and "schedule_run (schedule.c" in p for p in places), text

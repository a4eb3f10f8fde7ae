# SPDX-License-Identifier: MIT
"""What the numbers have to be."""


class Target:
    """What a number of an engine must be: at least `least`, at most `most`, `plus` more than
    native, or `times` native; or with `of`, times another number of the same engine."""

    def __init__(self, most=None, plus=None, times=None, least=None, of=None):
        self.most, self.plus, self.times, self.least, self.of = most, plus, times, least, of

    def is_met(self, name, native, numbers):
        """By the engine's numbers, beside the native ones; None: what it is to be compared with is
        not there."""
        value = numbers[name]
        if self.least is not None:
            return value >= self.least
        if self.most is not None:
            return value <= self.most
        base = numbers.get(self.of) if self.of else native.get(name)
        if base is None:
            return None
        return value <= (base + self.plus if self.plus is not None else base * self.times)

    def __str__(self):
        if self.least is not None:
            return f">= {self.least}"
        if self.most is not None:
            return f"<= {self.most}"
        if self.plus is not None:
            return f"<= native + {self.plus}" if self.plus else "= native"
        return f"<= {self.times} x {self.of or ''}".rstrip()


# Percent of what is a neighbour's fair share.
FAIR = {name: Target(least=90) for name in (
    "fair-disk-percent", "fair-disk-half-weight-percent",
    "fair-net-percent", "fair-net-half-weight-percent")}

TARGETS = {
    "hext": {
        "sbi-probe": Target(most=60),
        "sbi-set-timer": Target(most=60),
        "sbi-ipi-self": Target(most=200),
        "sbi-remote-fence-i-self": Target(most=200),
        "ipi-self-to-handler": Target(most=300),
        "mmio-uart-lsr": Target(most=260),
        "mmio-plic-priority": Target(most=260),
        "first-touch-2m": Target(most=1000),
        "wfi-timer-wake-late": Target(plus=60),
        "switch": Target(most=1200),
        "illegal-insn-to-handler": Target(plus=0),
        "boot-from-reset": Target(times=1.05),
        "boot-from-entry": Target(times=1.05),
        "boot-untested-from-reset": Target(times=1.05),
        "boot-untested-from-entry": Target(times=1.05),
        "handover-futex": Target(times=1.3),
        "handover-pipe": Target(times=1.3),
        "disk-sequential-64k": Target(times=1.3),
        "disk-random-4k": Target(times=1.5),
        "disk-sequential-64k-exits-of-100": Target(most=120),
        "disk-random-4k-exits-of-100": Target(most=120),
        "net-between-vms-1m": Target(times=2.5, of="net-loopback-1m"),
        **FAIR,
    },
    "soft": {
        "breakpoint-and-return": Target(most=2200),
        "boot-from-reset": Target(times=1.35),
        "boot-from-entry": Target(times=1.35),
        "boot-untested-from-reset": Target(times=1.35),
        "boot-untested-from-entry": Target(times=1.35),
        "getppid": Target(times=3),
        "fault-anonymous": Target(times=2.2),
        "fork-exec": Target(times=2.2),
        "pipe": Target(times=3),
        "user-integer": Target(times=1.02),
        "user-float": Target(times=1.02),
        "user-memory": Target(times=1.02),
        "disk-sequential-64k-exits-of-100": Target(most=120),
        "disk-random-4k-exits-of-100": Target(most=120),
        "net-between-vms-1m": Target(times=2.5, of="net-loopback-1m"),
        **FAIR,
    },
}

# With Pilae's firmware, beside these or in their place.
OWN_TARGETS = {
    "native": {
        "sbi-probe": Target(most=50),
        "sbi-set-timer": Target(most=50),
        "sbi-ipi-self": Target(most=150),
        "sbi-remote-fence-i-self": Target(most=150),
        "illegal-insn-to-handler": Target(most=1),
    },
    "hext": {"boot-to-entry": Target(most=12_000_000)},
    "soft": {
        "csr-swap-sscratch": Target(most=110),
        "boot-to-entry": Target(most=12_000_000),
        "boot-from-reset": Target(times=1.15),
        "boot-from-entry": Target(times=1.15),
        "getppid": Target(times=2.2),
        "fault-anonymous": Target(times=1.8),
    },
}


def of(column):
    """A column's targets by name."""
    own = OWN_TARGETS.get(column.name, {}) if column.firmware == "own" else {}
    return {**TARGETS.get(column.name, {}), **own}

# SPDX-License-Identifier: MIT
"""Fixtures and options of the system tests."""

import fcntl
import os
import zlib

import pytest

import pilae

FIRMWARES = ["opensbi", "own"]


def pytest_addoption(parser):
    parser.addoption("--soak", action="store_true", help="run the long tests as well")
    parser.addoption("--repeats", type=int, default=20,
                     help="how often the long tests do the same (default: 20)")
    parser.addoption("--first-seed", type=int, default=100,
                     help="of the long tests that have one, so that runs add up (default: 100)")
    parser.addoption("--engine", action="append", choices=list(pilae.ENGINES),
                     help="run on this engine only (can be given more than once)")
    parser.addoption("--firmware", choices=[*FIRMWARES, "both"],
                     default=os.environ.get("FIRMWARE") or "both",
                     help="what machines boot with (default: FIRMWARE, or both: one half each)")


def pytest_configure(config):
    config.addinivalue_line("markers", "soak: takes long; runs only with --soak")
    config.addinivalue_line("markers", "engines(name, ...): is about these engines alone")
    config.addinivalue_line("markers", "alone(engine, ...): on these engines its harts often wait "
                                       "for one another, so no other test takes their cores")


def is_for_engine(item):
    marker = item.get_closest_marker("engines")
    return not marker or item.callspec.params["engine"] in marker.args


def is_alone(item):
    marker = item.get_closest_marker("alone")
    return marker is not None and item.callspec.params["engine"] in marker.args


def is_chosen(config, item):
    """Of the slower engine, a part is run unless it is asked for."""
    engine = getattr(item, "callspec", None) and item.callspec.params.get("engine")
    if engine != "soft" or config.getoption("--engine") or config.getoption("--soak"):
        return True
    return item.originalname in pilae.SOFT_BY_DEFAULT


def pytest_collection_modifyitems(config, items):
    runs = [item for item in items if is_for_engine(item) and is_chosen(config, item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in runs])
    # First, when all of pytest's processes begin.
    items[:] = sorted(runs, key=is_alone, reverse=True)
    if config.getoption("--soak"):
        return
    skip = pytest.mark.skip(reason="only with --soak")
    for item in items:
        if item.get_closest_marker("soak"):
            item.add_marker(skip)


def pytest_generate_tests(metafunc):
    if "engine" in metafunc.fixturenames:
        engines = metafunc.config.getoption("--engine") or pilae.DEFAULT_ENGINES
        metafunc.parametrize("engine", engines)


@pytest.fixture(autouse=True)
def firmware(request):
    """What the test's machines boot with. Of `both` each has one half of the tests, always the
    same, and those that run on both engines have one on each."""
    chosen = request.config.getoption("--firmware")
    if chosen == "both":
        parameters = getattr(request.node, "callspec", None)
        soft = parameters is not None and parameters.params.get("engine") == "soft"
        name = request.node.originalname
        chosen = FIRMWARES[(zlib.crc32(name.encode()) + soft) % len(FIRMWARES)]
    pilae.firmware = chosen
    return chosen


@pytest.fixture(autouse=True)
def turn(request):
    """Among pytest's processes: this test's, by itself or beside others."""
    with open(pilae.BUILD / "turn.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if is_alone(request.node) else fcntl.LOCK_SH)
        yield


@pytest.fixture(scope="session")
def measuring():
    """Pilae built so that it measures itself: see check_interrupts_off()."""
    return pilae.build_variant("irqoff", "PILAE_MEASURE_IRQOFF")


@pytest.fixture(scope="session")
def failing():
    """Pilae built so that its allocations fail, one after the other: kernel/alloc_fault.h."""
    return pilae.build_variant("failing", "PILAE_FAIL_ALLOCATIONS")


@pytest.fixture(scope="session")
def disturbing():
    """Pilae built so that its interrupts are those of a bad machine: kernel/disturb.h."""
    return pilae.build_variant("disturbing", "PILAE_DISTURB_INTERRUPTS")


@pytest.fixture(scope="session")
def checking_disks():
    """Pilae built so that it checks the host's disks at boot, and overwrites them. It measures
    itself as well."""
    return pilae.build_variant("disks", "PILAE_CHECK_DISKS -DPILAE_MEASURE_IRQOFF")


@pytest.fixture(scope="session")
def checking_nics():
    """Pilae built so that it checks the host's NICs at boot, likewise."""
    return pilae.build_variant("nics", "PILAE_CHECK_NICS -DPILAE_MEASURE_IRQOFF")


@pytest.fixture
def repeats(request):
    return request.config.getoption("--repeats")


@pytest.fixture
def seeds(request, repeats):
    first = request.config.getoption("--first-seed")
    return range(first, first + repeats)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    setattr(item, f"report_{call.when}", outcome.get_result())


@pytest.fixture
def folder(request, tmp_path):
    """A folder for a test's files. The large ones go when it has passed; when it has not,
    the report shows the end of each console."""
    yield tmp_path
    report = getattr(request.node, "report_call", None)
    if report is None or not report.passed:
        for log in sorted(tmp_path.glob("*.log")):
            lines = log.read_bytes().decode(errors="replace").replace("\r", "")
            print(f"--- {log}\n" + "\n".join(lines.splitlines()[-80:]))
        return
    for path in tmp_path.iterdir():
        if path.suffix in (".itb", ".img"):
            path.unlink()


@pytest.fixture
def system(folder):
    return pilae.System(folder)

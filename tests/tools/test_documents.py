# SPDX-License-Identifier: MIT
"""SPECIFICATION.md, CAVEATS.md and SECURITY.md: every file and test that they name exists."""

import re

import pytest

from program import TOP

DOCUMENTS = ["SPECIFICATION.md", "CAVEATS.md", "SECURITY.md"]
FOLDERS = ("bench|boot|device|docs|driver|engine|examples|firmware|guests|kernel|riscv|sbi|shell|"
           "tests|tools|virtio|vmm")
NAMED = re.compile(rf"`((?:{FOLDERS})/[\w./-]*)`|`(test_\w+)`|\]\(([^)#]+)[^)]*\)")


def has_test(path, name):
    text = (TOP / path).read_text(encoding="utf-8")
    if path.endswith(".py"):
        return re.search(rf"^def {name}\(", text, re.MULTILINE)
    # In `main` as well: one that does not run is none.
    return (re.search(rf"^static void {name}\(", text, re.MULTILINE)
            and re.search(rf"(cmocka_unit_test\w*|TEST)\({name}\b", text))


def missing(document):
    """What a document names and is not there. A test is in the file that was named before it in its
    cell of a table."""
    found, count = [], 0
    for line in (TOP / document).read_text(encoding="utf-8").splitlines():
        for cell in line.split("|"):
            path = None
            for match in NAMED.finditer(cell):
                named, test, link = match.groups()
                count += 1
                path = named or path
                if test and not (path and has_test(path, test)):
                    found.append(f"{path}: {test}")
                elif not test and not (TOP / (named or link)).exists():
                    found.append(named or link)
    assert count, f"{document} names nothing"
    return found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_is_named_exists(document):
    assert missing(document) == []
    assert document in (TOP / "README.md").read_text(encoding="utf-8")


def test_promises_have_tests():
    """Each row of the tables with tests has one, and each fuzzer is in the list of inputs."""
    for line in (TOP / "SPECIFICATION.md").read_text(encoding="utf-8").split("\n## "):
        rows = [row for row in line.splitlines() if row.startswith("| ")]
        if rows and "test |" in rows[0]:
            assert all("`tests/" in row for row in rows[1:]), line
    security = (TOP / "SECURITY.md").read_text(encoding="utf-8")
    specification = (TOP / "SPECIFICATION.md").read_text(encoding="utf-8")
    for fuzzer in (TOP / "tests/fuzz").glob("fuzz_*.c"):
        assert f"tests/fuzz/{fuzzer.name}" in security + specification, fuzzer.name

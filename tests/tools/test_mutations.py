# SPDX-License-Identifier: MIT
"""The mistakes of tests/mutations, which takes minutes, can still be made."""

import pytest

from program import TOP, load

MUTATIONS = load("tests/mutations").MUTATIONS


@pytest.mark.parametrize("name", MUTATIONS)
def test_applies(name):
    mutation = MUTATIONS[name]
    assert (TOP / mutation.file).read_text(encoding="utf-8").count(mutation.old) == 1
    assert mutation.new != mutation.old

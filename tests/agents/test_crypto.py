"""Secrets at rest."""

import base64

import pytest

from agents.crypto import BadKey, CannotOpen, KeyRing, Secret

OLD, NEW = (base64.urlsafe_b64encode(bytes([n]) * 32).decode() for n in (1, 2))


def test_alex_gets_his_key_back():
    ring = KeyRing([OLD])
    assert ring.open(ring.seal("sk-alex", context="row 1"), context="row 1").reveal() == "sk-alex"


def test_a_ciphertext_copied_to_another_row_does_not_open():
    ring = KeyRing([OLD])
    with pytest.raises(CannotOpen):
        ring.open(ring.seal("sk-alex", context="row 1"), context="row 2")


def test_one_changed_byte_and_it_does_not_open():
    ring = KeyRing([OLD])
    version, key_id, body = ring.seal("sk-alex", context="row 1").split(".")
    raw = bytearray(base64.urlsafe_b64decode(body))
    raw[-1] ^= 1
    with pytest.raises(CannotOpen):
        ring.open(f"{version}.{key_id}.{base64.urlsafe_b64encode(raw).decode()}", context="row 1")


def test_after_rotation_old_values_open_and_new_ones_are_under_the_new_key():
    sealed = KeyRing([OLD]).seal("sk-alex", context="row 1")
    ring = KeyRing([NEW, OLD])
    assert ring.open(sealed, context="row 1").reveal() == "sk-alex"
    assert not ring.is_current(sealed)
    assert ring.is_current(ring.seal("sk-alex", context="row 1"))


def test_without_its_key_a_value_stays_shut():
    sealed = KeyRing([OLD]).seal("sk-alex", context="row 1")
    with pytest.raises(CannotOpen):
        KeyRing([NEW]).open(sealed, context="row 1")


@pytest.mark.parametrize("key", ["", "short", "not base64 !!", base64.urlsafe_b64encode(b"x" * 31).decode()])
def test_a_bad_ring_is_refused(key):
    with pytest.raises(BadKey):
        KeyRing([key])


@pytest.mark.parametrize("garbage", ["", "v1", "v1.x.y", "v2.aaaa.bbbb", "v1..é"])
def test_garbage_does_not_open(garbage):
    with pytest.raises(CannotOpen):
        KeyRing([OLD]).open(garbage, context="row 1")


def test_a_secret_prints_as_three_stars():
    secret = Secret("sk-alex")
    assert [repr(secret), str(secret), f"{secret}", f"{[secret]}", f"{secret}"] == [
        "***",
        "***",
        "***",
        "[***]",
        "***",
    ]
    with pytest.raises(TypeError):
        "Bearer " + secret  # type: ignore[operator]

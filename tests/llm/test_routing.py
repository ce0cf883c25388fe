"""Which key of which provider is tried, in what order."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from llm.health import BREAK_AFTER, Health
from llm.routing import Key, Occupancy, PoolRoute, candidates

MINIMAX, MISTRAL = PoolRoute(provider="minimax", model="MiniMax-M2.5"), PoolRoute(provider="mistral", model="small")
M1 = Key(id="m1", provider="minimax", weight=1, places=10)
M2 = Key(id="m2", provider="minimax", weight=3, places=10)
S1 = Key(id="s1", provider="mistral", weight=1, places=10)
FREE = Occupancy(on_key={}, of_workspace={})


def order(health: Health, *, keys=(M1, M2, S1), occupancy=FREE, now=0.0, seed=1):
    chance = random.Random(seed).random
    found = candidates(routes=[MINIMAX, MISTRAL], keys=keys, health=health, occupancy=occupancy, now=now, chance=chance)
    return [each.key.id for each in found]


def test_the_first_route_comes_first_with_all_its_keys():
    assert set(order(Health())[:2]) == {"m1", "m2"}
    assert order(Health())[2] == "s1"


def test_a_key_of_three_times_the_weight_is_first_three_times_as_often():
    first = Counter(order(Health(), seed=seed)[0] for seed in range(4_000))
    assert 2_800 < first["m2"] < 3_200


def test_a_cooling_key_is_left_out_until_it_is_ready():
    health = Health()
    health.cool("m2", until=10.0, reason="rate limited (429)")
    assert order(health, now=9.9) == ["m1", "s1"]
    assert set(order(health, now=10.0)) == {"m1", "m2", "s1"}


def test_a_provider_in_trouble_is_passed_over():
    health = Health()
    for _ in range(BREAK_AFTER):
        health.ended(key_id="m1", provider="minimax", status=500, now=0.0)
    assert order(health, now=1.0) == ["s1"]


def test_when_everything_is_cooling_the_soonest_ready_is_tried_all_the_same():
    health = Health()
    for key, until in (("m1", 50.0), ("m2", 20.0), ("s1", 30.0)):
        health.cool(key, until=until, reason="rate limited (429)")
    assert order(health) == ["m2", "s1", "m1"]


def test_a_full_key_is_passed_over():
    assert order(Health(), occupancy=Occupancy(on_key={"m1": 10, "m2": 10}, of_workspace={})) == ["s1"]


def test_one_workspace_gets_at_most_half_of_a_key():
    mine = Occupancy(on_key={"m1": 5, "m2": 5}, of_workspace={"m1": 5, "m2": 4})
    assert order(Health(), occupancy=mine) == ["m2", "s1"]


def test_without_keys_there_is_nothing_to_try():
    assert order(Health(), keys=()) == []


@given(
    cooling=st.dictionaries(st.sampled_from(["m1", "m2", "s1"]), st.floats(0, 100)),
    now=st.floats(0, 100),
    seed=st.integers(0, 1_000),
)
def test_each_key_is_tried_at_most_once_and_somebody_always_is(cooling, now, seed):
    health = Health()
    for key, until in cooling.items():
        health.cool(key, until=until, reason="rate limited (429)")
    found = order(health, now=now, seed=seed)
    assert found
    assert len(found) == len(set(found))

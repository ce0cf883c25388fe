"""Which key of which provider is tried, in what order."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from llm.health import BREAK_AFTER, Health
from llm.routing import Key, Occupancy, PoolRoute, Verdict, candidates, explain

MINIMAX, MISTRAL = PoolRoute(provider="minimax", model="MiniMax-M2.5"), PoolRoute(provider="mistral", model="small")
M1 = Key(id="m1", provider="minimax", weight=1, places=10)
M2 = Key(id="m2", provider="minimax", weight=3, places=10)
S1 = Key(id="s1", provider="mistral", weight=1, places=10)
FREE = Occupancy(on_key={}, of_workspace={})


def order(health: Health, *, keys=(M1, M2, S1), occupancy=FREE, now=0.0, seed=1):
    chance = random.Random(seed).random
    found = candidates(
        routes=[MINIMAX, MISTRAL], keys=keys, health=health, occupancy=occupancy, clock=lambda: now, chance=chance
    )
    return [each.key.id for each in found]


def test_the_first_route_comes_first_with_all_its_keys():
    assert set(order(Health())[:2]) == {"m1", "m2"}
    assert order(Health())[2] == "s1"


def test_a_key_of_three_times_the_weight_is_first_three_times_as_often():
    first = Counter(order(Health(), seed=seed)[0] for seed in range(4_000))
    assert 2_800 < first["m2"] < 3_200


def test_a_cooling_key_comes_last_until_it_is_ready():
    health = Health()
    health.cool("m2", until=10.0, reason="rate limited (429)")
    assert order(health, now=9.9) == ["m1", "s1", "m2"]
    assert set(order(health, now=10.0)) == {"m1", "m2", "s1"}


def test_a_provider_in_trouble_comes_last():
    health = Health()
    for _ in range(BREAK_AFTER):
        health.ended(key_id="m1", provider="minimax", status=500, now=0.0)
    assert order(health, now=1.0)[0] == "s1"


def test_once_nobody_else_answers_the_provider_whose_trouble_is_oldest_is_tried():
    health = Health()
    health.down("minimax", until=10.0)
    health.cool("s1", until=12.0, reason="rate limited (429)")
    assert order(health, keys=(M1, S1), now=1.0) == ["m1", "s1"]


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


def test_a_provider_that_recovered_while_another_hung_is_next():
    health, times = Health(), iter([0.0, 0.0, 30.0, 30.0])
    for _ in range(BREAK_AFTER):
        health.ended(key_id="s1", provider="mistral", status=500, now=0.0)
    found = candidates(
        routes=[MINIMAX, MISTRAL],
        keys=[M1, S1],
        health=health,
        occupancy=FREE,
        clock=lambda: next(times),
        chance=lambda: 0.5,
    )
    assert [each.key.id for each in found] == ["m1", "s1"]


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


# --- Why -----------------------------------------------------------------------------------------


def why(health: Health, *, keys=(M1, M2, S1), occupancy=FREE, now=0.0):
    explained = explain(routes=[MINIMAX, MISTRAL], keys=keys, health=health, occupancy=occupancy, now=now)
    return [(each.key.id if each.key else None, each.verdict, each.seconds) for each in explained]


def test_staff_see_what_is_tried_first_and_how_often():
    explained = explain(routes=[MINIMAX, MISTRAL], keys=[M1, M2, S1], health=Health(), occupancy=FREE, now=0.0)
    assert [(each.key and each.key.id, each.share) for each in explained] == [("m2", 0.75), ("m1", 0.25), ("s1", 1.0)]


def test_staff_see_why_a_key_is_passed_over():
    health = Health()
    health.cool("m2", until=10.0, reason="rate limited (429)")
    full = Occupancy(on_key={"m1": 10}, of_workspace={})
    assert why(health, occupancy=full, now=4.0) == [
        ("s1", Verdict.TAKEN, 0.0),
        ("m1", Verdict.FULL, 0.0),
        ("m2", Verdict.COOLING, 6.0),
    ]


def test_staff_see_that_a_provider_is_in_trouble_or_without_a_key():
    health = Health()
    health.down("minimax", until=15.0)
    assert why(health, keys=[M1], now=5.0) == [("m1", Verdict.LAST_RESORT, 10.0), (None, Verdict.NO_KEY, 0.0)]
    assert why(health, keys=[M1, S1], now=5.0) == [("s1", Verdict.TAKEN, 0.0), ("m1", Verdict.DOWN, 10.0)]


@given(
    cooling=st.dictionaries(st.sampled_from(["m1", "m2", "s1"]), st.floats(0, 100)),
    busy=st.dictionaries(st.sampled_from(["m1", "m2", "s1"]), st.integers(0, 10)),
    down=st.sets(st.sampled_from(["minimax", "mistral"])),
    now=st.floats(0, 100),
)
def test_what_is_explained_is_what_is_done(cooling, busy, down, now):
    health = Health()
    for key, until in cooling.items():
        health.cool(key, until=until, reason="rate limited (429)")
    for provider in down:
        health.down(provider, until=50.0)
    occupancy = Occupancy(on_key=busy, of_workspace={})
    explained = explain(routes=[MINIMAX, MISTRAL], keys=[M1, M2, S1], health=health, occupancy=occupancy, now=now)
    goes = [each.key.id for each in explained if each.key and each.verdict.goes]
    assert sorted(goes) == sorted(order(health, occupancy=occupancy, now=now)[: len(goes)])
    assert len(explained) == 3

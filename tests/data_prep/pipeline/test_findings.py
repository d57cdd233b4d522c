import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep import gsm8k, math
from data_prep.pipeline import findings
from data_prep.pipeline.data_set import REASONS, DataSet, Split
from data_prep.pipeline.findings import Findings, Policy

FAULTS = st.lists(st.tuples(st.sampled_from(["gold", "long", "duplicate"]), st.integers(0, 99)), max_size=12)


def found(faults: list[tuple[str, int]]) -> Findings:
    result = Findings()
    for reason, index in faults:
        result.add(reason, index, f"row {index + 1}")
    return result


def joined(*parts: Findings) -> Findings:
    result = Findings()
    for part in parts:
        result.join(part)
    return result


def data_set(**options) -> DataSet:
    return DataSet("x", "X", "", "", (Split("train", "math"),), gsm8k.to_problem, **options)


@given(first=FAULTS, second=FAULTS, third=FAULTS)
def test_joining_gives_what_one_run_over_all_rows_finds(first, second, third):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(findings, "TOLD", 2)
        patch.setattr(findings, "LISTED", 4)
        together = found(first + second + third)
        assert joined(found(first), found(second), found(third)) == together
        assert joined(joined(found(first), found(second)), found(third)) == together
        assert joined(found(first), joined(found(second), found(third))) == together


def test_millions_of_faults_are_counted_and_only_the_first_are_kept():
    many = found([("duplicate", index) for index in range(5000)])
    assert many.rows["duplicate"] == 5000
    assert many.told["duplicate"] == [f"row {index + 1}" for index in range(findings.TOLD)]
    assert many.indices["duplicate"] == list(range(findings.LISTED))
    twice = joined(many, many)
    assert twice.rows["duplicate"] == 10_000
    assert (len(twice.told["duplicate"]), len(twice.indices["duplicate"])) == (findings.TOLD, findings.LISTED)


def test_it_is_full_exactly_when_another_row_would_only_be_counted():
    one_short = found([("long", index) for index in range(findings.LISTED - 1)])
    assert not one_short.is_full("long")
    one_short.add("long", 7, "row 8")
    assert one_short.is_full("long")
    before = list(one_short.indices["long"])
    one_short.add("long", 9, "row 10")
    assert one_short.indices["long"] == before
    assert not one_short.is_full("gold")


def test_a_data_sets_own_share_is_a_limit_and_not_a_licence():
    policy = Policy.of(data_set(drop={"duplicate": 0.01}), drop=(), keep=())
    one, two = [("duplicate", 0)], [("duplicate", 0), ("duplicate", 1)]
    assert found(one).forbidden(policy, 100) == []
    assert found(two).forbidden(policy, 100) == ["duplicate"]
    assert found(one).forbidden(policy, 99) == ["duplicate"]


def test_without_a_policy_one_row_is_too_many():
    policy = Policy.of(data_set(keep=()), drop=(), keep=())
    everything = found([(reason, 0) for reason in REASONS])
    assert everything.forbidden(policy, 10**9) == list(REASONS)
    assert found([]).forbidden(policy, 0) == []


def test_what_the_user_drops_has_no_limit():
    policy = Policy.of(data_set(drop={"gold": 0.001}), drop=["gold", "empty"], keep=())
    assert found([("gold", 0), ("gold", 1), ("empty", 2)]).forbidden(policy, 3) == []


def test_the_user_may_drop_what_the_data_set_keeps():
    policy = Policy.of(data_set(keep=("long", "near-overlap")), drop=["long"], keep=())
    assert (set(policy.drop), policy.keep) == ({"long"}, {"near-overlap"})


def test_the_user_may_keep_what_the_data_set_drops():
    policy = Policy.of(math.DATA_SET, drop=(), keep=["duplicate"])
    assert "duplicate" not in policy.drop
    assert policy.keep == {"duplicate", "long", "near-overlap"}
    assert {"gold", "conflict", "overlap"} == set(policy.drop)


def test_what_is_kept_never_forbids():
    policy = Policy.of(data_set(), drop=(), keep=["duplicate"])
    assert found([("duplicate", index) for index in range(50)]).forbidden(policy, 50) == []


def test_forbidden_reasons_come_in_the_order_in_which_they_are_explained():
    policy = Policy.of(data_set(), drop=(), keep=())
    assert found([("overlap", 0), ("empty", 1), ("image", 2)]).forbidden(policy, 9) == ["empty", "image", "overlap"]


def test_a_listing_counts_explains_and_shows_the_first():
    listing = found([("gold", index) for index in range(1234)] + [("long", 3)]).listing(["gold", "long"])
    first, *shown, more, other, only = listing.splitlines()
    assert first == f"  gold: 1,234 rows; {REASONS['gold']}"
    assert shown == [f"    row {number}" for number in range(1, findings.TOLD + 1)]
    assert more == f"    and {1234 - findings.TOLD:,} more"
    assert other == f"  long: 1 row; {REASONS['long']}"
    assert only == "    row 4"


def test_asking_does_not_change_what_was_found():
    few = found([("gold", 1)])
    few.forbidden(Policy.of(data_set(), (), ()), 10)
    few.is_full("empty")
    assert few == found([("gold", 1)])


def test_a_listing_tells_only_what_was_found():
    assert found([]).listing(REASONS) == ""
    assert found([("image", 0)]).listing(REASONS).count("\n") == 1

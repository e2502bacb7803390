"""Groups cut by hours: against every division of small lists, and what a retry may ask for."""

import itertools
import random

import pytest

from langneurons.runner.groups import Member, cut, key_of, limit_minutes, shares


def members(minutes, limit):
    return [Member(key_of("evaluate", {"number": str(i)}), m, limit) for i, m in enumerate(minutes)]


def divisions(minutes):
    """Every way to divide a list into consecutive parts."""
    for breaks in itertools.product((False, True), repeat=len(minutes) - 1):
        parts = [[minutes[0]]]
        for value, new in zip(minutes[1:], breaks, strict=True):
            if new:
                parts.append([value])
            else:
                parts[-1].append(value)
        yield parts


def test_parts_are_as_few_and_then_as_equal_as_they_can_be():
    draw = random.Random(3)
    for _ in range(200):
        minutes = [draw.randint(1, 40) for _ in range(draw.randint(1, 8))]
        limit = draw.randint(40, 120)
        parts = [[m.minutes for m in part] for part in cut(members(minutes, limit))]
        allowed = [d for d in divisions(minutes) if max(map(sum, d)) <= limit]
        fewest = min(map(len, allowed))
        assert list(itertools.chain(*parts)) == minutes and parts in allowed and len(parts) == fewest
        assert max(map(sum, parts)) == min(max(map(sum, d)) for d in allowed if len(d) == fewest)


def test_a_member_over_its_limit_is_alone():
    assert [[m.minutes for m in part] for part in cut(members([10, 90, 10, 10], 60))] == [[10], [90], [10, 10]]


def test_without_a_limit_a_group_is_whole():
    assert cut([]) == []
    assert len(cut(members([1000] * 50, None))) == 1


def test_the_least_limit_of_a_part_counts():
    mixed = [*members([30, 30], 100), *members([30, 30], 60)]
    assert [sum(m.minutes for m in part) for part in cut(mixed)] == [60, 60]


def test_retries_keep_the_limit():
    part = members([100, 50, 30], 400)
    most = shares(part)
    assert sum(most.values()) <= 400 and all(most[m.job] >= m.minutes for m in part)
    assert most[part[0].job] == pytest.approx(400 * 100 / 180, abs=1)
    assert shares(members([100], None)) == {} == shares(members([100], 60))


@pytest.mark.parametrize("hours", [0, -1, 1.5, "a day", True])
def test_hours_are_whole(hours):
    with pytest.raises(ValueError, match="max_hours: is .*; write whole hours"):
        limit_minutes(hours)
    assert limit_minutes(None) is None and limit_minutes(24) == 1440

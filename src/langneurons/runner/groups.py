"""Which jobs share a Slurm job: groups, cut so that none asks for more than ``max_hours``.

``max_hours`` is a resource that ``profiles/slurm`` gives every rule, in whole hours. A rule's ``group`` names jobs that
may run one after another; what of them is to be run is cut, in the order of its dependencies, into as few parts as the
hours allow, of about equal length. A part is one Slurm job. Without ``max_hours``, a group is one part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

# What ``group-components`` of a profile calls parts: as many unconnected jobs as a part has are one Slurm job.
PARTS = "by-hours"
HOURS = "max_hours"

Key = tuple[str, tuple[tuple[str, str], ...]]  # a job: its rule, and its wildcards by name


@dataclass(frozen=True)
class Member:
    """A job of a group: its time and the most that its Slurm job may ask for, in minutes (None: any)."""

    job: Key
    minutes: int
    limit: int | None


def key_of(rule: str, wildcards: dict[str, str]) -> Key:
    """What names a job."""
    return rule, tuple(sorted(wildcards.items()))


def limit_minutes(hours: Any) -> int | None:
    """``max_hours`` in minutes; None for None. ValueError for anything but a whole number of hours from 1 on."""
    if hours is None:
        return None
    if isinstance(hours, bool) or not isinstance(hours, int) or hours < 1:
        raise ValueError(f"{HOURS}: is {hours!r}; write whole hours, 1 or more, as {HOURS}: 24")
    return 60 * hours


def cut(members: Sequence[Member]) -> list[list[Member]]:
    """Consecutive parts, as few as the limits allow and then of as equal times as their order allows.

    A part's time is the sum of its members', and its limit the least of theirs. A member that is over its own limit is
    a part alone: nothing can be cut from it.
    """
    parts = _fill(members, None)
    low, high = max((m.minutes for m in members), default=0), max((sum(m.minutes for m in p) for p in parts), default=0)
    while low < high:
        middle = (low + high) // 2
        if len(_fill(members, middle)) <= len(parts):
            high = middle
        else:
            low = middle + 1
    return _fill(members, high)


def _fill(members: Sequence[Member], most: int | None) -> list[list[Member]]:
    """Parts filled one after another up to their limits, and up to ``most`` minutes."""
    parts: list[list[Member]] = []
    total, bound = 0, most
    for member in members:
        limits = [limit for limit in (bound, member.limit) if limit is not None]
        if parts and (not limits or total + member.minutes <= min(limits)):
            parts[-1].append(member)
            total, bound = total + member.minutes, min(limits, default=None)
        else:
            parts.append([member])
            total, bound = member.minutes, min((x for x in (most, member.limit) if x is not None), default=None)
    return parts


def shares(part: Sequence[Member]) -> dict[Key, int]:
    """The most minutes of each member, of any attempt, that keep a part within its limit.

    Nothing for a part without a limit, or for a member that is over it at its first attempt.
    """
    total = sum(member.minutes for member in part)
    limit = min((m.limit for m in part if m.limit is not None), default=None)
    if limit is None or total > limit:
        return {}
    return {member.job: member.minutes * limit // total for member in part}


class Groups:
    """The groups of a workflow's rules, cut once Snakemake knows which jobs are to be run."""

    def __init__(self, workflow: Any) -> None:
        self._workflow = workflow
        self._patterns: dict[str, str] = {}
        self._part: dict[Key, str] = {}
        self._share: dict[Key, int] = {}

    def of(self, rule: str, pattern: str) -> Callable[[Any], str]:
        """A group function of ``rule``: jobs whose ``pattern`` is the same may share a Slurm job."""
        self._patterns[rule] = pattern

        def group(wildcards: Any) -> str:
            if not self._part:
                self._cut()
            name = pattern.format(**wildcards)
            part = self._part.get(key_of(rule, dict(wildcards)), name)
            self._workflow.parent_groupids[part] = PARTS
            return part

        return group

    def most(self, rule: str, wildcards: dict[str, str]) -> int | None:
        """The most minutes that a job may ask for where it is tried again; None where nothing bounds them."""
        return self._share.get(key_of(rule, wildcards))

    def _cut(self) -> None:
        """ValueError for a profile of an earlier version, which says how many jobs share a Slurm job."""
        sizes = self._workflow.group_settings.group_components
        if old := sorted({*self._patterns.values()} & set(sizes)):
            raise ValueError(
                f"group-components: {old[0]}: groups are sized by max_hours; write group-components: "
                f"{{{PARTS}: 1000000}}, and max_hours: 24 in default-resources, as profiles/slurm does"
            )
        for name, members in self._members():
            parts = cut(members)
            for number, part in enumerate(parts, 1):
                self._share |= shares(part)
                self._part |= {member.job: name if len(parts) == 1 else f"{name}-{number}" for member in part}

    def _members(self) -> Iterator[tuple[str, list[Member]]]:
        """Each group's jobs that are to be run: what others depend on comes first."""
        dag = self._workflow.dag
        jobs: dict[str, set[Any]] = {}
        for job in dag.needrun_jobs():
            if pattern := self._patterns.get(job.rule.name):
                jobs.setdefault(pattern.format(**job.wildcards_dict), set()).add(job)
        for name, group in jobs.items():
            layers = [sorted(layer, key=_order) for layer in dag.toposorted(group)]
            yield name, [_member(job) for layer in layers for job in layer]


def limit_of(job: Any) -> int | None:
    """``max_hours`` of a job of Snakemake's, in minutes; None where its profile gives none."""
    return limit_minutes(job.resources.get(HOURS))


def _order(job: Any) -> tuple[str, tuple[str, ...]]:
    """Jobs of one rule together, and of them those that begin with the same wildcards."""
    return job.rule.name, tuple(job.wildcards_dict.values())


def _member(job: Any) -> Member:
    return Member(key_of(job.rule.name, dict(job.wildcards_dict)), job.resources.get("runtime", 0), limit_of(job))

"""From a combination to its stack: what is asked of the resolver, who shares the answer, and its environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.files import digest
from harness.core.verdict import Reason, Stage, Status
from harness.environments.interpreters import find_interpreter
from harness.environments.resolve import ResolveRequest
from harness.pipeline.limits import limits_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.environments.environment import Environment, Environments
    from harness.environments.lock import Lock
    from harness.environments.resolve import Asked, Resolution, Resolver
    from harness.matrix import Combination


UV_MEANS: dict[str, tuple[Status, Reason]] = {
    "conflict": (Status.FAIL, Reason.RESOLVER_CONFLICT),
    "no-wheel": (Status.FAIL, Reason.NO_COMPATIBLE_WHEEL),
    "network": (Status.INFRA, Reason.HUB_NETWORK),
    "timeout": (Status.INFRA, Reason.TIMEOUT),
    "disk": (Status.INFRA, Reason.PLATFORM),
    "hash": (Status.INFRA, Reason.HUB_NETWORK),
    "killed": (Status.INFRA, Reason.CRASH),
    "settings": (Status.INFRA, Reason.PLATFORM),
    "laid-over": (Status.FAIL, Reason.UNKNOWN),
    "other": (Status.INFRA, Reason.UNKNOWN),
}
"""What uv's failures say, by their kind."""


def asked_of(combination: Combination) -> Asked:
    """What the combination's stack follows from, once its Python is given."""
    return (
        tuple(sorted(combination.requirements)),
        tuple(sorted(combination.overrides)),
        tuple(sorted(combination.allow_source)),
        combination.exclude_newer,
        tuple(sorted(combination.kept)),
        combination.complete,
        tuple(sorted(combination.constraints)),
        combination.indexes,
        combination.cuda,
    )


def stack_key(combination: Combination) -> str:
    """Equal, on every machine, for combinations that share a stack."""
    return digest([combination.python, *asked_of(combination)])


def request_of(combination: Combination) -> ResolveRequest:
    """What the combination asks the resolver on this machine.

    Raises:
        NoInterpreter: this machine has no such Python.
    """
    return ResolveRequest(str(find_interpreter(combination.python)), *asked_of(combination))


def groups_of(combinations: Iterable[Combination]) -> list[tuple[Combination, ...]]:
    """The combinations, those that share a stack together, in the order of their first ones."""
    groups: dict[str, list[Combination]] = {}
    for each in combinations:
        groups.setdefault(stack_key(each) if each.excluded is None else each.id, []).append(each)
    return [tuple(group) for group in groups.values()]


def ask(combination: Combination, resolver: Resolver) -> Resolution:
    """The combination's lock, or whatever stood in its way.

    Raises:
        NoInterpreter: this machine has no such Python.
    """
    return resolver.resolve(request_of(combination), limits_of(combination, Stage.RESOLVE))


def resolve(combination: Combination, resolver: Resolver) -> Resolution:
    """The combination's lock, or why its requirements cannot be met.

    Raises:
        NoInterpreter: this machine has no such Python.
        UvFailure: the resolver could not be asked.
    """
    resolution = ask(combination, resolver)
    if resolution.failure is not None and not resolution.failure.of_versions:
        raise resolution.failure
    return resolution


def install(combination: Combination, lock: Lock, environments: Environments) -> Environment:
    """The environment of the combination's lock, built unless it is there.

    Raises:
        NoInterpreter: this machine has no such Python.
        UvFailure: it could not be installed.
        InvalidLock: the lock cannot be read.
    """
    interpreter = find_interpreter(combination.python)
    return environments.build(
        lock, interpreter, limits_of(combination, Stage.INSTALL), allow_source=combination.allow_source
    )

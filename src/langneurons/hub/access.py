"""What the Hub would refuse, asked before the first job: a run without a model's terms ends before any GPU works."""

from __future__ import annotations

import time
from collections.abc import Sequence

from langneurons.hub.downloads import Repository
from langneurons.hub.errors import api, as_json, check_endpoint, hub_faults
from langneurons.hub.requests import ask_once, is_transient, unreachable
from langneurons.models.sources import snapshot_files


class _NoNetwork(ValueError):
    """Nothing can be reached."""


def obstacle(repositories: Sequence[Repository]) -> str | None:
    """Why the downloads of a run, one repository per download, cannot all be made; None where they can.

    Either the one reason that nothing can be reached at all, or one line per repository that the Hub refuses.
    """
    try:
        check_endpoint()
    except ValueError as error:
        return f"{error}. Nothing was started"
    try:
        lines = refusals(repositories)
    except _NoNetwork as error:
        count = f"{len(repositories)} downloads need" if len(repositories) > 1 else "1 download needs"
        return (
            f"{count} the Hub, and {error}. Nothing was started. Run again where there is a network (on a cluster, the "
            "login node), or name targets whose downloads are all made: snakemake TARGET"
        )
    return "\n".join(["The Hub refuses what this run needs:", *lines]) if lines else None


def refusals(repositories: Sequence[Repository]) -> list[str]:
    """A line for each repository that the Hub refuses, saying what to do; none where all can be downloaded.

    Asks for a data set's commit, for a model's listing and for its config.json: a gated model's listing is public. A
    Hub that answers no more after its first answer, or is overloaded, refuses nothing: a download waits and tries
    again. ValueError where nothing can be reached, or HF_HUB_OFFLINE is set.
    """
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    lines = []
    for number, repository in enumerate(dict.fromkeys(repositories)):
        try:
            with hub_faults():
                try:
                    _ask(repository, again=number == 0)
                except (httpx2.TransportError, OfflineModeIsEnabled) as error:
                    if (number == 0 and unreachable(error)) or not is_transient(error):
                        raise
                    break  # nor will it answer for the others
                except HfHubHTTPError as error:
                    if not is_transient(error):
                        raise
        except ValueError as error:
            if unreachable(error.__context__):
                raise _NoNetwork(str(error)) from None
            if str(error) not in lines:  # as of a token, or of an address
                lines.append(str(error))
    return lines


def _ask(repository: Repository, again: bool) -> None:
    """Ask for what a download needs; ``again``: a connection that fails is tried once more."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.errors import OfflineModeIsEnabled

    address = api(repository.kind, repository.name, "revision", repository.revision)
    try:
        answer = ask_once(address)
    except Exception as error:
        if not (again and unreachable(error)) or isinstance(error, OfflineModeIsEnabled):
            raise
        time.sleep(1)
        answer = ask_once(address)
    as_json(answer, str(repository))
    if repository.kind == "model":
        snapshot_files(repository)
        ask_once(hf_hub_url(repository.name, "config.json", revision=repository.revision), "HEAD")

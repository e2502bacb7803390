"""What the Hub would refuse, asked before the first job: a run without a model's terms ends before any GPU works."""

from __future__ import annotations

from collections.abc import Iterable

from langneurons.downloads import TIMEOUT, Repository, may_pass
from langneurons.hub import hub_faults
from langneurons.models.sources import snapshot_files


def refusals(repositories: Iterable[Repository]) -> list[str]:
    """A line for each repository that the Hub refuses, saying what to do; none where all can be downloaded.

    Asks for a data set's commit, for a model's listing and for its config.json: a gated model's listing is public. A
    Hub that cannot be reached, or is overloaded, refuses nothing: a download waits and tries again.
    """
    asked = (_refusal(repository) for repository in dict.fromkeys(repositories))
    return [line for line in asked if line is not None]


def _refusal(repository: Repository) -> str | None:
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    try:
        with hub_faults():
            try:
                _ask(repository)
            except httpx2.TransportError:
                pass
            except HfHubHTTPError as error:
                if not may_pass(error.response.status_code):
                    raise
    except ValueError as error:
        return str(error)
    return None


def _ask(repository: Repository) -> None:
    from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url

    if repository.kind == "dataset":
        HfApi().dataset_info(repository.name, revision=repository.revision, timeout=TIMEOUT)
        return
    snapshot_files(repository)
    address = hf_hub_url(repository.name, "config.json", revision=repository.revision)
    get_hf_file_metadata(address, timeout=TIMEOUT)

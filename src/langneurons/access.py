"""What the Hub would refuse, asked before the first job: a run without a model's terms ends before any GPU works."""

from __future__ import annotations

from collections.abc import Iterable

from langneurons.downloads import TIMEOUT, Repository, may_pass
from langneurons.hub import hub_faults
from langneurons.models.sources import snapshot_files


def refusals(repositories: Iterable[Repository]) -> list[str]:
    """A line for each repository that the Hub refuses, saying what to do; none where all can be downloaded.

    Asks for a data set's commit, for a model's listing and for its config.json: a gated model's listing is public. A
    Hub that cannot be reached, or is overloaded, refuses nothing: a download waits and tries again. Where
    HF_HUB_OFFLINE is set, one line says so.
    """
    import httpx2
    from huggingface_hub import is_offline_mode
    from huggingface_hub.errors import HfHubHTTPError

    told = []
    for repository in dict.fromkeys(repositories):
        try:
            with hub_faults():
                try:
                    _ask(repository)
                except httpx2.TransportError:
                    break  # nor will it answer for the others
                except HfHubHTTPError as error:
                    if not may_pass(error.response.status_code):
                        raise
        except ValueError as error:
            told.append(str(error))
            if is_offline_mode():
                break  # so it is of all of them
    return told


def _ask(repository: Repository) -> None:
    from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url

    if repository.kind == "dataset":
        HfApi().dataset_info(repository.name, revision=repository.revision, timeout=TIMEOUT)
        return
    snapshot_files(repository)
    address = hf_hub_url(repository.name, "config.json", revision=repository.revision)
    get_hf_file_metadata(address, timeout=TIMEOUT)

"""The Hugging Face Hub: what it refuses, in words that say what to do; and a repository's commit, to pin it.

``python -m langneurons.hub commit meta-llama/Llama-3.1-8B`` prints the commit that the configuration asks for; a data
set's name has ``datasets/`` before it.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def hub_faults() -> Iterator[None]:
    """Turn what the Hub refuses, or its silence, into a ValueError of one line that says what to do."""
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except errors.RepositoryNotFoundError as error:
        page = f"https://huggingface.co/{'datasets/' if error.repo_type == 'dataset' else ''}{error.repo_id}"
        if isinstance(error, errors.GatedRepoError):
            told = f"is gated: accept its terms at {page}, then set HF_TOKEN to a token of the account that did"
        else:
            told = f"is not at {page}; check its name, or if it is private set HF_TOKEN"
        raise ValueError(f"{error.repo_id} {told}") from None
    except errors.RevisionNotFoundError as error:
        revision = re.search(r"/(?:resolve|tree|revision)/([^/?]+)", str(error.response.url))
        raise ValueError(
            f"{error.repo_id} has no revision {revision[1] if revision else ''}; check it in the configuration"
        ) from None
    except errors.RemoteEntryNotFoundError as error:
        raise ValueError(f"{error.repo_id} has no {error.response.url.path}; check the configuration") from None
    except errors.HfHubHTTPError as error:
        status, url = error.response.status_code, error.response.url
        advice = "check HF_TOKEN" if status in (401, 403) else "try again later"
        # Without its query: a signed address is as good as a token while it lasts.
        raise ValueError(f"the Hub answers {status} to {url.copy_with(query=None)}; {advice}") from None
    except (errors.OfflineModeIsEnabled, httpx2.TransportError) as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(
            f"the Hub cannot be reached ({told}); check the network, HF_ENDPOINT, HF_HUB_OFFLINE"
        ) from None


def commit_of(name: str, branch: str = "main") -> str:
    """The commit that a branch of a repository is at now: 40 hexadecimal digits.

    ``name`` is ``owner/name`` of a model, or ``datasets/owner/name``. ValueError, one line, where the Hub refuses.
    """
    from huggingface_hub import HfApi

    kind, repository = ("dataset", name.removeprefix("datasets/")) if name.startswith("datasets/") else ("model", name)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise ValueError(f"'{name}' is no repository; write owner/name, or datasets/owner/name of a data set")
    with hub_faults():
        return HfApi().repo_info(repository, repo_type=kind, revision=branch).sha


def main(arguments: list[str]) -> int:
    """``commit NAME [NAME …]``: a line a repository, its commit and its name."""
    parser = argparse.ArgumentParser(prog="python -m langneurons.hub")
    commands = parser.add_subparsers(required=True)
    commit = commands.add_parser("commit", help="print the commit to write as a revision in the configuration")
    commit.add_argument("names", nargs="+", metavar="NAME", help="owner/name, or datasets/owner/name of a data set")
    commit.add_argument("--branch", default="main", help="branch or tag to read (main)")
    asked = parser.parse_args(arguments)
    try:
        for name in asked.names:
            print(f"{commit_of(name, asked.branch)}  {name}")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

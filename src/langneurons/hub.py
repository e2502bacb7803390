"""What the Hugging Face Hub refuses, in words that say what to do."""

from __future__ import annotations

import contextlib
import re
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
    except (
        errors.HfHubHTTPError,
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
        httpx2.TransportError,
    ) as e:
        cause = e.__cause__ if isinstance(e, errors.LocalEntryNotFoundError) and e.__cause__ else e
        if isinstance(cause, errors.HfHubHTTPError):
            advice = "check HF_TOKEN" if cause.response.status_code in (401, 403) else "try again later"
            raise ValueError(
                f"the Hub answers {cause.response.status_code} to {cause.response.url}; {advice}"
            ) from None
        told = " ".join(f"{type(cause).__name__}: {cause}".split())
        raise ValueError(
            f"the Hub cannot be reached ({told}); check the network, HF_ENDPOINT, HF_HUB_OFFLINE"
        ) from None

"""The Hugging Face Hub: what it refuses, in words that say what to do."""

from __future__ import annotations

import contextlib
import os
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2


@contextlib.contextmanager
def hub_faults() -> Iterator[None]:
    """Turn what the Hub refuses, or its silence, into a ValueError of one line that says what to do."""
    check_endpoint()
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except errors.RepositoryNotFoundError as error:
        page = f"https://huggingface.co/{'datasets/' if error.repo_type == 'dataset' else ''}{error.repo_id}"
        if isinstance(error, errors.GatedRepoError):
            reason = f"is gated: accept its terms at {page}, then set HF_TOKEN to a token of the account that did"
        else:
            reason = f"is not at {page}; check its name, or if it is private set HF_TOKEN"
        raise ValueError(f"{error.repo_id} {reason}") from None
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
    except httpx2.TooManyRedirects as error:
        raise ValueError(
            f"the Hub's redirects form a loop, from {_where(error)}; check HF_ENDPOINT{_through()}, or try again later"
        ) from None
    except httpx2.InvalidURL as error:
        raise ValueError(
            f"an address of the Hub is not valid ({_told(error)}); check HF_ENDPOINT{_through()}"
        ) from None
    except (errors.OfflineModeIsEnabled, httpx2.TransportError) as error:
        raise ValueError(
            f"the Hub cannot be reached ({_told(error)}); check the network, HF_ENDPOINT, HF_HUB_OFFLINE{_through()}"
        ) from None
    except httpx2.RequestError as error:
        raise ValueError(
            f"an answer of the Hub cannot be read ({_told(error)}) at {_where(error)}; try again later{_through()}"
        ) from None


def _told(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _where(error: httpx2.RequestError) -> str:
    """The address that was asked for, without its query: a signed one is as good as a token while it lasts."""
    return str(error.request.url.copy_with(query=None))


def _proxies() -> dict[str, str]:
    """Variable -> address of the proxies that are set."""
    names = {name: variable for variable in os.environ if (name := variable.lower()).endswith("_proxy")}
    names |= {name: name for name in names if name in os.environ}  # the lower-case spelling is the one in force
    found = {names.get(f"{scheme}_proxy", ""): at for scheme, at in urllib.request.getproxies().items() if at}
    return {variable: address for variable, address in found.items() if variable not in ("", "no_proxy", "NO_PROXY")}


def _through() -> str:
    """The proxies, for a message, without the names and passwords in their addresses."""
    names = [f"{variable} ({re.sub(r'[^/@]*@', '', address)})" for variable, address in sorted(_proxies().items())]
    return f" and the proxy of {', '.join(names)}" if names else ""


def api(kind: str, name: str, what: str, revision: str, folder: str | None = None) -> str:
    """The address of what the Hub says of a repository: ``what`` is "tree" or "revision"."""
    from huggingface_hub import constants

    within = f"/{urllib.parse.quote(folder)}" if folder else ""
    return f"{constants.ENDPOINT}/api/{kind}s/{name}/{what}/{urllib.parse.quote(revision, safe='')}{within}"


def as_json(answer: httpx2.Response, what: str) -> object:
    """What an answer says; ValueError where that is no JSON, as a page of a proxy or of a login."""
    try:
        return answer.json()
    except ValueError:
        kind = answer.headers.get("Content-Type", "nothing").partition(";")[0]
        raise ValueError(
            f"{what}: {answer.url.copy_with(query=None)} answers with {kind} instead of JSON; check HF_ENDPOINT and "
            "whether a proxy or a login page answers in the Hub's place"
        ) from None


def check_settings() -> None:
    """ValueError for an address of the Hub or of a proxy, or a token, that no request can be made with.

    Neither the token nor the password in an address is printed.
    """
    check_endpoint()
    import httpx2

    for variable, address in _proxies().items():
        try:
            httpx2.Proxy(url=address if "://" in address else f"http://{address}")
        except (ValueError, httpx2.InvalidURL) as error:
            reason = str(error).replace(address, "…")
            raise ValueError(
                f"{variable} is not the address of a proxy ({reason}); write http://HOST:PORT, or unset it"
            ) from None
        if address.startswith("socks"):
            _check_socks(variable)
    where, token = _token()
    if "\n" in token or "\r" in token:
        raise ValueError(f"{where} holds a line break within the token; write the token alone")
    strange = re.search(r"[^\x21-\x7e]", token)
    if strange:
        raise ValueError(
            f"{where}: character {strange.start() + 1} of the token is U+{ord(strange[0]):04X}, and a token has "
            "ASCII letters and digits alone; copy it again"
        )


def check_endpoint() -> None:
    """ValueError where HF_ENDPOINT is no address. Before huggingface_hub is imported, which parses it and fails."""
    address = os.environ.get("HF_ENDPOINT")
    if address is None:
        return
    try:
        parts = urllib.parse.urlsplit(address)
        reason = "" if parts.port is None or parts.port > 0 else "Port out of range 1-65535"
        if parts.scheme not in ("http", "https") or not parts.hostname:
            reason = "it has no http:// or https:// with a host"
    except ValueError as error:
        reason = str(error).replace(address, "…")
    if reason:
        reason = re.sub(r"[^/@\s']*@", "", reason)
        raise ValueError(
            f"HF_ENDPOINT is not the address of a Hub ({reason}); write https://HOST or http://HOST:PORT, or unset it"
        )


def _check_socks(variable: str) -> None:
    try:
        import socksio  # noqa: F401
    except ImportError:
        raise ValueError(f"{variable}: a SOCKS proxy needs the package socksio; install it, or use http://") from None


def _token() -> tuple[str, str]:
    """Where the token stands, and the token; empty where there is none. As huggingface_hub looks for it."""
    from huggingface_hub import constants

    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if token := os.environ.get(variable, "").strip():
            return variable, token
    path = Path(constants.HF_TOKEN_PATH)
    try:
        return str(path), path.read_bytes().decode("utf-8", "surrogateescape").strip()
    except OSError:
        return "", ""

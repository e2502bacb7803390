"""Requests to the Hub: listings that are checked, and how long a Hub that does not answer is waited for.

huggingface_hub's own functions are not used for this: they wait for as long as an answer's Retry-After says, follow a
listing's next page to any host with the token, and pass on answers that are not listings.
"""

from __future__ import annotations

import email.utils
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from langneurons.hub.errors import as_json, check_settings

if TYPE_CHECKING:
    import httpx2

WAITS = (1, 2, 4, 8, 16, 32)  # seconds between tries that brought nothing new
LONGEST_WAIT = 600  # seconds; a Hub that asks for more is not waited for
TIMEOUT = 30  # seconds without a byte
CONNECT = 10  # seconds until a connection is there
# Written by a download that waited in vain for a Hub that cannot be reached: the other downloads of the run then do
# not wait again, and for the first minute do not even try.
GONE = Path(".snakemake/langneurons_no_network")
GONE_UNTRIED, GONE_UNWAITED = 60, 600  # seconds


def timeout() -> httpx2.Timeout:
    import httpx2

    return httpx2.Timeout(TIMEOUT, connect=min(CONNECT, TIMEOUT))


def is_transient(error: Exception) -> bool:
    """Whether a request that failed with this error is worth repeating."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return status in (408, 425, 429) or status >= 500
    return isinstance(error, httpx2.TransportError) and not isinstance(
        error, (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)
    )


def unreachable(error: BaseException | None) -> bool:
    """Whether nothing was reached at all: no name, no connection, no proxy, or a client that is set offline."""
    import httpx2
    from huggingface_hub.errors import OfflineModeIsEnabled

    return isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError, OfflineModeIsEnabled))


class Unreachable(ValueError):
    """The Hub cannot be reached, which another download of this run found out by waiting."""


class Retries:
    """The waits between the tries of one request, growing while nothing new arrives."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.fruitless = 0
        if (age := _gone_since()) is not None and age < GONE_UNTRIED:
            raise Unreachable(_gone(age))

    def wait(self, error: Exception | None, brought: bool) -> None:
        """Wait until the next try; raise ``error`` where it is not worth one. ``brought``: something new arrived.

        ``error`` is None where an answer ended early.
        """
        if error is not None and not is_transient(error):
            raise error
        self.fruitless = 0 if brought else self.fruitless + 1
        if error is not None and unreachable(error) and (age := _gone_since()) is not None and age < GONE_UNWAITED:
            _write_gone()
            raise Unreachable(_gone(age)) from error
        if self.fruitless > len(WAITS):
            if error is not None and unreachable(error):
                _write_gone()
            raise error or ValueError(f"{self.what}: the Hub sends nothing of it; try again later")
        seconds: float = WAITS[max(0, self.fruitless - 1)]
        response = getattr(error, "response", None)
        asked = _asked_for(response.headers) if response is not None else None
        if error is not None and asked is not None and asked > LONGEST_WAIT:
            raise error
        seconds = seconds if asked is None else asked
        said = f"{type(error).__name__}" if response is None else f"the Hub answers {response.status_code}"
        print(f"{self.what}: {said if error else 'cut off'}; going on in {seconds:g} s", flush=True)
        time.sleep(seconds)


def _gone_since() -> float | None:
    try:
        return max(0.0, time.time() - GONE.stat().st_mtime)
    except OSError:
        return None


def _gone(age: float) -> str:
    return (
        f"the Hub cannot be reached: {age:.0f} s ago another download of this run found no network after waiting "
        f"{sum(WAITS)} s, so this one did not wait again; start the run again when there is a network"
    )


def _write_gone() -> None:
    if GONE.parent.is_dir():  # a run of Snakemake, whose other downloads look there
        GONE.touch()


def ask(url: str, what: str) -> httpx2.Response:
    """The answer to a request of the Hub, repeated where that helps. The Hub's own errors pass."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    retries = Retries(what)
    while True:
        try:
            return ask_once(url)
        except (httpx2.TransportError, HfHubHTTPError) as error:
            retries.wait(error, brought=False)


def ask_once(url: str, method: str = "GET") -> httpx2.Response:
    """As :func:`ask`, once. Another host than the Hub's gets no token, nor does one that it redirects to."""
    from huggingface_hub import constants, get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    check_settings()
    headers = build_hf_headers(token=None if _origin(url) == _origin(constants.ENDPOINT) else False)
    answer = get_session().request(method, url, headers=headers, timeout=timeout())
    hf_raise_for_status(answer)
    answered()
    return answer


def answered() -> None:
    """The Hub can be reached: what an earlier download found out holds no longer."""
    GONE.unlink(missing_ok=True)


def _origin(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def pages(url: str, what: str) -> Iterator[list[dict]]:
    """The pages of a listing: objects, in lists. ValueError where an answer is none, or pages form a loop."""
    seen = set()
    while url:
        if url in seen:
            raise ValueError(f"{what}: the pages of the Hub's listing form a loop; try again later")
        seen.add(url)
        answer = ask(url, f"the listing of {what}")
        page = as_json(answer, what)
        if not isinstance(page, list) or not all(isinstance(entry, dict) for entry in page):
            raise ValueError(f"{what}: the Hub's answer is not a list of files; check HF_ENDPOINT, or try again later")
        yield page
        link = answer.links.get("next", {}).get("url")
        url = urllib.parse.urljoin(str(answer.url), link) if link else ""


def _asked_for(headers: httpx2.Headers) -> float | None:
    """Seconds that an answer asks to wait: Retry-After (seconds or a date), or the Hub's own rate limit."""
    from huggingface_hub.utils import parse_ratelimit_headers

    if text := headers.get("Retry-After"):
        if text.isascii() and text.isdigit():
            return float(text)
        try:
            return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
        except ValueError:
            return None
    limit = parse_ratelimit_headers(headers)
    return float(limit.reset_in_seconds) if limit is not None and limit.remaining == 0 else None

"""Snapshots from the Hugging Face hub and from ModelScope, and a folder to the former: one attempt each, a short reason
when it fails."""

import os
from pathlib import Path

CONNECT_SECONDS = 5


class HubError(Exception):
    """A hub did not give what was asked of it; the text is a short reason, fit for a list of places tried."""


def from_hugging_face(
    repo_id: str,
    *,
    kind: str = "model",
    wanted: list[str] | None = None,
    unwanted: list[str] | None = None,
    cached_only: bool = False,
) -> Path:
    """Return the folder of a snapshot in the Hugging Face cache, downloading what is missing.

    Args:
        repo_id: ``owner/name``.
        kind: "model" or "dataset".
        wanted: glob patterns of the files to fetch; all when None.
        unwanted: glob patterns of files to leave out.
        cached_only: look into the cache and nowhere else. HF_HUB_OFFLINE=1 has the same effect.

    Raises:
        HubError: with the reason.
    """
    import httpx
    from huggingface_hub import errors, is_offline_mode, snapshot_download
    from huggingface_hub.constants import ENDPOINT

    try:
        snapshot = snapshot_download(
            repo_id,
            repo_type=kind,
            allow_patterns=wanted,
            ignore_patterns=unwanted,
            local_files_only=cached_only,
            etag_timeout=CONNECT_SECONDS,
        )
    except errors.HFValidationError:
        raise HubError("not a repository name (owner/name)") from None
    except errors.GatedRepoError:
        raise HubError("gated: accept its terms on its page, then set HF_TOKEN") from None
    except errors.RepositoryNotFoundError:
        raise HubError("no such repository, or a private one (then set HF_TOKEN)") from None
    except (OSError, httpx.HTTPError) as error:
        if cached_only:
            raise HubError("not in its cache") from None
        if is_offline_mode():
            raise HubError("not in its cache, and HF_HUB_OFFLINE is set") from None
        raise HubError(f"not to be had from {ENDPOINT}: {_deepest_cause(error)}") from error
    return Path(snapshot)


def from_modelscope(
    repo_id: str,
    *,
    kind: str = "model",
    wanted: list[str] | None = None,
    unwanted: list[str] | None = None,
    cached_only: bool = False,
) -> Path:
    """Return the folder of a snapshot in the ModelScope cache; arguments and errors as in ``from_hugging_face``."""
    import requests
    from huggingface_hub import is_offline_mode

    if not cached_only and is_offline_mode():
        raise HubError("HF_HUB_OFFLINE is set")
    if cached_only and not _in_modelscope_cache(repo_id):
        raise HubError("not in its cache")
    try:
        from modelscope.hub.snapshot_download import snapshot_download
        from modelscope_hub.config import HubConfig
        from modelscope_hub.errors import HubError as ModelScopeError
    except ImportError:
        raise HubError("the Python package modelscope is not installed") from None

    endpoint = HubConfig().endpoint
    try:
        if not cached_only:
            # Its own client retries for 20 s and more before it says that there is no network.
            requests.head(endpoint, timeout=CONNECT_SECONDS, allow_redirects=False)
        snapshot = snapshot_download(
            repo_id=repo_id,
            repo_type=kind,
            allow_patterns=wanted,
            ignore_patterns=unwanted,
            local_files_only=cached_only,
        )
    except (OSError, ModelScopeError, ValueError) as error:
        if cached_only:
            raise HubError("not in its cache") from None
        raise HubError(f"not to be had from {endpoint}: {_deepest_cause(error)}") from error
    return Path(snapshot)


def check_upload(repo_id: str) -> None:
    """Check that something can be uploaded to a repository of the Hugging Face hub, as far as reading it tells.

    Raises:
        HubError: with the reason.
    """
    import httpx
    from huggingface_hub import HfApi, errors, get_token, is_offline_mode
    from huggingface_hub.constants import ENDPOINT
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo_id)
    except errors.HFValidationError:
        raise HubError("not a repository name (owner/name)") from None
    if "/" not in repo_id:
        raise HubError("not a repository name (owner/name)")
    if is_offline_mode():
        raise HubError("HF_HUB_OFFLINE is set")
    if not get_token():
        raise HubError("no token: run `hf auth login`, or set HF_TOKEN")
    try:
        HfApi().whoami()
    except errors.HfHubHTTPError as error:
        raise HubError(f"{ENDPOINT} does not accept the token ({_deepest_cause(error)})") from None
    except (OSError, httpx.HTTPError) as error:
        raise HubError(f"{ENDPOINT} cannot be reached: {_deepest_cause(error)}") from error


def to_hugging_face(folder: Path, repo_id: str) -> str:
    """Upload a folder to a repository, which is made, private, if it is not there; return its address.

    Raises:
        HubError: with the reason.
    """
    import httpx
    from huggingface_hub import HfApi, errors

    try:
        address = HfApi().create_repo(repo_id, private=True, exist_ok=True)
        HfApi().upload_folder(folder_path=folder, repo_id=repo_id)
    except (OSError, ValueError, httpx.HTTPError, errors.HfHubHTTPError) as error:
        raise HubError(f"could not be uploaded: {_deepest_cause(error)}") from error
    return str(address)


def _in_modelscope_cache(repo_id: str) -> bool:
    """Say whether a cache of ModelScope has a folder of this repository, without importing its client (3 s).

    Source: the layouts that ``modelscope_hub/_download.py`` knows, ``_find_legacy_repo_dir`` among them.
    """
    base = Path(os.environ.get("MODELSCOPE_CACHE") or Path.home() / ".cache" / "modelscope").expanduser()
    owner, _, name = repo_id.partition("/")
    names = {name, name.replace(".", "___")}
    folders = [base, base / "hub"]
    folders += [folder / kind for folder in folders for kind in ("models", "datasets")]
    return any(
        (folder / owner / each).is_dir() or (folder / f"{owner}--{each}").is_dir()
        for folder in folders
        for each in names
    )


def _deepest_cause(error: BaseException) -> str:
    """Return the first line of the exception that started it all: the outer ones only wrap it in prose."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]

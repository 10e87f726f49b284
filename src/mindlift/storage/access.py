"""The way into one store: its settings and keys, read again when the store says that they have expired."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import quote

from mindlift.errors import AccessError, ConfigError
from mindlift.forks import FORKS, Shared
from mindlift.storage.proxies import proxy_for
from mindlift.storage.settings import Keys, Settings, key_text, read_keys, read_settings

SAFE = "/~-._"
NO_KEYS = (
    "no access key for the store: set ACCESS_KEY_ID and SECRET_ACCESS_KEY (or AWS_ACCESS_KEY_ID and"
    " AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws/credentials), and S3_ENDPOINT if it is not AWS"
)
# host -> whether it has answered, False once it was said to be silent; keys of one store may change as a program runs
ANSWERS: dict[str, bool] = {}


class Access(Shared):
    """Settings and keys of a store; `given` are the keywords of `set_auth`. Threads may share one."""

    def __init__(self, given: Mapping[str, object] | None = None, has_answered: bool = False):
        super().__init__()
        self.given = dict(given or {})
        self.settings: Settings = read_settings(os.environ, self.given)
        self.host = self.settings.host
        if has_answered:
            self.note_answer()
        self.known: Keys | None = None

    def __reduce__(self) -> tuple:
        return Access, (self.given, self.has_answered)

    @property
    def has_answered(self) -> bool:
        """Whether the store has ever answered this process, or the one that this Access comes from."""
        return ANSWERS.get(self.host, False)

    def note_answer(self) -> None:
        ANSWERS[self.host] = True

    @property
    def route(self) -> str:
        """The store and the proxy before it, each with the variable that names it."""
        proxy = proxy_for(self.settings.is_secure, self.settings.host)
        return f"{self.settings.named_endpoint}{f' by the proxy {proxy}' if proxy.address else ''}"

    @property
    def is_said_silent(self) -> bool:
        return self.host in ANSWERS

    def note_silence(self) -> None:
        ANSWERS.setdefault(self.host, False)

    def keys(self) -> Keys:
        """The keys in use; AccessError if there are none."""
        known = self.known
        if known is None:
            with self.lock:
                known = self.known = self.known or self.find()
        return known

    def renew(self, refused: Keys) -> bool:
        """Read the keys again after the store has refused some; whether there are others now.

        A file that is being replaced just now, and so is empty or gone, has no others yet.
        """
        with self.lock:
            if self.known == refused:
                try:
                    self.known = self.find()
                except (AccessError, ConfigError):
                    return False
            return self.known != refused

    def find(self) -> Keys:
        found = read_keys(os.environ, self.given)
        if found:
            return found
        with FORKS.importing():
            import botocore.exceptions
            import botocore.session

        try:
            chain = botocore.session.Session().get_credentials()
            if chain is None:
                raise AccessError(NO_KEYS)
            frozen = chain.get_frozen_credentials()
        except botocore.exceptions.BotoCoreError as err:
            raise ConfigError(f"no access key for the store: {' '.join(str(err).split())}") from err
        found_at = f"a key that boto3 has found ({chain.method})"
        access, secret, token = (
            key_text(found_at, text) for text in (frozen.access_key, frozen.secret_key, frozen.token)
        )
        return Keys(access, secret, token, chain.method)

    def address(self, bucket: str, key: str) -> tuple[str, str]:
        """Host header and path of an object, percent-encoded as SigV4 wants it."""
        path = quote(f"/{key}", safe=SAFE)
        if self.is_path_style(bucket):
            return self.host, f"/{bucket}{path}"
        return f"{bucket}.{self.host}", path

    def is_path_style(self, bucket: str) -> bool:
        """Also for buckets whose name can't be a part of a host name."""
        return self.settings.path_style or bucket.lower() != bucket or "." in bucket or "_" in bucket

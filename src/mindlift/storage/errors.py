"""The exceptions of `moxing.file`, each also the builtins that its callers catch."""

from __future__ import annotations

from dataclasses import dataclass

from mindlift.errors import MindLiftError, TransferError


@dataclass(frozen=True)
class Response:
    """What a store answered, under the names of the OBS SDK's response object."""

    status: int
    errorCode: str = ""
    errorMessage: str = ""
    requestId: str = ""

    @property
    def reason(self) -> str:
        return self.errorMessage


class _WithResponse(TransferError, RuntimeError):
    """`resp` has `status`, `errorCode` and `errorMessage` of the store's answer."""

    def __init__(self, resp: Response | None = None, *args: object):
        super().__init__(*args)
        self.resp = resp

    def __reduce__(self) -> tuple:
        return type(self), (self.resp, *self.args)

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else f"the store answered {self.resp}"


class MoxFileNotExistsException(MindLiftError, FileNotFoundError, RuntimeError):
    """There is no such file or folder."""

    exit_code = 2


class MoxFileNameDuplicateException(TransferError, RuntimeError):
    """An object and a folder of one name can't both be on a local disk."""


class MoxFileReadException(_WithResponse):
    """The answer began well and broke off."""


class MoxFileRespException(_WithResponse):
    """The store refused: an HTTP status of 300 or more."""

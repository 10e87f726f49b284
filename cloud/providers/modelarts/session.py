"""Calls of the ModelArts SDK: credentials, one request at a time, and its failures in our words."""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cloud.errors import JobError, NoAnswer, NoSuchJob, Overloaded, Refused, ServiceError
from cloud.job import Job
from src.model_utils.moxing_shim import settings

SERVICE = "ModelArts"
TIMEOUT_S = (10, 60)  # connect, read
ADVICE = {
    "ModelArts.2751": "choose another name, or leave name out",
    "ModelArts.2753": "train_url and data_url have to be folders of a bucket of this region",
    "ModelArts.2757": "look at code_url", "ModelArts.2758": "look at boot_file",
    "ModelArts.2759": "keep data out of the repository", "ModelArts.2760": "keep data out of the repository",
    "ModelArts.2761": "keep data out of the repository", "ModelArts.2763": "the flavor does not fit the engine; see selfcheck",
    "ModelArts.2773": "look at the bucket's policy and the agency", "ModelArts.2780": "selfcheck lists the engines",
    "ModelArts.2781": "selfcheck lists the flavors", "ModelArts.2784": "look at the keys and the project",
    "ModelArts.2785": "authorise ModelArts to use OBS (console: Settings, Authorization)",
    "ModelArts.2791": "paths are obs://bucket/folder/", "ModelArts.2793": "look at nodes",
}  # fmt: skip
NO_SUCH_JOB = "ModelArts.2775"


@dataclass(frozen=True)
class Keys(settings.Keys):
    """An access key of Huawei Cloud, and the project that was found with it."""

    project_id: str = ""


def read_keys(env: Mapping[str, str]) -> Keys:
    """HUAWEICLOUD_SDK_AK/SK, the SDK's profile file, then the names that the storage layer reads; else JobError."""
    families = (
        ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN"),
        *settings.KEY_FAMILIES,
    )
    for number, (access, secret, token) in enumerate(families):
        if env.get(access) or env.get(secret):
            if not (env.get(access) and env.get(secret)):
                raise JobError(f"of {access} and {secret} only one is set; set both")
            project = env.get("HUAWEICLOUD_SDK_PROJECT_ID", "")
            return Keys(env[access], env[secret], env.get(token, ""), access, project)
        if number == 0 and (found := read_profile(env)):
            return found
    raise JobError(
        "no keys for ModelArts: export HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK, or write them to ~/.huaweicloud/credentials"
    )


def read_profile(env: Mapping[str, str]) -> Keys | None:
    """Section [basic] of the SDK's own file, if there is one."""
    home = Path(env.get("HOME") or Path.home())
    path = Path(env.get("HUAWEICLOUD_SDK_CREDENTIALS_FILE") or home / ".huaweicloud" / "credentials")
    if not path.is_file():
        return None
    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        raise JobError(
            f"{path} is no credentials file; expected [basic] with ak, sk and project_id"
        ) from None
    values = dict(parser.items("basic")) if parser.has_section("basic") else {}
    if not values.get("ak") or not values.get("sk"):
        return None
    project = env.get("HUAWEICLOUD_SDK_PROJECT_ID") or values.get("project_id", "")
    return Keys(values["ak"], values["sk"], values.get("security_token", ""), str(path), project)


class Session:
    """A client of one region and project; made when it is first used, for the SDK takes 1.5 s to import."""

    def __init__(self, job: Job, env: Mapping[str, str] | None = None):
        self.env = os.environ if env is None else env
        self.endpoint = job.endpoint
        self.region = job.region or next(
            (self.env[name] for name in ("HUAWEICLOUD_REGION", "OS_REGION_NAME") if self.env.get(name)), ""
        )
        self.given_project = job.project_id
        self._client: Any = None
        self._project = ""

    @property
    def place(self) -> str:
        """The region, or the host of the endpoint; the first part of handles."""
        return urlsplit(self.endpoint).netloc or self.endpoint if self.endpoint else self.region

    def at(self, place: str, project: str) -> Session:
        """This session, or for a handle of another place one there."""
        if not self.endpoint and not self.region:
            if ":" in place or "." in place:
                scheme = "http" if place.startswith(("127.0.0.1", "localhost")) else "https"
                self.endpoint = f"{scheme}://{place}"
            else:
                self.region = place
        self.given_project = self.given_project or project
        return self

    @property
    def client(self) -> Any:
        if self._client is None:
            self._client = self.build()
        return self._client

    @property
    def project(self) -> str:
        """The project's id, asked from IAM if nobody names it."""
        credentials = self.client._credentials
        return credentials.project_id

    def build(self) -> Any:
        """JobError for what is missing; Refused or NoAnswer if the project has to be asked for and that fails.

        Importing the SDK writes ~/.huaweicloud/application_id, a random number that it sends along.
        """
        keys = read_keys(self.env)
        project = self.given_project or keys.project_id
        if not self.endpoint and not self.region:
            raise JobError("no region: pass --region, such as cn-north-4, or --endpoint")
        if self.endpoint and not project:
            raise JobError(
                "no project: pass --project_id, or export HUAWEICLOUD_SDK_PROJECT_ID; an endpoint alone does not tell it"
            )
        import huaweicloudsdkmodelarts.v1 as sdk
        from huaweicloudsdkcore.auth.credentials import BasicCredentials
        from huaweicloudsdkcore.http.http_config import HttpConfig
        from huaweicloudsdkmodelarts.v1.region.modelarts_region import ModelArtsRegion

        credentials = BasicCredentials(keys.access_key, keys.secret_key, project or None)
        if keys.token:
            credentials = credentials.with_security_token(keys.token)
        builder = sdk.ModelArtsClient.new_builder().with_credentials(credentials)
        builder = builder.with_http_config(HttpConfig(timeout=TIMEOUT_S, retry_times=0))
        if self.endpoint:
            return builder.with_endpoint(self.endpoint).build()
        try:
            region = ModelArtsRegion.value_of(self.region)
        except KeyError:
            raise JobError(
                f"region {self.region!r} is none of ModelArts'; expected one such as cn-north-4, or pass --endpoint"
            ) from None
        return translated(
            f"ask for the project of {self.region}", lambda: builder.with_region(region).build()
        )

    def call(self, what: str, method: str, request: str, **values: Any) -> dict[str, Any]:
        """One request by the names of the SDK; its answer as a dict. `what` begins error messages."""
        client = self.client
        import huaweicloudsdkmodelarts.v1 as sdk

        made = getattr(sdk, request)(**values)
        answer = translated(what, lambda: getattr(client, method)(made))
        return plain(answer) or {}


def plain(value: Any) -> Any:
    """Objects of the SDK as dicts and lists."""
    if hasattr(value, "openapi_types"):
        return {
            name: plain(getattr(value, name))
            for name in value.openapi_types
            if getattr(value, name) is not None
        }
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


def translated(what: str, request: Any) -> Any:
    """`request()` with its failures as ServiceError or NoAnswer; no cause is kept that could show a key."""
    import requests
    from huaweicloudsdkcore.exceptions import exceptions as sdk

    try:
        return request()
    except sdk.ServiceResponseException as err:
        raise refusal(what, int(err.status_code or 0), err.error_code or "", err.error_msg or "") from None
    except sdk.SdkException as err:
        raise NoAnswer(f"{what}: {SERVICE} does not answer: {shortened(err.error_msg)}") from None
    except requests.RequestException as err:
        raise NoAnswer(f"{what}: {SERVICE} does not answer: {shortened(err)}") from None


def refusal(what: str, status: int, code: str, message: str) -> ServiceError:
    code = code or str(status)
    if status == 429 or status >= 500 or code in ("429", "ModelArts.2799"):
        return Overloaded(SERVICE, what, code, shortened(message), "", status)
    if code == NO_SUCH_JOB or (status == 404 and "job" in what):
        return NoSuchJob(SERVICE, what, code, message, "list shows your jobs", status)
    hint = ADVICE.get(code, "")
    if status == 401:
        late = "time" in message.lower() or "expired" in message.lower()
        hint = (
            "set this machine's clock right"
            if late
            else "look at the access key, the secret key and the project"
        )
    return Refused(SERVICE, what, code, message, hint, status)


def shortened(problem: object) -> str:
    return " ".join(str(problem).split())[:300]

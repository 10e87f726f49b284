"""Calls of the ModelArts SDK: one region and project, one request at a time."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from mindlift import json_text
from mindlift.cloud.errors import Answer as Answered
from mindlift.cloud.errors import JobError, NoAnswer
from mindlift.cloud.job import Job
from mindlift.cloud.probe import Exchange, Probe
from mindlift.cloud.providers.modelarts.answers import ENGINES, FLAVORS, Answer, Call, Engine, Flavor
from mindlift.cloud.providers.modelarts.codes import NOT_READY
from mindlift.cloud.providers.modelarts.failures import SERVICE, refusal, translated
from mindlift.cloud.providers.modelarts.keys import PROJECT, read_keys, read_project
from mindlift.storage import trust
from mindlift.storage.settings import refuse_user

if TYPE_CHECKING:
    import requests
    from huaweicloudsdkcore.exceptions.exception_handler import DefaultExceptionHandler
    from huaweicloudsdkcore.region.region import Region
    from huaweicloudsdkcore.sdk_request import SdkRequest
    from huaweicloudsdkcore.sdk_response import SdkResponse
    from huaweicloudsdkmodelarts.v1 import ModelArtsClient

TIMEOUT_S = (10.0, 60.0)  # connect, read
REGIONS = ("HUAWEICLOUD_REGION", "OS_REGION_NAME")
ENDPOINT = "MODELARTS_ENDPOINT"  # where the service is, for who is not on the public cloud
HOST = re.compile(r"modelarts\.([a-z0-9-]+)\.myhuaweicloud\.(?:com|cn)")
ELSEWHERE = "HUAWEICLOUD_SDK_REGION_MODELARTS_"  # with a region: the SDK's variable for another address
NO_CONTENT = 204  # to who asks for a log: it is not ready
LOGGER = "HuaweiCloud-SDK-ModelArtsClient"  # without a handler it writes to stderr, beside our one line


class Session:
    """A client of one region and project; made when it is first used, for the SDK takes 1.5 s to import."""

    def __init__(
        self, job: Job, env: Mapping[str, str] | None = None, timeout_s: tuple[float, float] = TIMEOUT_S
    ):
        self.env = os.environ if env is None else env
        self.job, self.timeout_s = job, timeout_s
        self.region = job.region or next((self.env[name] for name in REGIONS if self.env.get(name)), "")
        self.endpoint = job.endpoint or ("" if self.region else self.env.get(ENDPOINT, ""))
        refuse_user("the endpoint of ModelArts", self.endpoint)
        self.retry_after_s = 0.0
        self.others: dict[tuple[str, str], Session] = {}
        self.known_flavors: list[Flavor] | None = None  # None: not asked yet
        self.known_engines: list[Engine] | None = None
        self.probe: Probe | None = None
        self.asked: tuple[str, Mapping[str, object]] = "", {}  # the call that is under way
        self._client: ModelArtsClient | None = None

    @property
    def place(self) -> str:
        """The host of the endpoint, else the region: the first part of handles."""
        return urlsplit(self.endpoint).netloc or self.endpoint if self.endpoint else self.region

    def at(self, place: str, project: str) -> Session:
        """The session for a handle: its own place, unless --endpoint says where the service is, and its project."""
        endpoint, region, named = self.endpoint, "", self.env.get(ENDPOINT, "")
        if not endpoint and HOST.fullmatch(place):
            endpoint = f"https://{place}"
        elif not endpoint and place == urlsplit(named).netloc:
            endpoint = named
        elif not endpoint and (":" in place or "." in place):
            raise JobError(
                f"{place} in the handle is no address of Huawei Cloud's, and what is sent there is signed with your keys;"
                f" if you know it, pass --endpoint, or export {ENDPOINT}, as http(s)://{place}"
            )
        elif not endpoint:
            region = place
        if (place, project) not in self.others:
            job = self.job.replace(endpoint=endpoint, region=region, project_id=project)
            self.others[place, project] = Session(job, self.env, self.timeout_s)
        self.others[place, project].probe = self.probe
        return self.others[place, project]

    @property
    def real_region(self) -> str:
        """The region of the service itself; '' for an address of another kind, such as a test's."""
        if self.endpoint:
            found = HOST.fullmatch(urlsplit(self.address).hostname or "")
            return found[1] if found else ""
        return "" if self.env.get(ELSEWHERE + self.region.upper().replace("-", "_")) else self.region

    @property
    def client(self) -> ModelArtsClient:
        if self._client is None:
            self._client = self.build()
        return self._client

    @property
    def project(self) -> str:
        """The project's id, asked from IAM if nobody names it."""
        return str(self.client.get_credentials().project_id)

    @property
    def address(self) -> str:
        """scheme://host of the service."""
        if self.endpoint:
            return self.endpoint if "://" in self.endpoint else f"https://{self.endpoint}"
        return str(self.known_region().endpoints[0])

    def known_region(self) -> Region:
        from huaweicloudsdkmodelarts.v1.region.modelarts_region import ModelArtsRegion

        try:
            return ModelArtsRegion.value_of(self.region)
        except KeyError:
            raise JobError(
                f"region {self.region!r} is none of ModelArts'; expected one such as cn-north-4, or pass --endpoint"
            ) from None

    def build(self) -> ModelArtsClient:
        """JobError for what is missing; what IAM answers if it has to be asked for the project.

        Importing the SDK writes ~/.huaweicloud/application_id, a random number that it sends along.
        """
        if not self.endpoint and not self.region:
            raise JobError("no region: pass --region, such as cn-north-4, or --endpoint")
        keys, project = read_keys(self.env), self.job.project_id or read_project(self.env)
        if self.endpoint and not project:  # the SDK would send '{project_id}' as it stands
            raise JobError(
                f"no project: pass --project_id, or export {PROJECT}; an endpoint alone does not tell it"
            )
        import huaweicloudsdkmodelarts.v1 as sdk
        from huaweicloudsdkcore.auth.credentials import BasicCredentials
        from huaweicloudsdkcore.http.http_config import HttpConfig

        logging.getLogger(LOGGER).addHandler(logging.NullHandler())
        credentials = BasicCredentials(keys.access_key, keys.secret_key, project or None)
        if keys.token:
            credentials = credentials.with_security_token(keys.token)
        builder = sdk.ModelArtsClient.new_builder().with_credentials(credentials)
        http = HttpConfig(timeout=self.timeout_s, retry_times=0, ssl_ca_cert=trust.bundle() or None)
        builder = builder.with_http_config(http)
        builder = builder.with_exception_handler(self.error_handler())
        builder = (
            builder.with_endpoint(self.address) if self.endpoint else builder.with_region(self.known_region())
        )
        try:
            client = translated(f"ask for the project of {self.region}", builder.build, self.hidden())
        except NoAnswer as err:  # of IAM: the request that needs the project has not been sent
            raise NoAnswer(str(err), was_sent=False) from None
        disable_429_retries(client)
        client.get_http_client()._session.hooks["response"].append(self.tell)
        return client

    def flavors(self) -> list[Flavor]:
        """Of Ascend, asked once."""
        if self.known_flavors is None:
            self.known_flavors = self.call("list flavors", FLAVORS, flavor_type="Ascend").get("flavors") or []
        return self.known_flavors

    def engines(self) -> list[Engine]:
        """Preset ones, asked once."""
        if self.known_engines is None:
            self.known_engines = self.call("list engines", ENGINES).get("items") or []
        return self.known_engines

    def tell(self, answer: requests.Response, *_: object, **__: object) -> None:
        """To a probe, what came for the call that is under way."""
        if not self.probe:
            return
        call, query = self.asked
        try:
            body = answer.json()
        except ValueError:
            body = None
        self.probe.note(Exchange(call, query, answer.status_code, body))

    def hidden(self) -> list[str]:
        """What no message may show."""
        keys = read_keys(self.env)
        return [keys.access_key, keys.secret_key, keys.token]

    def error_handler(self) -> DefaultExceptionHandler:
        """The SDK's own, that also notes Retry-After."""
        from huaweicloudsdkcore.exceptions.exception_handler import DefaultExceptionHandler

        session = self

        class Handler(DefaultExceptionHandler):
            def handle_exception(self, request: SdkRequest, response: SdkResponse) -> None:
                wait = response.headers.get("Retry-After", "")
                session.retry_after_s = float(wait) if wait.isdigit() else 0.0
                super().handle_exception(request, response)

        return Handler()

    def call(self, what: str, call: Call[Answer], hidden: Sequence[str] = (), **values: object) -> Answer:
        """One request; its JSON. `what` begins error messages, `hidden` is not in them."""
        client = self.client
        import huaweicloudsdkmodelarts.v1 as sdk

        made = getattr(sdk, call.request)(**values)
        self.retry_after_s = 0.0
        about = getattr(client, f"_{call.method}_http_info")(made)
        self.asked = f"{about['method']} {about['resource_path']}", values

        def ask() -> dict[str, object]:
            answer = getattr(client, call.method)(made)
            if answer.status_code == NO_CONTENT and call.kind == "log":
                not_ready = Answered(SERVICE, what, NOT_READY, "the log is not ready", http=NO_CONTENT)
                raise refusal(not_ready, call.kind)
            return {} if call.kind == "cancel" and not answer.raw_content else as_json(answer)

        hide = [*self.hidden(), *hidden]
        return cast("Answer", translated(what, ask, hide, lambda: self.retry_after_s, call.kind))


def as_json(answer: SdkResponse) -> dict[str, object]:
    """The service's own words: models of the SDK lose values that are new to them."""
    data = json_text.parse(answer.raw_content or b"null")
    if not isinstance(data, dict):
        raise ValueError("expected an object")
    return data


def disable_429_retries(client: ModelArtsClient) -> None:
    """urllib3, as the SDK sets it up, gives up on a GET's 429 with a text of its own, without code and Retry-After."""
    from requests.adapters import HTTPAdapter

    for scheme in ("https://", "http://"):
        client.get_http_client()._session.mount(scheme, HTTPAdapter(max_retries=0))

"""Steps on the invitee's pages, shared by several tests."""

import re
from dataclasses import dataclass, field

import orjson
from playwright.async_api import BrowserContext, Request


@dataclass
class Network:
    """Records all requests of a browser."""

    requests: list[Request] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        context.on("request", self.see)

    def see(self, request: Request) -> None:
        self.requests.append(request)

    @property
    def operations(self) -> list[str]:
        bodies = [
            orjson.loads(request.post_data or "{}") for request in self.requests if request.url.endswith("/graphql")
        ]
        return [re.split(r"[\s({]", body["query"])[1] for body in bodies]

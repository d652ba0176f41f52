"""POST /webhooks/ses: delivery events of Amazon SES, through SNS.

An unverified message gets a 403 response and changes nothing. A verified message gets a 200 response, even when it repeats
an earlier one, because SNS retries after any other status. A 503 response requests such a retry.
"""

from datetime import datetime
from typing import Any

import orjson
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from service import metrics
from service.clock import Clock
from service.database import execute, transaction
from service.delivery import ses_events, sns
from service.settings import Settings

log = structlog.get_logger()


class SesWebhook:
    """The endpoint; `fetch` downloads Amazon's certificates."""

    def __init__(
        self, settings: Settings, clock: Clock, *, fetch: sns.FetchCertificate = sns.fetch_certificate
    ) -> None:
        self._settings, self._clock = settings, clock
        self._certificates = sns.Certificates(fetch)

    async def respond(self, request: Request) -> Response:
        try:
            return await self._process(await request.body(), self._clock())
        except sns.InvalidMessage as error:
            metrics.notifications.labels("refused").inc()
            log.warning("webhook.refused", reason=error.reason)
            return PlainTextResponse("This notification could not be verified.", 403)
        except sns.RetryLater:
            metrics.notifications.labels("postponed").inc()
            return PlainTextResponse("Not now; send it again later.", 503)
        except ClientDisconnect:
            return PlainTextResponse("The body did not arrive.", 400)

    async def _process(self, body: bytes, now: datetime) -> Response:
        message = await sns.verify_message(
            body, topics=self._settings.ses_topic_arns, certificates=self._certificates, now=now
        )
        if message.type == "SubscriptionConfirmation":
            await sns.confirm_subscription(message)
            log.info("webhook.subscribed", topic=message.topic_arn)
        elif message.type == "UnsubscribeConfirmation":
            # A person with rights on the topic ended the subscription. The log informs the operator.
            log.warning("webhook.unsubscribed", topic=message.topic_arn)
        else:
            await self._apply(message, now)
        metrics.notifications.labels("taken_in").inc()
        return PlainTextResponse("ok")

    async def _apply(self, message: sns.SnsMessage, now: datetime) -> None:
        """Applies each notification once. A repetition by SNS or a replay changes nothing (H147)."""
        event = _parse_event(message.content)
        async with transaction():
            new = await execute(
                "INSERT INTO notifications (id, received_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
                message.id, now,
            )  # fmt: skip
            if new and event is not None:
                await ses_events.apply_event(event, now=now, settings=self._settings)


def _parse_event(content: str) -> dict[str, Any] | None:
    """Parses the event in a notification. Returns None for the plain sentence that SES sends to a new topic."""
    try:
        event = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return event if isinstance(event, dict) else None

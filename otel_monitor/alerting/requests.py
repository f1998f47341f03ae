"""What people want of the dispatcher, as documents: silences, acknowledgements, an alert resolved by hand.

A courier has one thing to say in the same way: that a message has reached its channel late. They are left in the
store, so that any process may ask, and whoever dispatches answers: with `ok`, or with the `error` and what kind of
one (`unknown`, `conflict`, `invalid`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from otel_monitor.store.outbox import Message
from otel_monitor_processors.alerts.alert import AlertTransition
from otel_monitor_processors.alerts.dispatcher import Dispatcher
from otel_monitor_processors.alerts.roster import ConflictError, UnknownAlertError
from otel_monitor_processors.alerts.silence import Silence

Json = dict[str, Any]


class Done(NamedTuple):
    """The answer, and the transition that it brought about, if any."""

    answer: Json
    transition: AlertTransition | None = None


def apply_request(dispatcher: Dispatcher, body: Json, now: float) -> Done:
    """Do what is asked, and say how that went."""
    action = _ACTIONS.get(str(body.get("do")))
    if action is None:
        return Done({"error": f"there is no request {body.get('do')!r}", "kind": "invalid"})
    try:
        return action(dispatcher, body, now)
    except UnknownAlertError as error:
        return Done({"error": str(error), "kind": "unknown"})
    except ConflictError as error:
        return Done({"error": str(error), "kind": "conflict"})
    except LookupError as error:
        return Done({"error": str(error), "kind": "unknown"})
    except (TypeError, ValueError) as error:
        return Done({"error": str(error), "kind": "invalid"})


def _silence(dispatcher: Dispatcher, body: Json, now: float) -> Done:
    silence = Silence.load(body["silence"])
    return Done({"ok": True, "id": dispatcher.add_silence(silence, now)})


def _expire(dispatcher: Dispatcher, body: Json, now: float) -> Done:
    return Done({"ok": True, "id": dispatcher.expire_silence(str(body["id"]), now).id})


def _acknowledge(dispatcher: Dispatcher, body: Json, now: float) -> Done:
    dispatcher.acknowledge(
        str(body["alert"]), str(body["author"]), now, comment=str(body.get("comment", "")), until=body.get("until")
    )
    return Done({"ok": True})


def _withdraw(dispatcher: Dispatcher, body: Json, now: float) -> Done:
    return Done({"ok": dispatcher.withdraw_acknowledgement(str(body["alert"]), now)})


def _resolve(dispatcher: Dispatcher, body: Json, now: float) -> Done:
    transition = dispatcher.resolve(str(body["alert"]), str(body["author"]), now, ttl_s=body.get("ttl_s"))
    return Done({"ok": True}, transition)


def reached(message: Message, at: float) -> Json:
    """The request of a courier: a message that had failed before has been delivered."""
    told = message.notification
    return {"do": "reached", "group": told.group_key, "channel": told.channel, "at": at}


def _reached(dispatcher: Dispatcher, body: Json, now: float) -> Done:
    dispatcher.reached(str(body["group"]), str(body["channel"]), min(float(body["at"]), now))
    return Done({"ok": True})


_ACTIONS: dict[str, Callable[[Dispatcher, Json, float], Done]] = {
    "silence": _silence,
    "expire_silence": _expire,
    "acknowledge": _acknowledge,
    "withdraw_acknowledgement": _withdraw,
    "resolve": _resolve,
    "reached": _reached,
}

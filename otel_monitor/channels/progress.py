"""What of a notification has been done already: sending it again does only the rest."""

from __future__ import annotations

from collections import OrderedDict

_MAX_NOTIFICATIONS = 1000


class Progress:
    """The done parts (recipients, alerts) of the last 1,000 unfinished notifications.

    It is kept in memory: after a restart a part may be done twice, with the same identity towards the receiver.
    """

    def __init__(self) -> None:
        self._done: OrderedDict[str, set[str]] = OrderedDict()

    def of(self, notification_id: str) -> set[str]:
        """The set of done parts, to be added to."""
        done = self._done.setdefault(notification_id, set())
        self._done.move_to_end(notification_id)
        while len(self._done) > _MAX_NOTIFICATIONS:
            self._done.popitem(last=False)
        return done

    def finish(self, notification_id: str) -> None:
        """Forget it: it will not be sent again."""
        self._done.pop(notification_id, None)

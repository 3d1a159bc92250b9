"""The line between the supervisor and its zygote: messages in both directions, and descriptors with those that fork."""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Linux keeps messages whole; other systems keep streams alone between relatives, in which a message is a line
KIND = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_STREAM
MESSAGE_MAX = 4096  #: bytes
WITH_IT = 2  #: descriptors that come with a message, at most


class Line:
    """One end of it."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.descriptors: list[int] = []  #: that came and were not taken
        self._rest = b""

    def fileno(self) -> int:
        """The end's own descriptor, for whoever waits for something to come."""
        return self.end.fileno()

    def send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Say it; raises `OSError` when it can't be said as a whole."""
        data = json.dumps(message).encode() + b"\n"
        if socket.send_fds(self.end, [data], list(descriptors)) < len(data):
            raise BrokenPipeError("half of a message was sent")

    def receive(self) -> list[dict[str, Any]] | None:
        """What came, in order, with its descriptors in `descriptors`; None when the other end is gone."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self.end, MESSAGE_MAX, WITH_IT)
        except ConnectionError:  # it left without having heard all
            return None
        self.descriptors += descriptors
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def take(self) -> list[int]:
        """The descriptors of the message that is being obeyed, which are its own from now on."""
        taken, self.descriptors = self.descriptors[:WITH_IT], self.descriptors[WITH_IT:]
        return taken

    def close(self) -> None:
        """Leave it, and what came with messages that nobody obeyed."""
        self.end.close()
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()

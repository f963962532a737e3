"""Which version of an image a node booted, from what boot watch saw of its boots."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from plasmatui.model.boot import BootTimeline
from plasmatui.model.words import Stage
from plasmatui.pxe.assets import Activation, active_at, version_of_path

BOOTS: Final = 5
"""Newest boots of a node that are looked at: the last ones may have been from its disk."""

_FETCHES: Final = (Stage.HTTP_KERNEL, Stage.HTTP_INITRD)
_PROFILE: Final = re.compile(r"/nixos/([A-Za-z0-9][A-Za-z0-9._-]*)/")


def booted_version(boots: Iterable[BootTimeline], history: Sequence[Activation]) -> str | None:
    """The version of the newest boot that fetched a kernel: named in its URL, else the one that was active then; None
    when it is not known.

    Args:
        boots: newest first.
    """
    for boot in boots:
        spans = [span for span in boot.stages if span.stage in _FETCHES and span.evidence]
        texts = [(evidence.text, span.begin) for span in spans for evidence in span.evidence]
        for text, begin in texts:
            if version := version_of_path(text):
                return version
            if begin is not None and (profile := _PROFILE.search(text)):
                return active_at(history, profile[1], begin) or None
        if spans:
            return None
    return None

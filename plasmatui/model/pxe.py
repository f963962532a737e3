"""The PXE side as the engine sees it from its host: services, published images, rendered files and deployed ones."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from plasmatui.model.checks import CheckState


class PxeService(msgspec.Struct, frozen=True):
    """How one of the services that machines boot from stands.

    Attributes:
        name: "dhcp", "tftp", "http" or "boot-service"; software: as the inventory names it.
        reason: what was seen, one clean line; fix: what to do, "" for nothing.
    """

    name: str
    software: str
    state: CheckState
    reason: str = ""
    fix: str = ""


class AskPxeServices(msgspec.Struct, frozen=True, tag="pxe-services"):
    """How the services stand. Reply: `PxeServices`. An answer of the last seconds serves again, unless `fresh`."""

    fresh: bool = False


class PxeServices(msgspec.Struct, frozen=True, tag="pxe-services"):
    """`at`: Unix seconds of the look."""

    services: tuple[PxeService, ...]
    at: float


class ImageState(StrEnum):
    """`whole`: every file is there with the size that the manifest says; `verified`: read, and all checks passed;
    `damaged`: it cannot be booted."""

    WHOLE = "whole"
    VERIFIED = "verified"
    DAMAGED = "damaged"


class ImageFile(msgspec.Struct, frozen=True):
    """As the manifest has it; size in bytes."""

    name: str
    size: int
    sha256: str


class ImageCheck(msgspec.Struct, frozen=True):
    """`ok` is False for what keeps machines from booting, None for what a person should know."""

    name: str
    ok: bool | None
    message: str


class ImageVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A published version of a profile's image.

    Attributes:
        active: machines of the profile boot it now.
        reason: why it is damaged.
        revision: of the flake in git, "" when not known; dirty: with changes that are not committed.
        built, deployed, verified: Unix seconds, 0 when not known.
        nodes: those that booted it last, as far as boot watch has seen.
        fix: command that mends it, or that changes what is active.
    """

    name: str
    profile: str
    active: bool
    state: ImageState
    reason: str = ""
    files: tuple[ImageFile, ...] = ()
    init: str = ""
    architecture: str = ""
    revision: str = ""
    dirty: bool = False
    built: float = 0.0
    deployed: float = 0.0
    verified: float = 0.0
    nodes: tuple[str, ...] = ()
    fix: str = ""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


class AskImages(msgspec.Struct, frozen=True, tag="images"):
    """What is published below the HTTP root. Reply: `Images`. `fresh`: as in `AskPxeServices`."""

    fresh: bool = False


class Images(msgspec.Struct, frozen=True, tag="images"):
    """The store of images.

    Attributes:
        versions: by profile, the newest of each first.
        previous: by profile, the version that a rollback would serve.
        unmanaged: profiles whose image is no version of this store.
        unknown: nodes of which it is not known what they booted last.
        script: what is wrong with the rendered boot script, or worth knowing.
        problem: why nothing is known, "" when it is.
    """

    root: str
    at: float
    versions: tuple[ImageVersion, ...] = ()
    previous: dict[str, str] = {}
    unmanaged: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    script: tuple[ImageCheck, ...] = ()
    problem: str = ""


class VerifyImage(msgspec.Struct, frozen=True, tag="verify-image"):
    """Read all bytes of a version and check them; takes as long as the disk needs, and can be cancelled. Items:
    `ImageProgress`, then `ImageVerified`. Reply: `ImageVerified`."""

    version: str


class ImageProgress(msgspec.Struct, frozen=True, tag="image-progress"):
    """So many bytes of a version were read; what is packed counts again where it is unpacked."""

    version: str
    bytes: int


class ImageVerified(msgspec.Struct, frozen=True, tag="image-verified"):
    version: str
    checks: tuple[ImageCheck, ...]


class ActivateImage(msgspec.Struct, frozen=True, tag="activate-image"):
    """Let machines of its profile boot a version from now on. Reply: `ImageSwitched`; Problem "refused" when it is not
    whole or the store cannot be written."""

    version: str


class RollBackImage(msgspec.Struct, frozen=True, tag="roll-back-image"):
    """Let machines of a profile boot `version`, which was active before. Reply: `ImageSwitched`; Problem "refused" when
    another version would be served now, or as `ActivateImage`."""

    profile: str
    version: str


class ImageSwitched(msgspec.Struct, frozen=True, tag="image-switched"):
    """`warnings`: what must still be done, the boot script for instance."""

    profile: str
    before: str
    after: str
    warnings: tuple[str, ...] = ()


class DriftState(StrEnum):
    """What is deployed, held against what is rendered."""

    SAME = "same"
    DIFFERS = "differs"
    MISSING = "missing"
    UNREADABLE = "unreadable"


class DriftFile(msgspec.Struct, frozen=True):
    """A file that is not deployed as it is rendered.

    Attributes:
        output: as `plasmatui render --only` takes it; relative: its path in a rendered directory; path: where it is
            looked for.
        reason: why it cannot be read.
        fix: command that mends it.
    """

    output: str
    relative: str
    path: str
    state: DriftState
    reason: str = ""
    fix: str = ""


class AskDrift(msgspec.Struct, frozen=True, tag="drift"):
    """Whether what is deployed is what the inventory's file gives now. Reply: `Drift`. `fresh`: as in
    `AskPxeServices`."""

    fresh: bool = False


class Drift(msgspec.Struct, frozen=True, tag="drift"):
    """Rendered files against deployed ones.

    Attributes:
        directory: that was looked at.
        files: those that are not the same, at most a few hundred; counts: of all files, by state.
        images: whether the boot script was compared with one that holds the active images.
        problem: why nothing is known, "" when it is.
    """

    directory: str
    at: float
    files: tuple[DriftFile, ...] = ()
    counts: dict[str, int] = {}
    images: bool = False
    problem: str = ""


class AskDriftDiff(msgspec.Struct, frozen=True, tag="drift-diff"):
    """How a deployed file differs. Reply: `DriftDiff`; Problem "unsupported" when no such file is rendered."""

    relative: str


class DriftDiff(msgspec.Struct, frozen=True, tag="drift-diff"):
    """A unified diff from the deployed file to the rendered one, clean lines; none when they are equal. `more`: lines
    that were left out."""

    file: DriftFile
    lines: tuple[str, ...]
    more: int = 0


PxeRequest = AskPxeServices | AskImages | VerifyImage | ActivateImage | RollBackImage | AskDrift | AskDriftDiff
PxeReply = PxeServices | Images | ImageVerified | ImageSwitched | Drift | DriftDiff

"""The socket for other users of this machine: there while the inventory names some."""

from __future__ import annotations

from plasmatui.engine.process import EngineLock, EngineRunsError, EngineStartError
from plasmatui.engine.server import Server
from plasmatui.inventory.inventory import Access
from plasmatui.paths import EnginePaths, UnsafeDirectoryError, check_shared


class Sharing:
    """Opens and closes the shared socket, which one engine of the machine has at a time."""

    def __init__(self, paths: EnginePaths, server: Server) -> None:
        self._paths = paths
        self._server = server
        self._lock: EngineLock | None = None

    @property
    def shared(self) -> bool:
        """Whether the socket is this engine's now."""
        return self._lock is not None

    async def retarget(self, access: Access | None) -> None:
        """Listen for other users when there is an `access`, else not.

        Raises:
            EngineStartError: the shared socket cannot be made, or another engine has it.
        """
        if access is None:
            self._server.unshare()
            self.release()
            return
        try:
            check_shared(self._paths.shared.parent)
            if self._lock is None:
                self._lock = EngineLock(self._paths.shared_lock)
            await self._server.share(self._paths.shared)
        except EngineRunsError as error:
            raise EngineStartError(f"{error}; it is shared, and belongs to another user") from None
        except (OSError, UnsafeDirectoryError) as error:
            self.release()
            raise EngineStartError(
                f"policy.access is set, but the socket {self._paths.shared} for other users cannot be made: {error}"
            ) from None

    def release(self) -> None:
        """Let another engine have it. The server closes the socket itself."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

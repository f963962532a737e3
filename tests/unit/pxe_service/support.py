"""What the tests of the boot service share: stores on disk, and clients of the application."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from plasmatui.pxe.service.answers import Source
from plasmatui.pxe.service.app import BootApp
from plasmatui.pxe.service.files import Images
from plasmatui.pxe.service.once import BootStates
from plasmatui.pxe.service.sources import open_directory


def write(root: Path, files: Mapping[str, Any]) -> Path:
    """Files below a directory: bytes and text as they are, everything else as JSON."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
    return root


@asynccontextmanager
async def client_of(
    source: Source, images: Path | None = None, states: BootStates | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application itself, without a network."""
    app = BootApp(source, Images(images) if images is not None else None, states).make()
    transport = httpx.ASGITransport(app=app, client=("10.0.100.50", 40000))
    async with httpx.AsyncClient(transport=transport, base_url="http://boot.test:8080") as client:
        yield client
    source.close()


@asynccontextmanager
async def client_for(
    root: Path, images: Path | None = None, states: BootStates | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application over a data directory."""
    async with client_of(open_directory(root), images, states) as client:
        yield client


async def body(client: httpx.AsyncClient, url: str) -> str | int:
    """The text of an answer, or its status when it is not 200."""
    answer = await client.get(url)
    return answer.text if answer.status_code == 200 else answer.status_code

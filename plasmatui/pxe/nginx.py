"""nginx: boot script, kernels and initrds as files; with a boot service, everything else is passed on to it."""

from __future__ import annotations

from plasmatui.pxe.quoting import NGINX, fill, header
from plasmatui.pxe.site import HTTP_PREFIX, Site


def nginx(site: Site) -> str:
    """A server block for `sites-available`."""
    return fill(NGINX, "nginx.conf.j2", header=header(NGINX, site.source, "pxe"), site=site, prefix=HTTP_PREFIX)

"""What a cell with a network finds: one port of its own, and the variables that name it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

ADDRESS: Final = "127.0.0.1"
PORT: Final = 3128
"""Inside the cell's own, otherwise empty network namespace; below the ports that the kernel
gives to a plan's own test servers."""
CERTIFICATES: Final = "/etc/ssl/certs/ca-certificates.crt"
"""Where the certificate authorities of the host are in every cell with a network."""
_PROXY: Final = f"http://{ADDRESS}:{PORT}"
_LOCAL: Final = f"localhost,{ADDRESS},::1"

VARIABLES: Final[Mapping[str, str]] = {
    "HTTP_PROXY": _PROXY,
    "HTTPS_PROXY": _PROXY,
    "http_proxy": _PROXY,
    "https_proxy": _PROXY,
    # A plan's own test servers are in the cell. Who wants a server on the host's loopback,
    # which a rule must name, empties these two.
    "NO_PROXY": _LOCAL,
    "no_proxy": _LOCAL,
    "SSL_CERT_FILE": CERTIFICATES,
    "CURL_CA_BUNDLE": CERTIFICATES,
    "REQUESTS_CA_BUNDLE": CERTIFICATES,
    "PIP_CERT": CERTIFICATES,
    "GIT_SSL_CAINFO": CERTIFICATES,
    "NODE_EXTRA_CA_CERTS": CERTIFICATES,
    "NODE_USE_ENV_PROXY": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "PIP_NO_INPUT": "1",
}
"""For commands, own tools and programs; programs that read other names are told by themselves."""

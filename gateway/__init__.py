"""A sidecar reverse proxy: maintenance responses, Redis availability, refresh tokens, outbound throttling.

The road of a request is written top to bottom in `gateway.app`.
"""

from importlib.metadata import version

__version__ = version("gateway-sidecar")

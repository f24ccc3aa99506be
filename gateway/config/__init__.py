"""YAML and environment in, frozen settings out, or every error at once, each with its place.

`locate` finds the file, `load` turns it and the policies beside it into `Loaded`, `load_policy` reads one policy by
itself, `ConfigInvalid` holds what is wrong.
"""

from gateway.config.loader import Loaded, load, load_policy, locate
from gateway.config.problems import ConfigInvalid, Problem
from gateway.config.root import FileSettings, GatewaySettings

__all__ = ["ConfigInvalid", "FileSettings", "GatewaySettings", "Loaded", "Problem", "load", "load_policy", "locate"]

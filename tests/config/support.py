"""Writes configurations for the tests of this folder and reads them back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.config import ConfigInvalid, Loaded, load

GOOD_POLICY = """\
upstream: crm
listen: 127.0.0.1:9191
base_url: https://crm.example.com
rate: {cap: 10}
lanes:
  - {name: default, concurrency: 2, timeout: 1s}
"""
SECRET = "hush-0123456789-0123456789-0123456789"
"""Long enough for HS256."""


class Place:
    """A folder with a `config.yaml` and policies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "config.yaml"

    def config(self, text: str) -> Place:
        self.file.write_text(text, encoding="utf-8")
        return self

    def policy(self, text: str, name: str = "crm.yaml") -> Place:
        (self.folder / "policies").mkdir(exist_ok=True)
        (self.folder / "policies" / name).write_text(text, encoding="utf-8")
        return self

    def load(self, environ: Mapping[str, str] | None = None) -> Loaded:
        return load(self.file, environ or {})

    def problems(self, environ: Mapping[str, str] | None = None) -> list[str]:
        """Return the errors' lines, with paths relative to the folder; empty when there are none."""
        try:
            self.load(environ)
        except ConfigInvalid as invalid:
            return [self.relative(problem) for problem in invalid.problems]
        return []

    def warnings(self, environ: Mapping[str, str] | None = None) -> list[str]:
        """Return the lines of warnings and notes of a configuration without errors."""
        return [self.relative(problem) for problem in self.load(environ).warnings]

    def relative(self, problem: object) -> str:
        return str(problem).replace(f"{self.folder}/", "")

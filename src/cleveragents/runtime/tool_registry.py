"""Which tools exist for a plan: built in, the operator's own, an MCP server's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.errors import ConfigurationError, UnknownToolError
from cleveragents.terms.digest import digest_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cleveragents.terms.tool import ToolSpec


class ToolRegistry:
    """A fixed set of tools; two of one name are an error, not a winner.

    Raises:
        ConfigurationError: Two tools have the same name.
    """

    def __init__(self, specs: Iterable[ToolSpec]) -> None:
        self._specs: dict[str, ToolSpec] = {}
        for spec in specs:
            taken = self._specs.setdefault(spec.name, spec)
            if taken is not spec:
                raise ConfigurationError(
                    problem=f"two tools are named {spec.name!r}",
                    where=spec.source,
                    hint=f"the other one is {taken.source or taken.origin}; rename yours",
                )
        self._digests = {name: _digest(spec) for name, spec in self._specs.items()}

    @property
    def specs(self) -> Mapping[str, ToolSpec]:
        """Every tool by its exact name."""
        return self._specs

    @property
    def names(self) -> frozenset[str]:
        """The exact names."""
        return frozenset(self._specs)

    def find(self, name: str) -> ToolSpec | None:
        """The tool of that exact name, without folding; ``None`` when there is none."""
        return self._specs.get(name)

    def get(self, name: str) -> ToolSpec:
        """The tool of that exact name.

        Raises:
            UnknownToolError: Nothing is registered under it.
        """
        spec = self._specs.get(name)
        if spec is None:
            raise UnknownToolError(name=name, known=tuple(sorted(self._specs)))
        return spec

    def digest(self, name: str) -> str:
        """Digest of everything that a decision about the tool rests on."""
        return self._digests[name]


def _digest(spec: ToolSpec) -> str:
    return digest_value(
        {
            "name": spec.name,
            "parameters": spec.parameters,
            "effects": sorted(spec.effects),
            "resources": [[r.argument, r.kind, r.access] for r in spec.resources],
            "place": spec.place,
            "source": spec.source_digest,
            "cost_microusd": spec.cost_microusd,
        }
    )

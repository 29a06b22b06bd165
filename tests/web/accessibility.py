"""axe-core for tests: what keeps people out of a page."""

from __future__ import annotations

from typing import Any

import pytest


def serious_faults(page: Any, *, within: str | None = None, colors_only: bool = False) -> list[str]:
    """What axe calls serious or critical in a page, or in the element ``within``; [] where nothing.

    ``colors_only`` asks the rules alone that a theme changes: for the second theme of a view whose
    first was looked at whole. Skips where axe is not installed.
    """
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    ).Axe()
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if colors_only:
        options["runOnly"] = ["color-contrast", "link-in-text-block"]
    context = None if within is None else [[within]]
    found = axe.run(page, context=context, options=options).response
    looked = {rule["id"] for kind in ("passes", "violations", "incomplete") for rule in found[kind]}
    assert "color-contrast" in looked
    return [
        f"{rule['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]

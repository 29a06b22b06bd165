"""axe-core for tests: what keeps people out of a page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def serious_faults(page: Any, *, within: str | None = None, colors_only: bool = False) -> list[str]:
    """What axe calls serious or critical in a page, or in the element ``within``; [] where nothing.

    ``colors_only`` asks the rules alone that a theme changes: for the second theme of a view whose
    first was looked at whole. Skips where axe is not installed.
    """
    axe = pytest.importorskip(
        "axe_playwright_python.base", reason="axe-playwright-python is not installed"
    )
    # no selectors for the elements that are in order, no style sheet loaded again to be read
    options: dict[str, Any] = {"resultTypes": ["violations"], "selectors": False, "preload": False}
    if colors_only:
        options["runOnly"] = ["color-contrast", "link-in-text-block"]
    if not page.evaluate("'axe' in globalThis"):
        page.evaluate(axe.AXE_SCRIPT)
    looked, violations = page.evaluate(
        """async ([within, options]) => {
          const found = await axe.run(within ?? document, options);
          const rules = [...found.passes, ...found.violations, ...found.incomplete];
          return [rules.map(({ id }) => id), found.violations];
        }""",
        [within, options],
    )
    assert "color-contrast" in looked
    return [
        f"{rule['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for rule in violations
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def serious_faults_in_both_themes(page: Any, ready: Callable[[], None]) -> list[str]:
    """What axe finds in a view of the lab that is light, and in the same one when it gets dark.

    ``ready`` waits until what is looked at is there: the view is made anew for another theme.
    """
    ready()
    found = serious_faults(page)
    page.evaluate("document.querySelector('#view').firstElementChild.dataset.light = ''")
    page.emulate_media(color_scheme="dark")
    page.locator("#view > [data-light]").wait_for(state="detached")
    ready()
    return found + serious_faults(page, colors_only=True)

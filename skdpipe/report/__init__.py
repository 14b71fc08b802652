"""One self-contained HTML file about a run.

`gather` reads what a run says and lets its networks answer the test clips again, `robustness` lets them
answer spoilt ones, `measures` are the numbers behind the figures, `figures/` draws them, `page` is the HTML.
"""

from skdpipe.errors import require_extra

require_extra("report", "matplotlib", "sklearn", "jinja2")

from skdpipe.report.write import write_report  # noqa: E402

__all__ = ["write_report"]

"""One self-contained HTML file about a run.

`gather` reads what a run says and lets its networks answer the test clips again, `robustness` lets them
answer spoilt ones, `measures` are the numbers behind the figures, `figures/` draws them, `page` is the HTML.
"""

from skdpipe.report.write import write_report

__all__ = ["write_report"]

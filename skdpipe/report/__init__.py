"""`skdpipe report`: one self-contained HTML file about a run.

`run_results` reads a run folder, `test_clips` its test clips; `predictions`, `response` and `robustness` run
the networks on them, `measures` computes what the figures show, `figures/` draws them, `sections` puts them
together with captions, and `page` fills `templates/report.html`.
"""

from skdpipe.report.write import write_report

__all__ = ["write_report"]

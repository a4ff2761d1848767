"""The dashboard as it is drawn from a log."""

import importlib.machinery
import importlib.util
import json
import tempfile
import unittest
from pathlib import Path

TOOL = Path(__file__).resolve().parent.parent / "draw-dashboard"
loader = importlib.machinery.SourceFileLoader("draw_dashboard", str(TOOL))
tool = importlib.util.module_from_spec(importlib.util.spec_from_loader("draw_dashboard", loader))
loader.exec_module(tool)


def told(name, value, seconds, dimension=None):
    dimensions = {"Stack": "gpu", **(dimension or {})}
    directive = {"Namespace": "dayfly", "Dimensions": [list(dimensions)], "Metrics": [{"Name": name, "Unit": "Count"}]}
    line = {"_aws": {"Timestamp": 1_800_000_000_000 + 1000 * seconds, "CloudWatchMetrics": [directive]},
            **dimensions, name: value}
    return "2026-11-23 launch " + json.dumps(line, separators=(",", ":")) + "\n"


def section(page, title):
    return page.split(f"<h2>{title}</h2>", 1)[1].split("</section>", 1)[0]


class Drawing(unittest.TestCase):
    def draw(self, lines, *given):
        return tool.draw(lines, tool.arguments(list(given)))

    def test_an_empty_log_makes_a_page_without_data(self):
        page = self.draw([])
        self.assertIn("no data", section(page, "Jobs by outcome"))
        self.assertNotIn("${AWS::StackName}", page)

    def test_sums_of_a_log_are_shown_under_their_labels(self):
        page = self.draw([told("Spend", 0.25, 0), told("Spend", 0.1578, 90), told("Saved", 0.3682, 90)])
        self.assertIn("<h1>gpu</h1>", page)
        whole = section(page, "Dollars, the last 30 days")
        self.assertIn("<b>0.4078</b><small>spend</small>", whole)
        self.assertIn("<b>–</b><small>wasted by interruptions</small>", whole)

    def test_a_line_has_a_point_for_each_period_in_which_something_was_told(self):
        starts = [told("QueueTime", millis, at, {"Stage": "whole"}) for millis, at in ((100, 0), (900, 10), (500, 70))]
        for title, high in (("Queue time by stage, p50", "500"), ("Queue time by stage, p99", "900")):
            chart = section(self.draw(starts, "--period", "60"), title)
            self.assertEqual(chart.count("<circle"), 2, title)
            self.assertIn(f">{high}</text>", chart, title)

    def test_runners_are_drawn_as_they_are_counted_each_minute(self):
        counts = [told("Runners", number, at, {"State": "live"}) for number, at in ((3, 0), (1, 60), (0, 120))]
        title = "Live and launching runners, each minute while there are any"
        chart = section(self.draw(counts), title)
        self.assertIn(">3</text>", chart)
        self.assertEqual(chart.count("<circle"), 3)

    def test_a_gauge_shows_the_last_that_was_told_and_not_the_most(self):
        used = [told("CapUsed", percent, at) for percent, at in ((95, 0), (1, 3600))]
        gauge = section(self.draw(used), "Spent and reserved of the stack&#x27;s monthly cap")
        self.assertIn("<b>1%</b>", gauge)

    def test_reports_of_lambda_are_drawn_as_durations_and_errors(self):
        report = "2026-11-23T10:00:{:02}.5Z {} REPORT RequestId: 1-2\tDuration: {} ms\tBilled Duration: 1 ms{}\n"
        page = self.draw([report.format(0, "launch", 262, ""), report.format(40, "launch", "90.5", "\tStatus: error"),
                          report.format(59, "job-events", 7, "")], "--period", "30")
        durations, errors = (section(page, title) for title in ("Function durations, p95 in ms", "Function errors"))
        self.assertEqual((durations.count("<circle"), errors.count("<circle")), (3, 3))
        self.assertIn(">262</text>", durations)
        self.assertIn(">1</text>", errors)

    def test_all_charts_end_when_the_last_thing_was_told(self):
        lines = [told("Interruptions", 1, 0), told("Launches", 1, 0, {"Lifecycle": "spot"}),
                 told("Launches", 1, 600, {"Lifecycle": "spot"})]
        page = self.draw(lines, "--period", "60")
        # 15 January 2027, 08:00 UTC.
        for title in ("Launches", "Interruptions and re-runs"):
            self.assertIn(">08:00</text>", section(page, title), title)
            self.assertIn(">08:10</text>", section(page, title), title)
        self.assertIn('x="39.0"', section(page, "Interruptions and re-runs"))

    def test_the_board_is_a_page_of_its_own(self):
        with tempfile.NamedTemporaryFile("w", suffix=".html") as board:
            board.write('<p title="a">one</p>')
            board.flush()
            shown = section(self.draw([], "--board", board.name), "The board")
        self.assertIn('srcdoc="&lt;p title=&quot;a&quot;&gt;one&lt;/p&gt;"', shown)

    def test_pools_are_listed_by_how_often_they_failed_and_what_others_say_is_escaped(self):
        lines = [json.dumps({"timestamp": "2026-11-23T10:00:00.5Z", "class": "capacity", "lifecycle": "spot", "pool": pool})
                 for pool in ("g5.xlarge in b", "<b>", "g5.xlarge in b")]
        table = section(self.draw(lines), "Pools by failure")
        self.assertLess(table.index("g5.xlarge in b"), table.index("&lt;b&gt;"))
        self.assertIn("<td>2</td>", table)
        self.assertNotIn("<b>", table)

    def test_a_table_ends_with_a_whole_row_and_says_how_many_there_are_besides(self):
        lines = [json.dumps({"timestamp": "2026-11-23T10:00:00.5Z", "class": "capacity", "lifecycle": "spot",
                             "pool": f"g5.{n}xlarge in b"}) for n in range(15)]
        few, many = (section(self.draw(some), "Pools by failure") for some in (lines[:4], lines))
        self.assertEqual(few.count("<tr>"), 5)
        self.assertNotIn("more", few)
        rows = many.count("<tr>")
        self.assertIn(f"and {15 - (rows - 1)} more", many)
        self.assertLess(24 + 21 * rows + 20, 6 * 44 - 8 - 16, "what there is fits")


if __name__ == "__main__":
    unittest.main()

"""What watches the stack names only what there is: metrics of docs/metrics.md,
fields of log lines, functions and log groups of the template."""

import json
import re
import subprocess
import tomllib
import unittest
from itertools import combinations
from pathlib import Path

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from test_costs import costs

INFRA = Path(__file__).resolve().parent.parent
ROOT = INFRA.parent
STACK_TAG = {"Key": "dayfly:stack", "Value": {"Ref": "AWS::StackName"}}

# SAM makes the rules of a function's events and gives them no tags, which CloudFormation would take. A rule
# costs nothing.
UNTAGGED = {"AWS::Events::Rule"}

# AWS's own metrics that are alarmed on or drawn.
OF_AWS = {("AWS/Lambda", "Errors"), ("AWS/Lambda", "Duration"), ("AWS/Lambda", "Url5xxCount"), ("AWS/Lambda", "Throttles"),
          ("AWS/SQS", "ApproximateNumberOfMessagesVisible")}

# What CloudWatch Logs itself knows of a line, and what Lambda's own lines are.
OF_EVERY_LINE = {"@timestamp", "@message", "level", "message"}


def metrics():
    """Every metric of the page, with each value of its dimension: name, dimension, value."""
    found = set()
    for line in (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8").splitlines():
        row = re.match(r"\| `(\w+)` \| \w+ \| (?:`(\w+)`)? \| (.*?) \|", line)
        if row:
            name, dimension, values = row.groups()
            found |= {(name, dimension, value) for value in re.findall(r"`([\w-]+)`", values)} or {(name, None, None)}
    return found


def crates_of(function):
    """The folders of a function's crate and of those of ours that it is made of."""
    found, open_ = {}, [(f"dayfly-{function}", ROOT / "functions" / function)]
    while open_:
        name, folder = open_.pop()
        if name in found:
            continue
        found[name] = folder
        manifest = tomllib.loads((folder / "Cargo.toml").read_text(encoding="utf-8"))
        ours = (one for one in manifest["dependencies"] if one.startswith("dayfly-"))
        # Its log layer only writes the metrics that others publish.
        ours = (one for one in ours if (name, one) != ("dayfly-runtime", "dayfly-metrics"))
        open_ += [(one, ROOT / "shared" / one.removeprefix("dayfly-")) for one in ours]
    return found


def logged_fields(functions):
    """The fields of the log lines of these functions, read from where they are logged."""
    fields = set(OF_EVERY_LINE)
    crates = {name: folder for function in functions for name, folder in crates_of(function).items()}
    for source in (source for folder in crates.values() for source in folder.glob("src/**/*.rs")):
        text = source.read_text(encoding="utf-8")
        for call in re.findall(r"(?:tracing::)?(?:debug|info|warn|error)!\((.*?)\)[;)]", text, re.DOTALL):
            fields |= set(re.findall(r"\b([a-z_]+)\s*=[^=>]", call))
            fields |= set(re.findall(r"[(,]\s*[%?]?([a-z_]+)\s*(?=,)", "(" + call))
    if "dayfly-metrics" in crates:
        for name, dimension, _ in metrics():
            fields |= {name, dimension, "Record", "Stack"}
    return fields


def function_of(group):
    """The function that logs into a log group of the template."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", group.removesuffix("Logs")).lower()


class Watching(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.template = costs.expand()
        cls.resources = cls.template["Resources"]
        cls.metrics = metrics()

    def of_type(self, kind):
        return {k: v for k, v in self.resources.items() if v["Type"] == kind}

    def dashboard(self):
        return json.loads(self.resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])["widgets"]

    def rows(self):
        """Every row of every widget's metrics, as names, options and the widget."""
        for widget in self.dashboard():
            for row in widget["properties"].get("metrics", []):
                options = row[-1] if isinstance(row[-1], dict) else {}
                yield [part for part in row if isinstance(part, str)], options, widget

    def of_a_metric(self, namespace, name, dimensions):
        """Whether there is such a metric, with these dimensions."""
        if namespace != "dayfly":
            return (namespace, name) in OF_AWS
        self.assertEqual(dimensions.pop("Stack"), "stack", name)
        (dimension, value), = dimensions.items() or [(None, None)]
        return (name, dimension, value) in self.metrics

    # -- the page

    def test_the_page_of_metrics_is_read_whole(self):
        self.assertIn(("Jobs", "Outcome", "given-up"), self.metrics)
        self.assertIn(("Spend", None, None), self.metrics)
        self.assertGreater(len(self.metrics), 30)

    # -- the dashboard

    def test_the_template_has_the_dashboard_of_the_file(self):
        stale = subprocess.run([INFRA / "inline-dashboard", "--check"], capture_output=True, text=True)
        self.assertEqual(stale.returncode, 0, stale.stderr)

    def test_every_metric_on_the_dashboard_is_published(self):
        for names, _, widget in self.rows():
            if not names:
                continue
            namespace, name, *pairs = names
            dimensions = dict(zip(pairs[::2], pairs[1::2], strict=True))
            if namespace == "dayfly":
                self.assertEqual(dimensions["Stack"], "${AWS::StackName}")
                dimensions["Stack"] = "stack"
            self.assertTrue(self.of_a_metric(namespace, name, dimensions), (names, widget["properties"]["title"]))

    def test_every_published_metric_is_on_the_dashboard(self):
        drawn = set()
        for names, _, _ in self.rows():
            if names[:1] == ["dayfly"]:
                drawn.add((names[1], *names[4:6]) if len(names) > 4 else (names[1], None, None))
        self.assertEqual(self.metrics - drawn, set())

    def test_every_function_is_on_the_dashboard(self):
        functions = {f"${{{name}}}" for name in self.of_type("AWS::Lambda::Function")}
        for metric in ("Errors", "Throttles", "Duration"):
            drawn = {names[3] for names, _, _ in self.rows() if names[:2] == ["AWS/Lambda", metric]}
            self.assertEqual(drawn, functions, metric)

    def test_what_the_dashboard_has_filled_in_is_there(self):
        body = self.resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
        known = {*self.resources, *self.template["Parameters"], "AWS::StackName", "AWS::Region"}
        for word in re.findall(r"\$\{([^}]+)\}", body):
            self.assertIn(word.split(".")[0], known)

    def test_sums_are_of_metrics_in_the_same_widget(self):
        for _, options, widget in self.rows():
            if "expression" in options:
                ids = {row[-1].get("id") for row in widget["properties"]["metrics"] if isinstance(row[-1], dict)}
                self.assertLessEqual(set(re.findall(r"\b[a-z]\w*", options["expression"])), ids, options)

    def test_widgets_lie_beside_each_other_and_within_the_page(self):
        widgets = self.dashboard()
        for one in widgets:
            self.assertLessEqual(one["x"] + one["width"], 24, one["properties"])
        for one, other in combinations(widgets, 2):
            apart = (one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
                     or one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"])
            self.assertTrue(apart, (one["properties"], other["properties"]))
        filled = sum(one["width"] * one["height"] for one in widgets)
        self.assertEqual(filled, 24 * max(one["y"] + one["height"] for one in widgets), "there is a hole")

    # -- the saved queries

    def queries(self):
        """Each query with its name and the functions whose logs it reads."""
        for name, query in self.of_type("AWS::Logs::QueryDefinition").items():
            groups = [group["Ref"] for group in query["Properties"]["LogGroupNames"]]
            yield name, query["Properties"]["QueryString"], set(map(function_of, groups))
        for widget in self.dashboard():
            if widget["type"] == "log":
                source, text = widget["properties"]["query"].split("|", 1)
                yield widget["properties"]["title"], text, set(map(function_of, re.findall(r"\$\{(\w+)\}", source)))

    def test_a_query_asks_for_fields_that_log_lines_have(self):
        for name, text, functions in self.queries():
            self.assertTrue(functions, name)
            known = logged_fields(functions)
            text = re.sub(r"#.*", "", text)
            text = re.sub(r'"[^"]*"|\'[^\']*\'', "", text)
            named = set(re.findall(r"\bas (\w+)", text))
            words = set(re.findall(r"(?<![\w@])@?[A-Za-z_]\w*", text))
            language = {"fields", "filter", "sort", "limit", "stats", "by", "as", "and", "or", "like", "asc", "desc",
                        "ispresent", "coalesce", "count", "max", "latest"}
            self.assertEqual(words - language - named - known, set(), name)

    def test_a_field_that_is_not_logged_is_noticed(self):
        functions = {folder.name for folder in (ROOT / "functions").iterdir()}
        self.assertNotIn("instance_typo", logged_fields(functions))
        for field in ("class", "code", "pool", "runner", "instance", "reason", "because", "QueueTime", "Stage"):
            self.assertIn(field, logged_fields(functions))

    def test_a_field_that_another_function_logs_is_none_of_this_one(self):
        for field, there, not_there in (("agent_version", "checkin", "launch"), ("class", "launch", "webhook"),
                                        ("delivery", "webhook", "checkin")):
            self.assertIn(field, logged_fields({there}))
            self.assertNotIn(field, logged_fields({not_there}))

    def test_a_query_reads_log_groups_of_the_stack(self):
        groups = self.of_type("AWS::Logs::LogGroup")
        for name, query in self.of_type("AWS::Logs::QueryDefinition").items():
            for group in query["Properties"]["LogGroupNames"]:
                self.assertIn(group["Ref"], groups, name)
        story = self.resources["JobStoryQuery"]["Properties"]["LogGroupNames"]
        self.assertEqual({group["Ref"] for group in story}, set(groups))

    # -- the alarms

    def test_there_are_no_more_alarms_than_an_account_has_free(self):
        self.assertLessEqual(len(self.of_type("AWS::CloudWatch::Alarm")), 10)

    def test_all_alarms_but_that_on_dead_letters_can_be_left_out(self):
        for name, alarm in self.of_type("AWS::CloudWatch::Alarm").items():
            self.assertEqual(alarm.get("Condition"), None if name == "DeadLettersAlarm" else "Watched", name)

    def test_an_alarm_is_on_a_published_metric_and_says_what_to_do(self):
        for name, alarm in self.of_type("AWS::CloudWatch::Alarm").items():
            properties = alarm["Properties"]
            self.assertNotIn("Metrics", properties, "a sum is billed by each of its metrics")
            dimensions = {one["Name"]: one["Value"] for one in properties["Dimensions"]}
            if properties["Namespace"] == "dayfly":
                self.assertEqual(dimensions["Stack"], {"Ref": "AWS::StackName"})
                dimensions["Stack"] = "stack"
            self.assertTrue(self.of_a_metric(properties["Namespace"], properties["MetricName"], dimensions), name)
            self.assertEqual(properties["TreatMissingData"], "notBreaching", "nothing is published at rest")
            self.assertEqual(properties["AlarmActions"], [{"Ref": "Alarms"}])
            words = properties["AlarmDescription"]["Fn::Sub"]
            self.assertLess(len(words), 900, "CloudWatch takes 1024 characters")
            self.assertGreater(words.count("."), 1, "what happened, and what to do")

    def test_an_alarm_on_a_url_is_on_a_function_that_has_one(self):
        urls = {url["Properties"]["TargetFunctionArn"]["Ref"] for url in self.of_type("AWS::Lambda::Url").values()}
        for alarm in self.of_type("AWS::CloudWatch::Alarm").values():
            if alarm["Properties"]["MetricName"] == "Url5xxCount":
                self.assertIn(alarm["Properties"]["Dimensions"][0]["Value"]["Ref"], urls)

    def test_an_alarm_that_speaks_of_throttling_is_on_what_counts_it(self):
        alarms = [one["Properties"] for one in self.of_type("AWS::CloudWatch::Alarm").values()]
        speaks = [one for one in alarms if "throttled" in one["AlarmDescription"]["Fn::Sub"] and one["Namespace"] == "AWS/Lambda"
                  and "table is throttled" not in one["AlarmDescription"]["Fn::Sub"]]
        self.assertEqual([one["MetricName"] for one in speaks], ["Throttles"])
        self.assertEqual(speaks[0]["Dimensions"], [{"Name": "FunctionName", "Value": {"Ref": "WebhookFunction"}}])

    def test_a_gauge_shows_what_is_and_not_what_was(self):
        gauges = [one["properties"] for one in self.dashboard() if one["properties"].get("view") == "gauge"]
        self.assertEqual([one["period"] for one in gauges], [60])

    def test_a_query_that_an_alarm_names_is_there(self):
        saved = {query["Properties"]["Name"]["Fn::Sub"] for query in self.of_type("AWS::Logs::QueryDefinition").values()}
        named = {word for alarm in self.of_type("AWS::CloudWatch::Alarm").values()
                 for word in re.findall(r"`(dayfly/[^`]+)`", alarm["Properties"]["AlarmDescription"]["Fn::Sub"])}
        self.assertTrue(named)
        self.assertLessEqual(named, saved)

    # -- what it costs, by the tag

    def test_a_budget_is_made_only_if_asked_for_and_notifies_the_topic(self):
        budget = self.resources["Budget"]
        self.assertEqual(budget["Condition"], "Budgeted")
        self.assertEqual(self.template["Parameters"]["MonthlyBudgetDollars"]["Default"], 0)
        value, = budget["Properties"]["Budget"]["CostFilters"]["TagKeyValue"]
        self.assertEqual(value, {"Fn::Join": ["", ["user:dayfly:stack$", {"Ref": "AWS::StackName"}]]})
        for one in budget["Properties"]["NotificationsWithSubscribers"]:
            self.assertEqual(one["Subscribers"], [{"SubscriptionType": "SNS", "Address": {"Ref": "Alarms"}}])
        tell, _ = self.resources["AlarmsPolicy"]["Properties"]["PolicyDocument"]["Statement"]
        self.assertEqual(tell["Principal"]["Service"], ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"])
        self.assertEqual(tell["Condition"], {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}})

    def tags_of(self, resource):
        """The tags of a resource whose kind takes some; nothing if it takes none."""
        kind, properties = resource["Type"], resource.get("Properties", {})
        if kind == "AWS::EC2::LaunchTemplate":
            own, = (one["Tags"] for one in properties["TagSpecifications"] if one["ResourceType"] == "launch-template")
            return own
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
        place = schema.get("tagging", {}).get("tagProperty", "/properties/Tags").rsplit("/", 1)[1]
        if place not in schema["properties"]:
            return None
        return properties.get(place, [])

    def test_all_that_takes_a_tag_has_the_one_that_costs_are_counted_by(self):
        tagged = 0
        for name, resource in self.resources.items():
            tags = self.tags_of(resource)
            if tags is not None and resource["Type"] not in UNTAGGED:
                self.assertIn(STACK_TAG, tags, f"{name} is a {resource['Type']}: tag it")
                tagged += 1
        self.assertGreater(tagged, 40)

    def test_what_an_instance_costs_is_tagged_too(self):
        data = self.resources["LaunchTemplate"]["Properties"]["LaunchTemplateData"]
        tags = {one["ResourceType"]: one["Tags"] for one in data["TagSpecifications"]}
        self.assertEqual(set(tags), {"instance", "volume", "network-interface"})
        for kind, those in tags.items():
            self.assertIn(STACK_TAG, those, kind)


if __name__ == "__main__":
    unittest.main()

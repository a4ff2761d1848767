"""The stack costs nothing while nobody tests, and the page says so."""

import importlib.machinery
import importlib.util
import unittest
from decimal import Decimal
from pathlib import Path

INFRA = Path(__file__).resolve().parent.parent
loader = importlib.machinery.SourceFileLoader("costs", str(INFRA / "costs"))
costs = importlib.util.module_from_spec(importlib.util.spec_from_loader("costs", loader))
loader.exec_module(costs)


class Costs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.template = costs.expand()
        cls.resources = cls.template["Resources"]

    def used(self, parameters=None, **more):
        parameters = {**self.template["Parameters"], **(parameters or {})}
        _, used = costs.page({**self.template, "Parameters": parameters, "Resources": {**self.resources, **more}})
        return used

    def at_rest(self, parameters=None, **more):
        return costs.dollars(self.used(parameters, **more), free=True)

    def test_a_month_at_rest_costs_nothing(self):
        self.assertEqual(round(self.at_rest(), 2), Decimal("0.00"))

    def test_the_page_is_current(self):
        self.assertEqual(costs.PAGE.read_text(encoding="utf-8"), costs.page(self.template)[0])

    def test_the_table_is_that_of_a_busy_stack_and_within_what_is_free(self):
        used = self.used()["table_gb"]
        self.assertGreater(used, Decimal("0.5"), "50,000 jobs a month are kept for 90 days, and their costs for 400")
        self.assertLess(used, costs.LIST["rates"]["table_gb"]["free"] / 2)

    def test_what_can_restore_the_table_is_not_free_and_off(self):
        on = {"PointInTimeRecovery": {"Default": "true"}}
        self.assertGreater(self.at_rest(on), Decimal("0.10"))
        table = self.resources["Table"]
        always = {**table, "Properties": {**table["Properties"],
                  "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}}}
        self.assertGreater(self.at_rest(Table=always), Decimal("0.10"))

    def test_a_job_that_is_the_first_of_its_hour_costs_what_its_metrics_cost_and_the_next_one_does_not(self):
        rows = [line.split(" | ") for line in costs.page(self.template)[0].splitlines() if line.startswith("| ")]
        (first,), (next_one,) = ([row for row in rows if row[0].startswith(words)]
                                 for words in ("| the first of its hour", "| each further one"))
        published = costs.LIST["acts"]["job"]["metrics"]
        self.assertEqual((first[-2], next_one[-2]), (str(published), "0"))
        dollars = [Decimal(row[-1].strip("$ |")) for row in (first, next_one)]
        self.assertAlmostEqual(dollars[0] - dollars[1], published * Decimal("0.30") / 744, places=5)

    def test_what_costs_by_the_month_is_noticed(self):
        alarm = self.resources["DeadLettersAlarm"]
        ours = sum(one["Type"] == "AWS::CloudWatch::Alarm" for one in self.resources.values())
        many = {f"Alarm{n}": alarm for n in range(11 - ours)}
        self.assertEqual(self.at_rest(**many), self.at_rest() + Decimal("0.10"))
        boards = {f"Dashboard{n}": self.resources["Dashboard"] for n in range(3)}
        self.assertEqual(self.at_rest(**boards), self.at_rest() + Decimal("3.00"))
        waking = {**self.resources["MinuteSchedule"]}
        waking["Properties"] = {**waking["Properties"], "State": "ENABLED"}
        self.assertGreater(self.at_rest(MinuteSchedule=waking), Decimal("0.01"))

    def test_a_resource_without_a_price_is_refused(self):
        for kind, properties in (
            ("AWS::EC2::NatGateway", {}),
            ("AWS::SecretsManager::Secret", {}),
            ("AWS::DynamoDB::Table", {"BillingMode": "PROVISIONED"}),
            ("AWS::Logs::LogGroup", {}),
            ("AWS::Lambda::Function", {"ReservedConcurrentExecutions": 5}),
            ("AWS::Events::Rule", {"ScheduleExpression": "rate(1 minute)"}),
        ):
            with self.assertRaises(costs.Unknown, msg=kind):
                self.at_rest(New={"Type": kind, "Properties": properties})

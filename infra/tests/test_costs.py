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
        cls.resources = costs.expand()["Resources"]

    def at_rest(self, **more):
        _, used = costs.page({**self.resources, **more})
        return costs.dollars(used, free=True)

    def test_a_month_at_rest_costs_nothing(self):
        self.assertEqual(round(self.at_rest(), 2), Decimal("0.00"))

    def test_the_page_is_current(self):
        self.assertEqual(costs.PAGE.read_text(encoding="utf-8"), costs.page(self.resources)[0])

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

    def test_what_nobody_has_a_price_for_is_refused(self):
        for kind, properties in (
            ("AWS::EC2::NatGateway", {}),
            ("AWS::SecretsManager::Secret", {}),
            ("AWS::DynamoDB::Table", {"BillingMode": "PROVISIONED"}),
            ("AWS::Logs::LogGroup", {}),
            ("AWS::Lambda::Function", {"ReservedConcurrentExecutions": 5}),
        ):
            with self.assertRaises(costs.Unknown, msg=kind):
                self.at_rest(New={"Type": kind, "Properties": properties})

"""What template.yaml must hold, read from its expansion: the resources that
CloudFormation makes of it."""

import subprocess
import unittest
from pathlib import Path

from test_costs import costs

INFRA = Path(__file__).resolve().parent.parent
TEMPLATE = INFRA / "template.yaml"

FUNCTIONS = ("Webhook", "Launch", "Checkin", "JobEvents", "Interruption", "Sweeper", "Reporter", "Dashboard")


def as_list(value):
    return value if isinstance(value, list) else [value]


class Template(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.template = costs.expand()
        cls.resources = cls.template["Resources"]

    def of_type(self, kind):
        return {k: v["Properties"] for k, v in self.resources.items() if v["Type"] == kind}

    def statements(self, role):
        policies = list(self.resources[role]["Properties"].get("Policies", []))
        policies += [p for p in self.of_type("AWS::IAM::Policy").values()
                     if {"Ref": role} in p["Roles"]]
        statements = [s for p in policies for s in p["PolicyDocument"]["Statement"]]
        # What holds only if a parameter is given counts as if it were.
        return [s["Fn::If"][1] if "Fn::If" in s else s for s in statements]

    def actions(self, role):
        return {a for s in self.statements(role) for a in as_list(s["Action"])}

    # -- costs

    def test_nothing_in_it_is_bought_ahead(self):
        for function in self.of_type("AWS::Lambda::Function").values():
            self.assertNotIn("ReservedConcurrentExecutions", function)
            self.assertNotIn("SnapStart", function)
        for alias in self.of_type("AWS::Lambda::Alias").values():
            self.assertNotIn("ProvisionedConcurrencyConfig", alias)
        for table in self.of_type("AWS::DynamoDB::Table").values():
            self.assertEqual(table["BillingMode"], "PAY_PER_REQUEST")
            self.assertNotIn("SSESpecification", table)
        for parameter in self.of_type("AWS::SSM::Parameter").values():
            self.assertNotEqual(parameter.get("Tier"), "Advanced")
        for queue in self.of_type("AWS::SQS::Queue").values():
            self.assertNotIn("KmsMasterKeyId", queue)

    def test_the_minute_schedule_sleeps_until_something_lives(self):
        self.assertEqual(self.resources["MinuteSchedule"]["Properties"]["State"], "DISABLED")
        self.assertEqual(self.resources["PatrolSchedule"]["Properties"]["State"], "ENABLED")

    def test_every_log_group_forgets(self):
        groups = self.of_type("AWS::Logs::LogGroup")
        self.assertEqual(len(groups), len(FUNCTIONS))
        for group in groups.values():
            self.assertIn("RetentionInDays", group)
        for name in FUNCTIONS:
            function = self.resources[f"{name}Function"]["Properties"]
            self.assertEqual(function["LoggingConfig"], {"LogGroup": {"Ref": f"{name}Logs"}})

    # -- rights

    def test_every_function_has_a_role_of_its_own(self):
        for name in FUNCTIONS:
            function = self.resources[f"{name}Function"]["Properties"]
            self.assertEqual(function["Role"], {"Fn::GetAtt": [f"{name}Role", "Arn"]})

    def test_no_role_has_a_wildcard_or_a_managed_policy(self):
        for role, properties in self.of_type("AWS::IAM::Role").items():
            self.assertNotIn("ManagedPolicyArns", properties, role)
            for statement in self.statements(role):
                for action in as_list(statement["Action"]):
                    self.assertNotIn("*", action, role)
                if "*" in as_list(statement["Resource"]):
                    self.assertTrue(
                        all(a.startswith(("ec2:Describe", "pricing:Get", "servicequotas:Get")) or a == "ec2:CreateFleet"
                            for a in as_list(statement["Action"])), (role, statement))

    def test_who_may_do_what(self):
        terminates = {r for r in self.of_type("AWS::IAM::Role") if "ec2:TerminateInstances" in self.actions(r)}
        launches = {r for r in self.of_type("AWS::IAM::Role") if "ec2:RunInstances" in self.actions(r)}
        passes = {r for r in self.of_type("AWS::IAM::Role") if "iam:PassRole" in self.actions(r)}
        self.assertEqual(terminates, {"JobEventsRole", "SweeperRole"})
        # The functions that reserve and cost an instance ask for all prices.
        for action in ("pricing:GetProducts", "ec2:DescribeSpotPriceHistory"):
            self.assertEqual({r for r in self.of_type("AWS::IAM::Role") if action in self.actions(r)},
                             {"LaunchRole", *terminates}, action)
        self.assertEqual(launches, {"LaunchRole"})
        self.assertEqual(passes, {"LaunchRole", "SweeperRole"})
        for role in ("WebhookRole", "ReporterRole"):
            self.assertFalse({a for a in self.actions(role) if a.startswith("ec2:")}, role)
        self.assertEqual({a for a in self.actions("ReporterRole") if a.startswith("dynamodb:")},
                         {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:Query"})

    def test_the_board_only_reads_the_table(self):
        self.assertEqual(self.actions("DashboardRole"),
                         {"logs:CreateLogStream", "logs:PutLogEvents", "dynamodb:GetItem", "dynamodb:Query"})
        called_by = [p for p in self.of_type("AWS::Lambda::Permission").values()
                     if p["FunctionName"] == {"Ref": "DashboardFunction"}]
        self.assertEqual(called_by, [])

    def test_only_launch_reads_quotas(self):
        reads = {r for r in self.of_type("AWS::IAM::Role")
                 if any(a.startswith("servicequotas:") for a in self.actions(r))}
        self.assertEqual(reads, {"LaunchRole"})

    def test_only_the_webhook_reads_the_webhook_secret_and_never_the_app_key(self):
        for name in FUNCTIONS:
            text = str(self.statements(f"{name}Role"))
            self.assertEqual("WebhookSecretParameter" in text, name == "Webhook", name)
            self.assertEqual("GitHubPrivateKeyParameter" in text,
                             name not in ("Webhook", "Interruption", "Dashboard"), name)

    def test_only_our_own_instances_can_be_ended(self):
        ours = {"StringEquals": {"aws:ResourceTag/dayfly:stack": {"Ref": "AWS::StackName"}}}
        for role in ("JobEventsRole", "SweeperRole"):
            for statement in self.statements(role):
                if "ec2:TerminateInstances" in as_list(statement["Action"]):
                    self.assertEqual(statement["Condition"], ours)

    def test_a_drill_interrupts_our_own_instances_and_does_nothing_else(self):
        trust, = self.resources["DrillRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        self.assertEqual(trust["Principal"], {"Service": "fis.amazonaws.com"})
        self.assertIn("aws:SourceAccount", trust["Condition"]["StringEquals"])
        self.assertEqual(self.actions("DrillRole"),
                         {"ec2:SendSpotInstanceInterruptions", "ec2:DescribeInstances"})
        interrupts = {r for r in self.of_type("AWS::IAM::Role")
                      if "ec2:SendSpotInstanceInterruptions" in self.actions(r)}
        self.assertEqual(interrupts, {"DrillRole"})
        send, = (s for s in self.statements("DrillRole") if s["Resource"] != "*")
        self.assertEqual(send["Condition"],
                         {"StringEquals": {"aws:ResourceTag/dayfly:stack": {"Ref": "AWS::StackName"}}})

    def test_a_role_is_passed_to_one_service_only(self):
        for role in ("LaunchRole", "SweeperRole"):
            for statement in self.statements(role):
                if "iam:PassRole" in as_list(statement["Action"]):
                    self.assertIn("iam:PassedToService", statement["Condition"]["StringEquals"])
                    self.assertNotIn("*", str(statement["Resource"]))

    def test_an_instance_may_only_check_in(self):
        checkin = {"Fn::GetAtt": ["CheckinFunction", "Arn"]}
        self.assertEqual(
            [(s["Action"], s["Resource"], s["Condition"]) for s in self.statements("InstanceRole")],
            [("lambda:InvokeFunctionUrl", checkin,
              {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}}),
             ("lambda:InvokeFunction", checkin,
              {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}})])

    def test_an_instance_with_a_role_of_the_owners_checks_in_just_so(self):
        policy, = self.of_type("AWS::IAM::ManagedPolicy").values()
        checkin = self.statements("InstanceRole")
        self.assertEqual(policy["PolicyDocument"]["Statement"], checkin)
        self.assertNotIn("Roles", policy)

    def test_launch_passes_other_roles_and_groups_only_if_the_owner_names_them(self):
        raw = self.resources["LaunchRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        optional = {s["Fn::If"][1]["Sid"]: s["Fn::If"] for s in raw if "Fn::If" in s}
        self.assertEqual(set(optional), {"LaunchWithSecurityGroupsOfTheOwners", "GiveInstancesRolesOfTheOwners"})
        for condition, parameter in (("OtherSecurityGroups", "JobSecurityGroupArns"), ("OtherRoles", "JobRoleArns")):
            self.assertEqual(self.template["Parameters"][parameter]["Default"], "")
            named, = (c for c in optional.values() if c[0] == condition)
            self.assertIn(f"'Ref': '{parameter}'", str(named[1]["Resource"]))
            self.assertEqual(named[2], {"Ref": "AWS::NoValue"})

    def test_launch_makes_versions_of_no_template_that_is_launched_from_as_it_is(self):
        make, = (s for s in self.statements("LaunchRole") if "ec2:CreateLaunchTemplateVersion" in as_list(s["Action"]))
        self.assertIn("launch-template/${LaunchTemplateVariants}", make["Resource"]["Fn::Sub"])

    def test_the_public_reaches_the_webhook_by_its_url_and_nothing_else(self):
        public = [p for p in self.of_type("AWS::Lambda::Permission").values() if p["Principal"] == "*"]
        webhook = {"Ref": "WebhookFunction"}
        self.assertCountEqual(public, [
            {"Action": "lambda:InvokeFunctionUrl", "FunctionName": webhook, "Principal": "*",
             "FunctionUrlAuthType": "NONE"},
            {"Action": "lambda:InvokeFunction", "FunctionName": webhook, "Principal": "*",
             "InvokedViaFunctionUrl": True},
        ])
        auth = {k: v["AuthType"] for k, v in self.of_type("AWS::Lambda::Url").items()}
        self.assertEqual(auth, {"WebhookFunctionUrl": "NONE", "CheckinFunctionUrl": "AWS_IAM"})

    # -- delivery

    def test_every_rule_retries_and_then_leaves_the_event_in_the_dead_letters(self):
        dead = {"Arn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}}
        rules = self.of_type("AWS::Events::Rule")
        self.assertEqual(len(rules), 5)
        for rule in rules.values():
            for target in rule["Targets"]:
                self.assertEqual(target["DeadLetterConfig"], dead)
                self.assertIn("MaximumRetryAttempts", target["RetryPolicy"])
        for schedule in self.of_type("AWS::Scheduler::Schedule").values():
            self.assertEqual(schedule["Target"]["DeadLetterConfig"], dead)
            self.assertEqual(schedule["FlexibleTimeWindow"], {"Mode": "OFF"})

    def test_what_a_function_woken_by_an_event_fails_at_is_kept(self):
        kept = {v["FunctionName"]["Ref"]: v["DestinationConfig"]["OnFailure"]["Destination"]
                for v in self.of_type("AWS::Lambda::EventInvokeConfig").values()}
        dead = {"Fn::GetAtt": ["DeadLetters", "Arn"]}
        asynchronous = ("Launch", "JobEvents", "Interruption", "Sweeper", "Reporter")
        self.assertEqual(kept, {f"{name}Function": dead for name in asynchronous})
        for name in asynchronous:
            self.assertIn("sqs:SendMessage", self.actions(f"{name}Role"))
        self.assertIn("sqs:SendMessage", self.actions("SchedulerRole"))

    # -- alarms

    def test_a_dead_letter_calls_for_a_person_and_says_what_to_do(self):
        alarm = self.resources["DeadLettersAlarm"]["Properties"]
        self.assertEqual(
            (alarm["Namespace"], alarm["MetricName"], alarm["ComparisonOperator"], alarm["Threshold"]),
            ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "GreaterThanThreshold", 0))
        self.assertEqual(alarm["Dimensions"],
                         [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["DeadLetters", "QueueName"]}}])
        self.assertEqual(alarm["TreatMissingData"], "notBreaching")
        description = alarm["AlarmDescription"]["Fn::Sub"]
        self.assertIn("`dayfly redrive --stack ${AWS::StackName} --region ${AWS::Region} --dry-run`", description)
        self.assertLess(len(description), 900, "CloudWatch takes 1024 characters")

    def test_every_alarm_goes_to_the_one_topic_and_by_email_only_if_one_is_given(self):
        self.assertEqual(list(self.of_type("AWS::SNS::Topic")), ["Alarms"])
        for alarm in self.of_type("AWS::CloudWatch::Alarm").values():
            self.assertEqual(alarm["AlarmActions"], [{"Ref": "Alarms"}])
            # One of more than a minute's resolution is not among the free ones.
            self.assertGreaterEqual(alarm["Period"], 60)
        email = self.resources["AlarmsByEmail"]
        self.assertEqual(email["Condition"], "TellByEmail")
        self.assertEqual(email["Properties"]["TopicArn"], {"Ref": "Alarms"})
        self.assertEqual(self.template["Parameters"]["AlarmEmail"]["Default"], "")

    # -- instances

    def launch_template(self):
        return self.resources["LaunchTemplate"]["Properties"]["LaunchTemplateData"]

    def test_an_instance_is_closed_and_ends_with_its_power(self):
        data = self.launch_template()
        self.assertEqual(data["InstanceInitiatedShutdownBehavior"], "terminate")
        self.assertEqual(data["MetadataOptions"]["HttpTokens"], "required")
        self.assertEqual(data["MetadataOptions"]["HttpPutResponseHopLimit"], 1)
        self.assertNotIn("KeyName", data)
        for mapping in data["BlockDeviceMappings"]:
            self.assertTrue(mapping["Ebs"]["Encrypted"])
            self.assertTrue(mapping["Ebs"]["DeleteOnTermination"])
            self.assertEqual(mapping["Ebs"]["VolumeType"], "gp3")
        group = self.resources["InstanceSecurityGroup"]["Properties"]
        self.assertNotIn("SecurityGroupIngress", group)
        self.assertEqual(self.of_type("AWS::EC2::SecurityGroupIngress"), {})

    def test_launch_copies_all_that_the_template_says(self):
        # What else it said would be left out of the variants (shared/ec2/src/variants.rs).
        data = self.launch_template()
        self.assertEqual(set(data), {
            "ImageId", "InstanceType", "IamInstanceProfile", "SecurityGroupIds", "InstanceInitiatedShutdownBehavior",
            "MetadataOptions", "Monitoring", "BlockDeviceMappings", "TagSpecifications", "UserData"})
        self.assertEqual(set(data["MetadataOptions"]), {
            "HttpEndpoint", "HttpTokens", "HttpPutResponseHopLimit", "HttpProtocolIpv6", "InstanceMetadataTags"})
        for mapping in data["BlockDeviceMappings"]:
            self.assertEqual(set(mapping), {"DeviceName", "Ebs"})
            self.assertEqual(set(mapping["Ebs"]), {"VolumeType", "VolumeSize", "Encrypted", "DeleteOnTermination"})

    def test_user_data_holds_no_secret_and_fits(self):
        text = self.launch_template()["UserData"]["Fn::Base64"]["Fn::Sub"]
        for secret in ("GitHubPrivateKeyParameter", "WebhookSecretParameter", "GitHubAppId"):
            self.assertNotIn(secret, text)
        # A few long URLs will still fit into the 16 KiB that EC2 takes.
        self.assertLess(len(text.encode()), 12 * 1024)

    def test_user_data_is_user_data_sh(self):
        stale = subprocess.run([INFRA / "inline-user-data", "--check"], capture_output=True, text=True)
        self.assertEqual(stale.returncode, 0, stale.stderr)

    # -- the whole

    def test_it_is_yaml_that_cloudformation_reads(self):
        self.assertNotRegex(TEMPLATE.read_text(), r"(?m)[:-] [&*][a-z]", "YAML aliases are not taken")

    def test_no_output_is_named_as_a_parameter(self):
        """`sam build` takes such an output's name for the parameter's value, and
        ends with a TypeError where that is a list."""
        self.assertFalse(self.template["Outputs"].keys() & self.template["Parameters"].keys())

    def test_every_output_that_others_read_is_there(self):
        for name in ("WebhookUrl", "CheckinUrl", "TableName", "BusName", "MinuteScheduleName",
                     "LaunchTemplateId", "SubnetIds", "InstanceRoleArn", "CheckInPolicyArn", "DrillRoleArn", "DeadLettersUrl", "AlarmsTopicArn",
                     *(f"{function}FunctionName" for function in FUNCTIONS)):
            self.assertIn(name, self.template["Outputs"])


if __name__ == "__main__":
    unittest.main()

"""Starts ministack as the lab needs it: with what it leaves out of AWS filled in.

ministack is a fine likeness of AWS, but a few things that dayfly leans on are
missing from version 1.5.33. Each function below adds one of them to the running
program. They touch ministack's insides, hence the pinned version; a name that
moved fails the start instead of passing unnoticed.

Environment, beside ministack's own:

    MINISTACK_SCHEDULE_TICK   seconds between looks at the schedules (default 1)
    MINISTACK_RATE_UNIT       seconds that a minute in rate(n minutes) lasts
                              (default 60): time on the lab's clock
"""

import math
import os
import sys

EXPECTED = "1.5.33"

# Seconds for which an instance is pending before it is reported as running.
SHORTEST_PENDING = 0.2


def ec2_tags_in_policies():
    """`aws:ResourceTag/…` on instances: only ours may be terminated."""
    from ministack.core.responses import get_account_id, get_region
    from ministack.services import ec2, tagging

    def collect():
        for instance_id in list(ec2._instances):
            arn = f"arn:aws:ec2:{get_region()}:{get_account_id()}:instance/{instance_id}"
            yield arn, ec2._tags.get(instance_id, [])

    tagging._RESOURCE_TAG_COLLECTORS["ec2"] = collect


def rules_invoke_asynchronously():
    """A rule hands its event to a function as EventBridge does: with the
    function's retries and, after the last, its failure destination."""
    import json

    from ministack.services import eventbridge, lambda_svc

    assert eventbridge._dispatch_to_lambda

    def dispatch(arn, payload):
        function, config, _ = lambda_svc._get_func_record_for_ref(arn)
        if function and config:
            record = lambda_svc._execution_record_for_config(function, config)
            lambda_svc.invoke_async_with_retry(record, json.loads(payload))

    eventbridge._dispatch_to_lambda = dispatch


def throttled_events_wait():
    """An event for a function that is throttled is no try of it: Lambda keeps
    it, and hands it over later, one after the other."""
    import collections
    import contextvars
    import threading

    from ministack.services import lambda_svc

    waits = contextvars.ContextVar("waits", default=False)
    execute, later = lambda_svc._execute_function, lambda_svc.invoke_async_with_retry
    release = lambda_svc._release_execution_slot
    freed = collections.defaultdict(threading.Condition)

    def release_and_tell(key):
        release(key)
        if key is not None:
            condition = freed[key.rsplit(":", 1)[-1]]
            with condition:
                condition.notify()

    def execute_or_wait(func, event):
        answer = execute(func, event)
        while waits.get() and answer.get("throttle"):
            name = (func.get("config") or func)["FunctionName"]
            with freed[name]:
                # It may be let go without anybody's having run.
                freed[name].wait(2)
            # The record is a copy, from before the function was let go.
            func = dict(func, concurrency=lambda_svc._functions[name].get("concurrency"))
            answer = execute(func, event)
        return answer

    def invoke_later(func, event):
        # Its thread gets a copy of this context.
        token = waits.set(True)
        try:
            later(func, event)
        finally:
            waits.reset(token)

    lambda_svc._execute_function = execute_or_wait
    lambda_svc.invoke_async_with_retry = invoke_later
    lambda_svc._release_execution_slot = release_and_tell


def ec2_speaks_on_the_default_bus():
    """Instances tell of their state; and root, who plays EC2 in the lab, may
    put events of `aws.ec2` (spot notices), which AWS forbids."""
    import contextvars
    import json
    import threading
    import time

    from ministack.core import iam_evaluator
    from ministack.core.responses import get_account_id, get_region
    from ministack.services import ec2, eventbridge

    put_events = eventbridge._put_events

    def put(data, allow_aws_source=False):
        caller = iam_evaluator._request_caller_arn.get() or ":root"
        return put_events(data, allow_aws_source or caller.endswith(":root"))

    eventbridge._put_events = put
    launch, terminate = ec2._launch_instances_internal, ec2._terminate_instances

    def tell(instance_id, state):
        detail = {"instance-id": instance_id, "state": state}
        put_events({"Entries": [{
            "Source": "aws.ec2",
            "DetailType": "EC2 Instance State-change Notification",
            "Resources": [f"arn:aws:ec2:{get_region()}:{get_account_id()}:instance/{instance_id}"],
            "Detail": json.dumps(detail),
        }]}, allow_aws_source=True)

    def tell_running(ids):
        for instance_id in ids:
            if ec2._instances.get(instance_id, {}).get("State", {}).get("Name") == "running":
                tell(instance_id, "running")

    def launching(*args, **kwargs):
        instances = launch(*args, **kwargs)
        ids = [instance["InstanceId"] for instance in instances]
        # Not before the launch is answered. An event's time has no fractions, so that it is told when
        # a second begins.
        soon = time.time() + SHORTEST_PENDING
        timer = threading.Timer(math.ceil(soon) - time.time(), contextvars.copy_context().run, (tell_running, ids))
        timer.daemon = True
        timer.start()
        return instances

    def terminating(params):
        ids = ec2._parse_member_list(params, "InstanceId")
        living = [i for i in ids
                  if i in ec2._instances and ec2._instances[i]["State"]["Name"] != "terminated"]
        answer = terminate(params)
        if answer[0] == 200:
            # On AWS no one says why: the lab's instances end by themselves, or by EC2, only here.
            reason = ec2._p(params, "StateReason") or "Client.UserInitiatedShutdown"
            for instance_id in living:
                ec2._instances[instance_id]["_reason"] = reason
                tell(instance_id, "shutting-down")
                tell(instance_id, "terminated")
        return answer

    ec2._launch_instances_internal = launching
    ec2._ACTION_MAP["TerminateInstances"] = terminating


def fleets_as_on_ec2():
    """CreateFleet with the same ClientToken is the same fleet; an override's
    image, zone and disk reach the instance, and its volume gets its tags. How
    an instance was bought, and why it was ended, is told of it."""
    from ministack.services import ec2

    create = ec2._ACTION_MAP["CreateFleet"]
    answers = {}

    def override_of(params, instance):
        prefix = "LaunchTemplateConfigs.1.Overrides."
        n = 1
        while (kind := ec2._p(params, f"{prefix}{n}.InstanceType")) or ec2._p(params, f"{prefix}{n}.SubnetId"):
            if (kind, ec2._p(params, f"{prefix}{n}.SubnetId")) == (
                    instance["InstanceType"], instance["SubnetId"]):
                return f"{prefix}{n}."
            n += 1
        return None

    def volume_tags(params):
        n = 1
        while kind := ec2._p(params, f"TagSpecification.{n}.ResourceType"):
            if kind == "volume":
                tags, m = [], 1
                while key := ec2._p(params, f"TagSpecification.{n}.Tag.{m}.Key"):
                    value = ec2._p(params, f"TagSpecification.{n}.Tag.{m}.Value", "")
                    tags.append({"Key": key, "Value": value})
                    m += 1
                return tags
            n += 1
        return []

    def create_once(params):
        token = ec2._p(params, "ClientToken")
        if token and token in answers:
            return answers[token]
        before = set(ec2._instances)
        answer = create(params)
        if answer[0] != 200:
            return answer
        for instance_id in set(ec2._instances) - before:
            instance = ec2._instances[instance_id]
            subnet = ec2._subnets.get(instance["SubnetId"])
            if subnet:
                instance["Placement"]["AvailabilityZone"] = subnet["AvailabilityZone"]
            chosen = override_of(params, instance)
            if chosen and (image := ec2._p(params, f"{chosen}ImageId")):
                instance["ImageId"] = image
            volume = ec2._volumes[instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]]
            volume["AvailabilityZone"] = instance["Placement"]["AvailabilityZone"]
            ebs = f"{chosen}BlockDeviceMapping.1.Ebs." if chosen else ""
            if chosen and (size := ec2._p(params, f"{ebs}VolumeSize")):
                volume["Size"] = int(size)
            volume["Encrypted"] = not chosen or ec2._p(params, f"{ebs}Encrypted", "true") == "true"
            if tags := volume_tags(params):
                ec2._tags[volume["VolumeId"]] = tags
            if ec2._p(params, "TargetCapacitySpecification.DefaultTargetCapacityType") == "spot":
                instance["_lifecycle"] = "spot"
        if token:
            answers[token] = answer
        return answer

    ec2._ACTION_MAP["CreateFleet"] = create_once

    instance_xml = ec2._instance_xml

    def with_lifecycle_and_reason(instance):
        more = ""
        if instance.get("_lifecycle"):
            more += "<instanceLifecycle>spot</instanceLifecycle>"
        if reason := instance.get("_reason"):
            more += f"<stateReason><code>{reason}</code><message>{reason}</message></stateReason>"
        return instance_xml(instance).replace("<item>", f"<item>{more}", 1)

    ec2._instance_xml = with_lifecycle_and_reason


def launch_templates_in_policies():
    """A version of a launch template is asked of that template, by name."""
    from ministack.core import iam_actions

    extract, param = iam_actions.extract_resource_arn, iam_actions._query_param

    def named(service, method, path, headers, body, query_params, region, account_id):
        if service == "ec2" and param(query_params, "Action") == "CreateLaunchTemplateVersion":
            template = param(query_params, "LaunchTemplateId")
            return f"arn:aws:ec2:{region}:{account_id}:launch-template/{template}"
        return extract(service, method, path, headers, body, query_params, region, account_id)

    iam_actions.extract_resource_arn = named


def deep_learning_images():
    """The public parameters of AWS's Deep Learning AMIs, whatever their
    release, name an image that this EC2 knows."""
    from ministack.services import ec2, ssm

    image = "ami-0123456789abcdef0"
    assert any(stub[0] == image for stub in ec2._STUB_AMIS)

    class Images(dict):
        def get(self, name, default=None):
            ours = str(name).startswith(("/aws/service/deeplearning/ami/", "/aws/service/canonical/")) and name.endswith("/ami-id")
            return image if ours else super().get(name, default)

    ssm._PUBLIC_AMI_PARAMETERS = Images(ssm._PUBLIC_AMI_PARAMETERS)


def environments_wait_quietly():
    """A function's environment is waited for and not asked ten times a second
    whether it is there: hundreds of them would leave no time for anything else."""
    import queue
    import socket
    import socketserver
    import types

    from ministack.core import lambda_runtime

    assert lambda_runtime._PROVIDED_POLL and lambda_runtime.queue is queue

    class Pending(queue.Queue):
        def get(self, block=True, timeout=None):
            return super().get(block, timeout and 60)

    lambda_runtime.queue = types.SimpleNamespace(
        Queue=Pending, Empty=queue.Empty, Full=queue.Full)
    # How often a process that does not answer is looked after; an answer is
    # noticed at once.
    lambda_runtime._PROVIDED_POLL = 1.0

    server = socketserver.ThreadingTCPServer
    serve, shutdown = server.serve_forever, server.shutdown

    def serve_forever(self, poll_interval=0.5):
        serve(self, 60)

    def shut_down(self):
        self._BaseServer__shutdown_request = True
        try:
            socket.create_connection(self.server_address, timeout=1).close()
        except OSError:
            pass
        shutdown(self)

    server.serve_forever, server.shutdown = serve_forever, shut_down


def concurrency_is_measured():
    """CloudWatch's `ConcurrentExecutions`: how many of a function run at once,
    and without a dimension, how many of all."""
    from ministack.services import cloudwatch, lambda_svc

    acquire = lambda_svc._acquire_execution_slot

    def acquire_and_tell(func, config):
        slot, limit = acquire(func, config)
        if slot is not None:
            total, each = lambda_svc.executions_in_flight()
            measured = "AWS/Lambda", "ConcurrentExecutions"
            cloudwatch.record_metric(*measured, each.get(slot, 1), "Count",
                                     {"FunctionName": config["FunctionName"]})
            cloudwatch.record_metric(*measured, total, "Count")
        return slot, limit

    lambda_svc._acquire_execution_slot = acquire_and_tell


def queries_can_be_saved():
    """Saved queries of Logs Insights are part of a stack. Nobody runs them here."""
    import uuid

    from ministack.services.cloudformation import provisioners

    kind = "AWS::Logs::QueryDefinition"
    assert kind not in provisioners._RESOURCE_HANDLERS

    def create(logical_id, properties, stack):
        query = str(uuid.uuid4())
        return query, {"QueryDefinitionId": query}

    provisioners._RESOURCE_HANDLERS[kind] = {
        "create": create, "delete": lambda physical_id, properties: None}


def schedules_on_the_labs_clock():
    """Schedules are looked at every second, and their minutes may be short."""
    from ministack.services import eventbridge, scheduler

    assert scheduler._SCHEDULE_TICK_INTERVAL and eventbridge._parse_rate_seconds
    scheduler._SCHEDULE_TICK_INTERVAL = float(os.environ.get("MINISTACK_SCHEDULE_TICK", "1"))
    minute = float(os.environ.get("MINISTACK_RATE_UNIT", "60"))
    parse = eventbridge._parse_rate_seconds

    def scaled(expression):
        seconds = parse(expression)
        return seconds if seconds is None else seconds * minute / 60

    eventbridge._parse_rate_seconds = scaled


def main():
    from importlib.metadata import version

    if version("ministack") != EXPECTED:
        sys.exit(f"ministack {version('ministack')} is installed, {EXPECTED} is expected: run `make tools`")
    ec2_tags_in_policies()
    rules_invoke_asynchronously()
    throttled_events_wait()
    ec2_speaks_on_the_default_bus()
    fleets_as_on_ec2()
    launch_templates_in_policies()
    deep_learning_images()
    environments_wait_quietly()
    concurrency_is_measured()
    queries_can_be_saved()
    schedules_on_the_labs_clock()
    from ministack.app import main as ministack

    ministack()


if __name__ == "__main__":
    main()

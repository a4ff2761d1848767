import importlib.machinery
import importlib.util
import json
import pathlib
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
loader = importlib.machinery.SourceFileLoader("machines", str(ROOT / "tools/machines"))
machines = importlib.util.module_from_spec(importlib.util.spec_from_loader("machines", loader))
loader.exec_module(machines)


def described(name, gpu=None, storage=None, arch="x86_64", classes=("on-demand", "spot")):
    """A type as DescribeInstanceTypes tells of it, with what the table does not want left away."""
    answer = {
        "InstanceType": name,
        "VCpuInfo": {"DefaultVCpus": 4},
        "MemoryInfo": {"SizeInMiB": 16384},
        "ProcessorInfo": {"SupportedArchitectures": [arch]},
        "SupportedUsageClasses": list(classes),
    }
    if gpu:
        answer["GpuInfo"] = {"Gpus": [gpu]}
    if storage:
        answer["InstanceStorageInfo"] = {"TotalSizeInGB": storage}
    return answer


def nvidia(name, count, mib, part=1.0, logical=None):
    return {
        "Manufacturer": "NVIDIA",
        "Name": name,
        "Count": count,
        "MemoryInfo": {"SizeInMiB": mib},
        "GpuPartitionSize": part,
        "LogicalGpuCount": logical or count,
    }


def product(name, dollars, unit="Hrs"):
    """One of the texts in the price list that `aws pricing get-products` writes."""
    return json.dumps(
        {
            "product": {"attributes": {"instanceType": name}},
            "terms": {"OnDemand": {"A.B": {"priceDimensions": {"A.B.C": {"unit": unit, "pricePerUnit": {"USD": dollars}}}}}},
        }
    )


GPUS = json.loads((ROOT / "shared/config/data/gpus.json").read_text(encoding="utf-8"))


class Table(unittest.TestCase):
    def table(self, *types, prices=None):
        self.left_out = []
        return machines.table(
            {"InstanceTypes": list(types)},
            prices or {},
            GPUS,
            {"types_at": "2026-01-02"},
            lambda name, why: self.left_out.append((name, str(why))),
        )

    def test_a_type_is_told_with_its_gpus_its_disks_and_its_price(self):
        prices = {"PriceList": [product("g5.12xlarge", "5.6720000000"), product("g5.12xlarge", "0.0000000000")]}
        made = self.table(described("g5.12xlarge", nvidia("A10G", 4, 22888), storage=3800), prices=prices)
        self.assertEqual(
            made["types"],
            [
                {
                    "type": "g5.12xlarge",
                    "vcpus": 4,
                    "memory_mib": 16384,
                    "arch": "x86_64",
                    "gpu": "a10g",
                    "gpus": 4,
                    "vram_mib": 22888,
                    "nvme_gb": 3800,
                    "price": "5.672",
                }
            ],
        )
        self.assertEqual(made["compute_capabilities"], {"a10g": "8.6"})
        self.assertEqual(made["types_at"], "2026-01-02")

    def test_a_part_of_a_gpu_is_a_gpu_of_its_own(self):
        made = self.table(described("g6f.large", nvidia("L4", 0, 2861, part=0.125, logical=1)))
        self.assertEqual((made["types"][0]["gpu"], made["types"][0]["gpus"]), ("l4-eighth", 1))

    def test_a_gpu_that_is_not_known_is_left_out_and_named(self):
        radeon = {**nvidia("Radeon Pro V520", 1, 8192), "Manufacturer": "AMD"}
        made = self.table(described("g4ad.xlarge", radeon), described("g9.xlarge", nvidia("X1", 1, 1)))
        self.assertEqual(made["types"], [])
        self.assertEqual([name for name, _ in self.left_out], ["g4ad.xlarge", "g9.xlarge"])
        self.assertIn("AMD Radeon Pro V520", self.left_out[0][1])

    def test_of_those_without_a_gpu_only_common_ones_are_taken(self):
        taken = described("m7g.large", arch="arm64")
        others = (described("m1.large"), described("m7g.metal"), described("m7g.medium"))
        blocked = described("p9.48xlarge", nvidia("T4", 8, 16384), classes=("capacity-block",))
        made = self.table(taken, *others, blocked)
        self.assertEqual([row["type"] for row in made["types"]], ["m7g.large"])

    def test_types_stand_in_the_order_of_family_and_size(self):
        large = described("c7i.16xlarge")
        large["VCpuInfo"]["DefaultVCpus"] = 64
        made = self.table(described("m7i.large"), large, described("c7i.2xlarge"))
        self.assertEqual([row["type"] for row in made["types"]], ["c7i.2xlarge", "c7i.16xlarge", "m7i.large"])

    def test_prices_may_be_a_plain_object_too(self):
        self.assertEqual(machines.prices_of({"g5.xlarge": "1.006000", "m7i.large": 1}), {"g5.xlarge": "1.006", "m7i.large": "1"})

    def test_what_is_written_reads_back_the_same_one_type_a_line(self):
        made = self.table(described("m7i.large"), described("m7i.xlarge"))
        text = machines.written(made)
        self.assertEqual(json.loads(text), made)
        self.assertEqual(sum('"type":' in line for line in text.splitlines()), 2)

    def test_something_else_is_not_taken_for_types(self):
        with self.assertRaises(machines.NotUnderstood):
            machines.table({"Reservations": []}, {}, GPUS, {}, print)


if __name__ == "__main__":
    unittest.main()

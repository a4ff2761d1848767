use proptest::prelude::*;

use super::*;
use crate::machines::GpuModel;

fn table() -> &'static Table {
    Table::embedded().unwrap()
}

fn requirements(text: &str) -> Requirements {
    let mut requirements = Requirements::default();
    for (key, value) in text.split_whitespace().map(|pair| pair.split_once('=').unwrap()) {
        requirements.set(key, value).unwrap();
    }
    requirements
}

fn no_price(_: &InstanceType) -> Option<MicroDollars> {
    None
}

fn names(machines: Vec<&MachineType>) -> Vec<&str> {
    machines.into_iter().map(|machine| machine.name.as_str()).collect()
}

fn refusal(text: &str) -> String {
    table()
        .matching(&requirements(text), &no_price)
        .unwrap_err()
        .to_string()
}

#[test]
fn table_is_valid() {
    let table = table();
    assert!(table.types().len() > 150);
    for date in [&table.types_at, &table.prices_at] {
        assert!(date.len() == 10 && date.starts_with("20"), "{date}");
    }
    let mut names = std::collections::HashSet::new();
    for machine in table.types() {
        let name = machine.name.as_str();
        assert!(names.insert(name), "{name} is there twice");
        assert_eq!(machine.arch, Arch::of(&machine.name), "{name}");
        assert!(machine.vcpus > 0 && machine.memory.0 >= 512, "{name}");
        if let Some(vcpus) = crate::quota::vcpus(&machine.name) {
            assert_eq!(machine.vcpus, vcpus, "{name}");
        }
        if let Some(gpu) = &machine.gpu {
            assert!(gpu.count > 0 && gpu.vram.0 > 0, "{name}");
            assert!(gpu.compute_capability >= ComputeCapability(7, 0), "{name}");
        }
    }
}

#[test]
fn named_gpus_are_those_of_the_table() {
    let mut in_table: Vec<_> = table()
        .types()
        .iter()
        .filter_map(|machine| machine.gpu.as_ref())
        .collect();
    in_table.sort_by_key(|gpu| gpu.model.clone());
    in_table.dedup_by_key(|gpu| gpu.model.clone());
    let mut named: Vec<_> = GpuModel::names().collect();
    named.sort_unstable();
    assert_eq!(in_table.iter().map(|gpu| gpu.model.as_str()).collect::<Vec<_>>(), named);
}

#[test]
fn table_has_the_families_that_jobs_ask_for() {
    for name in [
        "g4dn.xlarge",
        "g5.xlarge",
        "g5g.xlarge",
        "g6.xlarge",
        "g6e.xlarge",
        "g6f.large",
        "g7.2xlarge",
        "g7e.2xlarge",
        "gr6.4xlarge",
        "gr6f.4xlarge",
        "p3dn.24xlarge",
        "p4d.24xlarge",
        "p4de.24xlarge",
        "p5.4xlarge",
        "p5e.48xlarge",
        "p5en.48xlarge",
        "p6-b200.48xlarge",
        "p6-b300.48xlarge",
        "t3.large",
        "t4g.large",
        "m7i.large",
        "c8g.16xlarge",
    ] {
        assert!(table().get(&InstanceType::new(name)).is_some(), "{name}");
    }
}

#[test]
fn types_have_what_ec2_reports() {
    let machine = table().get(&InstanceType::new("g5.12xlarge")).unwrap();
    let gpu = machine.gpu.as_ref().unwrap();
    assert_eq!(
        (machine.vcpus, machine.memory, machine.arch),
        (48, MiB(192 * 1024), Arch::X86_64)
    );
    assert_eq!((gpu.model.as_str(), gpu.count, gpu.vram), ("a10g", 4, MiB(22888)));
    assert_eq!(gpu.compute_capability, ComputeCapability(8, 6));
    assert_eq!(
        (machine.nvme.as_sold().as_str(), machine.price),
        ("3800GB", Some(MicroDollars(5_672_000)))
    );
}

#[test]
fn matching_machines_come_cheapest_first() {
    for (text, expected) in [
        (
            "gpu=t4",
            &[
                "g4dn.xlarge",
                "g4dn.2xlarge",
                "g4dn.4xlarge",
                "g4dn.8xlarge",
                "g4dn.16xlarge",
            ][..],
        ),
        ("gpu=t4 gpus=4", &["g4dn.12xlarge"]),
        ("gpu=t4 gpus=>=4", &["g4dn.12xlarge", "g4dn.metal"]),
        ("gpu=a10g+l4 mem=16GiB cpu=<=4", &["g6.xlarge", "g5.xlarge"]),
        ("vram=80GiB cc=9.0-9.9", &["p5.4xlarge"]),
        ("gpu=a100 gpus=8 vram=80", &["p4de.24xlarge"]),
        ("gpu=t4g cpu=4 mem=<=8", &["g5g.xlarge"]),
        ("gpu=l4-half", &["g6f.4xlarge", "gr6f.4xlarge"]),
        ("cpu=64 mem=512GiB arch=arm64", &["r7g.16xlarge", "r8g.16xlarge"]),
        ("gpu=rtx-pro-4500 cpu=8-16", &["g7.2xlarge", "g7.4xlarge"]),
    ] {
        assert_eq!(
            names(table().matching(&requirements(text), &no_price).unwrap()),
            expected,
            "{text}"
        );
    }
}

#[test]
fn gpus_sold_with_24_gb_meet_24_gib() {
    for size in ["24", "24GB", "24GiB", ">=24GiB"] {
        let found = names(
            table()
                .matching(&requirements(&format!("vram={size}")), &no_price)
                .unwrap(),
        );
        assert!(
            found.starts_with(&["g6.xlarge", "g6.2xlarge", "g5.xlarge"]),
            "{size}: {found:?}"
        );
    }
}

#[test]
fn current_price_precedes_the_tables_price() {
    let today = |name: &InstanceType| (name.as_str() == "g5.xlarge").then_some(MicroDollars(300_000));
    let found = names(table().matching(&requirements("vram=24 cpu=<=4"), &today).unwrap());
    assert_eq!(found[..2], ["g5.xlarge", "g6.xlarge"]);
}

#[test]
fn types_without_a_price_come_last_the_smaller_first() {
    let found = names(table().matching(&requirements("cc=12.0"), &no_price).unwrap());
    assert_eq!(found[0], "g7e.2xlarge");
    assert_eq!(found[found.len() - 3..], ["g7.2xlarge", "g7.4xlarge", "g7.8xlarge"]);
}

#[test]
fn gpus_arm_and_burstable_types_need_a_requirement() {
    for text in ["cpu=4", "cpu=2 mem=8GiB", "gpus=0 cpu=2", "nvme=100GB"] {
        for machine in table().matching(&requirements(text), &no_price).unwrap() {
            assert!(
                machine.gpu.is_none() && machine.arch == Arch::X86_64,
                "{text}: {}",
                machine.name
            );
            assert!(!machine.name.as_str().starts_with('t'), "{text}: {}", machine.name);
        }
    }
}

#[test]
fn fractional_gpus_match_only_by_name() {
    for text in ["gpu=l4", "vram=2GiB", "cc=8.9", "gpus=1"] {
        for machine in table().matching(&requirements(text), &no_price).unwrap() {
            assert!(
                !machine.gpu.as_ref().unwrap().model.is_fraction(),
                "{text}: {}",
                machine.name
            );
        }
    }
}

#[test]
fn candidates_cost_at_most_twice_the_cheapest() {
    for (text, expected) in [
        ("gpu=t4", &["g4dn.xlarge", "g4dn.2xlarge"][..]),
        ("gpu=rtx-pro-4500", &["g7.2xlarge", "g7.4xlarge"]),
        ("gpu=a100 gpus=8", &["p4d.24xlarge", "p4de.24xlarge"]),
    ] {
        assert_eq!(
            names(table().launch_candidates(&requirements(text), &no_price).unwrap()),
            expected,
            "{text}"
        );
    }
}

#[test]
fn no_match_names_the_nearest() {
    for (text, expected) in [
        (
            "gpu=l4 gpus=3",
            "gpu=l4, gpus=3: with all else as required, `gpus` is 1, 4 or 8",
        ),
        (
            "gpu=a100",
            "gpu=a100, gpus=1: with all else as required, `gpus` is 8; or `gpu` is t4, t4g, a10g, l4, l40s, h100, \
             rtx-pro-4500 or rtx-pro-6000",
        ),
        (
            "gpu=t4 vram=24GiB",
            "gpu=t4, gpus=1, vram=24GiB: with all else as required, `vram` is 16GB; or `gpu` is a10g, l4, l40s, h100, \
             rtx-pro-4500 or rtx-pro-6000",
        ),
        (
            "gpu=h100 arch=arm64",
            "gpu=h100, gpus=1, arch=arm64: with all else as required, `arch` is x86_64; or `gpu` is t4g",
        ),
        (
            "gpu=t4 gpus=3 vram=80",
            "gpu=t4, gpus=3, vram=80GiB: g4dn.xlarge comes nearest, but not in gpus, vram",
        ),
        (
            "cpu=9999",
            "cpu=9999: with all else as required, `cpu` is 2, 4, 8, 16, 32, 48 or 64",
        ),
    ] {
        assert_eq!(refusal(text), format!("EC2 has no machine type with {expected}"));
    }
}

#[test]
fn invalid_table_is_refused() {
    for (text, words) in [
        ("", "the table of machine types cannot be read: EOF"),
        (
            r#"{"region":"r","types_at":"d","prices_at":"d","compute_capabilities":{},"types":[{"type":"g5.xlarge","vcpus":4,"memory_mib":1,"arch":"x86_64","gpu":"a10g"}]}"#,
            "the table of machine types cannot be read: the type g5.xlarge has an invalid GPU",
        ),
    ] {
        let said = Table::read(text).unwrap_err().to_string();
        assert!(said.starts_with(words), "{said}");
    }
}

fn any_requirements() -> impl Strategy<Value = Requirements> {
    let key = proptest::sample::select(Requirements::KEYS.to_vec());
    let value = proptest::sample::select(vec![
        "t4", "l4+a10g", "1", "2", "8", "<=4", ">=16", "8.0", "24GiB", "100GB", "arm64", "x64",
    ]);
    proptest::collection::vec((key, value), 0..5).prop_map(|pairs| {
        let mut requirements = Requirements::default();
        for (key, value) in pairs {
            // Invalid values are left out.
            let _ = requirements.set(key, value);
        }
        requirements
    })
}

proptest! {
    #[test]
    fn matches_fit_and_refusals_have_a_reason(requirements in any_requirements()) {
        match table().matching(&requirements, &no_price) {
            Ok(found) => {
                prop_assert!(!found.is_empty());
                let prices: Vec<_> = found.iter().filter_map(|machine| machine.price).collect();
                prop_assert!(prices.is_sorted());
                for machine in found {
                    prop_assert!(requirements.fits(machine));
                }
            }
            Err(refusal) => {
                let fitting = table().types().iter().filter(|machine| requirements.fits(machine) && !is_burstable(machine));
                prop_assert_eq!(fitting.count(), 0);
                prop_assert!(refusal.nearest != crate::machines::Nearest::Nothing, "{}", refusal);
            }
        }
    }
}

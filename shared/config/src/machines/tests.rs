use super::*;

#[test]
fn memory_is_shown_in_its_largest_whole_unit() {
    for (mib, shown) in [
        (512, "512MiB"),
        (16384, "16GiB"),
        (22888, "22888MiB"),
        (2_097_152, "2TiB"),
        (0, "0GiB"),
    ] {
        assert_eq!(MiB(mib).to_string(), shown);
    }
}

#[test]
fn type_name_tells_the_architecture() {
    for (name, arch) in [
        ("t4g.nano", Arch::Arm64),
        ("g5g.xlarge", Arch::Arm64),
        ("c7gn.large", Arch::Arm64),
        ("im4gn.large", Arch::Arm64),
        ("hpc7g.4xlarge", Arch::Arm64),
        ("a1.large", Arch::Arm64),
        ("p6e-gb200.36xlarge", Arch::Arm64),
        ("g5.xlarge", Arch::X86_64),
        ("g4dn.xlarge", Arch::X86_64),
        ("gr6.4xlarge", Arch::X86_64),
        ("p6-b200.48xlarge", Arch::X86_64),
        ("m7i-flex.large", Arch::X86_64),
        ("", Arch::X86_64),
    ] {
        assert_eq!(Arch::of(&InstanceType::new(name)), arch, "{name}");
    }
}

#[test]
fn architectures_have_several_names() {
    for (text, arch) in [
        ("x86_64", Ok(Arch::X86_64)),
        ("X64", Ok(Arch::X86_64)),
        ("amd64", Ok(Arch::X86_64)),
        ("arm64", Ok(Arch::Arm64)),
        ("aarch64", Ok(Arch::Arm64)),
        ("riscv", Err(())),
    ] {
        assert_eq!(text.parse(), arch, "{text}");
    }
}

#[test]
fn compute_capabilities_are_ordered() {
    let read = |text: &str| text.parse::<ComputeCapability>();
    assert_eq!(read("8.9"), Ok(ComputeCapability(8, 9)));
    assert_eq!(read("9"), Ok(ComputeCapability(9, 0)));
    assert!(read("10.3").unwrap() > read("9.0").unwrap());
    for bad in ["", ".", "8.", "8.x", "8.9.1", "-8.0", "+8.0", "800.0"] {
        assert_eq!(read(bad), Err(()), "{bad}");
    }
}

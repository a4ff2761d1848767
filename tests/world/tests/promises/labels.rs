//! A job whose label says what it needs gets that, with or without a file.

use dayfly_config::labels::Label;
use dayfly_records::JobState;
use dayfly_records::event::{Event, JobEvent};
use dayfly_types::ids::JobId;

use crate::lifecycle::state_of;
use crate::stage::{Call, RUN, Stage};

/// Queues job 11 with these labels. Returns the machine types of the first call to EC2, and the state
/// of the job.
fn queued_with(labels: &[&str], config: Option<&str>) -> (Vec<String>, JobState) {
    let stage = Stage::new();
    stage.world.hub().config = config.map(str::to_owned);
    stage.world.hub().queue(RUN, JobId(11));
    let event = JobEvent {
        labels: labels.iter().map(|label| Label::new(*label)).collect(),
        ..stage.job(11)
    };
    stage.make(Call::Launch(Event::JobQueued(event)));
    let became = state_of(&stage, 11);
    let cloud = stage.world.cloud();
    let placements = cloud.asked().first().map(|request| request.placements.clone());
    let mut types: Vec<String> = placements
        .into_iter()
        .flatten()
        .map(|one| one.pool.instance_type.to_string())
        .collect();
    types.dedup();
    (types, became)
}

#[test]
fn a_label_suffices_whatever_the_repositorys_file() {
    for config in [None, Some("runners: []\n"), Some("this is no configuration")] {
        let (types, state) = queued_with(&["self-hosted", "dayfly/gpu=t4/run=22"], config);
        assert_eq!(state, JobState::Launching, "{config:?}");
        assert_eq!(types.first().map(String::as_str), Some("g4dn.xlarge"), "{config:?}");
        assert!(types.iter().all(|one| one.starts_with("g4dn.")), "{types:?}");
    }
}

#[test]
fn an_impossible_label_is_refused_with_the_reason() {
    for (label, words) in [
        ("dayfly/gpu=t5", "t4"),
        ("dayfly/gpu=t4/gpus=3", "3"),
        ("dayfly/gpu=t4/region=us-gov-west-1", "this stack launches in"),
        ("dayfly/gpu=t4/spto=only", "spot"),
    ] {
        let (types, state) = queued_with(&[label], None);
        assert!(types.is_empty(), "{label}: {types:?}");
        let JobState::Refused { reason } = state else {
            panic!("{label}: {state:?}")
        };
        assert!(reason.contains(words), "{label}: {reason}");
    }
}

#[test]
fn a_files_requirements_are_met_in_full_or_refused() {
    let file = |more: &str| {
        format!("runners:\n  - {{name: gpu, labels: [dayfly-gpu], gpu: t4, machine_image: dlami-base{more}}}\n")
    };
    let (types, state) = queued_with(&["dayfly-gpu"], Some(&file("")));
    assert_eq!(state, JobState::Launching);
    assert!(
        !types.is_empty() && types.iter().all(|one| one.starts_with("g4dn.")),
        "{types:?}"
    );
    for (more, words) in [(", gpus: 3", "3"), (", region: us-west-2", "us-west-2")] {
        let (types, state) = queued_with(&["dayfly-gpu"], Some(&file(more)));
        assert!(types.is_empty(), "{more}: {types:?}");
        let JobState::Refused { reason } = state else {
            panic!("{more}: {state:?}")
        };
        assert!(reason.contains(words), "{more}: {reason}");
    }
}

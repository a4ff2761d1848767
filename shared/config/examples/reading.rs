//! Measures how long it takes to read configurations, and to refuse malicious ones.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use dayfly_config::labels::Label;
use dayfly_config::{Config, Context, read};

fn main() {
    let mut slowest = Duration::ZERO;
    for (name, text) in files() {
        let (reading, read_in) = timed(|| read(".dayfly.yml", &text, Context::default()));
        let (error, parsed_in) = timed(|| Config::parse(&text).err().map(|error| error.to_string()));
        slowest = slowest.max(read_in).max(parsed_in);
        println!(
            "{name:32} {:>8} bytes  read in {read_in:>10.2?}  with error in {parsed_in:>10.2?}  {} findings, {} bytes",
            text.len(),
            reading.findings.len(),
            error.map_or(0, |error| error.len()),
        );
    }
    println!("the slowest took {slowest:.2?}");
    if let Ok(config) = Config::parse(&large(500)) {
        let labels: Vec<Label> = vec![Label::new("self-hosted"), Label::new("dayfly-gpu-499--7766")];
        let rounds = 10_000;
        let ((), took) = timed(|| {
            for _ in 0..rounds {
                black_box(config.resolve(black_box(&labels)));
            }
        });
        println!("{rounds} label sets resolved among 500 runners in {took:.2?}");
    }
}

fn timed<T>(act: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = act();
    (done, start.elapsed())
}

/// Returns a file with this many runners.
fn large(runners: u32) -> String {
    let runner = |number| {
        format!(
            "  - {{name: gpu-{number}, labels: [dayfly-gpu-{number}, large], gpu: [a10g, l4], vram: 24GiB, machine_image: dlami-base}}\n"
        )
    };
    format!("runners:\n{}", (0..runners).map(runner).collect::<Vec<_>>().concat())
}

fn files() -> Vec<(&'static str, String)> {
    let lines = |count: u32, line: &dyn Fn(u32) -> String| (0..count).map(line).collect::<Vec<_>>().concat();
    let nine = |level: u32| vec![format!("*a{level}"); 9].join(", ");
    vec![
        ("one runner", large(1)),
        ("500 runners", large(500)),
        ("too large", " ".repeat(10_000_000)),
        (
            "aliases that explode",
            format!(
                "a0: &a0 [x]\n{}",
                lines(9, &|level| format!(
                    "a{}: &a{} [{}]\n",
                    level + 1,
                    level + 1,
                    nine(level)
                ))
            ),
        ),
        (
            "merges that explode",
            format!(
                "a0: &a0 {{}}\n{}",
                lines(1500, &|level| format!(
                    "a{}: &a{} {{<<: *a{level}, k{level}: 1}}\n",
                    level + 1,
                    level + 1
                ))
            ),
        ),
        ("lists within lists", "[".repeat(60_000)),
        ("mappings within mappings", "{a: ".repeat(16_000)),
        ("questions", "? ".repeat(30_000)),
        ("a quote that never ends", format!("a: \"{}", "\\n".repeat(30_000))),
        ("unknown keys", lines(6000, &|number| format!("k{number}: 1\n"))),
        ("the same key again", lines(6000, &|_| "k: 1\n".to_owned())),
        ("no runners", format!("runners: [{}]\n", "7, ".repeat(20_000))),
        (
            "runners without anything",
            format!("runners: [{}]\n", "{}, ".repeat(16_000)),
        ),
        (
            "runners with every value wrong",
            format!(
                "runners:\n{}",
                lines(1500, &|_| "- {name: [], labels: {}, spot: 7, gpu: x}\n".to_owned())
            ),
        ),
    ]
}

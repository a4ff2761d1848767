//! The board in a browser and as HTML: it fits its place, loads nothing, and no foreign name becomes markup.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../examples/board/fixture.rs"]
mod fixture;

use std::path::{Path, PathBuf};
use std::process::Command;

use dayfly_report::board::{Appearance, JobLink, MOST_RUNNERS, Theme, View, page};
use dayfly_types::budget::Budget;
use dayfly_types::ids::{InstanceId, InstanceType, Zone};
use proptest::prelude::*;

use fixture::{NOW, document, empty, rich};

/// Set where Chromium must be installed: the tests that need it then fail instead of being skipped.
const REQUIRED: &str = "DAYFLY_REQUIRE_CHROMIUM";

const WIDTHS: [u32; 3] = [360, 800, 1400];

/// Writes into the title, for each page: the width of its window and its own, the overflow of the board, the number
/// of elements beyond the window, and the number of loaded resources. Elements cut off by a parent do not count.
const MEASURE: &str = "<script>addEventListener('load', () => {
  const measured = [...document.querySelectorAll('iframe')].map(frame => {
    const {innerWidth, document, performance} = frame.contentWindow;
    const board = document.querySelector('.dayfly');
    const cut = e => e && (getComputedStyle(e).overflowX == 'hidden' || cut(e.parentElement));
    const out = [...board.querySelectorAll('*')]
      .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5 && !cut(e.parentElement));
    return [innerWidth, document.scrollingElement.scrollWidth, board.scrollWidth - board.clientWidth, out.length,
      performance.getEntriesByType('resource').length].join(' ');
  });
  document.title = 'measured ' + measured.join(',');
})</script>";

/// What [`MEASURE`] measured.
#[derive(Debug, PartialEq, Eq)]
struct Measured {
    window: u32,
    page: u32,
    board_overflow: u32,
    elements_outside: u32,
    loaded: u32,
}

/// A page and the width of its window.
struct Window {
    name: String,
    page: String,
    width: u32,
}

fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut all = std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
    let found = all.find(|program| program.is_file());
    assert!(
        found.is_some() || std::env::var_os(REQUIRED).is_none(),
        "there is no Chromium on the PATH, and {REQUIRED} is set: install Debian's package `chromium`"
    );
    found
}

/// Lays pages out in Chromium, each in a frame: a window is never narrower than 500 pixels.
fn measure(chromium: &Path, windows: &[Window]) -> Vec<Measured> {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("boards.html");
    let frames = windows.iter().map(|Window { page, width, .. }| {
        let page = page.replace('&', "&amp;").replace('"', "&quot;");
        format!("<iframe style=\"border:0\" width=\"{width}\" height=\"900\" srcdoc=\"{page}\"></iframe>\n")
    });
    let boards = frames.collect::<String>();
    std::fs::write(
        &file,
        format!("<!doctype html><meta charset=\"utf-8\">{boards}{MEASURE}"),
    )
    .unwrap();
    let output = Command::new(chromium)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--dump-dom",
        ])
        // Nothing from elsewhere can be loaded.
        .arg("--host-resolver-rules=MAP * ~NOTFOUND")
        .arg(format!("--user-data-dir={}", scratch.path().join("profile").display()))
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    let title = shown
        .split("<title>measured ")
        .nth(1)
        .and_then(|rest| rest.split('<').next());
    let title = title.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let each = title.split(',').map(|numbers| {
        let numbers: Vec<u32> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
        Measured {
            window: numbers[0],
            page: numbers[1],
            board_overflow: numbers[2],
            elements_outside: numbers[3],
            loaded: numbers[4],
        }
    });
    each.collect()
}

/// Checks that each page fits its window, or prints that Chromium is missing.
fn assert_fit(windows: &[Window]) {
    let Some(chromium) = chromium() else {
        #[expect(
            clippy::print_stderr,
            reason = "the reader of the test output should know what was skipped"
        )]
        {
            eprintln!("skipped: there is no Chromium to lay out the board (Debian's package `chromium`)");
        }
        return;
    };
    let measured = measure(&chromium, windows);
    assert_eq!(measured.len(), windows.len());
    for (Window { name, width, .. }, measured) in windows.iter().zip(measured) {
        let fits = Measured {
            window: *width,
            page: *width,
            board_overflow: 0,
            elements_outside: 0,
            loaded: 0,
        };
        assert_eq!(measured, fits, "{name} at {width}");
    }
}

fn window(name: &str, view: &View, width: u32) -> Window {
    Window {
        name: format!("{name}, {:?}", view.appearance),
        page: document(&page(view, NOW), view.appearance.theme),
        width,
    }
}

#[test]
fn board_fits_every_width_and_theme_and_loads_nothing() {
    let mut windows = Vec::new();
    for width in WIDTHS {
        for theme in [None, Some(Theme::Light), Some(Theme::Dark)] {
            // With and without a given width.
            for given in [None, Some(width)] {
                let appearance = Appearance { theme, width: given };
                windows.push(window("rich", &rich(appearance), width));
                windows.push(window("empty", &empty(appearance), width));
            }
        }
    }
    assert_fit(&windows);
}

#[test]
fn names_of_any_length_fit() {
    let long = "w".repeat(300);
    let mut windows = Vec::new();
    for width in WIDTHS {
        for given in [None, Some(width)] {
            let appearance = Appearance {
                theme: None,
                width: given,
            };
            let mut view = rich(appearance);
            rename(&mut view, &long);
            windows.push(window("names of 300 letters", &view, width));
        }
    }
    assert_fit(&windows);
}

#[test]
fn board_loads_nothing_and_contains_no_script() {
    for appearance in appearances() {
        for view in [rich(appearance), empty(appearance)] {
            let page = page(&view, NOW);
            for link in page.split("href=\"").skip(1) {
                assert!(link.starts_with("https://github.com/"), "{link:.60}");
            }
            let lower = page.to_lowercase();
            for bad in [
                "src=",
                "srcset",
                "url(",
                "@import",
                "<script",
                "<iframe",
                "<link",
                "<img",
                "<use",
                "<object",
                "<form",
                " on",
                "javascript:",
            ] {
                // ` on` may occur in text, not in a tag.
                let is_there = if bad == " on" {
                    tags(&lower).iter().any(|tag| tag.contains(" on"))
                } else {
                    lower.contains(bad)
                };
                assert!(!is_there, "{bad}");
            }
        }
    }
}

fn appearances() -> Vec<Appearance> {
    let themes = [None, Some(Theme::Light), Some(Theme::Dark)];
    let widths = [None, Some(360), Some(1400)];
    let each = themes
        .into_iter()
        .flat_map(|theme| widths.map(|width| Appearance { theme, width }));
    each.collect()
}

/// Returns all tags, without their titles: a row's title contains names.
fn tags(page: &str) -> Vec<String> {
    let inner = page.split('<').skip(1);
    inner
        .map(|rest| {
            let tag = rest.split('>').next().unwrap_or_default();
            match tag.split_once("title=\"") {
                Some((before, rest)) => {
                    let after = rest.split_once('"').map_or("unclosed", |(_, after)| after);
                    format!("{before}{after}")
                }
                None => tag.to_owned(),
            }
        })
        .collect()
}

/// Gives this name to everything on a board whose name comes from GitHub or AWS.
fn rename(view: &mut View, name: &str) {
    let rename_job = |job: &mut JobLink| job.name = Some(name.to_owned());
    for live in &mut view.live {
        rename_job(&mut live.job);
        live.ending = live.ending.as_ref().map(|_| name.to_owned());
        if let Some(it) = &mut live.instance {
            it.instance = InstanceId::new(name);
            it.instance_type = InstanceType::new(name);
            it.zone = Zone::new(name);
        }
    }
    for waiting in &mut view.waiting {
        rename_job(&mut waiting.job);
    }
    for gauge in &mut view.budgets {
        if let Budget::Organization { name: of } = &mut gauge.budget {
            name.clone_into(of);
        }
    }
    for past in &mut view.past {
        if let Some(job) = &mut past.job {
            rename_job(job);
        }
        past.workflow = past.workflow.as_ref().map(|_| name.to_owned());
        past.actor = past.actor.as_ref().map(|_| name.to_owned());
        past.instance = InstanceId::new(name);
        past.instance_type = InstanceType::new(name);
        past.zone = Zone::new(name);
    }
}

fn named(name: &str) -> String {
    let mut view = rich(Appearance::default());
    rename(&mut view, name);
    page(&view, NOW)
}

/// Generates arbitrary text, with pieces of markup in it.
fn names() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        any::<char>().prop_map(String::from),
        prop::sample::select(vec![
            "<",
            ">",
            "\"",
            "'",
            "&",
            "/",
            "=",
            "`",
            "<script>",
            "</style>",
            "</td>",
            "<!--",
            "-->",
            "]]>",
            "onload=",
            "&lt;",
            "&#60;",
            "\\",
            "\0",
            "\n",
            "javascript:",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(pieces, 1..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_name_breaks_out_of_its_text(name in names()) {
        prop_assert_eq!(tags(&named(&name)), tags(&named("a name")));
    }
}

#[test]
fn name_is_shown_unchanged() {
    let shown = named("train <gpu> & \"more\"");
    assert!(
        shown.contains("train &lt;gpu&gt; &amp; &quot;more&quot;"),
        "{shown:.300}"
    );
}

#[test]
fn first_runners_are_shown_and_all_are_counted() {
    let mut view = rich(Appearance::default());
    let busy = view.live[0].clone();
    view.live = vec![busy; MOST_RUNNERS + 5];
    let shown = page(&view, NOW);
    assert_eq!(shown.matches("<div class=\"live\">").count(), MOST_RUNNERS);
    for words in ["and 5 more runners", "<b>45</b>", "<b>$18.55</b>"] {
        assert!(shown.contains(words), "{words}: {shown:.3000}");
    }
}

//! The board as a browser shows it, and as it is sent: it fits where it is put, loads nothing, and no name
//! of others becomes a part of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../examples/board/fixture.rs"]
mod fixture;

use std::path::{Path, PathBuf};
use std::process::Command;

use dayfly_report::board::{JobLink, Look, MOST_RUNNERS, Theme, View, page};
use dayfly_types::budget::Budget;
use dayfly_types::ids::{InstanceId, InstanceType, Zone};
use proptest::prelude::*;

use fixture::{NOW, document, empty, rich};

/// Set where Chromium must be there: without it, the tests that need one fail rather than say that they
/// were left out.
const REQUIRED: &str = "DAYFLY_REQUIRE_CHROMIUM";

const WIDTHS: [u32; 3] = [360, 800, 1400];

/// Writes into the title, for each page, how wide its window and it are, by how much the board sticks out
/// of itself, how many of its parts stick out of the window, and how much was loaded. What an element around
/// it cuts off does not stick out.
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

/// What it comes to.
#[derive(Debug, PartialEq, Eq)]
struct Measured {
    window: u32,
    page: u32,
    board_sticks_out: u32,
    parts_stick_out: u32,
    loaded: u32,
}

/// A page, what it shows, and how wide its window is to be.
struct Window {
    name: String,
    page: String,
    width: u32,
}

/// Chromium, if there is one.
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

/// Has Chromium lay out pages. Each is in a frame, for a window of its own is never narrower than 500
/// pixels.
fn measured(chromium: &Path, windows: &[Window]) -> Vec<Measured> {
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
        // Nothing could be loaded from elsewhere even if it were tried.
        .arg("--host-resolver-rules=MAP * ~NOTFOUND")
        .arg(format!("--user-data-dir={}", scratch.path().join("profile").display()))
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    let told = shown
        .split("<title>measured ")
        .nth(1)
        .and_then(|rest| rest.split('<').next());
    let told = told.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let each = told.split(',').map(|numbers| {
        let numbers: Vec<u32> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
        Measured {
            window: numbers[0],
            page: numbers[1],
            board_sticks_out: numbers[2],
            parts_stick_out: numbers[3],
            loaded: numbers[4],
        }
    });
    each.collect()
}

/// Has every one of these pages measured, or says that there is nothing to do it with.
fn assert_fit(windows: &[Window]) {
    let Some(chromium) = chromium() else {
        #[expect(clippy::print_stderr, reason = "whoever runs the tests is to know what was left out")]
        {
            eprintln!("left out: there is no Chromium to lay out the board with (Debian's package `chromium`)");
        }
        return;
    };
    let measured = measured(&chromium, windows);
    assert_eq!(measured.len(), windows.len());
    for (Window { name, width, .. }, measured) in windows.iter().zip(measured) {
        let fits = Measured {
            window: *width,
            page: *width,
            board_sticks_out: 0,
            parts_stick_out: 0,
            loaded: 0,
        };
        assert_eq!(measured, fits, "{name} at {width}");
    }
}

fn window(name: &str, view: &View, width: u32) -> Window {
    Window {
        name: format!("{name}, {:?}", view.look),
        page: document(&page(view, NOW), view.look.theme),
        width,
    }
}

#[test]
fn the_board_fits_its_widget_in_every_width_and_theme_and_loads_nothing() {
    let mut windows = Vec::new();
    for width in WIDTHS {
        for theme in [None, Some(Theme::Light), Some(Theme::Dark)] {
            // Whether it is told its width or not.
            for told in [None, Some(width)] {
                let look = Look { theme, width: told };
                windows.push(window("rich", &rich(look), width));
                windows.push(window("empty", &empty(look), width));
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
        for told in [None, Some(width)] {
            let look = Look {
                theme: None,
                width: told,
            };
            let mut view = rich(look);
            rename(&mut view, &long);
            windows.push(window("names of 300 letters", &view, width));
        }
    }
    assert_fit(&windows);
}

#[test]
fn nothing_in_it_is_loaded_from_elsewhere_and_nothing_is_a_script() {
    for look in looks() {
        for view in [rich(look), empty(look)] {
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
                // A word that begins with `on` may stand in a text, not in a tag.
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

fn looks() -> Vec<Look> {
    let themes = [None, Some(Theme::Light), Some(Theme::Dark)];
    let widths = [None, Some(360), Some(1400)];
    let each = themes
        .into_iter()
        .flat_map(|theme| widths.map(|width| Look { theme, width }));
    each.collect()
}

/// All that stands between `<` and `>`, less what a person only reads: the title of a row has names in it.
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

/// Gives this name to everything in a board whose name comes from GitHub or AWS and may be anything.
fn rename(view: &mut View, name: &str) {
    let rename_job = |job: &mut JobLink| job.name = Some(name.to_owned());
    for live in &mut view.live {
        rename_job(&mut live.job);
        live.ending = live.ending.as_ref().map(|_| name.to_owned());
        if let Some(placed) = &mut live.placed {
            placed.instance = InstanceId::new(name);
            placed.instance_type = InstanceType::new(name);
            placed.zone = Zone::new(name);
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
    for ran in &mut view.ran {
        if let Some(job) = &mut ran.job {
            rename_job(job);
        }
        ran.workflow = ran.workflow.as_ref().map(|_| name.to_owned());
        ran.actor = ran.actor.as_ref().map(|_| name.to_owned());
        ran.instance = InstanceId::new(name);
        ran.instance_type = InstanceType::new(name);
        ran.zone = Zone::new(name);
    }
}

fn named(name: &str) -> String {
    let mut view = rich(Look::default());
    rename(&mut view, name);
    page(&view, NOW)
}

/// Texts that try to be markup, among all others.
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
    fn no_name_breaks_out_of_the_text_that_it_is(name in names()) {
        prop_assert_eq!(tags(&named(&name)), tags(&named("a name")));
    }
}

#[test]
fn a_name_is_shown_as_it_is() {
    let shown = named("train <gpu> & \"more\"");
    assert!(
        shown.contains("train &lt;gpu&gt; &amp; &quot;more&quot;"),
        "{shown:.300}"
    );
}

#[test]
fn of_more_runners_than_anybody_reads_the_first_are_shown_and_all_are_counted() {
    let mut view = rich(Look::default());
    let busy = view.live[0].clone();
    view.live = vec![busy; MOST_RUNNERS + 5];
    let shown = page(&view, NOW);
    assert_eq!(shown.matches("<div class=\"live\">").count(), MOST_RUNNERS);
    for words in ["and 5 runners more", "<b>45</b>", "<b>$18.55</b>"] {
        assert!(shown.contains(words), "{words}: {shown:.3000}");
    }
}

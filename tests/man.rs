//! The manual page and the systemd units name the signals and options that exist.

use std::collections::BTreeSet;
use std::path::Path;

use stheno::cli;
use stheno::config;
use stheno::sys::signal::Signal;

/// The page without the marks of roff, as its reader sees it.
fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/stheno.1");
    let text = std::fs::read_to_string(path).expect("the manual page");
    text.replace("\\-", "-").replace("\\fI", "").replace("\\fB", "").replace("\\fR", "")
}

/// The long options that a text names, each up to the first letter that cannot belong to it.
fn named(text: &str) -> BTreeSet<String> {
    let pieces = text.split("--").skip(1);
    let names = pieces
        .map(|piece| piece.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect::<String>());
    names.filter(|name| !name.is_empty()).collect()
}

fn options() -> BTreeSet<String> {
    cli::all(&config::options()).map(|option| option.name.to_string()).collect()
}

/// The section of the options is generated (`tests/options_table.rs`); the others are not.
#[test]
fn the_page_names_no_other_option() {
    let unknown: Vec<String> = named(&page()).difference(&options()).cloned().collect();
    assert!(unknown.is_empty(), "the page has {unknown:?}");
}

#[test]
fn every_signal_is_described() {
    let page = page();
    for signal in Signal::ALL {
        let name = match signal {
            Signal::Interrupt => "SIGINT",
            Signal::Quit => "SIGQUIT",
            Signal::Terminate => "SIGTERM",
            Signal::Hangup => "SIGHUP",
            Signal::User1 => "SIGUSR1",
            Signal::User2 => "SIGUSR2",
            Signal::Window => "SIGWINCH",
            Signal::TtyIn => "SIGTTIN",
            Signal::TtyOut => "SIGTTOU",
            // The kernel sends it, when a worker ends.
            Signal::Child => continue,
            // The master sends it, to a worker that hangs.
            Signal::Abort => continue,
            // It is ignored.
            Signal::FileSize => continue,
        };
        let section = page.split(".SH SIGNALS").nth(1).expect("a section");
        assert!(section.split(".SH").next().expect("its text").contains(name), "{name}");
    }
}

/// The units speak of options that there are.
#[test]
fn the_units_name_options_that_there_are() {
    for name in ["stheno.service", "stheno.socket"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/systemd").join(name);
        let text = std::fs::read_to_string(path).expect("a unit");
        let unknown: Vec<String> = named(&text).difference(&options()).cloned().collect();
        // That of systemctl.
        assert!(unknown.iter().all(|option| option == "now"), "{name}: {unknown:?}");
    }
}

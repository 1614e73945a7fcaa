//! Whether the workers of a server accept equal shares.

use std::collections::HashSet;

use crate::recording::finding::{Finding, FindingKind, Severity};
use crate::recording::reader::Recording;
use crate::recording::record::{Kind, NO_KEY, Origin};

/// The largest share may be this many times the smallest.
const TIMES: usize = 3;

/// Fewer connections than this on one worker say nothing of shares.
const FEW: usize = 30;

/// Nanoseconds since 1970 at time 0.
fn began(recording: &Recording) -> Option<u128> {
    let (seconds, nanos) = recording.facts.get("began")?.split_once('.')?;
    Some(seconds.parse::<u128>().ok()? * 1_000_000_000 + nanos.parse::<u128>().ok()?)
}

/// Compares what each worker accepted in the time that all recordings have.
pub(super) fn compare(recordings: &[Recording]) -> Option<Finding> {
    let pids: HashSet<Option<&String>> = recordings.iter().map(|one| one.facts.get("pid")).collect();
    if recordings.len() < 2 || pids.len() < recordings.len() {
        return None;
    }
    let time = |one: &Recording, at: u64| Some(began(one)? + u128::from(at));
    let mut common: Option<(u128, u128)> = None;
    for one in recordings {
        let (first, last) = (time(one, one.records.first()?.time)?, time(one, one.records.last()?.time)?);
        let (from, to) = common.unwrap_or((first, last));
        common = Some((from.max(first), to.min(last)));
    }
    let (from, to) = common?;
    let accepted = |one: &Recording| {
        let is_new = |record: &&crate::recording::record::Record| {
            record.kind == Kind::New && record.code == Origin::Accepted as u8
        };
        let times = one.records.iter().filter(is_new).filter_map(|record| time(one, record.time));
        times.filter(|at| (from..=to).contains(at)).count()
    };
    let counts: Vec<(usize, &str)> = recordings
        .iter()
        .map(|one| (accepted(one), one.facts.get("worker").map_or("?", String::as_str)))
        .collect();
    let (most, least) = (counts.iter().max()?, counts.iter().min()?);
    if most.0 < FEW || most.0 <= TIMES * least.0 {
        return None;
    }
    let each: Vec<String> =
        counts.iter().map(|(count, worker)| format!("worker {worker}: {count}")).collect();
    Some(Finding {
        kind: FindingKind::Share,
        severity: Severity::Warning,
        turn: 0,
        key: NO_KEY,
        time: 0,
        text: format!(
            "worker {} accepted {} connections, and worker {} in the same time {} ({})",
            most.1,
            most.0,
            least.1,
            least.0,
            each.join(", ")
        ),
        cure: "accept with `--accept exclusive`, which leaves connections to the workers with fewer; look for slow hooks \
               of the worker with the smallest share",
    })
}

//! What the counters alone show to be wrong, with a cause and a cure.

use std::borrow::Cow;
use std::time::Duration;

use super::snapshot::{Health, Snapshot};
use crate::reactor::AcceptMode;

/// A worker with fewer connections than this is not compared: a few connections cannot be shared equally.
const FEW: u64 = 8;

/// How long a finding of a doctor is shown.
const SHOWN_FOR: Duration = Duration::from_secs(300);

/// Something that is wrong, for the page and its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Concern {
    /// A short name, which does not change.
    pub(super) kind: &'static str,
    /// What was found, with its numbers.
    pub(super) text: String,
    /// What to do.
    pub(super) cure: Cow<'static, str>,
}

/// Looks at the queues and at the shares of the workers.
pub(super) fn findings(snapshot: &Snapshot) -> Vec<Concern> {
    let mut found = Vec::new();
    for queue in snapshot.queues.iter().filter(|queue| queue.limit > 0 && queue.length * 5 >= queue.limit * 4)
    {
        found.push(Concern {
            kind: "accept-queue",
            text: format!("{} connections wait at {}, of {} at most", queue.length, queue.name, queue.limit),
            cure: "The workers accept more slowly than clients connect: add workers (-w), or look for long turns.".into(),
        });
    }
    found.extend(uneven(snapshot));
    found.extend(told(snapshot));
    found
}

/// What doctors have told of the loops that are recorded, within the last minutes.
fn told(snapshot: &Snapshot) -> impl Iterator<Item = Concern> {
    snapshot.workers().filter_map(|(view, _)| {
        let (at, text, cure) = view.slot.told()?;
        let ago = snapshot.uptime.saturating_sub(at);
        let text = format!("worker {}, {} s ago: {text}", view.index, ago.as_secs());
        (ago < SHOWN_FOR).then_some(Concern { kind: "loop", text, cure: cure.into() })
    })
}

/// Compares the workers that serve the same configuration.
fn uneven(snapshot: &Snapshot) -> Option<Concern> {
    let ready = || snapshot.workers().filter(|(_, health)| *health == Health::Ready).map(|(view, _)| view);
    let generation = ready().map(|view| view.generation).max()?;
    let peers = || ready().filter(|view| view.generation == generation);
    let most = peers().max_by_key(|view| view.open())?;
    let least = peers().min_by_key(|view| view.open())?;
    (most.open() >= FEW && most.open() > 3 * least.open()).then(|| Concern {
        kind: "uneven-shares",
        text: format!(
            "worker {} has {} connections, worker {} has {}",
            most.index,
            most.open(),
            least.index,
            least.open()
        ),
        cure: Cow::Borrowed(match snapshot.accept {
            AcceptMode::Exclusive => {
                "The worker with few was not at its loop when the others connected: look at its turns, and at what else the \
                 machine does. It gets the next connections."
            }
            AcceptMode::Shared | AcceptMode::Reuseport => {
                "Use --accept exclusive, with which the workers keep equal shares of the connections."
            }
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::super::board::Board;
    use super::super::snapshot::{Queue, WorkerView};
    use super::*;
    use crate::server::Activities;
    use std::time::Duration;

    /// A server with these connections in each worker, and this queue.
    fn server(open: &[u64], length: u64) -> Snapshot {
        let board = Board::new().expect("memory");
        let view = |(index, idle): (usize, &u64)| WorkerView {
            index,
            slot: board.slot(index).expect("a slot"),
            health: Some(Health::Ready),
            generation: 1,
            activities: Activities { idle: *idle, ..Activities::default() },
        };
        Snapshot {
            uptime: Duration::ZERO,
            started: 0,
            restarts: 0,
            is_draining: false,
            accept: AcceptMode::Shared,
            queues: vec![Queue { name: "here".into(), length, limit: 100 }],
            slots: open.iter().enumerate().map(view).collect(),
        }
    }

    fn kinds(snapshot: &Snapshot) -> Vec<&'static str> {
        findings(snapshot).iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn each_finding_and_its_near_miss() {
        assert_eq!(kinds(&server(&[9, 3], 79)), [""; 0]);
        assert_eq!(kinds(&server(&[9, 3], 80)), ["accept-queue"]);
        assert_eq!(kinds(&server(&[10, 3], 0)), ["uneven-shares"]);
        assert_eq!(kinds(&server(&[7, 0], 0)), [""; 0], "too few to share");
        assert_eq!(kinds(&server(&[8, 0], 0)), ["uneven-shares"]);
        assert_eq!(kinds(&server(&[100], 0)), [""; 0], "alone");
        let mut exclusive = server(&[10, 3], 0);
        assert!(findings(&exclusive)[0].cure.contains("--accept exclusive"));
        exclusive.accept = AcceptMode::Exclusive;
        assert!(!findings(&exclusive)[0].cure.contains("--accept"), "it is on already");
        let mut reloaded = server(&[100, 1], 0);
        reloaded.slots[1].generation = 2;
        assert_eq!(kinds(&reloaded), [""; 0], "the old worker drains");
        reloaded.slots[1].generation = 1;
        reloaded.slots[1].health = Some(Health::Hung);
        assert_eq!(kinds(&reloaded), [""; 0]);
    }
}

//! stheno-load: many users, or a fixed rate, on this crate's loop; one thread asks for more than most servers
//! can serve.
//!
//! ```text
//! cargo run --release --example stheno_load -- --users 100 --wait 5-15 --servers 1 --db 300      closed
//! cargo run --release --example stheno_load -- --rate 500 --connections 50                       open
//! ```
//!
//! **Closed**: a user sends a request, reads the response, thinks for a while, and sends the next one. When the
//! server slows down, its users send fewer requests: this is how people behave, and what the lab's law is
//! about.
//!
//! **Open**: requests are due at fixed moments, independent of earlier ones. When all connections are busy a
//! request is sent late, and its time is counted *from when it was due*. Counting from when it was sent (the
//! second row of the output) leaves out all waiting that a stall causes but one wait per connection:
//! *coordinated omission*.
//!
//! A connection is one dispatcher for as long as it lives; between two connections a user is a scheduled call
//! (`call_later`). There is no other state:
//!
//! ```text
//! due ──► Asking ──► Hearing ──► Waiting ──► Asking …        (the connection is kept)
//!                       └──► closed, call_later ──► due      (the server closes after its response)
//! ```

mod answer;
mod args;
mod connection;
mod pace;
mod report;
mod tally;

#[path = "../shared/command.rs"]
mod command;
#[path = "../shared/ctrl_c.rs"]
mod ctrl_c;
#[path = "../shared/seed.rs"]
mod seed;

use std::io;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use args::{Args, Model, Plan};
use connection::{End, Shared, start};
use ctrl_c::CtrlC;
use pace::{Dice, Pace, Schedule};
use stheno::clock::Instant;
use stheno::reactor::{CallLater, Reactor};
use tally::{Lines, Tally};

/// How often a loop checks whether to end, and writes its lines out.
const LOOK: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    command::main(run)
}

fn run(args: Args) -> io::Result<()> {
    let plan = Plan::of(&args)?;
    let lines = plan.requests.as_deref().map(Lines::create).transpose()?;
    let over = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let others: Vec<_> = (1..plan.threads)
        .map(|number| {
            let (plan, lines, over) = (plan.clone(), lines.clone(), Arc::clone(&over));
            thread::spawn(move || load(&plan, number, begun, lines, &over))
        })
        .collect();
    let mut tally = load(&plan, 0, begun, lines, &over);
    // Ctrl+C ends the first loop, which then ends the others.
    over.store(true, Ordering::Relaxed);
    for other in others {
        let other = other.join().map_err(|_| io::Error::other("a thread has panicked"))?;
        tally = tally.and_then(|tally| tally.and(other?));
    }
    let tally = tally?;
    if let Some(path) = &plan.percentiles {
        report::write_percentiles(&tally, path)?;
    }
    report::print(&plan, &tally, begun.elapsed());
    Ok(())
}

/// Runs one loop with its share of the load until the end of the run.
fn load(
    plan: &Plan,
    thread: usize,
    begun: Instant,
    lines: Option<Lines>,
    over: &Arc<AtomicBool>,
) -> io::Result<Tally> {
    let mut reactor = Reactor::new()?;
    if thread == 0 {
        reactor.add(CtrlC::new()?);
    }
    reactor.add(End::at(begun + plan.time));
    let shared = Rc::new(Shared::new(plan, begun, lines)?);
    for (pace, due) in paces(plan, thread, begun) {
        let shared = Rc::clone(&shared);
        let wait = due.saturating_duration_since(Instant::now());
        reactor.call_later(wait, move |cx| start(shared, pace, due, cx));
    }
    let (writer, over) = (Rc::clone(&shared), Arc::clone(over));
    reactor.call_every(LOOK, move |cx| {
        writer.tally.borrow_mut().flush();
        if over.load(Ordering::Relaxed) {
            cx.stop();
        }
    });
    reactor.run()?;
    reactor.close_all();
    let mut tally = shared.tally.borrow_mut();
    tally.flush();
    Ok(std::mem::take(&mut *tally))
}

/// The users of a thread, or its connections, each with the time of its first request.
fn paces(plan: &Plan, thread: usize, begun: Instant) -> Vec<(Pace, Instant)> {
    match plan.model {
        Model::Closed { users, least, most, spawn_rate } => (thread..users)
            .step_by(plan.threads)
            .map(|number| {
                let dice = Dice::of(plan.seed, number as u64);
                (
                    Pace::Thinks { dice, least, most },
                    begun + Duration::from_secs_f64(number as f64 / spawn_rate),
                )
            })
            .collect(),
        Model::Open { rate, connections } => {
            let schedule = Rc::new(Schedule::new(begun, rate, thread as u64, plan.threads as u64));
            (thread..connections)
                .step_by(plan.threads)
                .map(|_| {
                    let due = schedule.take();
                    (Pace::Keeps(Rc::clone(&schedule)), due)
                })
                .collect()
        }
    }
}

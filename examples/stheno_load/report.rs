//! The report at the end of a run.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::args::{Model, Plan};
use crate::tally::{Tally, Times};

/// Steps of the distribution per decimal digit after 0.9.
const STEPS: i32 = 20;

/// Prints the report on standard output; `spent` is the real length of the run.
pub(crate) fn print(plan: &Plan, tally: &Tally, spent: Duration) {
    let measured = spent.min(plan.time).saturating_sub(plan.warm_up).as_secs_f64();
    let answers = tally.from_due.0.len();
    let rate = if measured > 0.0 { answers as f64 / measured } else { 0.0 };
    println!("{}: {}, {measured:.0} s measured", plan.url, plan.model.in_words());
    println!("  answers      {answers}, {} without one at the end", tally.waiting);
    for (why, count) in &tally.failures {
        println!("  failures     {count}: {why}");
    }
    println!("  rate         {rate:.2} requests/s");
    println!(
        "               {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "mean", "p50", "p90", "p95", "p99", "longest"
    );
    match plan.model {
        Model::Closed { .. } => println!("  response     {}", row(&tally.from_due)),
        Model::Open { .. } => {
            println!("  since due    {}", row(&tally.from_due));
            println!("  since sent   {}", row(&tally.from_sent));
        }
    }
    if let (Some((servers, service)), Model::Closed { users, least, most, .. }) = (plan.served_by, plan.model)
    {
        let (think, users) = (((least + most) / 2).as_secs_f64(), users as f64);
        let wanted = (servers / service).min(users / (think + service));
        let response = service.max(users / wanted - think);
        let median = tally.from_due.quantile(0.5).as_secs_f64();
        println!("  predicted    {wanted:.2} requests/s ({:+.1} %)", (rate / wanted - 1.0) * 100.0);
        println!(
            "               {response:.3} s ({:+.1} % for the median)",
            (median / response - 1.0) * 100.0
        );
    }
}

impl Model {
    fn in_words(self) -> String {
        match self {
            Self::Closed { users, least, most, .. } => {
                format!(
                    "{users} users with {} to {} s of think time",
                    least.as_secs_f64(),
                    most.as_secs_f64()
                )
            }
            Self::Open { rate, connections } => {
                format!("{rate} requests a second over {connections} connections")
            }
        }
    }
}

fn row(times: &Times) -> String {
    let mean = Duration::from_secs_f64(times.0.mean() / 1e6);
    let all = [
        mean,
        times.quantile(0.5),
        times.quantile(0.9),
        times.quantile(0.95),
        times.quantile(0.99),
        times.quantile(1.0),
    ];
    all.map(|time| format!("{:>10}", in_units(time))).join(" ")
}

fn in_units(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds @ 1.0.. => format!("{seconds:.2} s"),
        seconds @ 0.001.. => format!("{:.2} ms", seconds * 1e3),
        seconds => format!("{:.0} µs", seconds * 1e6),
    }
}

/// Writes a CSV file: a share of the requests, and the time that it needed at the most, counted both ways.
pub(crate) fn write_percentiles(tally: &Tally, path: &Path) -> io::Result<()> {
    let mut text = String::from("share,since_due_ms,since_sent_ms\n");
    for step in 0..=5 * STEPS {
        let share = 1.0 - 10_f64.powf(-f64::from(step) / f64::from(STEPS));
        let milliseconds = |times: &Times| times.quantile(share).as_secs_f64() * 1e3;
        let (due, sent) = (milliseconds(&tally.from_due), milliseconds(&tally.from_sent));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{share:.7},{due:.3},{sent:.3}");
    }
    std::fs::write(path, text)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

//! - New here: sockets that keep wakers, and timers: the executor is a channel of our reactor, and no thread waits.
//! - Try it: `cargo run --example web_futures -- --loop`, then `curl http://127.0.0.1:9090/`.
//! - What it costs: two allocations per task, and a write per wake-up of the loop, which Tokio avoids.
//! - Break it: `scripts/loop web_futures+lost_waker`: a `Pending` without a waker is never polled again.
//!
//! ```text
//!               readiness                    wake (its number)                  poll
//! kernel ──► Reactor ──► Watch (a channel) ──────────────────► Executor (a channel) ──► task ──► Socket
//!                          ▲                                     ▲ deadline                         │
//!                          └──────────── a waker, where it would block ─────────────────────────────┘
//! ```
//!
//! An executor polls a future, which returns `Ready`, or stores a *waker* and returns `Pending`. The loop calls
//! the waker when the socket is ready, or the executor does when the time has come. The waker says which task
//! to poll again: so far as in `web_executor`. `web_reactor` is the same program with the states written by hand.

#[path = "shared/ctrl_c.rs"]
mod ctrl_c;
#[path = "shared/recording.rs"]
mod recording;
#[path = "shared/seed.rs"]
mod seed;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{self, Poll, Wake};
use std::time::Duration;

use mio::event::Source;
use stheno::clock::Instant;
use stheno::reactor::{self, Context, Dispatcher, NoSource, Reactor, SharedSource};
use stheno::recording::{Ending, Why};
use stheno::slab::Key;
use stheno::sys::socket;

fn main() -> ExitCode {
    recording::main(run)
}

// The server, as in `web_tokio`.

fn run(args: seed::WebArgs) -> io::Result<()> {
    let address = seed::resolve(&args.host, args.port)?;
    let serversocket = socket::listen(address, args.backlog.into(), false)?;
    let mut reactor = Reactor::with_probe(recording::probe("futures", include_str!("web_futures.rs"))?)?;
    reactor.add(ctrl_c::CtrlC::new()?);
    println!("Starting Web Server at {}:{}", args.host, serversocket.local_addr()?.port());
    spawn(serve(Socket::new(serversocket), Duration::from_millis(args.db)));
    reactor.add(Executor::new(reactor.waker()));
    reactor.run()
}

async fn serve(serversocket: Socket<TcpListener>, database: Duration) {
    loop {
        match serversocket.when(READABLE, TcpListener::accept).await {
            // A client that closes before its response is routine.
            Ok((client, _)) => spawn(async move { drop(client_handler(client, database).await) }),
            // Out of descriptors, for example: tried again when some may be free.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn client_handler(client: TcpStream, database: Duration) -> io::Result<()> {
    client.set_nonblocking(true)?;
    let client = Socket::new(client);
    recording::read_in_task(client.when(READABLE, |mut client| client.read(&mut [0; 1024])).await)?;
    sleep(database).await;
    let mut page = seed::PAGE;
    while !page.is_empty() {
        let sent = client.when(WRITABLE, |mut client| client.write(page)).await;
        page = &page[recording::write_in_task(sent)?..];
    }
    Ok(())
}

// The runtime. All of it runs on one thread; only wakers may move to another.

/// A future that nothing else awaits.
type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Tasks, sockets and timers that tasks create while the executor polls them.
#[derive(Default)]
struct Left {
    tasks: Vec<Task>,
    watches: Vec<Watch>,
    /// Keyed by time, and by a number because several may have the same time.
    timers: BTreeMap<(Instant, usize), task::Waker>,
    timers_so_far: usize,
}

thread_local! {
    static LEFT: RefCell<Left> = RefCell::default();
}

/// Starts a task. (`tokio::spawn`)
fn spawn(task: impl Future<Output = ()> + 'static) {
    LEFT.with_borrow_mut(|left| left.tasks.push(Box::pin(task)));
}

/// Ends after `duration`. (`tokio::time::sleep`)
async fn sleep(duration: Duration) {
    let until = Instant::now() + duration;
    let is_over = |cx: &mut task::Context<'_>| {
        if until <= Instant::now() {
            return Poll::Ready(());
        }
        LEFT.with_borrow_mut(|left| {
            left.timers_so_far += 1;
            left.timers.insert((until, left.timers_so_far), cx.waker().clone());
        });
        Poll::Pending
    };
    poll_fn(is_over).await;
}

/// Puts the number of its task on the executor's list, and wakes the loop for the executor.
struct TaskWaker {
    task: usize,
    ready: Arc<Mutex<Vec<usize>>>,
    reactor: reactor::Waker,
    executor: Key,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        recording::wake(recording::Task(self.task as u64));
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).push(self.task);
        // This fails after the end of the loop, when the task has ended, too.
        let _ = self.reactor.wake(self.executor);
    }
}

/// Polls tasks. To the reactor it is a channel without a descriptor.
struct Executor {
    source: NoSource,
    reactor: reactor::Waker,
    tasks: HashMap<usize, (Task, Arc<TaskWaker>)>,
    tasks_so_far: usize,
    ready: Arc<Mutex<Vec<usize>>>,
}

impl Executor {
    fn new(reactor: reactor::Waker) -> Self {
        Self { source: NoSource, reactor, tasks: HashMap::new(), tasks_so_far: 0, ready: Arc::default() }
    }

    /// Polls the tasks that are ready now. A task that is woken meanwhile is polled in the next turn, so all
    /// get theirs.
    fn poll_tasks(&mut self) {
        // The lock is released before the first poll, because a task may wake itself.
        let ready = std::mem::take(&mut *self.ready.lock().unwrap_or_else(PoisonError::into_inner));
        for number in ready {
            let Some((task, its_waker)) = self.tasks.get_mut(&number) else { continue };
            let mut hook = recording::hook(recording::Task(number as u64), "poll", Why::Wake);
            let waker = task::Waker::from(Arc::clone(its_waker));
            let poll = AssertUnwindSafe(|| task.as_mut().poll(&mut task::Context::from_waker(&waker)));
            let result = catch_unwind(poll);
            drop(waker);
            if matches!(result, Ok(Poll::Pending)) {
                // A waker that nobody has kept will never be called.
                let is_woken = Arc::strong_count(its_waker) > 1 || self.is_ready(number);
                hook.set_ending(if is_woken { Ending::Pending } else { Ending::Forgotten });
            } else {
                // A task that panics ends alone; the other tasks go on.
                recording::close(recording::Task(number as u64), 0);
                self.tasks.remove(&number);
            }
        }
    }

    fn is_ready(&self, task: usize) -> bool {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).contains(&task)
    }

    /// Takes in new tasks, and gives new sockets to the loop.
    fn take_left(&mut self, cx: &mut Context<'_>) {
        let (tasks, watches) =
            LEFT.with_borrow_mut(|left| (std::mem::take(&mut left.tasks), std::mem::take(&mut left.watches)));
        for watch in watches {
            watch.waiting.borrow_mut().reactor = Some(self.reactor.clone());
            cx.adopt(watch);
        }
        for task in tasks {
            self.tasks_so_far += 1;
            let (ready, reactor) = (Arc::clone(&self.ready), self.reactor.clone());
            let waker = TaskWaker { task: self.tasks_so_far, ready, reactor, executor: cx.key() };
            let waker = Arc::new(waker);
            recording::add(recording::Task(self.tasks_so_far as u64), "task", -1, None);
            Arc::clone(&waker).wake();
            self.tasks.insert(self.tasks_so_far, (task, waker));
        }
    }
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Executor({} tasks)", self.tasks.len())
    }
}

impl Dispatcher for Executor {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.source
    }

    /// True once, at the start.
    fn readable(&self) -> bool {
        self.tasks_so_far == 0
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.handle_wake(cx)
    }

    fn handle_wake(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.poll_tasks();
        self.take_left(cx);
        Ok(())
    }

    /// When the first sleeping task is due.
    fn deadline(&self) -> Option<Instant> {
        LEFT.with_borrow(|left| left.timers.keys().next().map(|(until, _)| *until))
    }

    fn handle_timeout(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let due = LEFT.with_borrow_mut(|left| {
            let later = left.timers.split_off(&(cx.now().monotonic, usize::MAX));
            std::mem::replace(&mut left.timers, later)
        });
        due.into_values().for_each(task::Waker::wake);
        Ok(())
    }
}

/// The tasks that wait for a socket, and the key of its channel.
#[derive(Debug, Default)]
struct Waiting {
    /// The waker of the reading task, and that of the writing task.
    wakers: [Option<task::Waker>; 2],
    reactor: Option<reactor::Waker>,
    channel: Option<Key>,
}

const READABLE: usize = 0;
const WRITABLE: usize = 1;

/// A socket as a task sees it.
struct Socket<S> {
    socket: Rc<S>,
    waiting: Rc<RefCell<Waiting>>,
}

impl<S: AsRawFd + 'static> Socket<S> {
    fn new(socket: S) -> Self {
        let (socket, waiting) = (Rc::new(socket), Rc::default());
        let watch = Watch { source: SharedSource(socket.clone()), waiting: Rc::clone(&waiting) };
        LEFT.with_borrow_mut(|left| left.watches.push(watch));
        Self { socket, waiting }
    }
}

impl<S> Socket<S> {
    /// Calls `call`, and again whenever the socket is ready, until it returns anything but "would block".
    async fn when<T>(&self, ready: usize, mut call: impl FnMut(&S) -> io::Result<T>) -> io::Result<T> {
        let try_call = |cx: &mut task::Context<'_>| match call(&self.socket) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.waiting.borrow_mut().wakers[ready] = Some(cx.waker().clone());
                Poll::Pending
            }
            result => Poll::Ready(result),
        };
        poll_fn(try_call).await
    }
}

/// The channel shares the descriptor, so it has to be closed as well.
impl<S> Drop for Socket<S> {
    fn drop(&mut self) {
        let waiting = self.waiting.borrow();
        if let (Some(reactor), Some(channel)) = (&waiting.reactor, waiting.channel) {
            // This fails after the end of the loop, when the channel is gone, too.
            let _ = reactor.wake(channel);
        }
    }
}

/// The same socket as the loop sees it: a channel that only wakes tasks.
#[derive(Debug)]
struct Watch {
    source: SharedSource,
    waiting: Rc<RefCell<Waiting>>,
}

impl Watch {
    fn wake(&mut self, ready: usize) -> io::Result<()> {
        self.waiting.borrow_mut().wakers[ready].take().into_iter().for_each(task::Waker::wake);
        Ok(())
    }
}

impl Dispatcher for Watch {
    fn socket(&mut self) -> &mut dyn Source {
        &mut self.source
    }

    /// Also true once at the start, to learn the key of the channel.
    fn readable(&self) -> bool {
        let waiting = self.waiting.borrow();
        waiting.wakers[READABLE].is_some() || waiting.channel.is_none()
    }

    fn writable(&self) -> bool {
        self.waiting.borrow().wakers[WRITABLE].is_some()
    }

    fn handle_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.waiting.borrow_mut().channel.replace(cx.key()).is_none() {
            // Also watched for room, because the task writes by itself: the reactor does not see a write that
            // would block.
            cx.set_writable(false);
        }
        if Rc::strong_count(&self.waiting) == 1 {
            cx.close();
        }
        self.wake(READABLE)
    }

    fn handle_write(&mut self, _: &mut Context<'_>) -> io::Result<()> {
        self.wake(WRITABLE)
    }

    /// The task has dropped its socket.
    fn handle_wake(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        cx.close();
        Ok(())
    }
}
